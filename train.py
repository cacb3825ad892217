"""Train the network on MNIST; save it, its curves and its confusion matrix.

`python train.py --data mnist.npz` prints

    Data: mnist.npz: 60,000 training digits, 10,000 test digits
    Network: 784-128-64-10, 109,386 parameters
    Training: 10 epochs in batches of 128, learning rate up to 0.005, warped digits
    Epoch  1/10: training loss 0.7439, accuracy 76.11 %; test loss 0.1603, accuracy 94.81 %
    Epoch  2/10: training loss 0.2767, accuracy 91.45 %; test loss 0.0889, accuracy 97.18 %
    Epoch  3/10: training loss 0.2165, accuracy 93.40 %; test loss 0.0820, accuracy 97.43 %
    Epoch  4/10: training loss 0.1883, accuracy 94.15 %; test loss 0.0711, accuracy 97.68 %
    Epoch  5/10: training loss 0.1608, accuracy 95.00 %; test loss 0.0633, accuracy 97.97 %
    Epoch  6/10: training loss 0.1436, accuracy 95.48 %; test loss 0.0520, accuracy 98.15 %
    Epoch  7/10: training loss 0.1264, accuracy 96.07 %; test loss 0.0461, accuracy 98.38 %
    Epoch  8/10: training loss 0.1125, accuracy 96.46 %; test loss 0.0404, accuracy 98.59 %
    Epoch  9/10: training loss 0.1032, accuracy 96.76 %; test loss 0.0383, accuracy 98.68 %
    Epoch 10/10: training loss 0.0996, accuracy 96.81 %; test loss 0.0380, accuracy 98.73 %
    Fitting took 32.5 s
    Saved model.keras, metrics.json, history.csv and two plots in outputs
    Test Accuracy: 0.9873
"""

import argparse
import hashlib
import json
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import data

# TensorFlow takes seconds to import. What needs it is imported inside the functions, so
# that --help and mistakes in the arguments are answered at once.

