"""Measure what the README's tables of results state, and print them.

    python tests/benchmark.py training --data ../shared/mnist.npz
    python tests/benchmark.py reading --data ../shared/mnist.npz outputs/model.keras ...

"training" measures train.py against a plain Keras loop. Every run is a process of its
own, and the runs take turns, so that whatever else the machine does falls on all of them
alike. "reading" measures how well the given models read rendered pictures, and how fast.
Run by hand, on Linux or macOS: it takes some minutes, and a time is nothing to assert in a
test.
"""

import argparse
import contextlib
import csv
import io
import json
import multiprocessing
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))


def plain_loop(path: str, seed: int, batch_size: int) -> dict:
    """Train as most tutorials do; returns accuracy, seconds and peak memory."""
    from data import load_mnist, normalize
    from model import build_model, keras

    mnist = load_mnist(path)
    training = normalize(mnist.x_train), mnist.y_train
    test = normalize(mnist.x_test), mnist.y_test
    keras.utils.set_random_seed(seed)
    model = build_model()
    start = time.perf_counter()
    model.fit(*training, validation_data=test, epochs=10, batch_size=batch_size, verbose=0)
    seconds = time.perf_counter() - start
    _, accuracy = model.evaluate(*test, verbose=0)
    return {"test_accuracy": accuracy, "train_seconds": seconds, "peak": peak_memory()}


def train_py(path: str, seed: int, *options: str) -> dict:
    """Run train.py with `options`; returns its metrics and its peak memory."""
    import train

    with tempfile.TemporaryDirectory() as folder:
        given = ["--data", path, "--seed", str(seed), "--output", folder]
        with contextlib.redirect_stdout(io.StringIO()):
            status = train.main([*given, *options])
        if status != 0:
            raise RuntimeError(f"train.py ended with status {status}")
        metrics = json.loads(Path(folder, "metrics.json").read_text())
    return metrics | {"peak": peak_memory()}


class Run(NamedTuple):
    """A row of the table: the call of `function` with a path, a seed and `options`."""

    seeds: int
    function: Callable
    options: tuple = ()


LOOP = "plain Keras loop"
RUNS = {
    LOOP: Run(5, plain_loop, (32,)),
    "plain Keras loop, batches of 128": Run(5, plain_loop, (128,)),
    "train.py": Run(5, train_py),
    "train.py --no-augment": Run(5, train_py, ("--no-augment",)),
    "train.py --epochs 40": Run(3, train_py, ("--epochs", "40")),
    "train.py --epochs 100": Run(3, train_py, ("--epochs", "100")),
}


def reading_rates(path: str, most: int = 2000) -> tuple[float, float]:
    """Images a second: read as predict.py does, and one by one with `model.predict`."""
    import numpy as np
    from PIL import Image

    from data import load_mnist
    from model import build_model
    from predict import read_images

    model = build_model()
    images = load_mnist(path).x_test[:most]
    with tempfile.TemporaryDirectory() as folder:
        files = [f"{folder}/{number}.png" for number in range(len(images))]
        for file, image in zip(files, images, strict=True):
            Image.fromarray(image).save(file)
        model.predict(np.zeros((1, 28, 28)), verbose=0)  # compiles

        start = time.perf_counter()
        for _ in read_images(model, files):
            pass
        ours = len(files) / (time.perf_counter() - start)

        start = time.perf_counter()
        for file in files[:100]:
            image = np.asarray(Image.open(file).convert("L").resize((28, 28))) / 255
            model.predict(image[np.newaxis], verbose=0)
        return ours, len(files[:100]) / (time.perf_counter() - start)


class Picture(NamedTuple):
    """A picture with digits, of the `kind` that names its row in the table."""

    kind: str
    text: str  # its true digits in reading order
    image: Any  # PIL.Image.Image


