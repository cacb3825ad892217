"""Train the network on MNIST; save it, its training curves and its confusion matrix.

    python train.py

The README shows what it prints and the pictures it saves. This table shows what each step adds:
mistakes in 10,000 images after ten epochs on 50,000, mean ± standard deviation of five seeds.
From "compiled epochs" on, an epoch has 59,904 images, as it has in a default run. The time is
that of the fastest run, divided by that of the plain loop; differences below 0.1 are noise.

| step | validation | test | time |
|---|---|---|---|
| plain Keras loop, batches of 32 | 250 ± 15 | 246 ± 15 | 1.00 |
| + batches of 128 | 261 ± 11 | 261 ± 19 | 0.41 |
| + compiled epochs | 251 ± 38 | 250 ± 44 | 0.17 |
| + learning rate up to 0.01 and down | 192 ± 7 | 182 ± 10 | 0.17 |
| + batch normalization | 153 ± 11 | 151 ± 6 | 0.23 |
| + augmentation | 110 ± 6 | 102 ± 12 | 0.30 |
| + its strength falls to a half | 105 ± 6 | 97 ± 9 | 0.37 |
| + flags on ones | 108 ± 8 | 100 ± 6 | 0.31 |

`python tests/benchmark.py recipe --data mnist.npz` measures it. Flags gain nothing on MNIST,
but let the network read people's ones: see `augmentation.py`. No gain came from label
smoothing, weight decay, another beta_2 of Adam, a higher learning rate, a linear fall of it, a
longer rise, stronger augmentation, a last layer without batch normalization, or statistics of
batch normalization from images that are not augmented.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cli import number, path_argument, replace_on_success, run_script
from data import Mnist, hold_out, load_mnist, normalize, training_batches

if TYPE_CHECKING:
    from model import keras

# A smaller data set is repeated to fill an epoch. Epochs are whole batches of one endless
# stream: images that are left over come first in the next.
MIN_EPOCH_IMAGES = 60_000
EVALUATION_BATCH_SIZE = 1000  # images: the fewer batches, the less overhead


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script with the arguments `argv`; return its exit status."""
    args = parse_arguments(argv)
    return run_script("train.py", lambda: train(args))


def train(args: argparse.Namespace) -> None:
    """Load, build, fit, evaluate, save and plot.

    Raises OSError if a file cannot be read or written, and InputError if the data is wrong.
    """
    mnist = load_mnist(args.data)
    if args.validation:
        mnist = hold_out(mnist, args.validation)
    print(
        f"Data: {mnist.name}, {len(mnist.x_train):,} training images, "
        f"{len(mnist.x_eval):,} {mnist.split} images",
        flush=True,
    )

    # Here: TensorFlow and Matplotlib take seconds to import, and --help needs neither.
    from augmentation import RandomAugmentation, add_flags
    from model import build_model, build_training_model, fold_batch_normalization, keras
    from plots import plot_confusion_matrix, plot_training_curves

    keras.utils.set_random_seed(args.seed)
    steps_per_epoch = max(MIN_EPOCH_IMAGES, len(mnist.x_train)) // args.batch_size
    augmentation, flags = [], 0
    if args.augment:
        augmentation = [RandomAugmentation(args.epochs * steps_per_epoch)]
        x_train, flags = add_flags(mnist.x_train, mnist.y_train, args.seed)
        mnist = mnist._replace(x_train=x_train)
    model = build_model()
    training_model = build_training_model(model, augmentation)
    print_setup(args, model, steps_per_epoch, flags)

    output = Path(args.output)
    with replace_on_success(
        output / "history.csv",
        output / "metrics.json",
        output / "training_curves.png",
        output / "confusion_matrix.png",
        output / "model.keras",  # last: if a file cannot be replaced, the old model stays
    ) as (history_file, metrics_file, curves_file, matrix_file, model_file):
        start = time.perf_counter()
        history = fit(training_model, mnist, args, steps_per_epoch)
        seconds = time.perf_counter() - start
        print(f"Training took {seconds:.1f} s")

        fold_batch_normalization(training_model, model)
        loss, accuracy, matrix = evaluate(model, mnist)

        model.save(model_file)
        save_history(history_file, history)
        metrics = vars(args) | {
            "data": args.data and os.path.realpath(args.data),  # predict.py may run elsewhere
            "dataset": mnist.name,
            "bundled_digits": mnist.bundled,
            "training_images": len(mnist.x_train),
            "ones_with_flag": flags,
            "steps_per_epoch": steps_per_epoch,
            "parameters": model.count_params(),
            "train_seconds": seconds,
            f"{mnist.split}_images": len(mnist.x_eval),
            f"{mnist.split}_loss": loss,
            f"{mnist.split}_accuracy": accuracy,
            "confusion_matrix": matrix.tolist(),
            "versions": {name: version(name) for name in ("tensorflow", "keras", "numpy")}
            | {"python": platform.python_version()},
        }
        metrics_file.write_text(json.dumps(metrics, indent=2) + "\n")
        plot_training_curves(curves_file, history, mnist.split, mnist.name, args.augment)
        title = f"{mnist.split.capitalize()} images of {mnist.name}"
        plot_confusion_matrix(matrix_file, matrix, title)
    print(f"Saved model.keras, metrics.json, history.csv and two plots in {args.output}")
    data_note = f" on {mnist.name}" if mnist.bundled else ""
    print(f"{mnist.split.capitalize()} Accuracy: {accuracy:.4f}{data_note}")


