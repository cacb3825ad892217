"""Train the network on MNIST; save it, its training curves and its confusion matrix.

    python train.py --data mnist.npz

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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import data
from cli import InputError, replace_on_success, run_script

if TYPE_CHECKING:
    from model import keras

# TensorFlow takes seconds to import. What needs it is imported inside the functions, so
# that --help and mistakes in the arguments are answered at once.

DIVERGED_LOSS = 10 * math.log(10)  # ten times that of guessing all ten digits equally


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script with the arguments `argv`; return its exit status."""
    args = parse_arguments(argv)
    return run_script("train.py", lambda: train(args))


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; a wrong one ends the program with status 2."""
    parser = argparse.ArgumentParser(
        description="Train the digit network on MNIST and save it with its plots."
    )
    option = parser.add_argument
    option(
        "--data",
        metavar="PATH",
        help="MNIST as an .npz file in Keras's layout or as a folder with the four IDX "
        "files (default: Keras's copy, cached or downloaded; failing that, the bundled "
        "digits)",
    )
    option(
        "--epochs",
        type=int,
        default=10,
        help="passes over the training set (default: %(default)s)",
    )
    option("--batch-size", type=int, default=128, help="digits a step (default: %(default)s)")
    option(
        "--learning-rate",
        type=float,
        default=0.01,
        help="Adam's learning rate at its peak (default: %(default)s)",
    )
    option(
        "--augment",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="rotate, shift, zoom, shear and distort training digits at random",
    )
    option(
        "--validation",
        type=int,
        metavar="N",
        default=0,
        help="validate on the last N training digits instead of the test set, for tuning "
        "(default: %(default)s)",
    )
    option(
        "--seed",
        type=int,
        default=0,
        help="of weights, shuffling and augmentation (default: %(default)s)",
    )
    option(
        "--output",
        metavar="DIR",
        default="outputs",
        help="folder to save in (default: %(default)s)",
    )
    args = parser.parse_args(argv)
    for name, least in [("epochs", 1), ("batch_size", 1), ("validation", 0)]:
        if getattr(args, name) < least:
            value = getattr(args, name)
            parser.error(f"--{name.replace('_', '-')} must be at least {least}, not {value}")
    if not 0 < args.learning_rate < math.inf:
        parser.error(f"--learning-rate must be above 0 and finite, not {args.learning_rate}")
    if not 0 <= args.seed < 2**32:
        parser.error(f"--seed must be from 0 to {2**32 - 1}, not {args.seed}")
    return args


def train(args: argparse.Namespace) -> None:
    """Load, split, build, fit, fold, evaluate, save and plot, as the arguments say.

    Raises OSError if a file cannot be read or written and InputError if the data or the
    arguments do not fit or training diverges.
    """
    from model import build_model, build_training_model, fold_batch_normalization, keras

    digits = data.load_mnist(args.data)
    training, validation = split(digits, args.validation)
    validation_name = "validation" if args.validation else "test"
    steps = args.epochs * (len(training[0]) // args.batch_size)
    if steps == 0:
        raise InputError(
            f"--batch-size {args.batch_size} is more than the {len(training[0]):,} "
            "training digits"
        )
    keras.utils.set_random_seed(args.seed)
    model = build_model()
    training_model = build_training_model(
        args.batch_size, steps, args.augment, args.learning_rate
    )
    configuration = run_configuration(args, digits, model.count_params())
    print_configuration(configuration)

    with replace_on_success(args.output) as folder:
        history, seconds = fit(
            training_model, training, validation, args.epochs, validation_name
        )
        fold_batch_normalization(training_model, model)
        matrix, results = evaluate(model, digits.x_test, digits.y_test)
        metrics = configuration | {"train_seconds": seconds} | results
        save(folder, model, metrics, history)
        plot(folder, history, validation_name, matrix, digits.name, args.augment)
    print(f"Saved model.keras, metrics.json, history.csv and two plots in {args.output}")
    print(f"Test Accuracy: {metrics['test_accuracy']:.4f}")


def split(digits: data.Digits, validation: int) -> tuple[tuple, tuple]:
    """(x, y) to train on and (x, y) to validate on: images uint8 (n, 28, 28), labels (n,).

    Validation uses the last `validation` training digits or, if that is 0, the test set.
    Training digits of the bundled set are repeated. Raises InputError if none are left.
    """
    count = len(digits.x_train) - validation
    if count < 1:
        raise InputError(
            f"--validation {validation} leaves none of the {len(digits.x_train):,} "
            "training digits"
        )
    repeats = data.BUNDLED_REPEATS if digits.bundled else 1
    x = np.tile(digits.x_train[:count], (repeats, 1, 1))
    y = np.tile(digits.y_train[:count], repeats)
    if validation == 0:
        return (x, y), (digits.x_test, digits.y_test)
    return (x, y), (digits.x_train[count:], digits.y_train[count:])


def run_configuration(
    args: argparse.Namespace, digits: data.Digits, parameters: int
) -> dict[str, Any]:
    """What `metrics.json` tells about a run besides its results."""
    import tensorflow

    from model import keras

    return {
        "epochs": args.epochs,
        "batch_size": args.batch_size,
        "learning_rate": args.learning_rate,
        "augment": args.augment,
        "seed": args.seed,
        "data": args.data and str(Path(args.data).resolve()),
        "dataset": digits.name,
        "bundled_digits": digits.bundled,
        "train_digits": len(digits.x_train) - args.validation,
        "validation_digits": args.validation,
        "test_digits": len(digits.x_test),
        "parameters": parameters,
        "versions": {
            "python": platform.python_version(),
            "tensorflow": tensorflow.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
        },
    }


def print_configuration(configuration: Mapping[str, Any]) -> None:
    """Say what is about to be trained, how and on what."""
    repeated = f" x {data.BUNDLED_REPEATS}" if configuration["bundled_digits"] else ""
    validation = configuration["validation_digits"]
    validated = f", {validation:,} validation digits" if validation else ""
    epochs, augmented = configuration["epochs"], "with" if configuration["augment"] else "no"
    print(
        f"Data: {configuration['dataset']}, "
        f"{configuration['train_digits']:,}{repeated} training digits"
        f"{validated}, {configuration['test_digits']:,} test digits\n"
        f"Network: 784-128-64-10, {configuration['parameters']:,} parameters\n"
        f"Training: {epochs} epoch{'s' if epochs > 1 else ''}, batches of "
        f"{configuration['batch_size']}, learning rate up to "
        f"{configuration['learning_rate']}, {augmented} augmentation",
        flush=True,
    )


def fit(
    training_model: "keras.Model",
    training: tuple,
    validation: tuple,
    epochs: int,
    validation_name: str,
) -> tuple[dict[str, list[float]], float]:
    """Train, printing a line an epoch; returns the history and the seconds it took.

    The history has a value an epoch under "loss", "accuracy" (in [0, 1]), "val_loss" and
    "val_accuracy". Raises InputError if the loss diverges.
    """
    from model import EVALUATION_BATCH, keras

    def report_epoch(epoch: int, logs: Mapping[str, float]) -> None:
        if not logs["loss"] < DIVERGED_LOSS:  # not >=, which is False for nan
            raise InputError(
                f"training diverged: the loss of epoch {epoch + 1} is {logs['loss']:.4g}; "
                "nothing was saved, try a smaller --learning-rate"
            )
        print_epoch(epoch + 1, epochs, logs, validation_name)

    start = time.perf_counter()
    history = training_model.fit(
        *training,
        batch_size=len(training[0]),  # see EpochTrainer
        epochs=epochs,
        validation_data=validation,
        validation_batch_size=EVALUATION_BATCH,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=report_epoch)],
        verbose=0,
    )
    seconds = time.perf_counter() - start
    print(f"Training took {seconds:.1f} s")
    return history.history, seconds


def print_epoch(
    epoch: int, epochs: int, logs: Mapping[str, float], validation_name: str
) -> None:
    """Print the epoch's losses (cross-entropy, nats) and accuracies (in percent)."""
    training, validation = (
        f"loss {logs[f'{prefix}loss']:.4f}, accuracy {100 * logs[f'{prefix}accuracy']:.2f} %"
        for prefix in ("", "val_")
    )
    print(
        f"Epoch {epoch:{len(str(epochs))}}/{epochs}: training {training}; "
        f"{validation_name} {validation}",
        flush=True,
    )


