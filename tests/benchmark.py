"""Measure what the README's tables of results state, and print them.

    python tests/benchmark.py training --data mnist.npz
    python tests/benchmark.py recipe --data mnist.npz
    python tests/benchmark.py reading --data mnist.npz outputs/model.keras ...
    python tests/benchmark.py reading --without MIN_SCORE=0 --data mnist.npz outputs/model.keras

"training" measures train.py against a plain Keras loop, "recipe" each step between them. Each
run is a process of its own, and the runs take turns, so that whatever else the machine does
falls on all of them alike. "reading" measures how well the given models read pictures, with
"--without" as if photos/ lacked a rule. Run this by hand.
"""

import argparse
import contextlib
import csv
import io
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

from data import Mnist, hold_out, load_mnist, normalize
from photos import read_picture

EPOCHS = 10  # of train.py


def plain_loop(mnist: Mnist, seed: int, batch_size: int) -> tuple[Any, float]:
    """Train as most tutorials do; returns the model and the time in seconds."""
    from model import build_model, keras

    x_train, x_eval = (normalize(x).astype("float32") for x in (mnist.x_train, mnist.x_eval))
    keras.utils.set_random_seed(seed)
    model = build_model()
    options = {"epochs": EPOCHS, "batch_size": batch_size, "verbose": 0}
    start = time.perf_counter()
    model.fit(x_train, mnist.y_train, validation_data=(x_eval, mnist.y_eval), **options)
    return model, time.perf_counter() - start


def plain(path: str, seed: int) -> dict:
    """Run the plain loop on all training images; returns what train.py's metrics have, too."""
    mnist = load_mnist(path)
    model, seconds = plain_loop(mnist, seed, batch_size=32)
    _, accuracy = model.evaluate(normalize(mnist.x_eval), mnist.y_eval, verbose=0)
    return {"test_accuracy": accuracy, "train_seconds": seconds}


def train_py(path: str, seed: int, *options: str, output: str | None = None) -> dict:
    """Run train.py with `options`; returns its metrics."""
    import train

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        given = ["--data", path, "--seed", str(seed), "--output", output or folder, *options]
        if status := train.main(given):
            raise RuntimeError(f"train.py ended with status {status}")
        return json.loads(Path(output or folder, "metrics.json").read_text())


LOOP = "plain Keras loop"
# Of each run: how many seeds, a function, and its arguments after path and seed.
RUNS = {
    LOOP: (5, plain),
    "train.py": (5, train_py),
    "train.py --epochs 40": (3, train_py, "--epochs", "40"),
    "train.py --epochs 100": (3, train_py, "--epochs", "100"),
}

# From the plain loop to train.py, a step at a time.
RECIPE = (
    "batches of 128 instead of 32",
    "compiled epochs",
    "learning rate up to 0.01 and down",
    "batch normalization",
    "augmentation",
    "its strength falls to a half",
    "flags on ones",
)


