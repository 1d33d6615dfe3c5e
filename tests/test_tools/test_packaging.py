"""What a wheel holds: everything mim looks for, and no family of mm* packages among the requirements."""

import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser

import pytest

from .conftest import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build a wheel from a copy, so that the checkout keeps no build folder."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns(
        ".*", "data", "weights", "work_dirs", "tests", "docs", "build", "*.egg-info", "__pycache__"
    )
    shutil.copytree(ROOT, folder / "source", ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    process = subprocess.run(
        [*command, "-w", str(folder), str(folder / "source")], capture_output=True, text=True, timeout=300
    )
    assert process.returncode == 0, process.stdout + process.stderr
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        yield archive


def test_wheel_holds_what_mim_looks_for(wheel):
    names = wheel.namelist()
    inside = {name.removeprefix("mmseg_allspark/.mim/") for name in names if "/.mim/" in name}
    for folder in ("tools", "configs"):
        suffixes = (".py", ".sh", ".yaml")
        expected = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*") if path.suffix in suffixes}
        assert expected <= inside
    assert "model-index.yml" in inside
    assert not any("__pycache__" in name or name.startswith(("tests", "configs", "tools")) for name in names)


def test_wheel_requires_neither_family(wheel):
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    description = Parser().parsestr(wheel.read(name).decode())
    assert description["Name"] == "mmseg-allspark"
    required = [line for line in description.get_all("Requires-Dist") if "extra ==" not in line]
    assert required == ["torch>=2.1", "numpy", "pillow"]
    extras = {line for line in description.get_all("Requires-Dist") if 'extra == "fork"' in line}
    assert sum(line.startswith("onedl-mm") for line in extras) == 3
