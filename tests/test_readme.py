"""The README's first command runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from builders import ROOT


@pytest.mark.slow
def test_quickstart_runs_to_its_table_and_picture(tmp_path):
    """The README's first command, with few steps; the environment is the one the tests run in."""
    command = ["bash", str(ROOT / "tools/quickstart.sh"), "--steps", "4", "--work-dir", str(tmp_path / "work dir")]
    command += ["--data-root", str(tmp_path / "data")]
    environment = os.environ | {"MMSEG_ALLSPARK_PYTHON": sys.executable}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    lines = done.stdout.strip().splitlines()
    rows = [re.match(r"\s+(supervised only|AllSpark)\s+(\d+\.\d\d)", line) for line in lines]
    measured = {row[1]: float(row[2]) for row in rows if row}
    assert set(measured) == {"supervised only", "AllSpark"}
    assert all(0 <= value <= 100 for value in measured.values())
    picture = Path(lines[-1])
    assert picture.suffix == ".png" and picture.stat().st_size > 20_000
    reports = [Path(line.strip()) for line in lines if re.fullmatch(r"  /.*report\.html", line)]
    assert len(reports) == 2 and all(report.stat().st_size > 20_000 for report in reports)
