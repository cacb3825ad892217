"""The commands behind the README's tables of results, in small."""

import contextlib
import io
from functools import partial
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

import augmentation
import benchmark
import model
from data import ARRAY_NAMES
from helpers import BUNDLED
from photos import search


def test_training_compares_the_times_of_the_same_seeds(monkeypatch, capsys):
    def measure(function, _path, seed, *_):
        seconds = (40 if function is benchmark.plain else 10) + seed
        return {"test_accuracy": 0.97 + seed / 100, "train_seconds": seconds}

    monkeypatch.setattr(benchmark, "in_fresh_process", measure)
    benchmark.main(["training", "--data", "mnist.npz"])
    expected = "| train.py --epochs 40 | 3 | 98.00 ± 1.00 % | 11.0 s | 0.27 |"
    assert expected in capsys.readouterr().out


@pytest.fixture
def recipe(random_npz, monkeypatch):
    """Call `follow_recipe`; what it changes in the modules comes back after the test."""
    for module in (augmentation, model):
        for name in vars(module).copy():
            monkeypatch.setattr(module, name, getattr(module, name))
    return partial(benchmark.follow_recipe, str(random_npz), 0)


@pytest.mark.usefixtures("without_xla")
def test_plain_loop_trains(random_npz, monkeypatch):
    monkeypatch.setattr(benchmark, "EPOCHS", 1)
    assert 0 <= benchmark.plain(str(random_npz), 0)["test_accuracy"] <= 1


@pytest.mark.usefixtures("without_xla")
def test_a_recipe_trains(recipe):
    assert 0 <= recipe(2, "--epochs", "1", "--batch-size", "6000")["test"] <= 20


def test_a_recipe_counts_mistakes(recipe, monkeypatch):
    says_0 = Mock(predict=lambda x, verbose: np.eye(10)[[0] * len(x)])
    monkeypatch.setattr(benchmark, "plain_loop", lambda *_: (says_0, 1))
    assert recipe(0) == {"seconds": 1, "validation": 6, "test": 18}  # of 6 and of 20


def test_a_recipe_begins_with_larger_batches(recipe, monkeypatch):
    train = Mock(return_value=(model.build_model(), 1))
    monkeypatch.setattr(benchmark, "plain_loop", train)
    for count in (0, 1):
        recipe(count)
    assert [call.args[1:] for call in train.call_args_list] == [(0, 32), (0, 128)]


@pytest.mark.parametrize("count", range(2, 8))
def test_a_recipe_then_takes_step_after_step(recipe, monkeypatch, count):
    def parts():
        yield from (model.learning_rate_schedule, model.fold_batch_normalization)
        yield from (augmentation.FINAL_STRENGTH, augmentation.add_flags)

    def train(_path, _seed, *options, output):
        model.build_model().save(f"{output}/model.keras")
        taken = [part is usual for part, usual in zip(parts(), usual_parts, strict=True)]
        taken.insert(2, "--no-augment" not in options)
        assert taken == [True] * (count - 2) + [False] * (7 - count)
        return {"train_seconds": 1}

    usual_parts = list(parts())
    monkeypatch.setattr(benchmark, "train_py", train)
    assert recipe(count)["seconds"] == 1


@pytest.fixture(scope="module")
def reading_rows(tmp_path_factory, trained_file):
    """The rows that `reading` prints, by their first column: 15 digits, pictures, a folder."""
    folder = tmp_path_factory.mktemp("reading")
    arrays = {name: BUNDLED[i][:15] for i, name in enumerate(ARRAY_NAMES)}
    np.savez(folder / "small.npz", **arrays)
    (folder / "own" / "images").mkdir(parents=True)
    (folder / "own" / "labels.csv").write_text("file,label,kind\n6.png,6,ink\n0.png,,ink\n")
    Image.fromarray(255 - arrays["x_test"][0]).save(folder / "own" / "images" / "6.png")
    Image.new("L", (50, 50)).save(folder / "own" / "images" / "0.png")
    given = ["reading", "--data", folder / "small.npz", trained_file, "--pictures"]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        benchmark.main(list(map(str, [*given, folder / "own"])))
    _, _, *table = printed.getvalue().splitlines()
    return {kind: rest for kind, *rest in (row.strip("| ").split(" | ") for row in table)}


KINDS = {"given directly": "15", "as pictures": "15", "own, ink": "2", "rendered, page": "13"}


@pytest.mark.parametrize("kind", KINDS)
def test_digits_are_counted_and_read(reading_rows, kind):
    ((count, _, right),) = (row for name, row in reading_rows.items() if name.endswith(kind))
    assert (count, float(right.split()[0]) > 90) == (KINDS[kind], True)


def test_nothing_is_read_in_pictures_without_writing(reading_rows):
    assert reading_rows["rendered, no writing"] == ["3", "100.00 ± 0.00 %", "no digits"]


def test_a_rule_of_photos_can_be_turned_off(monkeypatch):
    monkeypatch.setattr(search, "MIN_SCORE", search.MIN_SCORE)
    benchmark.turn_off("MIN_SCORE", "9")
    assert search.MIN_SCORE == 9


@pytest.mark.parametrize("read", ["1234", "9234", "124", "12934", ""])
def test_digits_right_are_counted_by_edit_distance(read):
    expected = {"1234": (100, 100), "": (50, 0)}.get(read, (50, 75))
    assert benchmark.score(["1234", ""], [read, ""]) == expected
