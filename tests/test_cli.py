"""Outputs replaced on success, errors in one line, exit status."""

import io
from unittest.mock import Mock

import pytest

import cli
from helpers import posix_only, run


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
    assert cli.run_script("me.py", Mock(side_effect=error)) == status
    assert capsys.readouterr() == ("", message)


SIGTERM = "with cli.replace_on_success('new/file'): os.kill(os.getpid(), signal.SIGTERM)"
CLOSED_PIPE = "end, pipe = os.pipe(); os.close(end); os.dup2(pipe, 1); print('a line')"


@posix_only
@pytest.mark.parametrize(("statement", "status"), [(SIGTERM, 143), (CLOSED_PIPE, 1)])
def test_a_run_ended_from_outside_leaves_no_word_and_no_file(tmp_path, statement, status):
    program = f"import cli, os, signal, sys\ndef script():\n  {statement}\n"
    result = run("-c", f"{program}sys.exit(cli.run_script('me.py', script))", cwd=tmp_path)
    assert (result.returncode, result.stdout, result.stderr) == (status, "", "")
    assert list(tmp_path.iterdir()) == []


def test_a_notebooks_stream_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr("sys.stdout", io.StringIO())  # it has no `reconfigure`
    assert cli.run_script("me.py", lambda: print("done")) == 0


def test_files_are_replaced_at_the_end_if_they_were_written(tmp_path):
    paths = [tmp_path / name for name in ("old", "kept", "in/new", "none")]
    paths[0].write_text("old")
    paths[1].write_text("old")
    with cli.replace_on_success(*paths) as (old, _, new, _):
        old.write_text("new")
        new.write_text("new")
        assert paths[0].read_text() == "old"
    texts = {path.name: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert texts == {"old": "new", "kept": "old", "new": "new"}


@pytest.mark.parametrize("name", ["a.png", "nowhere.npz"])
def test_an_error_names_the_file_that_the_user_knows(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    files = cli.replace_on_success("a.png")
    with pytest.raises(OSError, match=name) as raised, files as (temporary,):
        raise OSError(28, "Disk full", str(temporary) if name == "a.png" else name)
    assert raised.value.filename == name


@pytest.mark.parametrize("fails", [True, False])
def test_what_an_import_logs_is_shown_only_if_it_fails(tmp_path, fails):
    program = "import os\nos.write(2, b'the CPU lacks an instruction')\n"
    (tmp_path / "keras.py").write_text(program + "1 / 0\n" * fails)
    result = run("-c", "import model", cwd=tmp_path)
    assert ("the CPU lacks an instruction" in result.stderr) == fails
    assert ("ZeroDivisionError" in result.stderr) == fails
