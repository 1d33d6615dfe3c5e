import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from builders import ROOT

from mmseg_allspark import environment

CLEAN = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "PYTHONPATH")}


def run(*command: str, **variables: str) -> subprocess.CompletedProcess:
    command = [sys.executable, *command]
    return subprocess.run(command, cwd=ROOT, env=CLEAN | variables, capture_output=True, text=True, timeout=900)


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Returns a function that puts a distribution, without any code, before the real ones."""

    def add(name: str, version: str, *requires: str) -> Path:
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        (folder / "METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {entry}" for entry in requires)]) + "\n")
        return tmp_path

    monkeypatch.syspath_prepend(str(tmp_path))
    return add


def all_problems() -> list[environment.Problem]:
    return [*environment.base_problems(), *environment.package_problems()]


def problems(text: str) -> list[environment.Problem]:
    return [problem for problem in all_problems() if text in problem.text]


@pytest.mark.slow
def test_this_environment_is_well():
    done = run("-m", "mmseg_allspark.doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^python +3\.\d+", done.stdout, re.MULTILINE) and "PROBLEM" not in done.stdout
    assert done.stdout.splitlines()[-1] == "All is well." or "0 problems" in done.stdout


@pytest.mark.slow
def test_broken_packages_are_reported_and_not_imported_by_the_doctor(tmp_path):
    (tmp_path / "mmseg").mkdir()
    (tmp_path / "mmseg" / "__init__.py").write_text("raise AssertionError('MMCV==9 is used but incompatible')")
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    (tmp_path / "onedl_mmcv-9.0.dist-info").mkdir()
    (tmp_path / "onedl_mmcv-9.0.dist-info" / "METADATA").write_text("Name: onedl-mmcv\nVersion: 9.0\n")
    done = run("tools/doctor.py", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "PROBLEM: onedl-mmcv 9.0 is outside onedl-mmcv>=2.3.6,<2.4" in done.stdout
    assert "pip install 'onedl-mmcv>=2.3.6,<2.4'" in done.stdout
    assert re.search(r"PROBLEM: cv2 .*libGL.*\n +mend it: pip uninstall -y opencv.*headless", done.stdout)
    assert "MMCV==9 is used but incompatible" in done.stdout


def test_both_families(fake):
    fake("mmengine", "0.10.7")
    path = fake("onedl-mmengine", "0.10.12")
    (found,) = problems("both families")
    assert found.fatal and "pip uninstall -y onedl-mmengine" in found.remedy
    with pytest.raises(ImportError, match="pip uninstall -y onedl-mmengine .*mmengine"):
        environment.prepare()
    short = run("tools/doctor.py", "--import", "torch", PYTHONPATH=str(path))
    assert short.returncode == 1 and "mmengine 0.10.7" in short.stderr and "onedl-mmengine" in short.stderr


@pytest.mark.parametrize(
    ("name", "version", "fatal"),
    [("onedl-mmcv", "2.4.0", True), ("torch", "2.5.1", True), ("torch", "3.0", False)],
)
def test_versions_out_of_range(fake, name, version, fatal):
    fake("onedl-mmsegmentation", "1.4.2")
    fake(name, version)
    (found,) = problems(f"{name} {version} is outside")
    assert found.fatal == fatal and found.remedy.startswith(f"pip install '{name}>=")


@pytest.mark.parametrize(
    ("version", "requires", "fits"),
    [
        ("0.20.0", "torch (==2.5.0)", False),
        ("0.28.0", "torch==2.13.0", True),
    ],
)
def test_torchvision_is_of_this_torch(fake, version, requires, fits):
    fake("torch", "2.13.0+cpu")
    fake("torchvision", version, requires)
    found = problems("belongs to torch 2.5.0")
    assert len(found) == (not fits) and all("pip uninstall -y torchvision" in problem.remedy for problem in found)


def test_what_upstream_needs_besides(monkeypatch):
    versions = {"mmengine": "0.10.7", "mmcv": "2.2.0", "mmsegmentation": "1.2.2", "torch": "2.6", "setuptools": "82.0"}
    monkeypatch.setattr(environment, "version_of", versions.get)
    found = {problem.remedy: problem.fatal for problem in all_problems()}
    assert found["pip install 'mmcv>=2.0.0,<2.2'"] and found["pip install ftfy regex"]
    assert found["pip install 'setuptools<82'"] is False


def test_ranges_are_those_of_the_requirements():
    for file in ("requirements.txt", "requirements/upstream.txt"):
        for name, lowest, highest in re.findall(r"^([\w-]+)>=([\d.]+),<([\d.]+)$", (ROOT / file).read_text(), re.M):
            assert environment.RANGES[name] == (lowest, highest), name


def test_gpu_that_torch_cannot_use():
    cpu_build = dict(failed={}, cuda=False, cuda_build=None, gpus=[])
    (found,) = environment.gpu_problems(cpu_build, "NVIDIA H100, 550.1")
    assert "build for the CPU" in found.text and "--index-url" in found.remedy
    (found,) = environment.gpu_problems(cpu_build | dict(cuda_build="13.0"), "NVIDIA H100, 450.1")
    assert "450.1" in found.text and "driver" in found.remedy
    assert not list(environment.gpu_problems(cpu_build, ""))
    (found,) = environment.gpu_problems(dict(failed={}, cuda=True, cuda_build="13.0", gpus=["a", "b"], nccl=False), "")
    assert "NCCL" in found.text and not found.fatal


def test_threads_and_shared_memory():
    few, small = environment.host_problems(cpus=2, omp="8", shm=64 * 2**20)
    assert few.remedy == "export OMP_NUM_THREADS=2" and "--shm-size" in small.remedy and "64 MiB" in small.text
    assert not [*environment.host_problems(cpus=2, omp="2", shm=2**33), *environment.host_problems(2, None, None)]