def rendered_pictures(digits: Any, singles: int, pages: int) -> Iterator[Picture]:
    """The test digits of `digits` as pictures: as they are, `singles` and `pages` a kind."""
    import numpy as np
    from PIL import Image

    from pages import PAGES, render_page
    from render import LEVELS, render

    x_test, y_test = digits.x_test, digits.y_test
    for image, digit in zip(x_test, y_test, strict=True):
        yield Picture("MNIST's own, as 28 x 28 images", str(digit), Image.fromarray(image))
    for level in LEVELS:
        for seed in range(min(singles, len(x_test))):
            image = render(x_test[seed], level, np.random.default_rng(seed), x_test)
            yield Picture(f"one digit, {level}", str(y_test[seed]), image)
    for kind in PAGES:
        for seed in range(pages):
            image, text = render_page(kind, np.random.default_rng(seed), x_test, y_test)
            yield Picture(f"page, {kind}", text, image)


def labelled_pictures(folder: str) -> Iterator[Picture]:
    """The pictures that `folder`/labels.csv names by file, digits (or label) and kind."""
    from images import read_image

    with open(Path(folder, "labels.csv"), newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            text = row["digits"] if "digits" in row else row["label"]
            image = read_image(str(Path(folder, "images", row["file"])))
            yield Picture(f"{Path(folder).name}, {row['kind']}", text, image)


def reading_accuracy(
    path: str, models: list[str], singles: int, pages: int, photos: list[str]
) -> list[str]:
    """Table rows: how well `models` read MNIST, rendered pictures and folders of `photos`.

    Digits are found once in each picture, and then read by every model.
    """
    import numpy as np

    from data import load_mnist, normalize
    from images import find_digits, flatten, to_grey
    from model import load_model

    networks = [load_model(model) for model in models]
    digits = load_mnist(path)
    direct = zip(map(str, digits.y_test), normalize(digits.x_test)[:, np.newaxis], strict=True)
    found = {"MNIST's own, read directly": list(direct)}
    folders = [labelled_pictures(folder) for folder in photos]
    for picture in chain(rendered_pictures(digits, singles, pages), *folders):
        lines = find_digits(to_grey(flatten(picture.image)))
        pixels = [digit.pixels for line in lines for digit in line]
        seen = np.reshape(pixels, (-1, 28, 28)).astype(np.float32)
        found.setdefault(picture.kind, []).append((picture.text.replace(" ", ""), seen))
    rows = ["| pictures | number | read whole | digits right |", "|---|---|---|---|"]
    for kind, pairs in found.items():
        texts, seen = zip(*pairs, strict=True)
        whole, right = zip(
            *(score(texts, read_digits(network, seen)) for network in networks), strict=True
        )
        share = mean_and_deviation(right) if any(texts) else "no digits"
        rows.append(f"| {kind} | {len(texts)} | {mean_and_deviation(whole)} | {share} |")
    return rows


def read_digits(network: Any, seen: Sequence) -> list[str]:
    """What `network` reads in pictures, of which each has digits (n, 28, 28)."""
    import numpy as np

    answers = network(np.concatenate(seen)).numpy().argmax(axis=1)
    parts = np.split(answers, np.cumsum([len(digits) for digits in seen])[:-1])
    return ["".join(map(str, part)) for part in parts]


def score(texts: Sequence[str], read: Sequence[str]) -> tuple[float, float]:
    """Per cent of pictures read without a mistake, and of digits, by edit distance."""
    from pages import edit_distance

    mistakes = list(map(edit_distance, read, texts))
    digits = max(1, sum(map(len, texts)))
    return 100 * mistakes.count(0) / len(texts), 100 * (1 - sum(mistakes) / digits)


def mean_and_deviation(values: Sequence[float]) -> str:
    """`values` in percent as mean and standard deviation over the seeds."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.2f} ± {spread:.2f} %"


def peak_memory() -> int:
    """The most memory this process has had so far, in the units of its system."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def in_fresh_process(function: Callable, *arguments: Any) -> Any:
    """What `function` returns when called in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as process:
        return process.submit(function, *arguments).result()


def table(results: dict[str, list[dict]]) -> str:
    """The results in Markdown; see `median_turn` for times and memory."""
    lines = [
        "| run | seeds | test accuracy | fit | loop | fit / loop | memory / loop |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, runs in results.items():
        accuracy = [100 * metrics["test_accuracy"] for metrics in runs]
        seconds, loop_seconds = median_turn(runs, results[LOOP], "train_seconds")
        peak, loop_peak = median_turn(runs, results[LOOP], "peak")
        lines.append(
            f"| {name} | {len(runs)} | {mean_and_deviation(accuracy)} "
            f"| {seconds:.1f} s | {loop_seconds:.1f} s | {seconds / loop_seconds:.2f} "
            f"| {peak / loop_peak:.2f} |"
        )
    return "\n".join(lines)


def median_turn(runs: list[dict], loop: list[dict], key: str) -> tuple[float, float]:
    """What a run and the loop took in one turn: the one with the median of their ratios.

    So the ratio is that of the two figures beside it. Turns without a loop do not count, and
    of an even number, the larger of the two in the middle is taken.
    """
    turns = [(ours[key], theirs[key]) for ours, theirs in zip(runs, loop, strict=False)]
    return sorted(turns, key=lambda turn: turn[0] / turn[1])[len(turns) // 2]


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(": ")[1]
    return platform.processor()


def measure_training(path: str, most_seeds: int) -> None:
    """Take the runs in turn, each with at most `most_seeds` seeds, and print their table."""
    results: dict[str, list[dict]] = {name: [] for name in RUNS}
    for seed in range(most_seeds):
        for name, run in RUNS.items():
            if seed < run.seeds:
                metrics = in_fresh_process(run.function, path, seed, *run.options)
                results[name].append(metrics)
                print(name, seed, metrics, file=sys.stderr)
    print(table(results))
    versions = results["train.py"][0]["versions"]
    print(
        f"\n{', '.join(f'{name} {version}' for name, version in versions.items())}; "
        f"{processor()}, {multiprocessing.cpu_count()} processors"
    )


def measure_reading(
    path: str, models: list[str], singles: int, pages: int, photos: list[str]
) -> None:
    """Print how well `models` read, and how many images a second are read."""
    arguments = path, models, singles, pages, photos
    print("\n".join(in_fresh_process(reading_accuracy, *arguments)))
    rates = [in_fresh_process(reading_rates, path) for _ in range(3)]
    ours, usual = (statistics.median(column) for column in zip(*rates, strict=True))
    ratio = statistics.median(rate / loop for rate, loop in rates)
    print(
        f"\nReading 28 x 28 PNG files: {ours:,.0f} images/s, one by one with model.predict "
        f"{usual:,.0f} images/s, so {ratio:.0f} times as many"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what the arguments `argv` ask for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    option = parser.add_argument
    option("what", choices=["training", "reading"])
    option("models", nargs="*", help="models to read with, one a seed")
    option("--data", required=True, help="MNIST as an .npz file")
    option(
        "--seeds",
        type=int,
        metavar="N",
        default=max(run.seeds for run in RUNS.values()),
        help="train each run with at most N seeds (default: the README's numbers)",
    )
    rendered = {"type": int, "metavar": "N"}
    option("--singles", default=300, help="read N rendered digits a level", **rendered)
    option("--pages", default=20, help="read N rendered pages a kind", **rendered)
    option(
        "--photos",
        metavar="DIR",
        action="append",
        default=[],
        help="also read the pictures in DIR/images that DIR/labels.csv names",
    )
    args = parser.parse_intermixed_args(argv)
    if args.what == "training":
        measure_training(args.data, args.seeds)
    elif args.models:
        measure_reading(args.data, args.models, args.singles, args.pages, args.photos)
    else:
        parser.error("reading needs at least one model")


if __name__ == "__main__":
    main()
