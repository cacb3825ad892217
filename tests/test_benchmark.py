"""The commands behind the README's tables of results, in small."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

import augmentation
import benchmark
from data import ARRAY_NAMES
from photos import find_writing, search


def test_training_takes_the_runs_in_turn(monkeypatch, capsys):
    calls, loop, train_py = [], benchmark.plain, benchmark.train_py

    def measure(function, path, seed, *options):
        calls.append((function, path, seed, *options))
        seconds = 40 if function is loop else 10
        result = {"test_accuracy": 0.98 + seed / 100, "train_seconds": seconds + seed}
        return result | {"versions": {"keras": "3.9"}}

    runs = {benchmark.LOOP: (3, loop), "train.py": (2, train_py, "-x")}
    monkeypatch.setattr(benchmark, "RUNS", runs)
    monkeypatch.setattr(benchmark, "in_fresh_process", measure)
    benchmark.main(["training", "--data", "a"])
    seed_0, seed_1 = ([(loop, "a", n), (train_py, "a", n, "-x")] for n in range(2))
    assert calls == [*seed_0, *seed_1, (loop, "a", 2)]
    *_, last, _, software = capsys.readouterr().out.splitlines()
    assert last == "| train.py | 2 | 98.50 ± 0.71 % | 10.5 s | 0.26 |"
    assert software.startswith("keras 3.9; ")


def test_recipe_follows_one_step_after_another(monkeypatch, capsys):
    def measure(function, path, seed, count):
        assert (function, path) == (benchmark.follow_recipe, "mnist.npz")
        return {"validation": 200 - 10 * count + seed, "test": 100, "seconds": 5 + count}

    monkeypatch.setattr(benchmark, "in_fresh_process", measure)
    benchmark.main(["recipe", "--data", "mnist.npz"])
    _, _, first, *_, last = capsys.readouterr().out.splitlines()
    assert first == "| plain Keras loop | 202 ± 2 | 100 ± 0 | 1.00 |"
    assert last == "| + flags on ones | 132 ± 2 | 100 ± 0 | 2.40 |"


QUICK = ("--no-augment", "--epochs", "1", "--batch-size", "6000")


@pytest.mark.parametrize(
    ("function", "options", "limits"),
    [
        (benchmark.plain, (), {"test_accuracy": 1, "train_seconds": 100}),
        (benchmark.train_py, QUICK, {"test_accuracy": 1, "train_seconds": 100}),
        (benchmark.follow_recipe, (3,), {"validation": 6, "test": 20, "seconds": 100}),
        (benchmark.follow_recipe, (7,), {"validation": 6, "test": 20, "seconds": 100}),
    ],
)
@pytest.mark.usefixtures("without_xla")
def test_each_run_trains(random_npz, monkeypatch, function, options, limits):
    monkeypatch.setattr(augmentation, "FINAL_STRENGTH", augmentation.FINAL_STRENGTH)
    monkeypatch.setattr(benchmark, "EPOCHS", 1)
    monkeypatch.setattr(benchmark, "STEPS", 5)
    results = function(str(random_npz), 0, *options)
    for name, limit in limits.items():
        assert 0 <= results[name] <= limit


def test_reading_measures_all_pictures(tmp_path, capsys, trained_file, bundled_digits):
    arrays = {name: bundled_digits[i][:15] for i, name in enumerate(ARRAY_NAMES)}
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
    for form in ("given directly", "as pictures"):
        count, whole, _ = rows[f"MNIST's test set, {form}"]
        assert count == "15"
        assert float(whole.removesuffix(" ± 0.00 %")) > 90
    assert rows["own, drawn"] == ["2", "100.00 ± 0.00 %", "100.00 ± 0.00 %"]
    assert rows["rendered, no writing"] == ["3", "100.00 ± 0.00 %", "no digits"]
    assert float(rows["rendered, page"][2].split()[0]) > 90


def test_a_rule_of_photos_can_be_turned_off(monkeypatch):
    monkeypatch.setattr(search, "MIN_SCORE", search.MIN_SCORE)
    drawing = Image.new("L", (300, 200), "white")
    ImageDraw.Draw(drawing).line((150, 50, 150, 150), fill="black", width=10)
    assert len(find_writing(drawing).lines) == 1
    benchmark.turn_off("MIN_SCORE", "9")
    assert find_writing(drawing).lines == []
    with pytest.raises(ValueError, match="photos/ has no MIN_SORE"):
        benchmark.turn_off("MIN_SORE", "9")


@pytest.mark.parametrize(
    ("read", "right"),
    [("12345678", 100), ("", 0), ("92345678", 87.5), ("1245678", 87.5), ("123945678", 87.5)],
)
def test_digits_right_are_counted_by_edit_distance(read, right):
    whole, digits_right = benchmark.score(["12345678", "", ""], [read, "", ""])
    assert (digits_right, round(whole)) == (right, 100 if right == 100 else 67)
