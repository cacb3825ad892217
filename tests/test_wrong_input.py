"""Whatever is wrong with what a user gives: one message, status 2, nothing is lost."""

import gzip
import struct

import cv2
import numpy as np
import pytest

import predict
import train
from helpers import write_idx_folder
from model import keras

LABELS = struct.pack(">II", 2049, 20)
IMAGE, FLATTEN, DENSE = keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense
ADD = keras.layers.Rescaling(1, offset=[1, -1] + [0] * 8)  # the sum stays 1
NO_SOFTMAX = "wrong.keras: its outputs are not probabilities; end it with a softmax"
WHITE = cv2.imencode(".png", np.full((99, 99), 255, np.uint8))[1].tobytes()
HUGE = cv2.imencode(".png", np.full((12_000, 12_000), 255, np.uint8))[1].tobytes()


@pytest.fixture(autouse=True)
def folder(tmp_path, random_digits, monkeypatch):
    """The working folder, with good digits and an earlier run's outputs in it."""
    np.savez(tmp_path / "digits.npz", **random_digits)
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "model.keras").write_text("an earlier model")
    (tmp_path / "outputs" / "predictions.png").write_text("an earlier picture")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def check(folder, capsys):
    """Check that a script called with some arguments ends with a certain message."""

    def contents():
        return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}

    def check(script, arguments, *messages):
        before = contents()
        try:
            status = script.main(list(map(str, arguments)))
        except SystemExit as stop:  # argparse's way out
            status = stop.code
        complaint = capsys.readouterr().err
        assert status == 2
        for message in messages:
            assert message in complaint
        assert complaint.startswith(("usage: ", f"{script.__name__}.py: error: "))
        _, error = complaint.split(": error: ")  # after at most argparse's usage
        assert error.index("\n") == len(error) - 1
        assert contents() == before

    return check


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("train --data outputs", "IDX file of x_train, found model.keras, predictions.png"),
        ("train --data two", "one IDX file of x_train, found two/fashion/train-images-idx3"),
        ("train --epochs 0", "--epochs: must be a whole number of at least 1, not '0'"),
        ("train --batch-size 1", "--batch-size: must be a whole number from 2 to 60000"),
        ("train --validation 40", "--validation 40 leaves none of the 40 training images"),
        ("train --learning-rate 0", "--learning-rate: must be a number from 1e-06 to 1"),
        ("train --seed 4294967296", "--seed: must be a whole number from 0"),
        ("train --output digits.npz", "--output: digits.npz is a file, expected a folder"),
        ("train --data=", "--data: must not be empty"),
        ("predict --model no.keras", 'no.keras not found; run "python train.py" first'),
        ("predict --model saved", "saved is a SavedModel; save it as a .keras file"),
        ("predict --data digits.npz --count 21", "--count 21 is more than the 20 test images"),
        ("predict --count 0", "--count: must be a whole number of at least 1"),
        ("predict --output x.xyz", ".pdf, .svg file, not x.xyz"),
        ("predict --csv note.jpg", "--csv must name a .csv, .txt file, not note.jpg"),
        ("predict a.png --draw", "--draw cannot be used with PICTURE"),
        ("predict --draw --output drawing.png", "the window saves drawings under"),
        ("predict a.png --count 10", "PICTURE cannot be used with --count"),
        ("predict a.txt --csv ./a.txt", "--csv would replace the picture ./a.txt"),
        ("predict none", "none: a folder with no picture files in it"),
    ],
)
def test_options(check, folder, trained_file, command, message):
    (folder / "none").mkdir()
    mnist, fashion = (f"two/{name}/train-images-idx3-ubyte" for name in ("mnist", "fashion"))
    for file in (mnist, fashion, "saved/saved_model.pb"):
        (folder / file).parent.mkdir(parents=True)
        (folder / file).touch()
    name, *arguments = command.split()
    usual = {"train": "--data digits.npz", "predict": f"--model {trained_file}"}
    script = {"train": train, "predict": predict}[name]
    check(script, [*usual[name].split(), *arguments], message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": None}, "has the arrays y_train, x_test, y_test, expected x_train, "),
        ({"x_test": np.zeros((0, 28, 28), "u1")}, "x_test has shape (0, 28, 28)"),
        ({"x_train": np.zeros((40, 28, 28))}, "x_train has float64 pixels from 0 to 0"),
        ({"y_train": np.zeros(39, "u1")}, "y_train has shape (39,)"),
        ({"y_train": np.zeros(40)}, "y_train has float64 labels from 0.0 to 0.0"),
        ({"y_test": np.full(20, -1)}, "y_test has int64 labels from -1 to -1"),
        ({"y_test": np.full(20, 10)}, "y_test has int64 labels from 10 to 10"),
        ({"y_test": np.array([{}] * 20, object)}, "damaged, or no .npz file"),
    ],
)
def test_arrays_in_an_npz_file(check, random_digits, change, message):
    arrays = {k: v for k, v in (random_digits | change).items() if v is not None}
    np.savez("wrong.npz", **arrays)
    check(train, ["--data", "wrong.npz"], "wrong.npz: ", message)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (struct.pack(">HBBI", 0, 9, 1, 20) + bytes(20), "wrong header"),  # signed bytes
        (LABELS + bytes(19), "cannot reshape array of size 19 into shape (20,)"),
        (gzip.compress(LABELS + bytes(20), mtime=0)[:-9], "damaged, or no IDX file of bytes"),
    ],
)
def test_an_idx_file(check, folder, random_digits, raw, message):
    write_idx_folder(folder / "idx", random_digits)
    (folder / "idx" / "t10k-labels-idx1-ubyte").write_bytes(raw)
    check(train, ["--data", "idx"], "idx", message)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([IMAGE, FLATTEN, keras.layers.Lambda(lambda x: x[:, :10])], "Lambda"),
        ([keras.Input((783,)), DENSE(10)], "not a usable Keras model: it maps (783,)"),
        ([IMAGE, FLATTEN, DENSE(11)], "to (11,), expected 28 x 28 pixels to (10"),
        ([IMAGE, FLATTEN, DENSE(10)], NO_SOFTMAX),
        ([IMAGE, FLATTEN, DENSE(10, "softmax"), ADD], NO_SOFTMAX),
        ([IMAGE, FLATTEN, DENSE(10, "sigmoid")], NO_SOFTMAX),
    ],
)
def test_a_model_of_other_layers(check, layers, message):
    keras.Sequential(layers).save("wrong.keras")
    check(predict, ["--data", "digits.npz", "--model", "wrong.keras"], message)


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("x.npz", lambda good: good[: len(good) // 2], "damaged, or no .npz file"),
        ("x.keras", lambda good: good[:30_000], "is not a usable Keras model"),
        ("x.png", b"a digit", "not a picture of a known format"),
        ("x.png", b"%PDF-1.7", "a PDF: export the page as PNG"),
        ("x.png", WHITE, "no digit found"),
        ("x.png", HUGE, "too many pixels"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bytes_of_a_file(check, folder, trained_file, name, raw, message):
    script, arguments, good = {
        "x.npz": (train, ["--data", name], folder / "digits.npz"),
        "x.keras": (predict, ["--data", "digits.npz", "--model", name], trained_file),
        "x.png": (predict, ["--model", trained_file, name], None),
    }[name]
    (folder / name).write_bytes(raw(good.read_bytes()) if callable(raw) else raw)
    check(script, arguments, f"error: {name}", message)
