"""What both scripts share: outputs, errors in one line, exit status, quiet TensorFlow."""

import argparse
import io
import math
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMPORARY_PREFIX = ".unfinished-"  # beginning of a temporary file's name


class InputError(Exception):
    """What the user gave cannot be used. The message says why and, where useful, what to do."""


def run_script(name: str, script: Callable[[], None]) -> int:
    """Run `script` and return the exit status.

    An InputError or OSError is printed in one line on stderr and gives status 2. Ctrl-C gives
    130, a pipe closed by its reader gives 1. Every other exception is a bug and keeps
    its traceback. SIGTERM removes temporary files and ends the program with status 143.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a notebook's stream is not
            stream.reconfigure(errors="backslashreplace")  # file names may be invalid text
    previous_handler = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        script()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Python flushes stdout again at exit. Without this, that would fail, too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except (InputError, OSError) as error:
        print(f"{name}: error: {to_message(error)}", file=sys.stderr)
        return 2
    finally:
        signal.signal(signal.SIGTERM, previous_handler)
    return 0


def warn(message: object) -> None:
    """Print a warning on stderr."""
    print(f"warning: {message}", file=sys.stderr)


def to_message(error: Exception) -> str:
    """An error in one line, which begins with the file's name if the error has one."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error).split("\n")[0]


def path_argument(text: str) -> str:
    """A converter for argparse: any path but an empty one, which would mean this folder."""
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def number(kind: type, low: float, high: float = math.inf) -> Callable[[str], float]:
    """A converter for argparse, to an int or a float from `low` to `high`."""

    def convert(text: str) -> float:
        with suppress(ValueError):
            if low <= kind(text) <= high:
                return kind(text)
        name = "a whole number" if kind is int else "a number"
        limits = f"from {low} to {high}" if high < math.inf else f"of at least {low}"
        raise argparse.ArgumentTypeError(f"must be {name} {limits}, not {text!r}")

    return convert


@contextmanager
def replace_on_success(*paths: str | Path) -> Iterator[list[Path]]:
    """Temporary files, which replace `paths` one after the other when the block ends.

    If the block raises, `paths` stay as they are, and a new folder for them is removed again. A
    path whose temporary file is still empty stays, too. Raises OSError, at the start if
    possible, if a path cannot be written to.
    """
    prefix = f"{TEMPORARY_PREFIX}{os.getpid()}-"
    paths = [Path(path) for path in paths]
    files = [path.with_name(prefix + path.name) for path in paths]  # on the same disk
    new_folders = {path.parent for path in paths if not path.parent.exists()}
    try:
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        yield files
        for file, path in zip(files, paths, strict=True):
            if file.stat().st_size:
                file.replace(path)
    except OSError as error:
        if error.filename:  # the user knows the file without the prefix
            error.filename = str(error.filename).replace(prefix, "")
        raise
    finally:
        for file in files:
            with suppress(OSError):
                file.unlink()
        for folder in new_folders:
            with suppress(OSError):  # it has files in it: the block has succeeded
                folder.rmdir()


@contextmanager
def quiet_import() -> Iterator[None]:
    """Hide what TensorFlow's C++ code writes to stderr while it is imported.

    If the import fails, this is written to stderr after all.
    """
    # Keras and TensorFlow read these when they are imported.
    os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the user has set
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # fatal errors only
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # oneDNN saves no time here
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except BaseException:
            log.seek(0)
            os.write(stderr, log.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
