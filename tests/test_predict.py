"""Whole runs of predict.py: what they print, plot and save of test images and pictures."""

import csv
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import data
import plots
import predict
import window
from cli import InputError
from helpers import ROOT, run
from photos import Digit


def test_whole_run_after_training(bundled_run, tmp_path):
    folder = Path(shutil.copytree(bundled_run[0], tmp_path / "run"))
    result = run(ROOT / "predict.py", cwd=folder)
    # The model was trained on the bundled digits, so no download is tried.
    assert (result.returncode, result.stderr) == (0, "")
    first, second, *others, last = result.stdout.splitlines()
    assert (first[:19], second[:19]) == ("test image    0  6 ", "test image    1  7 ")
    assert (len(others), last) == (8, "Saved outputs/predictions.png")
    assert (folder / "outputs" / "predictions.png").exists()


@pytest.fixture
def predict_main(tmp_path, capsys, trained_file):
    """Call `predict.main` with a model; returns the status and what it printed."""

    def call(*arguments, model=trained_file):
        options = ["--model", model, "--output", tmp_path / "p.PNG"]
        status = predict.main([*map(str, [*options, *arguments])])
        return status, capsys.readouterr()

    return call


def read_csv(path):
    with open(path) as file:
        return list(csv.DictReader(file))


def test_mistakes(predict_main, tmp_path, monkeypatch, trained_model, bundled_digits):
    drawn, table = [], tmp_path / "t.csv"
    monkeypatch.setattr(plots, "plot_predictions", lambda *given: drawn.extend(given[1:]))
    status, printed = predict_main("--mistakes", "--count", 4, "--csv", table)
    assert status == 0
    assert printed.out.count("wrong: true digit") == 4
    probabilities = trained_model(data.normalize(bundled_digits.x_eval)).numpy()
    y_true, y_pred = bundled_digits.y_eval, probabilities.argmax(axis=1)
    sureness = np.where(y_pred == y_true, 0, probabilities.max(axis=1))
    worst = np.argsort(-sureness)[:4]
    images = data.normalize(bundled_digits.x_eval[worst])
    for given, expected in zip(
        drawn, (images, y_pred[worst], sureness[worst], y_true[worst]), strict=False
    ):
        np.testing.assert_allclose(given, expected, rtol=1e-4)
    assert drawn[4] == "Most confident mistakes in the 1,000 test images of the bundled digits"
    rows = read_csv(table)
    assert list(rows[0]) == ["picture", "digits", "confidence", "true digit"]
    for row, i in zip(rows, worst, strict=True):
        assert float(row.pop("confidence")) == pytest.approx(sureness[i], abs=1e-4)
        assert list(row.values()) == [f"test image {i}", str(y_pred[i]), str(y_true[i])]


def test_few_images_without_mistakes(
    predict_main, tmp_path, trained_model, random_digits, monkeypatch
):
    drawn = []
    file, images = tmp_path / "few.npz", random_digits["x_test"][:5]
    y_pred = trained_model(data.normalize(images)).numpy().argmax(axis=1)
    np.savez(file, **random_digits | {"x_test": images, "y_test": y_pred})
    monkeypatch.setattr(plots, "plot_predictions", lambda *given: drawn.extend(given))
    assert predict_main("--data", file)[0] == 0  # fewer than 10 are shown
    assert (len(drawn[1]), drawn[-1]) == (5, "Test images of few.npz")
    _, printed = predict_main("--mistakes", "--data", file)
    assert printed.err.endswith("error: no mistakes to show: all 5 are read correctly\n")


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        (None, "MNIST"),  # a model from elsewhere
        ("no JSON", "MNIST"),
        ("[]", "MNIST"),
        ("{}", "MNIST"),
        ('{"data": null, "bundled_digits": false}', "MNIST"),
        ('{"data": "here.npz", "bundled_digits": false}', "here.npz"),
        ('{"data": null, "bundled_digits": true}', "the bundled digits"),
        ('{"data": "gone.npz", "bundled_digits": false}', "gone.npz, .*; give --data PATH"),
        ('{"data": null, "bundled_digits": false}', "MNIST is missing.* give --data PATH"),
    ],
)
def test_where_test_images_are_from(tmp_path, random_npz, monkeypatch, metrics, expected):
    monkeypatch.chdir(tmp_path)
    shutil.copy(random_npz, "here.npz")
    kept = Path("gone.npz" if "missing" in expected else "here.npz").absolute()
    monkeypatch.setattr(data, "KERAS_FILE", kept)
    monkeypatch.setattr(data, "KERAS_URL", kept.as_uri())
    if metrics:
        Path("metrics.json").write_text(metrics)
    try:
        loaded = data.load_test_data(None, "model.keras").name
    except InputError as error:
        loaded = str(error)
    assert re.fullmatch(expected, loaded)
    assert data.load_test_data(data.BUNDLED_FILE, "model.keras").name == "mnist-5k.npz"


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
    for number, digit in enumerate(bundled_digits.x_eval[:10], start=1):
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
    (own / "notes.txt").touch()
    status, printed = predict_main(own, "--csv", table)
    assert status == 0
    assert printed.err == "predict.py: left out 1 file of another type: notes.txt\n"
    rows = read_csv(table)
    assert [row["picture"] for row in rows] == [f"{own}/{n}.png" for n in range(1, 11)]
    y_true = map(str, bundled_digits.y_eval)
    assert sum(row["digits"] == y for row, y in zip(rows, y_true, strict=False)) >= 9
    lines = printed.out.splitlines()
    assert lines[0].startswith(f"{own}/1.png  {rows[0]['digits']}  ")
    assert lines[-1] == f"Saved {tmp_path / 'p.PNG'} and {table}"
    assert len(lines) == 11
    assert (tmp_path / "p.PNG").exists()


