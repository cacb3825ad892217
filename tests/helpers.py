"""What tests import: the scripts run as a user would, and small data in files."""

import gzip
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

posix_only = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows has no POSIX shells, signals and terminals"
)


def run(*arguments, cwd, shell=None, **environment):
    """Run Python in `cwd` as for a user without network, cached MNIST and display.

    If a `shell` command is given, its "$@" is the command that runs Python.
    """
    command = [sys.executable, *map(str, arguments)]
    # Importing model.py has set some variables here. In the new process, it must set them.
    own = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "KERAS_"))}
    user = {
        "HOME": str(cwd),
        "KERAS_HOME": str(cwd),
        "https_proxy": "http://127.0.0.1:9",  # nothing listens there: refused at once
        "MPLBACKEND": "TkAgg",  # needs the display, which must not matter
        "DISPLAY": "",
        "WAYLAND_DISPLAY": "",
        "PYTHONUNBUFFERED": "",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        ["sh", "-c", shell, "sh", *command] if shell else command,
        cwd=cwd,
        env=own | user | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def short_run(path, output):
    """Arguments for two epochs of few steps. Without augmentation they start faster."""
    options = ["--epochs", "2", "--batch-size", "600", "--no-augment"]
    return ["--data", str(path), "--output", str(output), *options]


def write_idx_folder(folder, arrays, dot=False, compress=False):
    """Write `arrays` as IDX files, after the format's description."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        kind = "images" if name.startswith("x") else "labels"
        part = "train" if name.endswith("train") else "t10k"
        file = folder / f"{part}-{kind}{'.' if dot else '-'}idx{array.ndim}-ubyte"
        header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        raw = header + array.tobytes()
        if compress:
            file, raw = file.with_name(f"{file.name}.gz"), gzip.compress(raw)
        file.write_bytes(raw)
