import csv
import json
import signal
import subprocess
import sys

import numpy as np
import pytest

import data
import model
import train
from conftest import ROOT, run

SAVED = {
    "confusion_matrix.png",
    "history.csv",
    "metrics.json",
    "model.keras",
    "training_curves.png",
}


def train_here(path, *arguments):
    return train.main(["--data", str(path), "--epochs", "2", "--batch-size", "8", *arguments])


def test_confusion_matrix_counts_by_true_and_predicted_digit():
    y_true, y_pred = np.array([0, 1, 1, 9], np.uint8), np.array([0, 1, 7, 4])
    expected = np.zeros((10, 10), int)
    expected[0, 0] = expected[1, 1] = expected[1, 7] = expected[9, 4] = 1
    np.testing.assert_array_equal(train.confusion_matrix(y_true, y_pred), expected)


def test_staged_replaces_all(tmp_path):
    (tmp_path / "kept").write_text("old")
    (tmp_path / "replaced").write_text("old")
    with train.staged(tmp_path) as folder:
        assert folder.parent == tmp_path  # on the same disk, so that replacing is one step
        (folder / "replaced").write_text("new")
        assert (tmp_path / "replaced").read_text() == "old"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "kept": "old",
        "replaced": "new",
    }


def test_staged_changes_nothing_on_an_error(tmp_path):
    def fail():
        with train.staged(tmp_path) as folder:
            (folder / "old").write_text("new")
            raise KeyError

    (tmp_path / "old").write_text("old")
    with pytest.raises(KeyError):
        fail()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"old": "old"}


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ValueError("what is wrong"), 2, "me.py: error: what is wrong\n"),
        (OSError(28, "No space left on device"), 2, "me.py: error: .*No space left"),
        (KeyboardInterrupt(), 130, "me.py: interrupted"),
    ],
)
def test_exit_status(capsys, error, status, message):
    def script():
        raise error

    assert train.exit_status("me.py", script) == status
    assert capsys.readouterr().err.strip().startswith(message.split(".*")[0].strip())