def test_a_page_is_read_line_by_line(predict_main, trained_model, tmp_path, bundled_digits):
    probabilities = trained_model(data.normalize(bundled_digits.x_eval)).numpy()
    sure = np.flatnonzero(probabilities.max(axis=1) > 0.99)[:12]
    lines = bundled_digits.x_eval[sure].reshape(2, 6, 28, 28)
    written(*lines).save(tmp_path / "note.png")
    status, printed = predict_main(tmp_path / "note.png", "--csv", tmp_path / "t.csv")
    text = "".join(map(str, bundled_digits.y_eval[sure]))
    (row,) = read_csv(tmp_path / "t.csv")
    assert (status, row["digits"]) == (0, f"{text[:6]} / {text[6:]}")
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
def test_line_printed_and_colors_of_a_drawing(spaces, confidence, line):
    """Of digits 7, some with a space before."""
    lines = [[Digit((0, 0, 9, 9), np.eye(28), space) for space in row] for row in spaces]
    probabilities = np.zeros((len(confidence), 10))
    probabilities[:, 7], probabilities[:, 2] = confidence, 0.05
    reading = predict.Reading("a.png", lines=lines, probabilities=probabilities)
    assert predict.describe(reading) == line
    assert line.startswith(f"a.png  {predict.to_answer(reading).title}")
    unsure = [color == plots.VERMILLION for color in predict.to_answer(reading).colors]
    assert unsure == [share < 0.6 for share in confidence]


def test_unreadable_images_do_not_stop_the_others(predict_main, own, tmp_path, bundled_digits):
    table = tmp_path / "t.csv"
    (own / "2.png").write_bytes((own / "2.png").read_bytes()[:300])
    (own / "3.png").write_text("not an image")
    Image.new("L", (100, 100), "white").save(own / "4.png")
    for number in range(6):
        (own / f"{number}.txt").write_text("named, and left out")
    pages = [written([digit]) for digit in bundled_digits.x_eval[:3]]
    pages[0].save(own / "5.tif", save_all=True, append_images=pages[1:])
    # The option stands between the pictures, as it may.
    status, printed = predict_main(own, "--csv", table, "nowhere.png")
    assert status == 2
    others, *complaints, error = printed.err.splitlines()
    named = "0.txt, 1.txt, 2.txt, 3.txt, 4.txt, ..."
    assert others == f"predict.py: left out 6 files of other types: {named}"
    bad = [*(f"{own}/{n}.png" for n in (2, 3, 4)), "nowhere.png"]
    complaint = f"predict.py: {own}/5.tif: only the first of 3 pages or frames is read"
    assert complaints.pop(0) == complaint
    assert [line.split(": ")[1] for line in complaints] == bad
    assert complaints[2].endswith(": no digit found")
    assert error == "predict.py: error: no digit read in 4 of 12 pictures"
    unread = [row for row in read_csv(table) if not row["digits"]]
    assert [row["picture"] for row in unread] == bad
    assert {row["confidence"] for row in unread} == {""}


