"""The program in the README runs as it stands there."""

import re
import shutil

from conftest import ROOT


def test_the_readmes_program_reads_a_picture(trained_file, tmp_path, monkeypatch, capsys):
    program = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    shutil.copytree(trained_file.parent, tmp_path / "outputs")
    shutil.copy(ROOT / "tests/rendered/images/page-plain.jpg", tmp_path / "note.jpg")
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    printed = capsys.readouterr().out
    read = "".join(re.findall(r"^\[([0-9 ]+)\]", printed, re.MULTILINE))
    assert sum(map(str.__eq__, read.replace(" ", ""), "62837711679")) >= 9
    assert printed.count("(") == 11  # boxes
