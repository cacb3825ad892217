"""Whatever is wrong with what a user gives: one message, status 2, nothing written."""

import gzip
import os
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

import predict
import train
from conftest import write_idx_folder
from model import keras

TINY = ["--epochs", "1", "--batch-size", "600", "--no-augment"]


# Functions in the tables write into the folder `path` what is wrong, made of good `arrays`,
# and return the arguments that give it to a script.


def npz(**change):
    """A good `.npz` file but for some arrays; None leaves one out."""

    def write(path, arrays):
        arrays = {k: v for k, v in (arrays | change).items() if v is not None}
        np.savez(path / "wrong.npz", **arrays)
        return ["--data", "wrong.npz"]

    return write


def damaged_npz(damage):
    """A good `.npz` file whose bytes `damage` has changed."""

    def write(path, arrays):
        np.savez(path / "good.npz", **arrays)
        (path / "wrong.npz").write_bytes(damage((path / "good.npz").read_bytes()))
        return ["--data", "wrong.npz"]

    return write


def idx(raw, name="t10k-labels-idx1-ubyte"):
    """A folder with four good IDX files but for one; None leaves that out."""

    def write(path, arrays):
        (path / "wrong").mkdir()
        write_idx_folder(path / "wrong", arrays)
        (path / "wrong" / name).unlink()
        if raw is not None:
            (path / "wrong" / name).write_bytes(raw)
        return ["--data", "wrong"]

    return write


def file(option, raw):
    """A file of any bytes, given with `option`."""

    def write(path, arrays):
        (path / "wrong").write_bytes(raw)
        return [*option, "wrong"]

    return write


def unreadable(path, arrays):
    np.savez(path / "wrong.npz", **arrays)
    os.chmod(path / "wrong.npz", 0)
    if os.access(path / "wrong.npz", os.R_OK):
        pytest.skip("the superuser can read every file")
    return ["--data", "wrong.npz"]


def bad_member(path, arrays):
    """A zip file with the right names and no arrays in it."""
    with zipfile.ZipFile(path / "wrong.npz", "w") as archive:
        for name in arrays:
            archive.writestr(f"{name}.npy", b"not an array")
    return ["--data", "wrong.npz"]


def keras_file(*layers):
    def write(path, arrays):
        keras.Sequential(list(layers)).save(path / "wrong.keras")
        return ["--model", "wrong.keras"]

    return write


