"""Train the network on MNIST; save it, its training curves and its confusion matrix.

    python train.py

The README shows what it prints and the pictures it saves.
"""

import argparse
import json
import math
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cli import quiet_import, replace_on_success, run_script
from data import Mnist, batches, hold_out, load_mnist

if TYPE_CHECKING:
    from model import keras

# An epoch has about as many images as MNIST's training set, or all of a larger set: a smaller
# one is repeated. What does not fill the last batch comes first in the next epoch.
MIN_EPOCH_IMAGES = 60_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script with the arguments `argv`; return its exit status."""
    args = parse_arguments(argv)
    return run_script("train.py", lambda: train(args))


def train(args: argparse.Namespace) -> None:
    """Load, build, fit, fold, evaluate, save and plot, as the arguments say.

    Raises OSError if a file cannot be read or written, and InputError if the data is wrong.
    """
    with quiet_import():  # it takes seconds, and --help must not wait for it
        import keras
        import tensorflow as tf

    from augmentation import RandomAugmentation, add_flags
    from model import build_model, build_training_model, fold_batch_normalization
    from plots import plot_confusion_matrix, plot_training_curves

    mnist = load_mnist(args.data)
    if args.validation:
        mnist = hold_out(mnist, args.validation)
    keras.utils.set_random_seed(args.seed)
    steps_per_epoch = max(MIN_EPOCH_IMAGES, len(mnist.x_train)) // args.batch_size

    x_train, augmentation = mnist.x_train, []
    if args.augment:
        x_train = add_flags(mnist.x_train, mnist.y_train, args.seed)
        augmentation = [RandomAugmentation(args.epochs * steps_per_epoch)]
    model = build_model()
    training_model = build_training_model(
        model, augmentation, args.learning_rate, args.epochs, steps_per_epoch
    )
    training_batches = batches(x_train, mnist.y_train, args.batch_size, training=True)
    evaluation_batches = batches(mnist.x_eval, mnist.y_eval)

    flags = int((x_train != mnist.x_train).any(axis=(1, 2)).sum())
    print_run(args, mnist, model, steps_per_epoch, flags)
    with replace_on_success(args.output) as folder:
        start = time.perf_counter()
        # Without this call, the first training step would create the metrics' variables, and
        # TensorFlow would trace that step twice.
        training_model.evaluate(evaluation_batches, verbose=0)
        report = partial(print_epoch, args.epochs, mnist.split)
        history = training_model.fit(
            training_batches,
            epochs=args.epochs,
            steps_per_epoch=steps_per_epoch,
            validation_data=evaluation_batches,
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=report)],
            shuffle=False,  # the batches are shuffled already
            verbose=0,
        ).history
        seconds = time.perf_counter() - start
        print(f"Training took {seconds:.1f} s")

        fold_batch_normalization(training_model, model)
        loss, accuracy = model.evaluate(evaluation_batches, verbose=0)
        y_pred = model.predict(evaluation_batches, verbose=0).argmax(axis=1)
        matrix = tf.math.confusion_matrix(mnist.y_eval, y_pred, num_classes=10).numpy()

        model.save(folder / "model.keras")
        save_history(folder / "history.csv", history)
        results = {
            "data": args.data and str(Path(args.data).resolve()),
            "dataset": mnist.name,
            "bundled_digits": mnist.bundled,
            "training_images": len(x_train),
            "ones_with_flag": flags,
            "steps_per_epoch": steps_per_epoch,
            "parameters": model.count_params(),
            "train_seconds": seconds,
            f"{mnist.split}_images": len(mnist.x_eval),
            f"{mnist.split}_loss": loss,
            f"{mnist.split}_accuracy": accuracy,
            "confusion_matrix": matrix.tolist(),
        }
        save_metrics(folder / "metrics.json", vars(args) | results)
        plot_training_curves(
            folder / "training_curves.png", history, mnist.split, mnist.name, args.augment
        )
        title = f"{mnist.split.capitalize()} images of {mnist.name}"
        plot_confusion_matrix(folder / "confusion_matrix.png", matrix, title)
    print(f"Saved model.keras, metrics.json, history.csv and two plots in {args.output}")
    data_note = f" on {mnist.name}" if mnist.bundled else ""
    print(f"{mnist.split.capitalize()} Accuracy: {accuracy:.4f}{data_note}")


def print_run(
    args: argparse.Namespace,
    mnist: Mnist,
    model: "keras.Model",
    steps_per_epoch: int,
    flags: int,
) -> None:
    """Print the data, the network and how it will be trained."""
    sizes = [784, *(layer.units for layer in model.layers[1:])]
    augmentation = (
        f"augmentation, flags on {flags:,} ones" if args.augment else "no augmentation"
    )
    print(
        f"Data: {mnist.name}, {len(mnist.x_train):,} training images, "
        f"{len(mnist.x_eval):,} {mnist.split} images\n"
        f"Network: {'-'.join(map(str, sizes))}, {model.count_params():,} parameters\n"
        f"Training: {args.epochs} epoch{'s' if args.epochs > 1 else ''} of "
        f"{steps_per_epoch:,} batches of {args.batch_size} images, "
        f"learning rate up to {args.learning_rate}, {augmentation}",
        flush=True,
    )


def print_epoch(epochs: int, split: str, epoch: int, logs: Mapping[str, float]) -> None:
    """Print the losses (cross-entropy in nats) and accuracies of an epoch, counted from 0."""
    training, evaluation = (
        f"loss {logs[f'{prefix}loss']:.4f}, accuracy {100 * logs[f'{prefix}accuracy']:.2f} %"
        for prefix in ("", "val_")
    )
    position = f"{epoch + 1:{len(str(epochs))}}/{epochs}"
    print(f"Epoch {position}: training {training}; {split} {evaluation}", flush=True)


def save_history(path: Path, history: Mapping[str, Sequence[float]]) -> None:
    """Write losses and accuracies as a table with one row per epoch, counted from 1."""
    rows = np.transpose([range(1, len(history["loss"]) + 1), *history.values()])
    header = ",".join(["epoch", *history])
    np.savetxt(path, rows, fmt="%.8g", delimiter=",", header=header, comments="")


def save_metrics(path: Path, metrics: Mapping[str, Any]) -> None:
    """Write the options and the results of a run as JSON, with the software's versions."""
    versions = {name: version(name) for name in ("tensorflow", "keras", "numpy")}
    versions["python"] = platform.python_version()
    path.write_text(json.dumps(dict(metrics, versions=versions), indent=2) + "\n")


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; if it is wrong, the program ends with status 2."""
    parser = argparse.ArgumentParser(
        description="Train the digit network on MNIST and save it with its plots.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--data",
        metavar="PATH",
        help="MNIST as an .npz file in Keras's layout or a folder with the four IDX files; "
        "None: Keras's copy, cached or downloaded, or else the bundled digits",
    )
    add("--epochs", type=number(int, 1), default=10, help="passes over at least 60,000 images")
    add(
        "--batch-size",
        type=number(int, 2, MIN_EPOCH_IMAGES),  # batch normalization compares images
        default=128,
        help="images per batch",
    )
    add(
        "--learning-rate",
        type=number(float, 1e-6, 1),
        default=0.01,
        help="Adam's, at its peak",
    )
    add(
        "--augment",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="distort training images at random, and draw flags on some of the ones",
    )
    add(
        "--validation",
        type=number(int, 0),
        metavar="N",
        default=0,
        help="for tuning: measure on the last N training images instead of on the test set",
    )
    add("--seed", type=number(int, 0, 2**32 - 1), default=0, help="of all random numbers")
    add("--output", metavar="DIR", default="outputs", help="folder to save in")
    return parser.parse_args(argv)


def number(kind: type, low: float, high: float = math.inf) -> Callable[[str], float]:
    """A converter for argparse: a number of a `kind` from `low` to `high`."""

    def convert(text: str) -> float:
        with suppress(ValueError):
            if low <= kind(text) <= high:
                return kind(text)
        limits = f"from {low} to {high}" if high < math.inf else f"of at least {low}"
        raise argparse.ArgumentTypeError(f"must be {kind.__name__} {limits}, not {text!r}")

    return convert


if __name__ == "__main__":
    sys.exit(main())
