"""The commands behind the README's tables of results, in small."""

import numpy as np
import pytest
from PIL import Image

from data import ARRAY_NAMES

pytest.importorskip("resource", reason="tests/benchmark.py needs the POSIX module resource")

import benchmark


def test_training_takes_the_runs_in_turn(monkeypatch, capsys):
    def measure(_, path, seed, seconds):
        calls.append((seed, seconds))
        metrics = {"test_accuracy": 0.98 + 0.01 * seed, "train_seconds": seconds, "peak": 5}
        return metrics | {"versions": {"tensorflow": "2.0"}}

    calls = []
    runs = {benchmark.LOOP: (3, None, 40.0), "train.py": (2, None, 10.0)}
    monkeypatch.setattr(benchmark, "RUNS", runs)
    monkeypatch.setattr(benchmark, "in_fresh_process", measure)
    benchmark.main(["training", "--data", "mnist.npz"])
    assert calls == [(0, 40.0), (0, 10.0), (1, 40.0), (1, 10.0), (2, 40.0)]
    table, versions = capsys.readouterr().out.split("\n\n")
    expected = "| train.py | 2 | 98.50 ± 0.71 % | 10.0 s | 40.0 s | 0.25 | 1.00 |"
    assert table.splitlines()[-1] == expected
    assert versions.startswith("tensorflow 2.0; ")


def test_the_ratio_is_that_of_one_turn_and_turns_without_a_loop_do_not_count():
    runs = [{"s": 3.0}, {"s": 5.0}, {"s": 8.0}, {"s": 1.0}]
    loop = [{"s": 10.0}, {"s": 10.0}, {"s": 20.0}]
    assert benchmark.median_turn(runs, loop, "s") == (8, 20)


def test_both_kinds_of_run_train(random_npz):
    options = ["--no-augment", "--epochs", "1", "--batch-size", "6000"]
    for metrics in (
        benchmark.plain_loop(str(random_npz), 0, 32),
        benchmark.train_py(str(random_npz), 0, *options),
    ):
        assert 0 <= metrics["test_accuracy"] <= 1
        assert metrics["train_seconds"] > 0
        assert metrics["peak"] > 0


def test_reading_measures_all_pictures(tmp_path, capsys, trained_file, bundled_digits):
    arrays = {name: getattr(bundled_digits, name)[:15] for name in ARRAY_NAMES}
    np.savez(tmp_path / "small.npz", **arrays)
    own = tmp_path / "own"
    (own / "images").mkdir(parents=True)
    (own / "labels.csv").write_text("file,label,kind\n6.png,6,drawn\nnone.png,,drawn\n")
    Image.fromarray(255 - arrays["x_test"][0]).save(own / "images" / "6.png")
    Image.new("L", (50, 50)).save(own / "images" / "none.png")
    given = ["reading", "--data", tmp_path / "small.npz", trained_file, trained_file]
    benchmark.main(list(map(str, [*given, "--pictures", own])))
    _, _, *table = capsys.readouterr().out.splitlines()
    rows = {kind: results for kind, *results in (row.strip("| ").split(" | ") for row in table)}
    for given in ("given directly", "as pictures"):
        number, whole, _ = rows[f"MNIST's test set, {given}"]
        assert number == "15"
        assert float(whole.removesuffix(" ± 0.00 %")) > 90
    assert rows["own, drawn"] == ["2", "100.00 ± 0.00 %", "100.00 ± 0.00 %"]
    assert rows["pictures, no writing"][2] == "no digits"


@pytest.mark.parametrize(
    ("read", "right"),
    [("12345678", 100), ("", 0), ("92345678", 87.5), ("1245678", 87.5), ("123945678", 87.5)],
)
def test_digits_right_are_counted_by_edit_distance(read, right):
    whole, digits_right = benchmark.score(["12345678", "", ""], [read, "", ""])
    assert (digits_right, round(whole)) == (right, 100 if right == 100 else 67)


def test_a_failed_run_is_not_passed_over(tmp_path):
    with pytest.raises(RuntimeError, match="status 2"):
        benchmark.train_py(str(tmp_path / "nowhere.npz"), 0)
