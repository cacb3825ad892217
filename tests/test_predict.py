import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import data
import plots
import predict
from conftest import ROOT, run
from photos import Digit


def test_whole_run_after_training(bundled_run):
    folder, _ = bundled_run
    result = run(ROOT / "predict.py", cwd=folder)
    # The model was trained on the bundled digits, so no download is tried.
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert [line[:19] for line in lines[:2]] == ["test image    0  6 ", "test image    1  7 "]
    assert len(lines) == 11  # ten digits, what was saved
    assert lines[-1] == "Saved outputs/predictions.png"
    assert (folder / "outputs" / "predictions.png").exists()


@pytest.fixture
def predict_main(tmp_path, capsys, trained_file):
    """Call `predict.main` with a model; returns the status and what it printed."""

    def call(*arguments, model=trained_file):
        options = ["--model", model, "--output", tmp_path / "p.png"]
        status = predict.main([*map(str, [*options, *arguments])])
        return status, capsys.readouterr()

    return call


def read_csv(path):
    with open(path) as file:
        return list(csv.DictReader(file))


# --- test images


def test_mistakes(predict_main, tmp_path, bundled_digits):
    table = tmp_path / "t.csv"
    status, printed = predict_main("--mistakes", "--count", 4, "--csv", table)
    assert status == 0
    assert printed.out.count("wrong: it is a") == 4
    rows = read_csv(table)
    assert list(rows[0]) == ["image", "digits", "confidence", "true digit"]
    confidence = [float(row["confidence"]) for row in rows]
    assert confidence == sorted(confidence, reverse=True)
    for row in rows:
        index = int(row["image"].removeprefix("test image "))
        assert row["digits"] != row["true digit"] == str(bundled_digits.y_test[index])


@pytest.fixture
def model_copy(tmp_path, trained_file):
    """A copy of the trained model without metrics.json beside it."""
    return Path(shutil.copy(trained_file, tmp_path))


def test_test_images_are_those_of_the_data_trained_on(
    predict_main, model_copy, random_npz, monkeypatch
):
    titles = []
    monkeypatch.setattr(plots, "plot_predictions", lambda *given: titles.append(given[-1]))
    metrics = {"data": str(random_npz), "bundled_digits": False}
    model_copy.with_name("metrics.json").write_text(json.dumps(metrics))
    assert predict_main("--count", 20, model=model_copy)[0] == 0
    assert predict_main("--data", data.BUNDLED_FILE, model=model_copy)[0] == 0
    assert titles == ["Test images of random.npz", "Test images of mnist-5k.npz"]


@pytest.mark.parametrize(
    ("trained_on", "message"),
    [
        (None, "the model has seen the bundled digits in training; give --data PATH"),
        ("x.npz", "x.npz, which the model was trained on, is not there; give --data PATH"),
    ],
)
def test_a_model_is_not_tested_with_digits_that_it_may_have_seen(
    predict_main, model_copy, monkeypatch, trained_on, message
):
    monkeypatch.setattr(data, "load_mnist", lambda path: data.load_bundled())
    metrics = {"data": trained_on, "bundled_digits": False}
    model_copy.with_name("metrics.json").write_text(json.dumps(metrics))
    status, printed = predict_main(model=model_copy)
    assert (status, printed.err) == (2, f"predict.py: error: {message}\n")


@pytest.mark.parametrize("metrics", [None, "{}", "[]", "no JSON"])
def test_a_model_from_elsewhere_is_tested_with_mnist(
    predict_main, model_copy, monkeypatch, bundled_digits, metrics
):
    asked = []
    monkeypatch.setattr(data, "load_mnist", lambda *path: asked.append(path) or bundled_digits)
    if metrics:
        model_copy.with_name("metrics.json").write_text(metrics)
    status, printed = predict_main("--count", 1, model=model_copy)
    assert (status, printed.out.count("test image")) == (0, 1)
    assert asked in ([()], [(None,)])


# --- a person's own pictures


