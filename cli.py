"""What both scripts share: outputs replaced on success, errors in one line, exit status."""

import io
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY = ".unfinished-"  # beginning of a temporary folder's name


class InputError(Exception):
    """What the user gave is wrong; the message says what, and what to do about it."""


def run_script(name: str, script: Callable[[], None]) -> int:
    """Run `script` and return the exit status; an error of the user's is one line on stderr.

    Status 2 stands for an InputError or OSError, 130 for Ctrl-C, 1 for an output pipe closed
    by its reader. Every other exception is a bug and keeps its traceback. SIGTERM ends the
    program with status 143, after temporary files are removed.
    """
    open_closed_streams()
    previous_handler = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        script()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Python flushes stdout once more at exit, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except (InputError, OSError) as error:
        print(f"{name}: error: {describe(error)}", file=sys.stderr)
        return 2
    finally:
        signal.signal(signal.SIGTERM, previous_handler)
    return 0


def describe(error: Exception) -> str:
    """What went wrong in a line, which begins with the file if there is one."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def open_closed_streams() -> None:
    """Make stdout and stderr writable, whatever the shell or a notebook made of them."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:  # closed by `>&-`: the next file opened would get its number
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a notebook's stream is not
            stream.reconfigure(errors="backslashreplace")  # file names may be invalid text


@contextmanager
def replace_on_success(folder: str | Path) -> Iterator[Path]:
    """A temporary folder; when the block ends, its files replace those of `folder`.

    If the block raises, `folder` keeps the files it had. Raises OSError, at the start if
    possible, if `folder` cannot be made or written to.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(
            prefix=TEMPORARY, dir=folder, ignore_cleanup_errors=True
        ) as temporary:
            yield Path(temporary)
            for path in Path(temporary).iterdir():
                path.replace(Path(folder, path.name))
    except OSError as error:
        # A full disk names no file, other errors one that the user has never seen.
        if error.errno and TEMPORARY in str(error.filename or TEMPORARY):
            raise OSError(error.errno, os.strerror(error.errno), str(folder)) from error
        raise
