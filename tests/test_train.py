"""Whole runs of train.py: what they print and save, and how they end."""

import csv
import json
import platform
import re
import zipfile

import numpy as np
import pytest

import data
import model
import plots
import train
from helpers import ROOT, run, short_run


def saved_metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


def saved_history(folder):
    """The rows of history.csv, whose values are numbers."""
    with open(folder / "history.csv") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def test_recall_of_a_digit_that_does_not_occur_is_none():
    y_true, y_pred = np.array([0, 1, 1, 9], np.uint8), np.array([0, 1, 7, 4])
    matrix = train.confusion_matrix(y_true, y_pred)
    assert train.recall_per_digit(matrix) == [1, 0.5] + [None] * 7 + [0]


@pytest.mark.parametrize(
    ("images", "batch_size", "steps"),
    [(40, 128, 468), (60_000, 128, 468), (70_000, 128, 546), (40, 60_000, 1)],
)
def test_an_epoch_has_60_000_images_or_all_of_a_larger_set(images, batch_size, steps):
    assert train.count_steps(images, batch_size) == steps


def test_what_is_printed_and_that_a_seed_repeats_it(random_npz, tmp_path, capfd):
    folder = tmp_path / "new" / "newer"
    assert train.main(short_run(random_npz, folder)) == 0
    metrics = saved_metrics(folder)
    epochs = [
        "Epoch {epoch:.0f}/2: "
        "training loss {loss:.4f}, accuracy {accuracy:.2%}; "
        "test loss {val_loss:.4f}, accuracy {val_accuracy:.2%}".format(**row).replace("%", " %")
        for row in saved_history(folder)
    ]
    printed = capfd.readouterr()
    assert printed.out.splitlines() == [
        "Data: random.npz, 40 training images, 20 test images",
        "Network: 784-128-64-10, 109,386 parameters",
        "Training: 2 epochs of 100 batches of 600 images, learning rate up to 0.01, "
        "no augmentation",
        *epochs,
        f"Training took {metrics['train_seconds']:.1f} s",
        f"Saved model.keras, metrics.json, history.csv and two plots in {folder}",
        f"Test Accuracy: {metrics['test_accuracy']:.4f}",
    ]
    assert printed.err == ""
    assert train.main(short_run(random_npz, tmp_path)) == 0
    one, other = (path / "history.csv" for path in (tmp_path, folder))
    assert one.read_bytes() == other.read_bytes()