def test_a_name_with_a_minus_and_the_folder_of_a_model(
    predict_main, own, trained_file, monkeypatch
):
    monkeypatch.chdir(own.parent)
    (own / "1.png").rename("-1.png")
    status, printed = predict_main("--", "-1.png", model=trained_file.parent)
    assert (status, printed.out[:8]) == (0, "-1.png  ")


def test_an_earlier_output_is_not_read(own, trained_file, monkeypatch, capsys):
    monkeypatch.chdir(own.parent)
    Path("outputs").mkdir()
    Path("outputs/predictions.png").touch()  # the default output, which may be replaced
    assert predict.parse_arguments([".", "--output", "new.png"]).pictures == ["."]
    for output in ([], ["--output", "./outputs/predictions.png"]):
        given = ["own", f"{own.parent}/outputs", "--model", str(trained_file), *output]
        assert predict.main(given) == 0
    for number in range(5):
        (own / f"{number}.txt").touch()
    predict.main(given)
    assert "types: 0.txt, 1.txt, 2.txt, 3.txt, 4.txt\n" in capsys.readouterr().err


def test_the_saved_picture_is_shown(predict_main, own, monkeypatch):
    shown = []
    monkeypatch.setattr(window, "show", lambda path: shown.append(Image.open(path).format))
    assert predict_main(own / "1.png", "--show")[0] == 0
    assert shown == ["PNG"]


def test_file_names_that_are_no_valid_text_are_read_and_written(predict_main, own, tmp_path):
    (own / "1.png").rename(own / "\udcff.png")
    status, printed = predict_main(own / "\udcff.png", "--csv", tmp_path / "t.csv")
    assert status == 0
    assert "\\udcff.png  6  " in printed.out
    assert b"\xff.png,6," in (tmp_path / "t.csv").read_bytes()


def test_the_least_certain_are_drawn(predict_main, own, bundled_digits, monkeypatch, drawn):
    monkeypatch.setattr(plots, "MAX_PANELS", 3)
    monkeypatch.setattr(predict, "PICTURES_PER_BATCH", 4)
    _, printed = predict_main(own)
    panels, unsure, title = drawn
    everything = sorted(float(line.split()[2]) for line in printed.out.splitlines()[:-1])
    assert [round(100 * panel.confidence, 1) for panel in panels] == everything[:3]
    assert title.endswith(": the 3 least certain of 10 pictures")
    assert unsure == predict.UNSURE_BELOW
    for panel in panels:
        mnist = bundled_digits.x_eval[int(panel.name.removesuffix(".png")) - 1] / 255
        assert panel.image.mean() > 128  # as it was given, dark on light
        assert np.abs(panel.pixels[0] - mnist).mean() < 0.1
        assert f"{panel.name}  {panel.y_pred[0]}" in printed.out


def test_large_pictures_are_drawn_small(predict_main, tmp_path, bundled_digits, drawn):
    written(bundled_digits.x_eval[:1]).resize((1500, 1600)).save(tmp_path / "x.png")
    predict_main(tmp_path / "x.png")
    ((panel,), _, title) = drawn
    assert title == "Digits found and, below, as the network sees them"
    assert panel.line_lengths == [1]
    assert panel.digit_confidence == pytest.approx(panel.confidence)
    assert max(panel.image.shape) == plots.MAX_PICTURE_SIDE
    ink = np.argwhere(panel.image.min(axis=2) < 128)
    (top, left), (bottom, right) = ink.min(axis=0), ink.max(axis=0)
    assert panel.boxes[0] == pytest.approx((left, top, right, bottom), abs=20)


def test_the_readmes_program_reads_a_picture(trained_file, tmp_path, monkeypatch, capsys):
    program = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    shutil.copytree(trained_file.parent, tmp_path / "outputs")
    shutil.copy(ROOT / "tests/rendered/images/page-plain.jpg", tmp_path / "note.jpg")
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    printed = capsys.readouterr().out
    read = "".join(re.findall(r"^\[([0-9 ]+)\]", printed, re.MULTILINE))
    assert sum(map(str.__eq__, read.replace(" ", ""), "62837711679")) >= 9  # of 11, in order
    assert printed.count("(") == 11  # boxes
