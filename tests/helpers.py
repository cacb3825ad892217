"""What tests import: the scripts run as a user would, and small data."""

import csv
import gzip
import os
import struct
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from data import load_bundled
from photos import Digit, Reading

ROOT = Path(__file__).parent.parent
BUNDLED = load_bundled()

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="other signals, pipes, links")


def run(*arguments, cwd, **environment):
    """Run Python in `cwd` as for a user without network, cached MNIST and display."""
    # Importing model.py has set some variables here. In the new process, it must set them.
    own = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
    user = {
        "HOME": str(cwd),
        "KERAS_HOME": str(cwd),
        "KERAS_BACKEND": "jax",  # whatever the user has set must not matter
        "https_proxy": "http://127.0.0.1:9",  # nothing listens there: refused at once
        "MPLCONFIGDIR": matplotlib.get_cachedir(),  # finding all fonts again takes seconds
        "MPLBACKEND": "TkAgg",  # needs the display, which must not matter
        "DISPLAY": "",
        "WAYLAND_DISPLAY": "",
        "PYTHONUNBUFFERED": "",
        "PYTHONPATH": str(ROOT),
    }
    command, env = [sys.executable, *map(str, arguments)], own | user | environment
    options = {"capture_output": True, "text": True, "timeout": 300}
    return subprocess.run(command, cwd=cwd, env=env, **options)


def read_csv(path):
    """The rows of a table, by column."""
    return list(csv.DictReader(path.read_text().splitlines()))


def reading_of(*lines, confidences=None, name="note.jpg", size=(400, 300)):
    """A Reading of `lines` of text in a grid of 40 x 60 pixels."""
    rows, y_pred = [], []
    for row, line in enumerate(lines):
        rows.append([])
        for place, character in enumerate(line):
            if character != " ":
                box = (40 * place + 5, 60 * row + 5, 40 * place + 30, 60 * row + 50)
                pixels = np.full((28, 28), 0.9 - 0.01 * len(y_pred), np.float32)
                space_before = line[place - 1 : place] == " "
                rows[-1].append(Digit(box, pixels, space_before))
                y_pred.append(int(character))
    shares = np.reshape(confidences or [0.95] * len(y_pred), (-1, 1))
    best = np.eye(10)[y_pred]
    probabilities = shares * best + (1 - shares) * np.roll(best, 1, axis=1)
    picture = Image.new("RGB", size, "grey")
    picture.info |= {"full_size": size, "pages": 1}
    return Reading(name, picture, rows, probabilities)


def write_idx_folder(folder, arrays, name="{}-{}-idx{}-ubyte", compress=False, test="t10k"):
    """Write `arrays` as IDX files, after the format's description."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = ("train", "images"), ("train", "labels"), (test, "images"), (test, "labels")
    for part, array in zip(parts, arrays.values(), strict=True):
        header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        raw = header + array.tobytes()
        file = folder / name.format(*part, array.ndim)
        file.write_bytes(gzip.compress(raw) if compress else raw)
