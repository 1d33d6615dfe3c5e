"""What the README tells people to run exists and runs."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line.split("   #")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]


def test_there_are_commands():
    assert "bash tools/quickstart.sh" in COMMANDS
    assert "bash tools/test.sh" in COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_files_of_a_command_exist(command):
    paths = [word for word in shlex.split(command) if word.startswith(("tools/", "configs/", "tests/"))]
    assert paths or "pip" in command
    for path in paths:
        assert (ROOT / path).is_file(), f"{path} of README command {command!r}"


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)", README)
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing


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
    reports = [Path(line.strip()) for line in lines if line.endswith("report.html")]
    assert len(reports) == 2 and all(report.stat().st_size > 20_000 for report in reports)


def test_only_the_readme_has_the_quickstarts_figures():
    """One place to update after a new measurement."""
    rows = re.findall(r"^\| (?:supervised only|AllSpark), .*?images \|(.*)\|$", README, re.MULTILINE)
    figures = {cell.strip() for row in rows for cell in row.split("|")}
    assert len(rows) == 2 and len(figures) == 6
    shown = figures | {f"{float(figure):.1f}" for figure in figures}
    for page in ROOT.glob("docs/*.md"):
        if page.name == "figures.md":  # of the checkpoints that it draws
            continue
        for line in page.read_text().splitlines():
            if re.search("quickstart|seeds|种子|시드|README", line):
                assert not shown & set(re.findall(r"\d+\.\d+", line)), f"{page.name}: {line}"