def written(*lines):
    """A picture of lines of digits (n, 28, 28), dark on light, at twice their size."""
    page = np.zeros((40 * len(lines) + 20, 30 * len(lines[0]) + 20), np.uint8)
    for row, line in enumerate(lines):
        for column, digit in enumerate(line):
            top, left = 10 + 40 * row, 10 + 30 * column
            page[top : top + 28, left : left + 28] = digit
    return Image.fromarray(255 - page).resize((2 * page.shape[1], 2 * page.shape[0]))


@pytest.fixture
def own(tmp_path, bundled_digits):
    """A folder of pictures of one digit each, named 1.png to 10.png."""
    folder = tmp_path / "own"
    folder.mkdir()
    for number, digit in enumerate(bundled_digits.x_test[:10], start=1):
        written([digit]).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def drawn(monkeypatch):
    """The panels given to be drawn, in place of a picture, and what else is given."""
    given = []
    monkeypatch.setattr(plots, "plot_readings", lambda *arguments: given.extend(arguments[1:]))
    return given


def test_own_images_are_read_in_natural_order(predict_main, own, tmp_path, bundled_digits):
    table = tmp_path / "t.csv"
    status, printed = predict_main(own, "--csv", table)
    assert (status, printed.err) == (0, "")
    rows = read_csv(table)
    assert [row["image"] for row in rows] == [f"{own}/{n}.png" for n in range(1, 11)]
    y_true = map(str, bundled_digits.y_test)
    assert sum(row["digits"] == y for row, y in zip(rows, y_true, strict=False)) >= 9
    lines = printed.out.splitlines()
    assert lines[0].startswith(f"{own}/1.png  {rows[0]['digits']}  ")
    assert lines[-1] == f"Saved {tmp_path / 'p.png'} and {table}"
    assert len(lines) == 11
    assert (tmp_path / "p.png").exists()


def test_a_page_is_read_line_by_line(predict_main, trained_model, tmp_path, bundled_digits):
    probabilities = trained_model(data.normalize(bundled_digits.x_test)).numpy()
    sure = np.flatnonzero(probabilities.max(axis=1) > 0.99)[:12]
    lines = bundled_digits.x_test[sure].reshape(2, 6, 28, 28)
    written(*lines).save(tmp_path / "note.png")
    status, printed = predict_main(tmp_path / "note.png", "--csv", tmp_path / "t.csv")
    text = "".join(map(str, bundled_digits.y_test[sure]))
    (row,) = read_csv(tmp_path / "t.csv")
    assert status == 0
    assert row["digits"] == f"{text[:6]} / {text[6:]}"
    share = 100 * float(row["confidence"])
    assert printed.out.startswith(f"{tmp_path}/note.png  {row['digits']}  {share:.1f} %")


@pytest.mark.parametrize(
    ("spaces", "confidence", "line"),
    [
        ([[0]], [0.992], "a.png  7  99.2 %"),
        ([[0], [0, 0]], [0.9, 0.9, 0.9], "a.png  7 / 77  72.9 %"),
        ([[0, 0, 1], [0]], [1, 1, 1, 1], "a.png  77 7 / 7  100.0 %"),
        ([[0, 0]], [0.9, 0.5], "a.png  77  45.0 %  unsure of digit no. 2: 7, perhaps 2"),
        ([[0]], [0.6], "a.png  7  60.0 %"),
    ],
)
def test_line_printed_for_an_image(spaces, confidence, line):
    """Of digits 7, some with a space before."""
    lines = [[Digit((), None, space_before=space) for space in row] for row in spaces]
    probabilities = np.zeros((len(confidence), 10))
    probabilities[:, 7], probabilities[:, 2] = confidence, 0.05
    reading = predict.Reading("a.png", lines=lines, probabilities=probabilities)
    assert predict.describe(reading) == line