def test_holdout_draws_the_curves_on_held_out_digits(
    tmp_path, digits, digits_npz, capsys, monkeypatch
):
    runs = []
    schedule = model.learning_rate_schedule
    monkeypatch.setattr(
        model, "learning_rate_schedule", lambda *run: runs.append(run) or schedule(*run)
    )
    arguments = ["--holdout", "10", "--no-augment", "--output", str(tmp_path)]
    assert train_here(digits_npz, *arguments) == 0
    assert json.loads((tmp_path / "metrics.json").read_text())["augment"] is False
    assert runs == [(0.005, 2 * (30 // 8))]  # the rate falls to zero with the last step
    printed = capsys.readouterr().out
    assert "30 training digits, 10 held out, 20 test digits" in printed
    assert "held-out loss" in printed
    network = model.keras.models.load_model(tmp_path / "model.keras")
    probabilities = network.predict(digits["x_train"][30:] / np.float32(255), verbose=0)
    true_ones = probabilities[np.arange(10), digits["y_train"][30:]]
    with open(tmp_path / "history.csv") as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["val_loss"]) == pytest.approx(-np.log(true_ones).mean(), rel=1e-4)


def test_the_same_seed_gives_the_same_history(tmp_path, digits_npz):
    for name in ("a", "b"):
        assert train_here(digits_npz, "--output", str(tmp_path / name)) == 0
        assert json.loads((tmp_path / name / "metrics.json").read_text())["augment"] is True
    a, b = ((tmp_path / name / "history.csv").read_bytes() for name in ("a", "b"))
    assert a == b


def start_training(data_path, output, epochs):
    arguments = ["--data", data_path, "--output", output, "--epochs", epochs, "--batch-size", 8]
    return subprocess.Popen(
        [sys.executable, "-u", ROOT / "train.py", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background may itself be deaf to SIGINT, which is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_interrupted_training_keeps_earlier_outputs(tmp_path, digits_npz):
    output = tmp_path / "out"
    output.mkdir()
    (output / "model.keras").write_text("an earlier model")
    process = start_training(digits_npz, output, epochs=5000)
    for line in process.stdout:
        if line.startswith("Epoch"):
            break
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaint == "train.py: interrupted; unfinished outputs are discarded\n"
    assert [path.name for path in output.iterdir()] == ["model.keras"]
    assert (output / "model.keras").read_text() == "an earlier model"


def test_a_closed_pipe_is_no_traceback(tmp_path, digits_npz):
    process = start_training(digits_npz, tmp_path / "out", epochs=1)
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 1
    assert list((tmp_path / "out").glob("*")) == []


def test_files_that_cannot_be_replaced_stay(tmp_path, digits_npz, monkeypatch, capsys):
    def refuse(path, target):
        raise PermissionError(13, "Permission denied", str(target))

    (tmp_path / "model.keras").write_text("an earlier model")
    monkeypatch.setattr(train.Path, "replace", refuse)
    assert train_here(digits_npz, "--no-augment", "--output", str(tmp_path)) == 2
    assert "Permission denied" in capsys.readouterr().err
    assert (tmp_path / "model.keras").read_text() == "an earlier model"


def test_whole_run_on_the_bundled_digits(bundled_run):
    folder, result = bundled_run
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("\n") == 1
    assert "bundled digits" in result.stderr
    lines = result.stdout.splitlines()
    assert [line[:9] for line in lines if line.startswith("Epoch")] == [
        "Epoch 1/2",
        "Epoch 2/2",
    ]
    metrics = json.loads((folder / "outputs" / "metrics.json").read_text())
    assert lines[-1] == f"Test Accuracy: {metrics['test_accuracy']:.4f}"
    assert metrics["test_accuracy"] > 0.9
    assert metrics["bundled_digits"] is True
    assert (metrics["train_digits"], metrics["test_digits"]) == (4000, 1000)
    assert metrics["parameters"] == 109_386
    # predict.py may have added its picture by now.
    assert {path.name for path in (folder / "outputs").iterdir()} - {"predictions.png"} == SAVED
    with open(folder / "outputs" / "history.csv") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["epoch", "accuracy", "loss", "val_accuracy", "val_loss"]
    assert len(rows) == 3
    assert float(rows[2][3]) == pytest.approx(metrics["test_accuracy"])


def test_metrics_are_those_of_the_saved_model(bundled_run):
    folder, _ = bundled_run
    metrics = json.loads((folder / "outputs" / "metrics.json").read_text())
    bundled = np.load(ROOT / "assets" / "mnist-5k.npz")
    network = model.keras.models.load_model(folder / "outputs" / "model.keras")
    probabilities = network.predict(bundled["x_test"] / np.float32(255), verbose=0)
    y_true, y_pred = bundled["y_test"], probabilities.argmax(axis=1)
    assert metrics["test_errors"] == np.sum(y_true != y_pred)
    assert metrics["test_accuracy"] == 1 - metrics["test_errors"] / 1000
    loss = -np.log(probabilities[np.arange(1000), y_true]).mean()
    assert metrics["test_loss"] == pytest.approx(loss, rel=1e-3)
    recall = [np.mean(y_pred[y_true == digit] == digit) for digit in range(10)]
    assert metrics["recall_per_digit"] == pytest.approx(recall)


def test_saved_model_needs_nothing_of_the_project(bundled_run, tmp_path):
    path = bundled_run[0] / "outputs" / "model.keras"
    code = (
        f"import keras; m = keras.models.load_model({str(path)!r}); "
        "print([type(layer).__name__ for layer in m.layers], m.count_params())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.stdout == "['Flatten', 'Dense', 'Dense', 'Dense'] 109386\n"


def test_help_needs_no_tensorflow(tmp_path):
    code = "import sys, train, predict; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    assert "--learning-rate" in run("train.py", "--help", cwd=tmp_path).stdout


def test_default_run_on_mnist(mnist_run):
    _, result = mnist_run
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert float(result.stdout.split()[-1]) >= 0.985


def test_bundled_digits_teach_to_read_mnists_test_set(mnist_npz, tmp_path, monkeypatch):
    bundled, mnist = data.load_mnist(data.BUNDLED), data.load_mnist(mnist_npz)
    mixed = bundled._replace(
        x_test=mnist.x_test, y_test=mnist.y_test, repeats=data.BUNDLED_REPEATS
    )
    monkeypatch.setattr(data, "load_mnist", lambda path: mixed)
    assert train.main(["--output", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "metrics.json").read_text())["test_accuracy"] >= 0.97
