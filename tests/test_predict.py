import csv

import numpy as np
import pytest
from conftest import ROOT, run

import predict

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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", "1001"], "--count 1001 is more than the 1,000 test digits"),
        (["--data", "nowhere"], "nowhere"),
        (["--model", str(BUNDLED)], "mnist-5k.npz is not a usable Keras model"),
    ],
)
def test_what_does_not_fit(model, tmp_path, capsys, arguments, message):
    status, printed = read_test_digits(model, tmp_path, capsys, *arguments)
    assert status == 2
    assert message in printed.err


@pytest.mark.parametrize("count", ["0", "-1", "many"])
def test_wrong_count(capsys, count):
    with pytest.raises(SystemExit) as raised:
        predict.main(["--count", count])
    assert raised.value.code == 2
    assert "--count" in capsys.readouterr().err