def cut_model(path, arrays):
    keras_file(keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(10))(
        path, None
    )
    whole = (path / "wrong.keras").read_bytes()
    (path / "wrong.keras").write_bytes(whole[: len(whole) // 2])
    return ["--model", "wrong.keras"]


def image(name, raw):
    def write(path, arrays):
        (path / name).write_bytes(raw)
        return [name]

    return write


def drawing(size, color, name="wrong.png", cut=None):
    def write(path, arrays):
        Image.new("L", size, color).save(path / name)
        (path / name).write_bytes((path / name).read_bytes()[:cut])
        return [name]

    return write


def options(*arguments):
    return lambda path, arrays: list(arguments)


def empty_folder(path, arrays):
    (path / "empty").mkdir()
    return ["empty"]


def flip(raw):
    return raw[:5000] + bytes([raw[5000] ^ 255]) + raw[5001:]


FLATTEN, DENSE = keras.layers.Flatten, keras.layers.Dense
LABELS = struct.pack(">II", 2049, 20)
# What is wrong, and what the message has to say of it.
TRAIN = {
    "no such file": (options("--data", "nowhere.npz"), "nowhere.npz"),
    "unreadable": (unreadable, "wrong.npz"),
    "Kaggle's csv": (
        file(["--data"], b"label,pixel0\n7,0\n"),
        "wrong: MNIST is read from an .npz file in Keras's layout or a folder",
    ),
    "empty npz": (file(["--data"], b""), "wrong: MNIST is read from an .npz file"),
    "text for npz": (
        file(["--data"], b"digits\n" * 99),
        "wrong: MNIST is read from an .npz file",
    ),
    "npz cut at 100": (damaged_npz(lambda raw: raw[:100]), "wrong.npz: MNIST is read from"),
    "npz cut at half": (
        damaged_npz(lambda raw: raw[: len(raw) // 2]),
        "wrong.npz: MNIST is read from",
    ),
    "npz with a flipped byte": (damaged_npz(flip), "wrong.npz: not an .npz"),
    "npz without arrays": (bad_member, "wrong.npz: x_train has shape ()"),
    "npz without x_train": (npz(x_train=None), "x_train is not a file in the archive"),
    "npz of other size": (npz(x_test=np.zeros((20, 28, 27), "u1")), "shape (20, 28, 27)"),
    "npz of flat images": (npz(x_test=np.zeros((20, 784), "u1")), "shape (20, 784)"),
    "npz of no images": (
        npz(x_test=np.zeros((0, 28, 28), "u1"), y_test=np.zeros(0, "u1")),
        "x_test has shape (0, 28, 28)",
    ),
    "npz of floats": (npz(x_train=np.zeros((40, 28, 28))), "x_train has dtype float64"),
    "npz of 39 labels": (npz(y_train=np.zeros(39, "u1")), "y_train has shape (39,)"),
    "npz of one-hot labels": (npz(y_train=np.zeros((40, 10), "u1")), "shape (40, 10)"),
    "npz of float labels": (npz(y_train=np.zeros(40)), "y_train has dtype float64"),
    "npz of a label 10": (npz(y_test=np.full(20, 10)), "y_test has labels 10 to 10"),
    "npz of a label -1": (npz(y_test=np.full(20, -1)), "y_test has labels -1 to -1"),
    "npz of pickles": (npz(y_test=np.array([{}] * 20, object)), "allow_pickle=False"),
    "idx folder lacks one": (idx(None), "has no t10k-labels-idx1-ubyte"),
    "idx empty": (idx(b""), "magic number"),
    "idx of images for labels": (
        idx(struct.pack(">II", 2051, 20)),
        "magic number 00000803, expected 00000801",
    ),
    "idx of signed bytes": (idx(struct.pack(">HBBI", 0, 9, 1, 20)), "magic number 00000901"),
    "idx cut in its header": (idx(LABELS[:6]), "cut short inside its header"),
    "idx cut by one": (idx(LABELS + bytes(19)), "27 bytes, its header asks for 28"),
    "idx one too long": (idx(LABELS + bytes(21)), "29 bytes, its header asks for 28"),
    "idx that claims 4 GB": (idx(struct.pack(">II", 2049, 2**32 - 1)), "4,294,967,303"),
    "idx of 19 labels": (idx(struct.pack(">II", 2049, 19) + bytes(19)), "shape (19,)"),
    "idx gzip cut": (idx(gzip.compress(LABELS + bytes(20))[:-9]), "damaged gzip"),
    "idx gzip of nonsense": (idx(b"\x1f\x8b\x08\x00 nonsense"), "damaged gzip"),
    "empty folder": (lambda path, _: ["--data", "."], "has no train-images"),
    "epochs 0": (options("--epochs", "0"), "--epochs must be at least 1"),
    "epochs -1": (options("--epochs", "-1"), "--epochs must be at least 1"),
    "epochs 1.5": (options("--epochs", "1.5"), "--epochs"),
    "batch 0": (options("--batch-size", "0"), "--batch-size must be at least 1"),
    "batch too large": (
        options("--batch-size", "60001"),
        "--batch-size 60001 is more than the 60,000 images of an epoch",
    ),
    "validation -1": (options("--validation", "-1"), "--validation must be at least 0"),
    "validation on all": (
        options("--validation", "40"),
        "--validation 40 leaves none of the 40 training images",
    ),
    "rate 0": (options("--learning-rate", "0"), "--learning-rate must be above 0"),
    "rate -1": (options("--learning-rate", "-1"), "--learning-rate must be above 0"),
    "rate nan": (options("--learning-rate", "nan"), "--learning-rate must be above 0"),
    "rate inf": (options("--learning-rate", "inf"), "--learning-rate must be above 0"),
    "rate that runs away": (options("--learning-rate", "1e6"), "smaller --learning-rate"),
    "rate to nan": (options("--learning-rate", "1e38"), "smaller --learning-rate"),
    "seed -1": (options("--seed", "-1"), "--seed must be from 0"),
    "seed too large": (options("--seed", "4294967296"), "--seed must be from 0"),
    "output is a file": (file(["--output"], b""), "wrong"),
    "output below a file": (options("--output", "digits.npz/x"), "digits.npz"),
    "unknown option": (options("--nonsense"), "--nonsense"),
}
PREDICT = {
    "no model": (options("--model", "no.keras"), 'no.keras not found; run "python train.py"'),
    "no model in a folder": (options("--model", "."), "model.keras not found"),
    "empty model": (file(["--model"], b""), "wrong is not a usable Keras model"),
    "model of nonsense": (file(["--model"], b"PK\3\4!"), "wrong is not a usable Keras model"),
    "model cut short": (cut_model, "wrong.keras is not a usable Keras model"),
    "model with code": (
        keras_file(keras.Input((28, 28)), FLATTEN(), keras.layers.Lambda(lambda x: x[:, :10])),
        "Lambda",
    ),
    "model of other input": (keras_file(keras.Input((783,)), DENSE(10)), "maps (783,)"),
    "model of any input": (
        keras_file(keras.Input((None, 1)), keras.layers.GRU(10)),
        "maps (None, 1)",
    ),
    "model of 11 outputs": (
        keras_file(keras.Input((28, 28)), FLATTEN(), DENSE(11, "softmax")),
        "to (11,), expected 28 x 28 pixels to (10,)",
    ),
    "model without softmax": (
        keras_file(keras.Input((28, 28)), FLATTEN(), DENSE(10)),
        "wrong.keras: its outputs are no probabilities; end it with a softmax",
    ),
    "model of ten sigmoids": (
        keras_file(keras.Input((28, 28)), FLATTEN(), DENSE(10, "sigmoid")),
        "its outputs are no probabilities",
    ),
    "count 0": (options("--count", "0"), "--count must be at least 1"),
    "count -1": (options("--count", "-1"), "--count must be at least 1"),
    "count of words": (options("--count", "many"), "--count"),
    "count too large": (options("--count", "21"), "--count 21 is more than the 20 test images"),
    "output is a folder": (options("--output", "."), "--output must name a file"),
    "output has no ending": (options("--output", "x"), "--output must name a file"),
    "output of unknown format": (options("--output", "x.xyz"), "xyz"),
    "csv over a photo": (options("--csv", "note.jpg"), "--csv must name a .csv or .txt file"),
    "output over an image": (
        options("a.png", "--output", "a.png"),
        "--output would replace the image a.png",
    ),
    "pdf to show": (options("--show", "--output", "x.pdf"), "--show opens no PDF or SVG"),
    "csv is a folder": (options("--csv", "."), "--csv must name a file"),
    "csv below a file": (options("--csv", "digits.npz/x.csv"), "digits.npz"),
    "image and mistakes": (options("a.png", "--mistakes"), "leave out IMAGE"),
    "image and data": (options("a.png", "--data", "digits.npz"), "leave out IMAGE"),
    "drawing and image": (options("a.png", "--draw"), "--draw reads what is drawn"),
    "drawing and mistakes": (options("--draw", "--mistakes"), "--draw reads what is drawn"),
    "image missing": (options("a.png"), "a.png: No such file"),
    "image a pdf": (image("a.png", b"%PDF-1.7"), "a.png: a PDF: export the page as PNG"),
    "image empty": (image("a.png", b""), "a.png: "),
    "image of text": (image("a.jpg", b"a digit"), "a.jpg: "),
    "image cut short": (drawing((99, 99), 0, cut=60), "wrong.png: "),
    "image blank": (drawing((99, 99), 255), "wrong.png: no digit found"),
    "image black": (drawing((99, 99), 0), "wrong.png: no digit found"),
    "image of one pixel": (drawing((1, 1), 0), "wrong.png: no digit found"),
    "image of a line": (drawing((1000, 1), 0), "wrong.png: no digit found"),
    "image a bomb": (drawing((12_000, 12_000), 255), "decompression bomb"),
    "folder without images": (empty_folder, "empty: a folder with no image files in it"),
}


def check(script, arguments, message, path, capsys):
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    try:
        status = script.main(arguments)
    except SystemExit as stop:  # argparse's way out
        status = stop.code
    complaint = capsys.readouterr().err
    assert status == 2
    assert message in complaint
    # One line, the last; above it is at most argparse's usage or what is wrong with images.
    _, error = complaint.split(": error: ")
    assert error.index("\n") == len(error) - 1
    assert "Traceback" not in complaint
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


@pytest.fixture
def folder(tmp_path, random_digits, monkeypatch):
    """The working folder, with good digits and an earlier run's outputs in it."""
    np.savez(tmp_path / "digits.npz", **random_digits)
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "model.keras").write_text("an earlier model")
    (tmp_path / "outputs" / "predictions.png").write_text("an earlier picture")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("arguments", "message"), TRAIN.values(), ids=TRAIN)
def test_train(folder, random_digits, capsys, arguments, message):
    given = ["--data", "digits.npz", *TINY, *arguments(folder, random_digits)]
    check(train, given, message, folder, capsys)


@pytest.mark.parametrize(("arguments", "message"), PREDICT.values(), ids=PREDICT)
def test_predict(folder, random_digits, trained_file, capsys, arguments, message):
    own = arguments(folder, random_digits)
    given = ["--model", str(trained_file), *own]
    if not any(argument.startswith(("a.", "wrong.png", "empty")) for argument in own[:1]):
        given = ["--data", "digits.npz", *given]
    check(predict, given, message, folder, capsys)