def follow_recipe(path: str, seed: int, count: int, *options: str) -> dict:
    """Train with the first `count` steps of RECIPE; returns mistakes and the time in seconds.

    A sixth of the training images is held out. The other steps are taken out of the modules
    that train.py uses, so each call needs a process of its own.
    """
    import augmentation
    import model as network

    test = load_mnist(path)
    held_out = hold_out(test, len(test.x_train) // 6)
    if count < 2:
        trained, seconds = plain_loop(held_out, seed, 128 if count else 32)
    else:
        if count < 3:
            network.learning_rate_schedule = lambda *_: 0.001  # Keras's default
        if count < 4:
            network.build_training_model = lambda model, _: model
            network.fold_batch_normalization = lambda *_: None
        if count < 5:
            options = "--no-augment", *options
        if count < 6:
            augmentation.FINAL_STRENGTH = 1
        if count < 7:
            augmentation.add_flags = lambda images, *_: (images, 0)
        with tempfile.TemporaryDirectory() as folder:
            options = "--validation", str(len(held_out.x_eval)), *options
            seconds = train_py(path, seed, *options, output=folder)["train_seconds"]
            trained = network.load_model(Path(folder, "model.keras"))
    results = {"seconds": seconds}
    for mnist in (held_out, test):
        y_pred = trained.predict(normalize(mnist.x_eval), verbose=0).argmax(axis=1)
        results[mnist.split] = int((y_pred != mnist.y_eval).sum())
    return results


def in_turn(runs: dict[str, tuple], path: str) -> dict[str, list[dict]]:
    """The results of `runs`, which are like RUNS; they take turns, a seed after the other."""
    results: dict[str, list[dict]] = {name: [] for name in runs}
    for seed in range(max(seeds for seeds, *_ in runs.values())):
        for name, (seeds, function, *options) in runs.items():
            if seed < seeds:
                results[name].append(in_fresh_process(function, path, seed, *options))
                print(name, seed, results[name][-1], file=sys.stderr)
    return results


def measure_recipe(path: str) -> None:
    """Take the steps of RECIPE and print their table; the time is the least / the loop's."""
    names = [LOOP, *(f"+ {step}" for step in RECIPE)]
    results = in_turn({name: (5, follow_recipe, n) for n, name in enumerate(names)}, path)
    fastest = {name: min(run["seconds"] for run in runs) for name, runs in results.items()}
    print("| step | validation errors | test errors | time |\n|---|---|---|---|")
    for name, runs in results.items():
        validation = mean_and_deviation([run["validation"] for run in runs], 0)
        test = mean_and_deviation([run["test"] for run in runs], 0)
        print(f"| {name} | {validation} | {test} | {fastest[name] / fastest[LOOP]:.2f} |")


def measure_training(path: str) -> None:
    """Take RUNS and print their table; the ratio is to the loop's time for the same seeds."""
    results = in_turn(RUNS, path)
    print("| run | seeds | test accuracy | time | ratio |\n|---|---|---|---|---|")
    seconds = {name: [run["train_seconds"] for run in runs] for name, runs in results.items()}
    for name, runs in results.items():
        accuracy = mean_and_deviation([100 * run["test_accuracy"] for run in runs])
        mean = statistics.mean(seconds[name])
        ratio = mean / statistics.mean(seconds[LOOP][: len(runs)])
        print(f"| {name} | {len(runs)} | {accuracy} % | {mean:.1f} s | {ratio:.2f} |")


def labelled_pictures(folder: str | Path) -> Iterator[tuple[str, str, Path]]:
    """The pictures in `folder`/images that `folder`/labels.csv names.

    Each comes with the name of its row in the table and its true digits. The file's columns are
    file, digits or label (spaces do not count), and kind.
    """
    with open(Path(folder, "labels.csv"), newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            text = row.get("digits", row.get("label")).replace(" ", "")
            path = Path(folder, "images", row["file"])
            yield f"{Path(folder).name}, {row['kind']}", text, path


def measure_reading(path: str, models: list[str], folders: list[str]) -> None:
    """Print a table: how well `models` read MNIST's test set and the pictures in `folders`."""
    from model import load_model

    networks = [load_model(model) for model in models]
    mnist = load_mnist(path)
    texts = "".join(mnist.y_eval.astype(str))
    given = [read_text(network(normalize(mnist.x_eval)).numpy()) for network in networks]
    results = {"MNIST's test set, given directly": list(zip(texts, *given, strict=True))}
    name = "MNIST's test set, as pictures"
    as_pictures = zip(repeat(name), texts, map(Image.fromarray, mnist.x_eval), strict=False)
    for kind, text, picture in chain(as_pictures, *map(labelled_pictures, folders)):
        read = [read_text(read_picture(picture, net).probabilities) for net in networks]
        results.setdefault(kind, []).append((text, *read))
    print("| pictures | count | read whole | digits right |\n|---|---|---|---|")
    for kind, pictures in results.items():
        texts, *reads = zip(*pictures, strict=True)
        whole, right = zip(*(score(texts, read) for read in reads), strict=True)
        share = f"{mean_and_deviation(right)} %" if any(texts) else "no digits"
        print(f"| {kind} | {len(texts)} | {mean_and_deviation(whole)} % | {share} |")


def read_text(probabilities: np.ndarray) -> str:
    """The digits read, without spaces, from probabilities (n, 10)."""
    return "".join(map(str, probabilities.argmax(axis=1)))


def score(texts: Sequence[str], read: Sequence[str]) -> tuple[float, float]:
    """Per cent of pictures read without a mistake, and of digits, by edit distance."""
    mistakes = list(map(edit_distance, read, texts))
    digits = max(1, sum(map(len, texts)))
    return 100 * mistakes.count(0) / len(texts), 100 * (1 - sum(mistakes) / digits)


@cache
def edit_distance(one: str, other: str) -> int:
    """The fewest letters to change, add and remove that turn one text into the other."""
    if not (one and other):
        return len(one) + len(other)
    changed = edit_distance(one[1:], other[1:]) + (one[0] != other[0])
    return min(changed, 1 + edit_distance(one[1:], other), 1 + edit_distance(one, other[1:]))


def mean_and_deviation(values: Sequence[float], decimals: int = 2) -> str:
    """The mean and the standard deviation of the values of all seeds."""
    spread = statistics.stdev(values) if len(values) > 1 else 0
    return f"{statistics.mean(values):.{decimals}f} ± {spread:.{decimals}f}"


def in_fresh_process(function: Callable, *arguments: Any) -> Any:
    """What `function` returns when called in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(function, *arguments).result()


def turn_off(name: str, value: str) -> None:
    """Set the constant `name` in the files of photos/ that have it."""
    modules = [module for path, module in sys.modules.items() if path.startswith("photos.")]
    found = [module for module in modules if hasattr(module, name)]
    if not found:
        raise ValueError(f"photos/ has no {name}")
    for module in found:
        setattr(module, name, float(value))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what the arguments `argv` ask for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    option = parser.add_argument
    option("what", choices=["training", "recipe", "reading"])
    option("models", nargs="*", help="models to read with, one a seed")
    option("--data", required=True, help="MNIST as an .npz file")
    rendered = str(Path(__file__).parent / "rendered")
    text = "read also the pictures in DIR/images that DIR/labels.csv names"
    option("--pictures", metavar="DIR", action="append", default=[rendered], help=text)
    option("--without", metavar="NAME=VALUE", help="set a constant of photos/ for this run")
    args = parser.parse_intermixed_args(argv)
    if args.without:
        turn_off(*args.without.split("="))
    if args.what == "training":
        measure_training(args.data)
    elif args.what == "recipe":
        measure_recipe(args.data)
    elif args.models:
        measure_reading(args.data, args.models, args.pictures)
    else:
        parser.error("reading needs at least one model")


if __name__ == "__main__":
    main()