def test_images_that_cannot_be_read_do_not_stop_the_others(predict_main, own, tmp_path):
    table = tmp_path / "t.csv"
    whole = (own / "2.png").read_bytes()
    (own / "2.png").write_bytes(whole[: len(whole) // 2])
    (own / "3.png").write_text("not an image")
    Image.new("L", (100, 100), "white").save(own / "4.png")
    (own / "notes.txt").write_text("named, and left out")
    # The option stands between the pictures, as it may.
    status, printed = predict_main(own, "--csv", table, "nowhere.png")
    assert status == 2
    others, *complaints, error = printed.err.splitlines()
    assert others == "predict.py: left out 1 file of another type: notes.txt"
    bad = [*(f"{own}/{n}.png" for n in (2, 3, 4)), "nowhere.png"]
    assert [line.split(": ")[1] for line in complaints] == bad
    assert complaints[2].endswith(": no digit found")
    assert error == "predict.py: error: no digit read in 4 of 11 pictures"
    assert [row["image"] for row in read_csv(table) if not row["digits"]] == bad
    assert (tmp_path / "p.png").exists()


def test_the_first_of_several_pages_is_read(predict_main, tmp_path, bundled_digits):
    pages = [written([digit]) for digit in bundled_digits.x_test[:3]]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    status, printed = predict_main(tmp_path / "scan.tif")
    assert (status, printed.out.count("%")) == (0, 1)
    complaint = f"{tmp_path}/scan.tif: only the first of 3 pages or frames is read"
    assert printed.err == f"predict.py: {complaint}\n"


def test_names_as_users_give_them(predict_main, own, tmp_path, trained_file, monkeypatch):
    (own / "1.png").rename(tmp_path / "-1.png")
    monkeypatch.chdir(tmp_path)
    status, printed = predict_main("--", "-1.png", model=trained_file.parent)
    assert (status, printed.out[:8]) == (0, "-1.png  ")
    Path("outputs").mkdir()
    Path("outputs/predictions.png").touch()  # by default, this file may be replaced
    for output in ("./outputs/predictions.png", "new.png"):
        assert predict.parse_arguments([".", "--output", output]).pictures == ["."]


def test_least_certain_pictures_are_drawn(
    predict_main, own, bundled_digits, monkeypatch, drawn
):
    def least_certain(panels, count, original=predict.least_certain):
        kept.append(len(panels))
        return original(panels, count)

    kept = []
    monkeypatch.setattr(predict, "least_certain", least_certain)
    monkeypatch.setattr(plots, "MAX_PANELS", 3)
    monkeypatch.setattr(predict, "PICTURES_PER_BATCH", 4)
    _, printed = predict_main(own)
    assert max(kept) <= 2 * 3 + 1  # so that memory does not grow with the pictures
    panels, unsure, title = drawn
    everything = sorted(float(line.split()[2]) for line in printed.out.splitlines()[:-1])
    assert [round(100 * float(panel.confidence[0]), 1) for panel in panels] == everything[:3]
    assert title.endswith(": the 3 least certain of 10 pictures")
    assert unsure == predict.UNSURE_BELOW
    for panel in panels:
        mnist = bundled_digits.x_test[int(panel.name.removesuffix(".png")) - 1] / 255
        assert panel.image.mean() > 128  # as it was given, dark on light
        assert np.abs(panel.pixels[0] - mnist).mean() < 0.1
        assert f"{panel.name}  {panel.y_pred[0]}" in printed.out


def test_large_pictures_are_drawn_small(predict_main, tmp_path, bundled_digits, drawn):
    written(bundled_digits.x_test[:1]).resize((1500, 1600)).save(tmp_path / "x.png")
    predict_main(tmp_path / "x.png")
    ((panel,), *_) = drawn
    assert max(panel.image.shape) == plots.MAX_PICTURE_SIDE
    ink = np.argwhere(panel.image.min(axis=2) < 128)
    (top, left), (bottom, right) = ink.min(axis=0), ink.max(axis=0)
    assert panel.boxes[0] == pytest.approx((left, top, right, bottom), abs=20)
