"""Whole runs of predict.py: what they print, plot and save of test images and pictures."""

import csv
import re
import shutil
import webbrowser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import data
import predict
from helpers import ROOT, posix_only, reading_of, run


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
    monkeypatch.setattr(predict, "plot_predictions", lambda *given: drawn.extend(given[1:]))
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
    monkeypatch.setattr(predict, "plot_predictions", lambda *given: drawn.extend(given))
    assert predict_main("--data", file)[0] == 0  # fewer than 10 are shown
    assert (len(drawn[1]), drawn[-1]) == (5, "Test images of few.npz")
    _, printed = predict_main("--mistakes", "--data", file)
    assert printed.err.endswith("error: no mistakes to show: all 5 are read correctly\n")


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
def plotted(monkeypatch):
    """The readings given to be plotted, in place of a picture, and the title."""
    given = []

    def plot(path, readings, title):
        path.touch()
        given.extend((readings, title))

    monkeypatch.setattr(predict, "plot_readings", plot)
    return given


def test_own_images_are_read_in_natural_order(predict_main, own, tmp_path, bundled_digits):
    table = tmp_path / "t.csv"
    (own / "notes.txt").touch()
    status, printed = predict_main(own, "--csv", table)
    assert status == 0
    assert printed.err == "warning: left out 1 file of another type: notes.txt\n"
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
    ("confidences", "line"),
    [
        ([0.992, 0.95], "a.png  37  94.2 %"),
        ([0.95, 0.7], "a.png  37  66.5 %  unsure of digit no. 2: 7, perhaps 8"),
        (
            [0.6, 0.7],
            "a.png  37  42.0 %  unsure of digit no. 1: 3, perhaps 4; digit no. 2: 7, perhaps 8",
        ),
    ],
)
def test_line_printed_of_a_picture(confidences, line):
    reading = reading_of("37", confidences=confidences, name="a.png")
    assert predict.describe(reading) == line


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
    assert others == f"warning: left out 6 files of other types: {named}"
    bad = [*(f"{own}/{n}.png" for n in (2, 3, 4)), "nowhere.png"]
    complaint = f"warning: {own}/5.tif: only the first of 3 pages or frames is read"
    complaints.remove(complaint)
    assert sorted(line.split(": ")[1] for line in complaints) == sorted(bad)
    assert f"warning: {own}/4.png: no digit found" in complaints
    assert error == "predict.py: error: 3 of 12 pictures cannot be read"
    unread = [row for row in read_csv(table) if not row["digits"]]
    assert [row["picture"] for row in unread] == bad
    assert {row["confidence"] for row in unread} == {""}


def test_a_picture_without_a_digit_among_others_is_no_error(predict_main, own):
    Image.new("L", (100, 100), "white").save(own / "4.png")
    status, printed = predict_main(own)
    assert (status, printed.err) == (0, f"warning: {own}/4.png: no digit found\n")


def test_a_name_with_a_minus_and_the_folder_of_a_model(
    predict_main, own, trained_file, monkeypatch
):
    monkeypatch.chdir(own.parent)
    (own / "1.png").rename("-1.png")
    status, printed = predict_main("--", "-1.png", model=trained_file.parent)
    assert (status, printed.out[:8]) == (0, "-1.png  ")


def test_earlier_plots_in_a_folder_are_passed_over_and_may_be_replaced(
    predict_main, own, tmp_path
):
    for _ in range(2):  # the second run finds the plots of the first
        status, printed = predict_main(tmp_path, "--output", own / "0.png")
        assert (status, printed.out.count("own/")) == (0, 11)
    status, printed = predict_main(own, "--output", own / "new.png")
    assert (status, printed.out.count("0.png  ")) == (0, 1)  # of 10.png


def test_a_picture_that_is_not_read_may_be_replaced(predict_main, own):
    before = (own / "2.png").read_bytes()
    assert predict_main(own / "1.png", "--output", own / "2.png")[0] == 0
    assert (own / "2.png").read_bytes() != before


