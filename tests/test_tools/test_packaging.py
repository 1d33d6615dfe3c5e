"""What sdist and wheel hold: everything mim looks for, and no family of mm* packages among the requirements.

Slow: an installed wheel trains, away from any checkout.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from builders import ROOT

# kinds of files that the project does not have yet: what a folder holds is packed, whatever its name
NEW_FILES = ("tools/prepare/new.json", "tools/dev/new_tool.py", "configs/allspark/new.txt", "mmseg_allspark/new.txt")


def run(*command, **options):
    process = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=500, **options)
    assert process.returncode == 0, process.stdout[-6000:] + process.stderr[-6000:]
    return process.stdout + process.stderr


@pytest.fixture(scope="module")
def wheel_file(tmp_path_factory):
    """Build an sdist from a copy, so that the checkout keeps no build folder, and a wheel from the sdist alone."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns(
        ".*", "data", "weights", "work_dirs", "tests", "docs", "build", "*.egg-info", "__pycache__"
    )
    shutil.copytree(ROOT, folder / "source", ignore=ignored)
    for name in NEW_FILES:
        (folder / "source" / name).touch()
    run(sys.executable, "setup.py", "-q", "sdist", "-d", folder, cwd=folder / "source")
    command = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index")
    run(*command, "-w", folder, next(folder.glob("*.tar.gz")))
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(wheel_file):
    with zipfile.ZipFile(wheel_file) as archive:
        yield archive


def test_wheel_holds_what_mim_looks_for(wheel):
    names = wheel.namelist()
    inside = {name.removeprefix("mmseg_allspark/.mim/") for name in names if "/.mim/" in name}
    for folder in ("tools", "configs"):
        files = (path for path in (ROOT / folder).rglob("*") if path.is_file() and path.parent.name != "__pycache__")
        assert {path.relative_to(ROOT).as_posix() for path in files} <= inside
    assert "model-index.yml" in inside
    assert not any("__pycache__" in name or name.startswith(("tests", "configs", "tools")) for name in names)


def test_new_kinds_of_files_are_packed(wheel):
    expected = {name if name.startswith("mmseg_allspark") else f"mmseg_allspark/.mim/{name}" for name in NEW_FILES}
    assert expected | {"mmseg_allspark/report/report.html.j2"} <= set(wheel.namelist())


@pytest.fixture(scope="module")
def installed(wheel_file, tmp_path_factory):
    """The wheel in a virtual environment that borrows torch and mm* from the tests' own, but not this checkout."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv/bin/python"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MMSEG_"))}
    purelib = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run(python, "-c", purelib, env=environment).strip())
    # a plain line: the .pth files in there, such as that of an editable install, are not read
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    options = ("--no-deps", "--no-index", "--ignore-installed")
    run(python, "-m", "pip", "install", *options, wheel_file, env=environment)
    work = folder / "work"
    work.mkdir()
    yield python, packages / "mmseg_allspark", dict(env=environment | {"OMP_NUM_THREADS": "1"}, cwd=work)
    assert not list(work.iterdir())


@pytest.mark.slow
def test_an_installed_wheel_trains_the_quickstart_config(installed):
    python, package, where = installed
    found = run(python, "-c", "import mmseg_allspark; print('at', mmseg_allspark.__file__)", **where)
    assert f"at {package}/__init__.py" in found
    assert "ok: 3 training steps" in run(python, package / ".mim/tools/healthcheck.py", **where)


@pytest.mark.slow
def test_installed_shell_scripts_use_the_environment_they_are_in(installed):
    python, package, where = installed
    where = dict(where, env=where["env"] | {"PYTHON": str(python)})
    assert str(python) in run("bash", package / ".mim/tools/setup_env.sh", **where).splitlines()
    command = ["bash", package / ".mim/tools/dist_train.sh"]
    assert "CONFIG GPUS" in subprocess.run(command, capture_output=True, text=True, **where).stderr


def test_wheel_requires_neither_family(wheel):
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    description = Parser().parsestr(wheel.read(name).decode())
    assert description["Name"] == "mmseg-allspark"
    required = [line for line in description.get_all("Requires-Dist") if "extra ==" not in line]
    assert required == ["torch>=2.6", "numpy", "pillow", "jinja2"]
    extras = {line for line in description.get_all("Requires-Dist") if 'extra == "fork"' in line}
    assert sum(line.startswith("onedl-mm") for line in extras) == 3