def evaluate(
    model: "keras.Model", x_test: np.ndarray, y_test: np.ndarray
) -> tuple[np.ndarray, dict[str, Any]]:
    """The confusion matrix on the test set, and what `metrics.json` says of the results."""
    from model import EVALUATION_BATCH

    probabilities = model.predict(data.normalize(x_test), EVALUATION_BATCH, verbose=0)
    matrix = confusion_matrix(y_test, probabilities.argmax(axis=1))
    correct = matrix.diagonal()
    of_true_digit = probabilities[np.arange(len(y_test)), y_test]
    return matrix, {
        "test_loss": float(-np.log(np.maximum(of_true_digit, 1e-7)).mean()),
        "test_accuracy": float(correct.sum() / matrix.sum()),
        "test_errors": int(matrix.sum() - correct.sum()),
        "recall_per_digit": [
            float(right / row.sum()) if row.any() else None
            for right, row in zip(correct, matrix, strict=True)
        ],
    }


def confusion_matrix(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Counts (10, 10): row the true digit, column the predicted; arguments are (n,) digits."""
    return np.bincount(10 * y_true.astype(int) + y_pred, minlength=100).reshape(10, 10)


def save(
    folder: Path,
    model: "keras.Model",
    metrics: Mapping[str, Any],
    history: Mapping[str, Sequence[float]],
) -> None:
    """Write model.keras, metrics.json and history.csv (epochs counted from 1)."""
    model.save(folder / "model.keras")
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    with open(folder / "history.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["epoch", *history])
        for epoch, values in enumerate(zip(*history.values(), strict=True), start=1):
            table.writerow([epoch, *values])


def plot(
    folder: Path,
    history: Mapping[str, Sequence[float]],
    validation_name: str,
    matrix: np.ndarray,
    dataset: str,
    augmented: bool,
) -> None:
    """Draw training_curves.png and confusion_matrix.png."""
    from plots import plot_confusion_matrix, plot_training_curves

    curves = folder / "training_curves.png"
    plot_training_curves(curves, history, validation_name, dataset, augmented)
    title = f"Test digits of {dataset}"
    plot_confusion_matrix(folder / "confusion_matrix.png", matrix, title)


if __name__ == "__main__":
    sys.exit(main())
