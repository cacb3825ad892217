"""Train the network on MNIST; save it, its training curves and its confusion matrix.

    python train.py

The README shows what it prints and the pictures it saves.
"""

import argparse
import csv
import json
import math
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cli import InputError, replace_on_success, run_script
from data import Mnist, batches, hold_out, load_mnist

if TYPE_CHECKING:
    from model import keras, tf

# An epoch has about as many images as MNIST's training set, or all of a larger set: a smaller
# one is repeated, and an incomplete last batch is left out.
MIN_EPOCH_IMAGES = 60_000
# The model comes last: if a file cannot be replaced, the model is still the old one.
OUTPUTS = (
    "history.csv",
    "metrics.json",
    "training_curves.png",
    "confusion_matrix.png",
    "model.keras",
)
DIVERGED_LOSS = 10 * math.log(10)  # ten times the loss of uniform guessing


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script with the arguments `argv`; return its exit status."""
    args = parse_arguments(argv)
    return run_script("train.py", lambda: train(args))


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; if it is wrong, the program ends with status 2."""
    parser = argparse.ArgumentParser(
        description="Train the digit network on MNIST and save it with its plots."
    )
    add = parser.add_argument
    add(
        "--data",
        metavar="PATH",
        help="MNIST as an .npz file in Keras's layout or as a folder with the four IDX "
        "files (default: Keras's copy, cached or downloaded; failing that, the bundled "
        "digits)",
    )
    add(
        "--epochs",
        type=int,
        default=10,
        help="passes over the training set, which is repeated to about 60,000 images if it is "
        "smaller (default: %(default)s)",
    )
    add("--batch-size", type=int, default=128, help="images per batch (default: %(default)s)")
    add(
        "--learning-rate",
        type=float,
        default=0.01,
        help="Adam's learning rate at its peak (default: %(default)s)",
    )
    add(
        "--augment",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="rotate, shift, zoom, shear and distort training images at random",
    )
    add(
        "--validation",
        type=int,
        metavar="N",
        default=0,
        help="for tuning: hold out the last N training images and measure on them instead of "
        "on the test set (default: %(default)s)",
    )
    add(
        "--seed",
        type=int,
        default=0,
        help="random seed of weights, shuffling and augmentation (default: %(default)s)",
    )
    add(
        "--output",
        metavar="DIR",
        default="outputs",
        help="folder to save in (default: %(default)s)",
    )
    args = parser.parse_args(argv)
    for name, minimum in [("epochs", 1), ("batch_size", 1), ("validation", 0)]:
        if getattr(args, name) < minimum:
            value = getattr(args, name)
            parser.error(f"--{name.replace('_', '-')} must be at least {minimum}, not {value}")
    if not 0 < args.learning_rate < math.inf:
        parser.error(f"--learning-rate must be above 0 and finite, not {args.learning_rate}")
    if not 0 <= args.seed < 2**32:
        parser.error(f"--seed must be from 0 to {2**32 - 1}, not {args.seed}")
    return args


def train(args: argparse.Namespace) -> None:
    """Load, build, fit, fold, evaluate, save and plot, as the arguments say.

    Raises OSError if a file cannot be read or written, and InputError if the data or an
    argument is wrong or training diverges.
    """
    # Importing TensorFlow takes seconds, and --help must not wait for it. `model` prepares the
    # import of Keras, so keras comes from there.
    from model import build_model, build_training_model, fold_batch_normalization, keras
    from plots import plot_confusion_matrix, plot_training_curves

    mnist = load_mnist(args.data)
    if args.validation:
        mnist = hold_out(mnist, args.validation)
    split = mnist.split
    steps_per_epoch = count_steps(len(mnist.x_train), args.batch_size)
    keras.utils.set_random_seed(args.seed)
    training_model = build_training_model(
        args.epochs, steps_per_epoch, args.augment, args.learning_rate
    )
    model = build_model()
    configuration = run_configuration(args, mnist, model, steps_per_epoch)
    print_configuration(configuration, split)

    def report_epoch(epoch: int, logs: Mapping[str, float]) -> None:
        check_loss(epoch + 1, logs["loss"])
        print_epoch(epoch + 1, args.epochs, logs, split)

    with replace_on_success(*(Path(args.output, name) for name in OUTPUTS)) as files:
        history_file, metrics_file, curves_file, matrix_file, model_file = files
        training_batches = batches(mnist.x_train, mnist.y_train, args.batch_size, training=True)
        evaluation_batches = batches(mnist.x_eval, mnist.y_eval)
        history, seconds = fit(
            training_model,
            training_batches,
            evaluation_batches,
            epochs=args.epochs,
            steps_per_epoch=steps_per_epoch,
            callback=keras.callbacks.LambdaCallback(on_epoch_end=report_epoch),
        )
        fold_batch_normalization(training_model, model)
        loss, accuracy = model.evaluate(evaluation_batches, verbose=0)
        y_pred = model.predict(evaluation_batches, verbose=0).argmax(axis=1)
        matrix = confusion_matrix(mnist.y_eval, y_pred)

        model.save(model_file)
        save_history(history_file, history)
        results = {
            "train_seconds": seconds,
            f"{split}_loss": loss,
            f"{split}_accuracy": accuracy,
            f"{split}_errors": int(matrix.sum() - matrix.trace()),
            "recall_per_digit": recall_per_digit(matrix),
        }
        save_metrics(metrics_file, configuration | results)
        plot_training_curves(curves_file, history, split, mnist.name, args.augment)
        title = f"{split.capitalize()} images of {mnist.name}"
        plot_confusion_matrix(matrix_file, matrix, title)
    print(f"Saved model.keras, metrics.json, history.csv and two plots in {args.output}")
    data_note = f" on {mnist.name}" if mnist.bundled else ""
    print(f"{split.capitalize()} Accuracy: {accuracy:.4f}{data_note}")