@pytest.mark.parametrize("output", ["own/../own/1.png", "own/link.png"])
@pytest.mark.parametrize("given", ["own/1.png", "own"])
@posix_only
def test_a_picture_that_is_read_is_never_replaced(
    predict_main, own, monkeypatch, output, given
):
    monkeypatch.chdir(own.parent)
    (own / "link.png").symlink_to(own / "1.png")
    before = (own / "1.png").read_bytes()
    status, printed = predict_main(given, "--output", output)
    assert (status, printed.out) == (2, "")
    assert f"error: --output would replace the picture {output}; give another" in printed.err
    assert (own / "1.png").read_bytes() == before


def test_a_plot_that_is_named_is_read(predict_main, own, tmp_path):
    predict_main(own / "1.png", "--output", tmp_path / "plot.png")
    _, printed = predict_main(tmp_path / "plot.png", "--output", tmp_path / "new.png")
    assert "is an output of predict.py" not in printed.err


def test_a_folder_of_nothing_but_plots_has_nothing_to_read(predict_main, own, tmp_path):
    (tmp_path / "plots").mkdir()
    predict_main(own / "1.png", "--output", tmp_path / "plots" / "1.png")
    status, printed = predict_main(tmp_path / "plots")
    assert status == 2
    assert printed.err.endswith("1.png is an output of predict.py; give a picture to read\n")


@pytest.mark.parametrize(("opens", "error"), [(True, ""), (False, "no program found to show ")])
def test_the_saved_picture_is_shown(predict_main, own, tmp_path, monkeypatch, opens, error):
    shown = []
    monkeypatch.setattr(webbrowser, "open", lambda address: shown.append(address) or opens)
    status, printed = predict_main(own / "1.png", "--show", "--output", tmp_path / "a b.pdf")
    assert (status, shown) == (0, [(tmp_path / "a b.pdf").as_uri()])
    assert printed.err == (error and f"warning: {error}{tmp_path / 'a b.pdf'}\n")


def test_file_names_that_are_no_valid_text_are_read_and_written(predict_main, own, tmp_path):
    (own / "1.png").rename(own / "\udcff.png")
    status, printed = predict_main(own / "\udcff.png", "--csv", tmp_path / "t.csv")
    assert status == 0
    assert "\\udcff.png  6  " in printed.out
    assert b"\xff.png,6," in (tmp_path / "t.csv").read_bytes()


def test_the_least_certain_are_plotted(predict_main, own, monkeypatch, plotted):
    monkeypatch.setattr(predict, "MAX_READINGS", 3)
    monkeypatch.setattr(predict, "FILES_PER_CALL", 4)
    _, printed = predict_main(own)
    readings, title = plotted
    everything = sorted(float(line.split()[2]) for line in printed.out.splitlines()[:-1])
    assert [round(100 * reading.confidence, 1) for reading in readings] == everything[:3]
    assert title.endswith(": the 3 least certain of 10 pictures")


def test_few_pictures_are_plotted_in_their_order(predict_main, own, plotted):
    predict_main(own)
    readings, title = plotted
    assert [Path(reading.name).name for reading in readings] == [
        f"{n}.png" for n in range(1, 11)
    ]
    assert title == "Digits found and, below, as the network sees them"


def test_the_readmes_program_reads_a_picture(trained_file, tmp_path, monkeypatch, capsys):
    program = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    shutil.copytree(trained_file.parent, tmp_path / "outputs")
    shutil.copy(ROOT / "tests/rendered/images/page-plain.jpg", tmp_path / "note.jpg")
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    printed = capsys.readouterr()
    text, confidence, boxes = re.fullmatch(
        r"([0-9 /]+)  ([0-9.]+%)\n(\[[0-9 \n\[\]]+\])\n", printed.out
    ).groups()
    read = text.replace(" ", "").replace("/", "")
    assert sum(map(str.__eq__, read, "62837711679")) >= 9  # of 11, in order
    assert 0 < float(confidence.strip("%")) <= 100
    assert boxes.count("[") == 1 + 11
    assert printed.err == ""
