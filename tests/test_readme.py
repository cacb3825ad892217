import re
import shutil

import numpy as np

from conftest import ROOT


def test_the_readmes_program_predicts(
    bundled_run, bundled_digits, tmp_path, monkeypatch, capsys
):
    program = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    shutil.copytree(bundled_run[0] / "outputs", tmp_path / "outputs")
    shutil.copytree(ROOT / "assets", tmp_path / "assets")
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    y_pred = np.array(re.findall("[0-9]", capsys.readouterr().out), int)
    assert np.sum(y_pred == bundled_digits.y_test[:10]) >= 8
