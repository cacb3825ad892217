"""The commands behind the README's tables of results, in small."""

import os

import numpy as np
import pytest
from PIL import Image

from conftest import random_arrays
from data import ARRAYS
from render import LEVELS

pytest.importorskip("resource", reason="tests/benchmark.py needs the POSIX module resource")

import benchmark
import pages


@pytest.fixture
def in_this_process(monkeypatch):
    """Measure in this process, for TensorFlow takes seconds to import."""
    monkeypatch.setattr(
        benchmark, "in_fresh_process", lambda function, *arguments: function(*arguments)
    )


def test_training_measures_every_kind_of_run(in_this_process, tmp_path, monkeypatch, capsys):
    # One run of each function: the others differ in options, and take seconds to compile.
    runs = {run.function: (name, run) for name, run in reversed(benchmark.RUNS.items())}
    monkeypatch.setattr(benchmark, "RUNS", dict(reversed(runs.values())))
    np.savez(tmp_path / "small.npz", **random_arrays(train=2 * 128 + 1, test=20))
    benchmark.main(["training", "--data", str(tmp_path / "small.npz"), "--seeds", "1"])
    table, versions = capsys.readouterr().out.split("\n\n")
    head, _, *rows = (row.strip("| ").split(" | ") for row in table.splitlines())
    assert [row[0] for row in rows] == list(benchmark.RUNS)
    for row in rows:
        results = dict(zip(head, row, strict=True))
        assert 0 <= float(results["test accuracy"].split(" ± 0.00 %")[0]) <= 100
        assert results["seeds"] == "1"
    assert rows[0][-2:] == ["1.00", "1.00"]  # the loop's ratios to itself
    assert "tensorflow 2." in versions


def test_reading_measures_all_kinds(
    in_this_process, tmp_path, monkeypatch, capsys, trained_file, bundled_digits
):
    monkeypatch.setattr(pages, "PAGES", ("plain", "no writing"))  # the others take seconds
    arrays = {name: getattr(bundled_digits, name)[:15] for name in ARRAYS}
    np.savez(tmp_path / "small.npz", **arrays)
    photos = tmp_path / "own"
    (photos / "images").mkdir(parents=True)
    (photos / "labels.csv").write_text("file,label,kind\n6.png,6,drawn\nnone.png,,drawn\n")
    Image.fromarray(255 - arrays["x_test"][0]).save(photos / "images" / "6.png")
    Image.new("L", (50, 50)).save(photos / "images" / "none.png")
    given = ["reading", "--data", tmp_path / "small.npz", trained_file, trained_file]
    options = ["--singles", 2, "--pages", 1, "--photos", photos]
    benchmark.main(list(map(str, [*given, *options])))
    table, rate = capsys.readouterr().out.split("\n\n")
    _, _, *rows = (row.strip("| ").split(" | ") for row in table.splitlines())
    rows = {kind: results for kind, *results in rows}
    levels = [f"one digit, {level}" for level in LEVELS]
    assert list(rows)[2:] == [*levels, "page, plain", "page, no writing", "own, drawn"]
    direct, as_images = list(rows.values())[:2]
    assert direct[0] == as_images[0] == "15"
    assert float(direct[1].split(" ± 0.00 %")[0]) > 90
    assert rows["own, drawn"] == ["2", "100.00 ± 0.00 %", "100.00 ± 0.00 %"]
    assert rows["page, no writing"][2] == "no digits"
    assert "images/s" in rate


def test_score():
    # Of eight digits, one is wrong and two are missing.
    assert benchmark.score(["12", "345", "", "678"], ["12", "395", "", "6"]) == (
        50,
        pytest.approx(500 / 8),
    )


def test_a_fresh_process_is_another_one():
    assert benchmark.in_fresh_process(os.getpid) != os.getpid()


def test_mean_and_deviation():
    assert benchmark.mean_and_deviation([98.0, 99.0]) == "98.50 ± 0.71 %"


def test_a_failed_run_is_not_passed_over(tmp_path):
    with pytest.raises(RuntimeError, match="status 2"):
        benchmark.train_py(str(tmp_path / "nowhere.npz"), 0)
