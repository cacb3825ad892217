"""Outputs replaced on success, errors in one line, exit status."""

import io
import signal
import sys
import textwrap

import pytest

import cli
from helpers import posix_only, run


def raising(error):
    def script():
        raise error

    return script


def run_as_script(body, folder, shell=None):
    """Run the statements `body` under `cli.run_script`, in a process of its own."""
    script = f"""
import cli, os, signal, sys
def script():{textwrap.indent(body, "    ")}
sys.exit(cli.run_script("me.py", script))
"""
    return run("-c", script, cwd=folder, shell=shell)


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (cli.InputError("x.npz: damaged\nhere"), 2, "me.py: error: x.npz: damaged\n"),
        (OSError(28, "No space left", "out"), 2, "me.py: error: out: No space left\n"),
        (OSError(28, "No space left"), 2, "me.py: error: No space left\n"),
        (KeyboardInterrupt(), 130, "me.py: interrupted\n"),
    ],
)
def test_run_script_says_in_one_line_what_the_user_can_mend(capsys, error, status, message):
    before = signal.getsignal(signal.SIGTERM)
    assert cli.run_script("me.py", raising(error)) == status
    assert capsys.readouterr() == ("", message)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        cli.run_script("me.py", raising(ZeroDivisionError()))


@posix_only
def test_sigterm_removes_temporary_files(tmp_path):
    body = """
with cli.replace_on_success("file"):
    os.kill(os.getpid(), signal.SIGTERM)
"""
    result = run_as_script(body, tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (143, "", "")
    assert list(tmp_path.iterdir()) == []


@posix_only
def test_a_closed_pipe_is_status_1_without_a_word(tmp_path):
    body = "\nprint('a line')"
    result = run_as_script(body, tmp_path, shell='{ sleep 1; "$@"; echo $? >&2; } | true')
    assert (result.stdout, result.stderr) == ("", "1\n")


def test_a_notebooks_stream_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())  # it has no `reconfigure`
    assert cli.run_script("me.py", lambda: print("done")) == 0
    assert sys.stdout.getvalue() == "done\n"


def test_files_are_replaced_at_the_end_if_they_were_written(tmp_path):
    for name in ("old", "kept"):
        (tmp_path / name).write_text("old")
    paths = [tmp_path / name for name in ("old", "in/new", "kept", "none")]
    with cli.replace_on_success(*paths) as (old, new, *_):
        old.write_text("new")
        new.write_text("new")
        assert (tmp_path / "old").read_text() == "old"
    texts = {path.name: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert texts == {"old": "new", "new": "new", "kept": "old"}


def test_files_are_replaced_in_their_order(tmp_path):
    paths = [tmp_path / name for name in ("first", "folder", "last")]
    paths[1].mkdir()  # cannot be replaced by a file

    def write():
        with cli.replace_on_success(*paths) as files:
            for file in files:
                file.write_text("new")

    with pytest.raises(OSError, match="folder"):
        write()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "folder"]


@pytest.mark.parametrize("name", ["{file}", "nowhere.npz", None])
def test_an_error_names_the_file_that_the_user_knows(tmp_path, monkeypatch, name):
    def write():
        with cli.replace_on_success("a.png", "b.csv") as files:
            raise OSError(28, "Disk full", name and name.format(file=files[0]))

    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match="Disk full") as raised:
        write()
    assert raised.value.filename == ("a.png" if name == "{file}" else name)


def test_a_file_in_the_way_is_found_at_once(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(OSError, match="file"), cli.replace_on_success(tmp_path / "file" / "x"):
        pytest.fail("the block must not run")


@pytest.mark.parametrize("fails", [True, False])
def test_what_an_import_logs_is_shown_only_if_it_fails(tmp_path, fails):
    program = "import os\nos.write(2, b'the CPU lacks an instruction')\n"
    (tmp_path / "keras.py").write_text(program + "1 / 0\n" * fails)
    result = run("-c", "import model", cwd=tmp_path)
    assert ("the CPU lacks an instruction" in result.stderr) == fails
    assert ("ZeroDivisionError" in result.stderr) == fails
