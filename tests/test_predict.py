"""Whole runs of predict.py: what they print, plot and save of test images and pictures."""

import re
import shutil
import webbrowser
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

import data
import predict
from helpers import BUNDLED, ROOT, posix_only, read_csv, reading_of, run
from plots import is_plot


def test_whole_run_after_training(bundled_run, tmp_path):
    folder = Path(shutil.copytree(bundled_run[0], tmp_path / "run"))
    result = run(ROOT / "predict.py", cwd=folder)
    # The model was trained on the bundled digits, so no download is tried.
    assert (result.returncode, result.stderr) == (0, "")
    *lines, last = result.stdout.splitlines()
    assert [line[:19] for line in lines[:2]] == ["test image    0  6 ", "test image    1  7 "]
    assert (len(lines), last) == (10, "Saved outputs/predictions.png")
    assert is_plot(folder / "outputs" / "predictions.png")


@pytest.fixture
def predict_main(tmp_path, capsys, trained_file):
    """Call `predict.main` with a model's folder; returns the status and what it printed."""

    def call(*arguments):
        options = ["--model", trained_file.parent, "--output", tmp_path / "p.PNG"]
        status = predict.main([*map(str, [*options, *arguments])])
        return status, capsys.readouterr()

    return call


@pytest.fixture
def plotted(monkeypatch):
    """What is called with the arguments to plot, in place of plotting them."""
    plot = Mock()
    monkeypatch.setattr(predict, "plot_predictions", plot)
    monkeypatch.setattr(predict, "plot_readings", plot)
    return plot


def test_the_worst_mistakes_are_shown(predict_main, tmp_path, plotted, trained_model):
    status, printed = predict_main("--mistakes", "--count", 4, "--csv", tmp_path / "t.csv")
    assert (status, printed.out.count("wrong: true digit")) == (0, 4)
    probabilities = trained_model(data.normalize(BUNDLED.x_eval)).numpy()
    y_true, y_pred = BUNDLED.y_eval, probabilities.argmax(axis=1)
    sureness = np.where(y_pred == y_true, 0, probabilities.max(axis=1))
    worst = np.argsort(-sureness)[:4]
    _, *arrays, title = plotted.call_args.args
    expected = BUNDLED.x_eval[worst] / 255, y_pred[worst], sureness[worst], y_true[worst]
    for array, values in zip(arrays, expected, strict=True):
        np.testing.assert_allclose(array, values, rtol=1e-4)
    assert title == "Most confident mistakes in the 1,000 test images of the bundled digits"
    for row, i in zip(read_csv(tmp_path / "t.csv"), worst, strict=True):
        assert float(row.pop("confidence")) == pytest.approx(sureness[i], abs=1e-4)
        assert list(row.values()) == [f"test image {i}", str(y_pred[i]), str(y_true[i])]


