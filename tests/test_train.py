"""Runs of train.py: what they print and save, and how they end."""

import json
import os
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest

import plots
import train
from augmentation import RandomAugmentation, keras
from helpers import BUNDLED, read_csv, run


def saved_metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


def saved_history(folder):
    """The rows of history.csv, whose values are numbers."""
    return [{k: float(v) for k, v in row.items()} for row in read_csv(folder / "history.csv")]


def test_what_a_whole_run_prints(bundled_run):
    folder, result = bundled_run
    assert result.returncode == 0, result.stderr
    (warning,) = result.stderr.splitlines()
    assert warning.startswith("warning: MNIST cannot be downloaded")
    metrics = saved_metrics(folder / "outputs")
    epochs = [
        "Epoch {epoch:2.0f}/10: "
        "training loss {loss:.4f}, accuracy {accuracy:.2%}; "
        "test loss {val_loss:.4f}, accuracy {val_accuracy:.2%}".format(**row).replace("%", " %")
        for row in saved_history(folder / "outputs")
    ]
    assert result.stdout.splitlines() == [
        "Data: the bundled digits, 4,000 training images, 1,000 test images",
        "Network: 784-128-64-10, 109,386 parameters",
        "Training: 10 epochs of 468 batches of 128 images, learning rate up to 0.01, "
        f"augmentation, flags on {metrics['ones_with_flag']} ones",
        *epochs,
        f"Training took {metrics['train_seconds']:.1f} s",
        "Saved model.keras, metrics.json, history.csv and two plots in outputs",
        f"Test Accuracy: {metrics['test_accuracy']:.4f} on the bundled digits",
    ]


def test_what_a_whole_run_saves(trained_file):
    expected = "confusion_matrix.png history.csv metrics.json model.keras training_curves.png"
    assert {path.name for path in trained_file.parent.iterdir()} == set(expected.split())


def test_a_whole_run_learns(trained_file):
    assert saved_metrics(trained_file.parent)["test_accuracy"] > 0.95


def test_metrics_are_those_of_the_saved_model(bundled_run, trained_file):
    metrics, saved = saved_metrics(trained_file.parent), keras.models.load_model(trained_file)
    x, y_true = BUNDLED.x_eval / 255, BUNDLED.y_eval
    measured = saved.evaluate(x, y_true, verbose=0)  # it is compiled
    expected = [metrics["test_loss"], metrics["test_accuracy"]]
    assert measured == pytest.approx(expected, rel=1e-4)
    y_pred = saved(x).numpy().argmax(axis=1)
    matrix = np.histogram2d(y_true, y_pred, bins=10, range=[(0, 10), (0, 10)])[0]
    np.testing.assert_array_equal(metrics["confusion_matrix"], matrix)


def test_saved_model_has_four_layers_all_of_keras(trained_file):
    layers = keras.models.load_model(trained_file).layers
    assert list(map(type, layers)) == [keras.layers.Flatten] + 3 * [keras.layers.Dense]


@pytest.mark.usefixtures("without_xla")
def test_validation_uses_no_test_image(random_npz, tmp_path, capsys):
    output = tmp_path / "new" / "newer"
    options = ["--epochs", "1", "--validation", "10", "--batch-size", "6000", "--no-augment"]
    assert train.main(["--data", str(random_npz), "--output", str(output), *options]) == 0
    metrics, (row,) = saved_metrics(output), saved_history(output)
    assert not [key for key in metrics if key.startswith("test")]
    data, _, training, epoch, _, _, accuracy = capsys.readouterr().out.splitlines()
    assert data == "Data: random.npz, 30 training images, 10 validation images"
    assert training.startswith("Training: 1 epoch of 10 batches")
    assert f"; validation loss {row['val_loss']:.4f}" in epoch
    assert accuracy == f"Validation Accuracy: {metrics['validation_accuracy']:.4f}"