def print_setup(
    args: argparse.Namespace, model: "keras.Model", steps_per_epoch: int, flags: int
) -> None:
    """Print the network and how it will be trained."""
    sizes = "-".join(str(layer.output.shape[1]) for layer in model.layers)
    note = f"augmentation, flags on {flags:,} ones" if args.augment else "no augmentation"
    print(
        f"Network: {sizes}, {model.count_params():,} parameters\n"
        f"Training: {args.epochs} epoch{'s' if args.epochs > 1 else ''} of "
        f"{steps_per_epoch:,} batches of {args.batch_size} images, "
        f"learning rate up to {args.learning_rate}, {note}",
        flush=True,
    )


def fit(
    training_model: "keras.Model", mnist: Mnist, args: argparse.Namespace, steps_per_epoch: int
) -> Mapping[str, Sequence[float]]:
    """Train and print each epoch; returns the losses and accuracies of all epochs."""
    from model import keras, learning_rate_schedule

    rate = learning_rate_schedule(args.learning_rate, args.epochs * steps_per_epoch)
    # Steps are short, so their overhead would take most of the time. Therefore XLA compiles a
    # step, and TensorFlow runs all steps of an epoch in one call.
    training_model.compile(
        keras.optimizers.Adam(rate),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,
        steps_per_execution=steps_per_epoch,
    )
    evaluation = normalize(mnist.x_eval), mnist.y_eval
    # Make the variables of Adam and of the metrics now: if the first step made them, it would
    # be compiled twice.
    training_model.optimizer.build(training_model.trainable_variables)
    training_model.evaluate(*evaluation, EVALUATION_BATCH_SIZE, verbose=0)

    on_epoch_end = partial(print_epoch, args.epochs, mnist.split)
    return training_model.fit(
        training_batches(mnist.x_train, mnist.y_train, args.batch_size),
        epochs=args.epochs,
        steps_per_epoch=steps_per_epoch,
        validation_data=evaluation,
        validation_batch_size=EVALUATION_BATCH_SIZE,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=on_epoch_end)],
        shuffle=False,  # the batches are shuffled; without this, Keras warns
        verbose=0,
    ).history


def print_epoch(epochs: int, split: str, epoch: int, logs: Mapping[str, float]) -> None:
    """Print the losses (cross-entropy in nats) and accuracies of an epoch, counted from 0."""
    print(
        f"Epoch {epoch + 1:{len(str(epochs))}}/{epochs}: "
        f"training loss {logs['loss']:.4f}, accuracy {100 * logs['accuracy']:.2f} %; "
        f"{split} loss {logs['val_loss']:.4f}, accuracy {100 * logs['val_accuracy']:.2f} %",
        flush=True,
    )


def evaluate(model: "keras.Model", mnist: Mnist) -> tuple[float, float, np.ndarray]:
    """Loss, accuracy and confusion matrix (10, 10): a row for each true digit."""
    x, y_true = normalize(mnist.x_eval), mnist.y_eval
    loss, accuracy = model.evaluate(x, y_true, EVALUATION_BATCH_SIZE, verbose=0)
    y_pred = model.predict(x, EVALUATION_BATCH_SIZE, verbose=0).argmax(axis=1)
    matrix = np.zeros((10, 10), int)
    np.add.at(matrix, (y_true, y_pred), 1)
    return loss, accuracy, matrix


def save_history(path: Path, history: Mapping[str, Sequence[float]]) -> None:
    """Write losses and accuracies as a table with one row per epoch, counted from 1."""
    rows = np.transpose([range(1, len(history["loss"]) + 1), *history.values()])
    header = ",".join(["epoch", *history])
    np.savetxt(path, rows, fmt="%.8g", delimiter=",", header=header, comments="")


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; if it is wrong, the program ends with status 2."""
    parser = argparse.ArgumentParser(
        description="Train the digit network on MNIST and save it with its plots.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--data",
        type=path_argument,
        metavar="PATH",
        help="MNIST as an .npz file in Keras's layout or a folder with the four IDX files; "
        "None: Keras's copy, cached or downloaded, or else the bundled digits",
    )
    add("--epochs", type=number(int, 1), default=10, help="epochs of 60,000 images or more")
    batch_size = number(int, 2, MIN_EPOCH_IMAGES)  # batch normalization needs two
    add("--batch-size", type=batch_size, default=128, help="images per batch")
    add("--learning-rate", type=number(float, 1e-6, 1), default=0.01, help="Adam's highest")
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
    add("--output", type=path_argument, metavar="DIR", default="outputs", help="output folder")
    args = parser.parse_args(argv)
    if Path(args.output).is_file():
        parser.error(f"--output: {args.output} is a file, expected a folder")
    return args


if __name__ == "__main__":
    sys.exit(main())