def count_steps(training_images: int, batch_size: int) -> int:
    """The number of full batches in an epoch; raises InputError if there is none."""
    epoch_images = max(MIN_EPOCH_IMAGES, training_images)
    if batch_size > epoch_images:
        raise InputError(
            f"--batch-size {batch_size} is more than the {epoch_images:,} images of an epoch"
        )
    return epoch_images // batch_size


def run_configuration(
    args: argparse.Namespace,
    mnist: Mnist,
    model: "keras.Model",
    steps_per_epoch: int,
) -> dict[str, Any]:
    """The entries of `metrics.json` that are known before training."""
    return {
        "epochs": args.epochs,
        "steps_per_epoch": steps_per_epoch,
        "batch_size": args.batch_size,
        "learning_rate": args.learning_rate,
        "augment": args.augment,
        "seed": args.seed,
        "data": args.data and str(Path(args.data).resolve()),
        "dataset": mnist.name,
        "bundled_digits": mnist.bundled,
        "training_images": len(mnist.x_train),
        f"{mnist.split}_images": len(mnist.x_eval),
        "network": "-".join(["784", *(str(layer.units) for layer in model.layers[1:])]),
        "parameters": model.count_params(),
        "versions": {
            "python": platform.python_version(),
            "tensorflow": version("tensorflow"),
            "keras": version("keras"),
            "numpy": np.__version__,
        },
    }


def print_configuration(configuration: Mapping[str, Any], split: str) -> None:
    """Print the data, the network and how it will be trained."""
    epochs, images = configuration["epochs"], configuration["training_images"]
    steps, batch_size = configuration["steps_per_epoch"], configuration["batch_size"]
    augmentation = "with augmentation" if configuration["augment"] else "no augmentation"
    print(
        f"Data: {configuration['dataset']}, {images:,} training images, "
        f"{configuration[f'{split}_images']:,} {split} images\n"
        f"Network: {configuration['network']}, {configuration['parameters']:,} parameters\n"
        f"Training: {epochs} epoch{'s' if epochs > 1 else ''} of "
        f"{steps:,} batches of {batch_size} images, "
        f"learning rate up to {configuration['learning_rate']}, {augmentation}",
        flush=True,
    )


def fit(
    training_model: "keras.Model",
    training_batches: "tf.data.Dataset",
    evaluation_batches: "tf.data.Dataset",
    epochs: int,
    steps_per_epoch: int,
    callback: "keras.callbacks.Callback",
) -> tuple[dict[str, list[float]], float]:
    """Train, evaluate before training and after each epoch, and print how long it took.

    Returns the history and the time in seconds. The history has a value for each epoch under
    "loss", "accuracy" (in [0, 1]), "val_loss" and "val_accuracy".
    """
    start = time.perf_counter()
    # This call creates the metrics' variables. Otherwise, the first training step would create
    # them, and TensorFlow would trace that step twice.
    training_model.evaluate(evaluation_batches, verbose=0)
    history = training_model.fit(
        training_batches,
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        validation_data=evaluation_batches,
        callbacks=[callback],
        shuffle=False,  # the batches are shuffled already
        verbose=0,
    )
    seconds = time.perf_counter() - start
    print(f"Training took {seconds:.1f} s")
    return history.history, seconds


def check_loss(epoch: int, loss: float) -> None:
    """Raise InputError if training has diverged by the end of an epoch, counted from 1."""
    if not loss < DIVERGED_LOSS:  # nan counts as diverged, and nan >= x is False
        raise InputError(
            f"training diverged: the loss of epoch {epoch} is {loss:.4g}; nothing was "
            "saved; try a smaller --learning-rate"
        )


def print_epoch(epoch: int, epochs: int, logs: Mapping[str, float], split: str) -> None:
    """Print the epoch's losses (cross-entropy in nats) and accuracies (in percent)."""
    training, evaluation = (
        f"loss {logs[f'{prefix}loss']:.4f}, accuracy {100 * logs[f'{prefix}accuracy']:.2f} %"
        for prefix in ("", "val_")
    )
    print(
        f"Epoch {epoch:{len(str(epochs))}}/{epochs}: training {training}; {split} {evaluation}",
        flush=True,
    )


def confusion_matrix(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Counts (10, 10) by true digit (row) and predicted digit (column), from digits (n,)."""
    return np.bincount(10 * y_true.astype(int) + y_pred, minlength=100).reshape(10, 10)


def recall_per_digit(matrix: np.ndarray) -> list[float | None]:
    """For each digit, the share of its images that is predicted right; None without images."""
    return [
        float(row[digit] / row.sum()) if row.any() else None for digit, row in enumerate(matrix)
    ]


def save_history(path: Path, history: Mapping[str, Sequence[float]]) -> None:
    """Write losses and accuracies as a table with one row per epoch, counted from 1."""
    with open(path, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["epoch", *history])
        for epoch, values in enumerate(zip(*history.values(), strict=True), start=1):
            table.writerow([epoch, *values])


def save_metrics(path: Path, metrics: Mapping[str, Any]) -> None:
    """Write the configuration and the results of a run as JSON."""
    path.write_text(json.dumps(metrics, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
