"""Whole runs of train.py: what they print and save, and how they end."""

import csv
import json
import platform
import re
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

import data
import model
import plots
import train
from augmentation import RandomAugmentation, keras, tf
from helpers import ROOT, run, short_run

HISTORY = ("accuracy", "loss", "val_accuracy", "val_loss")


def saved_metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


def saved_history(folder):
    """The rows of history.csv, whose values are numbers."""
    with open(folder / "history.csv") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


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
    saved = keras.models.load_model(tmp_path / "model.keras")
    loss, accuracy = saved.evaluate(x / 255, y, verbose=0)
    assert metrics["validation_loss"] == pytest.approx(loss, rel=1e-4)
    assert metrics["validation_accuracy"] == pytest.approx(accuracy)


def test_an_epoch_has_all_images_of_a_large_data_set(random_digits, tmp_path, capsys):
    many, labels = np.resize(random_digits["x_train"], (60_999, 28, 28)), np.zeros(60_999, int)
    arrays = dict(x_train=many, y_train=labels, x_test=many[:9], y_test=labels[:9])
    np.savez(tmp_path / "many.npz", **arrays)
    options = ["--batch-size", "1000", "--epochs", "1", "--no-augment"]
    assert (
        train.main(["--data", str(tmp_path / "many.npz"), "--output", str(tmp_path), *options])
        == 0
    )
    assert "Training: 1 epoch of 60 batches of 1000 images" in capsys.readouterr().out


@pytest.fixture
def untrained_run(random_npz, tmp_path, monkeypatch):
    """Run train.py with options but without training; returns what it builds and plots."""

    def run(*options):
        run.drawn = {}

        def fit(training_model, *_, **__):
            run.training_model = training_model
            return SimpleNamespace(history={key: [0.5] for key in HISTORY})

        def keep(path, *arguments):
            run.drawn[path.stem.rpartition("-")[2]] = arguments  # without the temporary prefix

        monkeypatch.chdir(random_npz.parent)
        monkeypatch.setattr(keras.Sequential, "fit", fit)
        monkeypatch.setattr(plots, "plot_training_curves", keep)
        monkeypatch.setattr(plots, "plot_confusion_matrix", keep)
        assert train.main(["--data", random_npz.name, "--output", str(tmp_path), *options]) == 0
        run.metrics = saved_metrics(tmp_path)
        return run

    return run


def test_options_reach_the_training(untrained_run):
    run = untrained_run("--learning-rate", "0.02", "--seed", "3", "--no-augment")
    built = run.training_model
    assert (built.jit_compile, built.steps_per_execution) == (True, 468)
    built.optimizer.iterations.assign(468)  # the end of the rise, a tenth of ten epochs
    assert float(built.optimizer.learning_rate) == pytest.approx(0.02)
    keras.utils.set_random_seed(3)
    same = model.build_training_model(model.build_model(), [])
    np.testing.assert_array_equal(same.get_weights()[0], built.get_weights()[0])


@pytest.mark.parametrize("augment", [True, False])
def test_augmentation_can_be_left_out(untrained_run, augment):
    run = untrained_run("--augment" if augment else "--no-augment")
    first = run.training_model.layers[0]
    assert isinstance(first, RandomAugmentation) == augment
    assert (run.metrics["ones_with_flag"] > 0) == augment
    assert run.drawn["training_curves"][1:] == ("test", "random.npz", augment)


def test_confusion_matrix_is_plotted_and_kept(untrained_run):
    run = untrained_run()
    matrix, title = run.drawn["confusion_matrix"]
    assert (matrix.sum(axis=1).tolist(), title) == ([2] * 10, "Test images of random.npz")
    assert run.metrics["confusion_matrix"] == matrix.tolist()


def test_metrics_have_the_options_and_the_versions(untrained_run, random_npz):
    metrics = untrained_run("--epochs", "1", "--seed", "3", "--batch-size", "600").metrics
    expected = dict(epochs=1, batch_size=600, learning_rate=0.01, augment=True, seed=3)
    expected |= dict(data=str(random_npz), dataset="random.npz", bundled_digits=False)
    assert expected.items() <= metrics.items()
    modules = dict(tensorflow=tf, keras=keras, numpy=np)
    versions = {name: module.__version__ for name, module in modules.items()}
    assert metrics["versions"] == {"python": platform.python_version(), **versions}


def test_whole_run_on_the_bundled_digits(bundled_run):
    folder, result = bundled_run
    assert result.returncode == 0, result.stderr
    (warning,) = result.stderr.splitlines()
    assert warning.startswith("warning: MNIST cannot be downloaded")
    first, *_, last = result.stdout.splitlines()
    assert first == "Data: the bundled digits, 4,000 training images, 1,000 test images"
    assert re.search(r"0.01, augmentation, flags on \d\d ones\nEpoch  1/10: ", result.stdout)
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
    assert metrics["test_accuracy"] == pytest.approx(np.mean(y_true == y_pred))
    pairs = np.transpose([y_true, y_pred]).tolist()
    matrix = [[pairs.count([row, column]) for column in range(10)] for row in range(10)]
    assert metrics["confusion_matrix"] == matrix


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
