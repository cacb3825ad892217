import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import plots
import predict
from conftest import ROOT, run

BUNDLED = ROOT / "assets" / "mnist-5k.npz"


@pytest.fixture
def model(bundled_run):
    return str(bundled_run[0] / "outputs" / "model.keras")


def test_most_confident_mistakes():
    y_true, y_pred = np.array([1, 2, 3, 4, 5]), np.array([1, 0, 3, 0, 0])
    confidence = np.array([0.9, 0.6, 0.9, 0.8, 0.7])
    mistakes = predict.most_confident_mistakes(y_true, y_pred, confidence)
    assert mistakes.tolist() == [3, 4, 1]


def test_whole_run_after_training(bundled_run):
    folder, _ = bundled_run
    result = run("predict.py", cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "bundled digits" in result.stderr
    lines = result.stdout.splitlines()
    assert [line[:19] for line in lines[1:3]] == ["test digit    0  6 ", "test digit    1  7 "]
    assert len(lines) == 12  # a line on the download, ten digits, what was saved
    assert (folder / "outputs" / "predictions.png").exists()


def test_without_a_model(tmp_path):
    result = run("predict.py", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr == (
        'predict.py: error: outputs/model.keras not found; run "python train.py" first\n'
    )


def read_test_digits(model, tmp_path, capsys, *arguments):
    picture = tmp_path / "p.png"
    status = predict.main(
        ["--model", model, "--data", str(BUNDLED), "--output", str(picture), *arguments]
    )
    assert picture.exists() == (status == 0)
    return status, capsys.readouterr()


def test_count(model, tmp_path, capsys):
    _, printed = read_test_digits(model, tmp_path, capsys, "--count", "3")
    assert printed.out.count("test digit") == 3


def test_mistakes(model, tmp_path, capsys):
    table = tmp_path / "t.csv"
    status, printed = read_test_digits(
        model, tmp_path, capsys, "--mistakes", "--count", "4", "--csv", str(table)
    )
    assert status == 0
    assert printed.out.count("wrong: it is a") == 4
    with open(table) as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["image", "digit", "confidence"]
    confidence = [float(row["confidence"]) for row in rows]
    assert confidence == sorted(confidence, reverse=True)
    y_test = np.load(BUNDLED)["y_test"]
    for row in rows:
        assert int(row["digit"]) != y_test[int(row["image"].removeprefix("test digit "))]


@pytest.fixture
def own(tmp_path):
    """A folder of ten digits drawn dark on light, ten times as large, named 1.png to 10.png."""
    folder = tmp_path / "own"
    folder.mkdir()
    for number, digit in enumerate(np.load(BUNDLED)["x_test"][:10], start=1):
        Image.fromarray(255 - digit).resize((280, 280)).save(folder / f"{number}.png")
    return folder


def read_own(model, tmp_path, capsys, *arguments):
    picture = tmp_path / "p.png"
    status = predict.main([*map(str, arguments), "--model", model, "--output", str(picture)])
    return status, capsys.readouterr(), picture


def test_own_images_are_read_in_natural_order(model, own, tmp_path, capsys):
    table = tmp_path / "t.csv"
    status, printed, picture = read_own(model, tmp_path, capsys, own, "--csv", table)
    assert (status, printed.err) == (0, "")
    with open(table) as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [f"{own}/{n}.png" for n in range(1, 11)]
    y_true = np.load(BUNDLED)["y_test"][:10]
    assert sum(int(row["digit"]) == y for row, y in zip(rows, y_true, strict=True)) >= 9
    lines = printed.out.splitlines()
    assert lines[0].startswith(f"{own}/1.png  {rows[0]['digit']}  ")
    assert len(lines) == 11
    assert picture.exists()


def test_images_that_cannot_be_read_do_not_stop_the_others(model, own, tmp_path, capsys):
    table = tmp_path / "t.csv"
    whole = (own / "2.png").read_bytes()
    (own / "2.png").write_bytes(whole[: len(whole) // 2])
    (own / "3.png").write_text("not an image")
    Image.new("L", (100, 100), "white").save(own / "4.png")
    (own / "notes.txt").write_text("passed over")
    # The option stands between the images, as it may.
    status, printed, picture = read_own(
        model, tmp_path, capsys, own, "--csv", table, "nowhere.png"
    )
    assert status == 2
    complaints = printed.err.splitlines()
    for line, name in zip(complaints, ["2.png", "3.png", "4.png", "nowhere.png"], strict=False):
        assert name in line
    assert "no digit found" in complaints[2]
    assert complaints[4] == "predict.py: error: 4 of 11 images could not be read"
    assert len(complaints) == 5
    with open(table) as file:
        assert [row["image"] for row in csv.DictReader(file) if not row["digit"]] == [
            *(f"{own}/{n}.png" for n in (2, 3, 4)),
            "nowhere.png",
        ]
    assert picture.exists()


def test_many_images_are_drawn_least_certain_first(model, own, tmp_path, capsys, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "plot_readings", lambda *arguments: drawn.append(arguments))
    monkeypatch.setattr(plots, "MOST_READINGS", 3)
    monkeypatch.setattr(predict, "BATCH", 4)
    _, printed, _ = read_own(model, tmp_path, capsys, own)
    given, seen, digits, confidence, names, title = drawn[0][1:]
    everything = sorted(float(line.split()[2]) for line in printed.out.splitlines()[:-1])
    assert [round(100 * sure, 1) for sure in confidence] == everything[:3]
    assert title.endswith("the 3 least certain of 10 images")
    for grey, image, digit, name in zip(given, seen, digits, names, strict=True):
        number = int(name.removesuffix(".png")) - 1
        mnist = np.load(BUNDLED)["x_test"][number] / 255
        assert max(grey.shape) <= 280
        assert grey.mean() > 0.5  # as it was given, dark on light
        assert np.abs(image - mnist).mean() < 0.1
        assert f"{name}  {digit}" in printed.out


def test_doubt_is_said():
    def reading(first, second):
        probabilities = np.full(10, (1 - first - second) / 8)
        probabilities[[7, 2]] = first, second
        return predict.Reading("a.png", probabilities=probabilities)

    assert predict.describe(reading(0.992, 0.001)) == "a.png  7  99.2 %"
    assert predict.describe(reading(0.5, 0.4)) == "a.png  7  50.0 %  unsure, perhaps 2"


def test_metrics_of_another_network_are_noted(model, tmp_path, capsys):
    for name in ("model.keras", "metrics.json"):
        (tmp_path / name).write_bytes((Path(model).parent / name).read_bytes())
    _, printed = read_test_digits(str(tmp_path / "model.keras"), tmp_path, capsys)
    assert "another network" not in printed.err
    (tmp_path / "metrics.json").write_text("{}")
    _, printed = read_test_digits(str(tmp_path / "model.keras"), tmp_path, capsys)
    assert "metrics.json is about another network" in printed.err