@pytest.fixture
def untrained_run(random_npz, tmp_path, monkeypatch):
    """Run train.py with options but without training; returns what it builds and plots."""

    def run(*options):
        given = SimpleNamespace(curves=Mock(), matrix=Mock())

        def fit(training_model, batches, **_):
            given.model, (given.batch, _) = training_model, next(iter(batches))
            names = ("accuracy", "loss", "val_accuracy", "val_loss")
            return SimpleNamespace(history={name: [0.5] for name in names})

        monkeypatch.chdir(random_npz.parent)
        monkeypatch.setattr(keras.Sequential, "fit", fit)
        monkeypatch.setattr(keras.Sequential, "evaluate", lambda *_, **__: (0.5, 0.5))
        monkeypatch.setattr(plots, "plot_training_curves", given.curves)
        monkeypatch.setattr(plots, "plot_confusion_matrix", given.matrix)
        assert train.main(["--data", random_npz.name, "--output", str(tmp_path), *options]) == 0
        given.metrics = saved_metrics(tmp_path)
        return given

    return run


def test_default_run_augments_and_plots(untrained_run):
    run = untrained_run()
    assert isinstance(run.model.layers[0], RandomAugmentation)
    assert run.metrics["ones_with_flag"] > 0
    assert run.curves.call_args.args[2:] == ("test", "random.npz", True)
    _, matrix, title = run.matrix.call_args.args
    assert (matrix.sum(axis=1).tolist(), title) == ([2] * 10, "Test images of random.npz")


def test_options_reach_the_training_and_the_metrics(untrained_run, random_npz, monkeypatch):
    monkeypatch.setattr(train, "MIN_EPOCH_IMAGES", 30)  # fewer than the 40 in the file
    given = "--learning-rate 0.02 --seed 3 --no-augment --epochs 4 --batch-size 8"
    run = untrained_run(*given.split())
    assert run.batch.shape == (8, 28, 28)
    assert not isinstance(run.model.layers[0], RandomAugmentation)
    assert run.curves.call_args.args[-1] is False
    assert (run.model.jit_compile, run.model.steps_per_execution) == (True, 5)
    run.model.optimizer.iterations.assign(2)  # the end of the rise, a tenth of 20 steps
    assert float(run.model.optimizer.learning_rate) == pytest.approx(0.02)
    expected = dict(epochs=4, batch_size=8, learning_rate=0.02, augment=False, seed=3)
    expected |= dict(data=str(random_npz), ones_with_flag=0, steps_per_epoch=5)
    assert expected == {key: run.metrics[key] for key in expected}


def test_a_seed_repeats_what_is_random(untrained_run):
    def random_parts(seed):
        """The first weights, the order of the images, and the images, some with flags."""
        run = untrained_run("--seed", seed, "--batch-size", "40")
        images = [image.tobytes() for image in run.batch.numpy()]
        return run.model.layers[2].get_weights()[0].tobytes(), images, sorted(images)

    first = random_parts("3")
    assert first == random_parts("3")
    for part, other in zip(first, random_parts("4"), strict=True):
        assert part != other


def test_help_and_wrong_paths_need_no_tensorflow(tmp_path):
    program = """
import sys
sys.modules["keras"] = None  # now, importing it fails
import predict, train
train.main(["--data", "nowhere.npz"])
predict.main(["note.jpg", "--model", train.__file__])
train.main(["--help"])
"""
    result = run("-c", program, cwd=tmp_path)
    error = "{}.py: error: {}: No such file or directory\n".format
    assert result.stderr == error("train", "nowhere.npz") + error("predict", "note.jpg")
    assert "--learning-rate" in result.stdout


@pytest.mark.skipif("MNIST_NPZ" not in os.environ, reason="MNIST_NPZ names no file with MNIST")
def test_default_run_on_mnist(tmp_path, capfd):
    options = ["--data", os.environ["MNIST_NPZ"], "--output", str(tmp_path)]
    assert train.main(options) == 0
    assert capfd.readouterr().err == ""
    assert saved_metrics(tmp_path)["test_accuracy"] >= 0.987