def test_validation_uses_no_test_image(random_digits, tmp_path, capsys):
    unread = random_digits | {"x_test": random_digits["x_test"][:1], "y_test": np.array([0])}
    np.savez(tmp_path / "one.npz", **unread)
    options = ["--validation", "10", "--epochs", "1"]
    assert train.main([*short_run(tmp_path / "one.npz", tmp_path), *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Data: one.npz, 30 training images, 10 validation images"
    assert lines[2].startswith("Training: 1 epoch of 100 batches")
    metrics = saved_metrics(tmp_path)
    assert f"; validation loss {saved_history(tmp_path)[-1]['val_loss']:.4f}" in lines[3]
    assert lines[-1] == f"Validation Accuracy: {metrics['validation_accuracy']:.4f}"
    assert not [key for key in metrics if key.startswith("test")]

    # The saved model is compiled, and gives what was measured on these images.
    x, y = random_digits["x_train"][30:], random_digits["y_train"][30:]
    saved = model.keras.models.load_model(tmp_path / "model.keras")
    loss, accuracy = saved.evaluate(x / 255, y, verbose=0)
    assert metrics["validation_loss"] == pytest.approx(loss, rel=1e-4)
    assert metrics["validation_accuracy"] == pytest.approx(accuracy)


def test_options_reach_the_training_and_the_metrics(random_npz, tmp_path, monkeypatch):
    models, drawn = [], {}

    def fit(training_model, *_, **__):
        """Nothing is trained."""
        models.append(training_model)
        return {key: [0.5] for key in ("accuracy", "loss", "val_accuracy", "val_loss")}, 1.0

    def keep(path, *arguments):
        drawn[path.stem.rpartition("-")[2]] = arguments  # without the temporary prefix

    monkeypatch.chdir(random_npz.parent)
    monkeypatch.setattr(train, "fit", fit)
    monkeypatch.setattr(plots, "plot_training_curves", keep)
    monkeypatch.setattr(plots, "plot_confusion_matrix", keep)
    for augment in ("--augment", "--no-augment"):
        options = ["--learning-rate", "0.02", "--seed", "3", augment]
        assert train.main([*short_run(random_npz.name, tmp_path), *options]) == 0
        assert drawn["training_curves"][1:] == ("test", "random.npz", augment == "--augment")
    matrix, title = drawn["confusion_matrix"]
    assert (matrix.sum(axis=1).tolist(), title) == ([2] * 10, "Test images of random.npz")
    augmented, plain = models
    assert len(augmented.layers) == len(plain.layers) + 1
    model.keras.utils.set_random_seed(3)
    same = model.build_training_model(2, 100, augment=False, learning_rate=0.02)
    np.testing.assert_array_equal(same.get_weights()[0], plain.get_weights()[0])
    plain.optimizer.iterations.assign(20)  # the end of the warm-up, a tenth of the run
    assert float(plain.optimizer.learning_rate) == pytest.approx(0.02)
    expected = dict(epochs=2, batch_size=600, learning_rate=0.02, augment=False, seed=3)
    expected |= dict(data=str(random_npz), dataset="random.npz", bundled_digits=False)
    metrics = saved_metrics(tmp_path)
    assert expected.items() <= metrics.items()
    modules = dict(tensorflow=model.tf, keras=model.keras, numpy=np)
    versions = {name: module.__version__ for name, module in modules.items()}
    assert metrics["versions"] == {"python": platform.python_version(), **versions}


def test_whole_run_on_the_bundled_digits(bundled_run):
    folder, result = bundled_run
    assert result.returncode == 0, result.stderr
    (warning,) = result.stderr.splitlines()
    assert warning.startswith("MNIST cannot be downloaded")
    _, first, *_, last = result.stdout.splitlines()  # above it stands what was tried
    assert first == "Data: the bundled digits, 4,000 training images, 1,000 test images"
    assert ", learning rate up to 0.01, with augmentation\nEpoch  1/10: " in result.stdout
    rows, metrics = saved_history(folder / "outputs"), saved_metrics(folder / "outputs")
    assert last == f"Test Accuracy: {metrics['test_accuracy']:.4f} on the bundled digits"
    assert metrics["test_accuracy"] > 0.95
    assert metrics["bundled_digits"] is True
    expected = "confusion_matrix.png history.csv metrics.json model.keras training_curves.png"
    saved = {path.name for path in (folder / "outputs").iterdir()}
    assert saved == set(expected.split())
    assert list(rows[0]) == ["epoch", "accuracy", "loss", "val_accuracy", "val_loss"]
    assert [row["epoch"] for row in rows] == list(range(1, 11))
    # Measured before and after folding; an image on the border may change sides.
    assert rows[-1]["val_accuracy"] == pytest.approx(metrics["test_accuracy"], abs=0.001)
    assert rows[-1]["val_loss"] == pytest.approx(metrics["test_loss"], rel=1e-4)


def test_metrics_are_those_of_the_saved_model(bundled_run, bundled_digits, trained_model):
    metrics, y_true = saved_metrics(bundled_run[0] / "outputs"), bundled_digits.y_eval
    y_pred = trained_model(data.normalize(bundled_digits.x_eval)).numpy().argmax(axis=1)
    assert metrics["test_errors"] == np.sum(y_true != y_pred)
    assert metrics["test_accuracy"] == pytest.approx(np.mean(y_true == y_pred))
    recall = [np.mean(y_pred[y_true == digit] == digit) for digit in range(10)]
    assert metrics["recall_per_digit"] == pytest.approx(recall)


def test_saved_model_has_four_layers_and_needs_nothing_of_the_project(trained_file):
    with zipfile.ZipFile(trained_file) as archive:
        config = archive.read("config.json").decode()
    layers = json.loads(config)["config"]["layers"]
    names = [layer["class_name"] for layer in layers]
    assert names == ["InputLayer", "Flatten", "Dense", "Dense", "Dense"]
    modules = re.findall(r'"module": "(\w+)', config)
    assert modules.count("keras") == len(modules) >= len(layers)


def test_interrupted_training_keeps_earlier_outputs(random_npz, tmp_path, monkeypatch, capfd):
    def interrupt(*_):
        raise KeyboardInterrupt

    (tmp_path / "model.keras").write_text("an earlier model")
    monkeypatch.setattr(train, "print_epoch", interrupt)  # while Keras is at work
    assert train.main(short_run(random_npz, tmp_path)) == 130
    assert capfd.readouterr().err == "train.py: interrupted\n"
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
    assert (tmp_path / "model.keras").read_text() == "an earlier model"


def test_help_needs_no_tensorflow(tmp_path):
    code = "import sys, train, predict; sys.exit('tensorflow' in sys.modules)"
    assert run("-c", code, cwd=tmp_path).returncode == 0
    assert "--learning-rate" in run(ROOT / "train.py", "--help", cwd=tmp_path).stdout


def test_default_run_on_mnist(mnist_npz, tmp_path, capfd):
    assert train.main(["--data", mnist_npz, "--output", str(tmp_path)]) == 0
    assert capfd.readouterr().err == ""
    assert saved_metrics(tmp_path)["test_accuracy"] >= 0.987
