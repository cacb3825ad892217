"""Measure what the README's tables of results state, and print them.

    python tests/benchmark.py training --data ../shared/mnist.npz
    python tests/benchmark.py reading --data ../shared/mnist.npz outputs/model.keras ...

"training" measures train.py against a plain Keras loop. Every run is a process of its
own, and the runs take turns, so that whatever else the machine does falls on all of them
alike. "reading" measures how well the given networks read rendered images, and how fast.
Run by hand: it takes some minutes, and a time is nothing to assert in a test.
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

LOOP = "plain Keras loop"
# What is run, and with how many seeds.
RUNS = {LOOP: 3, "train.py": 5, "train.py --no-augment": 5, "train.py --epochs 40": 3}


def plain_loop(path: str, seed: int) -> dict:
    """Train as most tutorials do; returns accuracy, seconds and peak memory."""
    from data import load_mnist, normalize
    from model import build_network, keras

    digits = load_mnist(path)
    x_train, x_test = normalize(digits.x_train), normalize(digits.x_test)
    keras.utils.set_random_seed(seed)
    model = build_network()
    model.compile(
        optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    test = (x_test, digits.y_test)
    start = time.perf_counter()
    model.fit(x_train, digits.y_train, epochs=10, validation_data=test, verbose=0)
    seconds = time.perf_counter() - start
    _, accuracy = model.evaluate(*test, verbose=0)
    return {"test_accuracy": accuracy, "train_seconds": seconds, "peak": peak_memory()}


def our_run(options: list[str], path: str, seed: int) -> dict:
    """Run train.py with `options`; returns its metrics and its peak memory."""
    import train

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        train.main(["--data", path, "--seed", str(seed), "--output", folder, *options])
        metrics = json.loads(Path(folder, "metrics.json").read_text())
    return metrics | {"peak": peak_memory()}


def reading_rates(path: str) -> tuple[float, float]:
    """Images a second: read as predict.py does, and one by one with `model.predict`."""
    import numpy as np
    from PIL import Image

    from data import load_mnist
    from model import build_network
    from predict import read_images

    network = build_network()
    with tempfile.TemporaryDirectory() as folder:
        files = [f"{folder}/{number}.png" for number in range(2000)]
        for file, digit in zip(files, load_mnist(path).x_test, strict=False):
            Image.fromarray(digit).save(file)
        network.predict(np.zeros((1, 28, 28)), verbose=0)  # compiles

        start = time.perf_counter()
        for _ in read_images(network, files):
            pass
        ours = len(files) / (time.perf_counter() - start)

        start = time.perf_counter()
        for file in files[:100]:
            image = np.asarray(Image.open(file).convert("L").resize((28, 28))) / 255
            network.predict(image[np.newaxis], verbose=0)
        return ours, 100 / (time.perf_counter() - start)


def reading_accuracy(path: str, models: list[str], count: int = 1000) -> list[str]:
    """Table rows: the accuracy of `models` on `count` test digits, as they are and rendered."""
    import numpy as np

    import data
    import render
    from model import load_network

    digits = data.load_mnist(path)
    x_test, y_true = digits.x_test[:count], digits.y_test[:count]
    networks = [load_network(model) for model in models]
    kinds = {"MNIST's own, read directly": data.normalize(x_test)}
    kinds["MNIST's own, as 28 x 28 images"] = prepared(data.normalize(x_test))
    for level in render.LEVELS:
        images = (
            render.render(digit, level, np.random.default_rng(number), x_test)
            for number, digit in enumerate(x_test)
        )
        kinds[f"rendered, {level}"] = prepared(
            data.shrink(data.to_grey(image), data.SIDE) for image in images
        )
    rows = ["| digits | accuracy | no digit found |", "|---|---|---|"]
    for kind, seen in kinds.items():
        found = ~np.isnan(seen).any(axis=(1, 2))
        accuracy = [
            100 * np.mean((network(seen).numpy().argmax(axis=1) == y_true) & found)
            for network in networks
        ]
        rows.append(f"| {kind} | {mean_and_deviation(accuracy)} | {np.mean(~found):.1%} |")
    return rows


def prepared(images: Iterable) -> Any:
    """Grey images in MNIST's form (n, 28, 28); all nan where no digit is found."""
    import numpy as np

    from data import to_mnist

    seen = []
    for grey in images:
        try:
            seen.append(to_mnist(grey))
        except ValueError:
            seen.append(np.full((28, 28), np.nan))
    return np.array(seen)


def mean_and_deviation(values: list[float]) -> str:
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


def run(name: str, path: str, seed: int) -> dict:
    """Run what RUNS calls `name`."""
    if name == LOOP:
        return in_fresh_process(plain_loop, path, seed)
    return in_fresh_process(our_run, name.split()[1:], path, seed)


def table(results: dict[str, list[dict]]) -> str:
    """The results in Markdown; ratios are medians over the turns both took part in."""
    lines = [
        "| run | test accuracy | seeds | fit time | / loop | peak memory / loop |",
        "|---|---|---|---|---|---|",
    ]
    for name, runs in results.items():
        accuracy = [100 * metrics["test_accuracy"] for metrics in runs]
        seconds = statistics.median(metrics["train_seconds"] for metrics in runs)
        turns = list(zip(runs, results[LOOP], strict=False))
        time_ratio, memory_ratio = (
            statistics.median(ours[key] / loop[key] for ours, loop in turns)
            for key in ("train_seconds", "peak")
        )
        lines.append(
            f"| {name} | {mean_and_deviation(accuracy)} | {len(runs)} "
            f"| {seconds:.1f} s | {time_ratio:.2f} | {memory_ratio:.2f} |"
        )
    return "\n".join(lines)


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(": ")[1]
    return platform.processor()


def measure_training(path: str) -> None:
    """Take the runs in turn and print their table."""
    results: dict[str, list[dict]] = {name: [] for name in RUNS}
    for seed in range(max(RUNS.values())):
        for name, seeds in RUNS.items():
            if seed < seeds:
                results[name].append(run(name, path, seed))
                print(name, seed, results[name][-1], file=sys.stderr)
    print(table(results))
    versions = results["train.py"][0]["versions"]
    print(
        f"\n{', '.join(f'{name} {version}' for name, version in versions.items())}; "
        f"{processor()}, {multiprocessing.cpu_count()} processors"
    )


def measure_reading(path: str, models: list[str]) -> None:
    """Print how well `models` read, and how many images a second are read."""
    print("\n".join(in_fresh_process(reading_accuracy, path, models)))
    rates = [in_fresh_process(reading_rates, path) for _ in range(3)]
    ours, usual = (statistics.median(column) for column in zip(*rates, strict=True))
    ratio = statistics.median(rate / loop for rate, loop in rates)
    print(
        f"\nReading 28 x 28 PNG files: {ours:,.0f} images/s, one by one with model.predict "
        f"{usual:,.0f} images/s, so {ratio:.0f} times as many"
    )


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["training", "reading"])
    parser.add_argument("models", nargs="*", help="networks to read with, one a seed")
    parser.add_argument("--data", required=True, help="MNIST as an .npz file")
    args = parser.parse_intermixed_args()
    if args.what == "training":
        measure_training(args.data)
    else:
        measure_reading(args.data, args.models)


if __name__ == "__main__":
    main()