def test_without_mistakes_there_is_nothing_to_show(predict_main, tmp_path):
    x, y = BUNDLED.x_eval[:5], BUNDLED.y_eval[:5]
    np.savez(tmp_path / "few.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    _, printed = predict_main("--mistakes", "--data", tmp_path / "few.npz")
    assert printed.err.endswith("error: no mistakes to show: all 5 are read correctly\n")


@pytest.fixture
def own(tmp_path):
    """A folder of pictures of one digit each, named 1.png to 10.png."""
    folder = tmp_path / "own"
    folder.mkdir()
    for number, digit in enumerate(BUNDLED.x_eval[:10], start=1):
        Image.fromarray(255 - np.pad(digit, 10)).resize((96, 96)).save(folder / f"{number}.png")
    return folder


def test_a_folder_is_read(predict_main, own, tmp_path, plotted):
    (own / "notes.txt").touch()
    status, printed = predict_main(own, "--csv", tmp_path / "t.csv")
    warning = "warning: left out 1 file of another type: notes.txt\n"
    assert (status, printed.err) == (0, warning)
    rows = read_csv(tmp_path / "t.csv")
    y_true = BUNDLED.y_eval[:10].astype(str)
    assert np.sum([row["digits"] for row in rows] == y_true) >= 9
    *lines, last = printed.out.splitlines()
    for line, row in zip(lines, rows, strict=True):
        share = float(row["confidence"])
        assert line.startswith(f"{row['picture']}  {row['digits']}  {100 * share:.1f} %")
    assert last == f"Saved {tmp_path / 'p.PNG'} and {tmp_path / 't.csv'}"
    _, readings, title = plotted.call_args.args
    names = [f"{own}/{n}.png" for n in range(1, 11)]
    assert [row["picture"] for row in rows] == [reading.name for reading in readings] == names
    assert title == "Digits found and, below, as the network sees them"


def test_second_guesses_of_unsure_digits_are_printed():
    reading = reading_of("377", confidences=[0.6, 0.95, 0.7], name="a.png")
    guesses = "unsure of digit no. 1: 3, perhaps 4; digit no. 3: 7, perhaps 8"
    assert predict.describe(reading) == f"a.png  377  39.9 %  {guesses}"


def test_bad_pictures_do_not_stop_the_others(predict_main, own, tmp_path):
    (own / "2.png").write_bytes((own / "2.png").read_bytes()[:300])
    (own / "3.png").write_text("not an image")
    Image.new("L", (100, 100), "white").save(own / "4.png")
    # An option may stand between pictures; after "--", all are pictures.
    status, printed = predict_main(own, "--csv", tmp_path / "t.csv", "--", "-nowhere.png")
    assert status == 2
    *warnings, error = printed.err.splitlines()
    bad = [*(f"{own}/{n}.png" for n in (2, 3, 4)), "-nowhere.png"]
    assert sorted(line.split(": ")[1] for line in warnings) == sorted(bad)
    assert error == "predict.py: error: 3 of 11 pictures cannot be read"  # the white one can
    unread = [row for row in read_csv(tmp_path / "t.csv") if not row["digits"]]
    assert unread == [{"picture": name, "digits": "", "confidence": ""} for name in bad]


def test_hints_are_warnings(predict_main, own):
    pages = [Image.open(own / f"{number}.png") for number in (1, 2)]
    pages[0].save(own / "1.tif", save_all=True, append_images=pages[1:])
    status, printed = predict_main(own / "1.tif")
    expected = f"warning: {own}/1.tif: only the first of 2 pages or frames is read\n"
    assert (status, printed.err) == (0, expected)


def test_earlier_plots_in_a_folder_are_passed_over_and_may_be_replaced(predict_main, own):
    for _ in range(2):  # the second run finds the plot of the first
        status, printed = predict_main(own, "--output", own / "0.png")
        assert (status, printed.out.count("own/")) == (0, 11)


@posix_only
def test_a_picture_that_is_read_is_never_replaced(predict_main, own):
    (own / "link.png").symlink_to(own / "1.png")
    before = (own / "1.png").read_bytes()
    status, printed = predict_main(own, "--output", own / "link.png")
    assert f"error: --output would replace the picture {own}/link.png; give" in printed.err
    assert (status, (own / "1.png").read_bytes()) == (2, before)


@pytest.mark.parametrize(("opens", "error"), [(True, ""), (False, "no program found to show ")])
def test_the_saved_picture_is_shown(predict_main, own, tmp_path, monkeypatch, opens, error):
    monkeypatch.setattr(webbrowser, "open", Mock(return_value=opens))
    _, printed = predict_main(own / "1.png", "--show", "--output", tmp_path / "a b.pdf")
    webbrowser.open.assert_called_once_with((tmp_path / "a b.pdf").as_uri())
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
    _, readings, title = plotted.call_args.args
    everything = sorted(float(line.split()[2]) for line in printed.out.splitlines()[:-1])
    assert [round(100 * reading.confidence, 1) for reading in readings] == everything[:3]
    assert title.endswith(": the 3 least certain of 10 pictures")


def test_the_readmes_program_reads_a_picture(trained_file, tmp_path, monkeypatch, capsys):
    program = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    shutil.copytree(trained_file.parent, tmp_path / "outputs")
    shutil.copy(ROOT / "tests/rendered/images/page-plain.jpg", tmp_path / "note.jpg")
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    first, *boxes = capsys.readouterr().out.splitlines()
    text = re.fullmatch(r"([0-9 /]+)  [0-9]+\.[0-9]%", first)[1]
    assert sum(map(str.__eq__, re.sub("[ /]", "", text), "62837711679")) >= 9  # of 11
    assert (len(boxes), "." in "".join(boxes)) == (11, False)  # whole pixels