EVALUATION_BATCH = 1000  # no gradients to keep: the larger, the faster
RUNAWAY_LOSS = 10 * math.log(10)  # ten times that of guessing: no digit is learned any more


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script with the arguments `argv`; return its exit status."""
    args = parse_arguments(argv)
    return exit_status("train.py", lambda: train(args))


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
        help="times over the training set (default: %(default)s)",
    )
    option("--batch-size", type=int, default=128, help="digits a step (default: %(default)s)")
    option(
        "--learning-rate",
        type=float,
        default=0.005,
        help="Adam's step size at its peak (default: %(default)s)",
    )
    option(
        "--augment",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="warp every training digit a little, anew each time it is shown",
    )
    option(
        "--holdout",
        type=int,
        metavar="N",
        help="keep the last N training digits aside and draw the curves on them: for "
        "tuning without looking at the test set (default: none)",
    )
    option("--seed", type=int, default=0, help="of all that is random (default: %(default)s)")
    option(
        "--output",
        metavar="DIR",
        default="outputs",
        help="folder to save in (default: %(default)s)",
    )
    args = parser.parse_args(argv)
    for name in ("epochs", "batch_size", "holdout"):
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1, not {value}")
    if not 0 < args.learning_rate < math.inf:
        parser.error(f"--learning-rate must be above 0 and finite, not {args.learning_rate}")
    if not 0 <= args.seed < 2**32:
        parser.error(f"--seed must be from 0 to {2**32 - 1}, not {args.seed}")
    return args


def train(args: argparse.Namespace) -> None:
    """Load, build, fit, evaluate, save and plot, as the arguments say.

    Raises OSError if a file cannot be read or written and ValueError if the data or the
    arguments do not fit or the loss runs away.
    """
    from model import EpochTrainer, build_network, keras, learning_rate_schedule
    from plots import plot_confusion_matrix, plot_training_curves

    digits = data.load_mnist(args.data)
    holdout = args.holdout or 0
    (x_train, y_train), held_out = data.hold_out(digits, holdout)
    test = (digits.x_test, digits.y_test)
    validation, validation_name = (held_out, "held-out") if holdout else (test, "test")
    steps = args.epochs * (len(x_train) // args.batch_size)
    if steps == 0:
        raise ValueError(f"--batch-size {args.batch_size} is more than {len(x_train):,} digits")

    keras.utils.set_random_seed(args.seed)
    network = build_network()
    trainer = EpochTrainer(network, args.batch_size, args.augment, args.seed)
    trainer.compile(
        optimizer=keras.optimizers.Adam(learning_rate_schedule(args.learning_rate, steps)),
        loss="sparse_categorical_crossentropy",
        # Not just its name: Keras would create it in the first epoch, and XLA would have to
        # compile the second anew.
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
    )
    facts = {
        "epochs": args.epochs,
        "batch_size": args.batch_size,
        "learning_rate": args.learning_rate,
        "augment": args.augment,
        "holdout": holdout,
        "seed": args.seed,
        "dataset": digits.source,
        "bundled_digits": digits.bundled,
        "train_digits": len(digits.x_train) - holdout,
        "repeats": digits.repeats,
        "test_digits": len(digits.x_test),
        "parameters": network.count_params(),
        "versions": versions(),
    }
    print_plan(facts)

    with staged(args.output) as folder:
        start = time.perf_counter()
        history = trainer.fit(
            x_train,
            y_train,
            batch_size=len(x_train),  # EpochTrainer takes the batches from it
            epochs=args.epochs,
            validation_data=validation,
            validation_batch_size=EVALUATION_BATCH,
            callbacks=[
                keras.callbacks.CSVLogger(folder / "history.csv"),
                keras.callbacks.LambdaCallback(
                    on_epoch_end=lambda epoch, logs: report_epoch(
                        epoch + 1, args.epochs, logs, validation_name
                    )
                ),
            ],
            verbose=int(sys.stdout.isatty()),
        )
        facts["train_seconds"] = time.perf_counter() - start
        print(f"Fitting took {facts['train_seconds']:.1f} s")

        facts["test_loss"], _ = trainer.evaluate(*test, EVALUATION_BATCH, verbose=0)
        probabilities = trainer.predict(digits.x_test, EVALUATION_BATCH, verbose=0)
        matrix = confusion_matrix(digits.y_test, probabilities.argmax(axis=1))
        facts["test_accuracy"] = np.trace(matrix) / matrix.sum()
        facts["test_errors"] = int(matrix.sum() - np.trace(matrix))
        facts["recall_per_digit"] = [
            float(row[digit] / row.sum()) if row.any() else None
            for digit, row in enumerate(matrix)
        ]

        network.save(folder / "model.keras")
        model_bytes = (folder / "model.keras").read_bytes()
        facts["model_sha256"] = hashlib.sha256(model_bytes).hexdigest()
        (folder / "metrics.json").write_text(json.dumps(facts, indent=2) + "\n")
        plot_training_curves(
            folder / "training_curves.png",
            history.history,
            validation_name,
            digits.name,
            args.augment,
        )
        title = f"Test digits of {digits.name}"
        plot_confusion_matrix(folder / "confusion_matrix.png", matrix, title)
    print(f"Saved model.keras, metrics.json, history.csv and two plots in {args.output}")
    print(f"Test Accuracy: {facts['test_accuracy']:.4f}")


def print_plan(facts: Mapping[str, Any]) -> None:
    """Say what is about to be trained, how and on what."""
    repeated = f" ({facts['repeats']} times an epoch)" if facts["repeats"] > 1 else ""
    held_out = f", {facts['holdout']:,} held out" if facts["holdout"] else ""
    print(
        f"Data: {facts['dataset']}: {facts['train_digits']:,} training digits{repeated}"
        f"{held_out}, {facts['test_digits']:,} test digits\n"
        f"Network: 784-128-64-10, {facts['parameters']:,} parameters\n"
        f"Training: {facts['epochs']} epochs in batches of {facts['batch_size']}, "
        f"learning rate up to {facts['learning_rate']}, "
        f"{'warped' if facts['augment'] else 'unwarped'} digits"
    )


def report_epoch(
    epoch: int, epochs: int, logs: Mapping[str, float], validation_name: str
) -> None:
    """Print a line on the epoch, unless a terminal has just shown its progress bar.

    Raises ValueError if the loss has run away.
    """
    from plots import percent

    if not logs["loss"] < RUNAWAY_LOSS:  # in these words, since nan compares as False
        raise ValueError(
            f"the training loss ran away to {logs['loss']:.4g} in epoch {epoch}, so nothing "
            "was saved; try a smaller --learning-rate"
        )
    if not sys.stdout.isatty():
        training, validation = (
            f"loss {logs[of + 'loss']:.4f}, accuracy {percent(logs[of + 'accuracy'], 2)}"
            for of in ("", "val_")
        )
        print(
            f"Epoch {epoch:{len(str(epochs))}}/{epochs}: training {training}; "
            f"{validation_name} {validation}",
            flush=True,
        )


def confusion_matrix(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Counts (10, 10): row the true digit, column the predicted; arguments are (n,) digits."""
    return np.bincount(10 * y_true.astype(int) + y_pred, minlength=100).reshape(10, 10)


def versions() -> dict[str, str]:
    """The versions that a result may depend on."""
    import tensorflow

    from model import keras

    return {
        "python": platform.python_version(),
        "tensorflow": tensorflow.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
    }


@contextmanager
def staged(output: str | Path) -> Iterator[Path]:
    """A folder to write files in, which at the end replace those of `output`.

    Whatever goes wrong before the end, `output` keeps the files it had. Raises OSError
    at the start if `output` cannot be made or written to.
    """
    Path(output).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=".unfinished-", dir=output, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)
        for path in Path(folder).iterdir():
            path.replace(Path(output, path.name))


def exit_status(name: str, script: Callable[[], None]) -> int:
    """Run `script` and return its exit status; what goes wrong is one line on stderr."""
    sys.stdout.reconfigure(errors="backslashreplace")  # file names need not be valid text
    try:
        script()
    except KeyboardInterrupt:
        print(f"{name}: interrupted; unfinished outputs are discarded", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, ValueError) as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
