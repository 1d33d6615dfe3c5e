"""``setup_env.sh`` and ``test.sh`` with a stand-in for Python: what they install, reuse and refuse."""

import os
import shutil
import subprocess
import venv

import pytest
from builders import ROOT

# Writes down its arguments; "-m venv DIR" copies it to DIR/bin/python; calls that match STUB_FAIL fail.
STUB_PYTHON = """#!/usr/bin/env bash
echo "$*" >> "$STUB_LOG"
if [ -n "${STUB_FAIL:-}" ]; then case "$*" in *"$STUB_FAIL"*) exit 1 ;; esac; fi
case "$*" in
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pytest"*) exit "${STUB_PYTEST:-0}" ;;
    *sched_getaffinity*) echo 2 ;;
    "-c import torch") exit 1 ;;
esac
"""


class Project:
    """A copy of what the set-up reads, in a folder with a space in its name."""

    def __init__(self, folder):
        self.root = folder / "my project"
        shutil.copytree(ROOT / "tools", self.root / "tools")
        shutil.copytree(ROOT / "requirements", self.root / "requirements")
        for name in ("requirements.txt", "setup.py"):
            shutil.copy(ROOT / name, self.root)
        (self.root / "mmseg_allspark").mkdir()
        shutil.copy(ROOT / "mmseg_allspark/environment.py", self.root / "mmseg_allspark")
        self.python = folder / "a python"
        self.python.write_text(STUB_PYTHON)
        self.python.chmod(0o755)
        self.log = folder / "log"
        self.venv = self.root / ".venv"

    def run(self, script, *arguments, **variables):
        """Run a script of tools from another folder; returns the process and the calls of Python it made."""
        self.log.write_text("")
        ignored = ("MMSEG_ALLSPARK_PYTHON", "MMSEG_ALLSPARK_VENV", "PYTHONPATH", "TORCH_INDEX_URL")
        env = {name: value for name, value in os.environ.items() if name not in ignored}
        env.update(PYTHON=str(self.python), STUB_LOG=str(self.log), **variables)
        command = ["bash", str(self.root / "tools" / script), *arguments]
        process = subprocess.run(command, cwd=self.log.parent, env=env, capture_output=True, text=True, timeout=60)
        return process, self.log.read_text().splitlines()


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def installs(calls):
    return [call for call in calls if "-m pip install" in call]


def test_first_run_installs_and_second_run_reuses(project):
    process, calls = project.run("setup_env.sh")
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip() == f"{project.venv}/bin/python"
    assert any("torch==2.13.0" in call or "torch>=" in call for call in installs(calls))
    assert any(f"-r {project.root}/requirements.txt" in call for call in installs(calls))
    assert installs(calls)[-1].endswith("--editable .")
    process, calls = project.run("setup_env.sh")
    assert process.stdout.strip() == f"{project.venv}/bin/python"
    assert calls == []


def test_tests_are_added_without_touching_the_stack(project):
    project.run("setup_env.sh")
    assert project.run("setup_env.sh", "--tests", STUB_FAIL="pip install")[0].returncode != 0
    process, calls = project.run("setup_env.sh")
    assert (process.returncode, calls) == (0, [])  # what was ready is left so
    process, calls = project.run("setup_env.sh", "--tests")
    assert process.returncode == 0, process.stderr
    assert len(installs(calls)) == 1
    assert installs(calls)[0].endswith("--editable .[tests,mmpretrain]")
    assert project.run("setup_env.sh")[1] == []  # an environment with tests is also one without


@pytest.mark.parametrize("failing", ["requirements.txt", "doctor.py --import torch"])
def test_failed_installation_is_not_trusted_and_remade(project, failing):
    process, _ = project.run("setup_env.sh", STUB_FAIL=failing)
    assert process.returncode != 0
    assert process.stdout == ""
    (project.venv / "leftover").touch()
    process, calls = project.run("setup_env.sh")
    assert process.returncode == 0, process.stderr
    assert any("-m venv" in call for call in calls)
    assert not (project.venv / "leftover").exists()


def test_environment_made_by_hand_is_completed_but_never_removed(project):
    (project.venv / "bin").mkdir(parents=True)
    shutil.copy(project.python, project.venv / "bin" / "python")
    (project.venv / "precious").touch()
    assert project.run("setup_env.sh", STUB_FAIL="requirements.txt")[0].returncode != 0
    process, calls = project.run("setup_env.sh")
    assert process.returncode == 0, process.stderr
    assert not any("-m venv" in call for call in calls)
    assert (project.venv / "precious").exists()


def test_folder_that_is_no_environment_is_refused(project):
    project.venv.mkdir()
    (project.venv / "thesis.tex").touch()
    process, calls = project.run("setup_env.sh")
    assert process.returncode == 1
    assert f"{project.venv} exists but is no Python environment" in process.stderr
    assert installs(calls) == []


def test_existing_environment_is_used_as_it_is_or_refused(project, tmp_path):
    process, calls = project.run("setup_env.sh", MMSEG_ALLSPARK_PYTHON=str(project.python))
    assert process.stdout.strip() == str(project.python)
    assert installs(calls) == [] and not project.venv.exists()
    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / "bin" / "python"
    process, _ = project.run("setup_env.sh", MMSEG_ALLSPARK_PYTHON=str(python))
    assert process.returncode == 1
    for module in ("torch", "mmengine", "mmcv", "mmseg"):
        assert f"{module} cannot be imported" in process.stderr
    process, _ = project.run("setup_env.sh", MMSEG_ALLSPARK_PYTHON="/no/such/python")
    assert process.returncode == 1
    assert "MMSEG_ALLSPARK_PYTHON=/no/such/python does not exist" in process.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "-m pytest -m not slow -n 2 --dist loadfile"),
        (["--slow", "-k", "neck"], "-m pytest -k neck -n 2 --dist loadfile"),
    ],
)
def test_test_command_passes_arguments_on(project, arguments, expected):
    process, calls = project.run("test.sh", *arguments, STUB_PYTEST="3")
    assert process.returncode == 3
    assert calls[-1] == expected
