"""docs/inference.md: its commands and its Python lines run as they stand there."""

import re
import shlex
import shutil

import pytest
import torch
from builders import CROP, ROOT
from PIL import Image

BLOCKS = re.findall(r"```(bash|python)\n(.*?)```", (ROOT / "docs/inference.md").read_text(), re.DOTALL)
COMMANDS = [shlex.split(line) for kind, text in BLOCKS if kind == "bash" for line in text.splitlines()]
PYTHON = [text for kind, text in BLOCKS if kind == "python"]


@pytest.fixture
def project(trained, data, video, tmp_path, monkeypatch):
    """The files of which the page speaks, and a run of two steps for that of ten thousand."""
    for folder in ("data/mine/configs", "work_dirs/mine_pseudo_label", "photos/more"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(trained / "config.py", tmp_path / "data/mine/configs/mine_pseudo_label.py")
    shutil.copy(trained / "iter_2.pth", tmp_path / "work_dirs/mine_pseudo_label/iter_5000.pth")
    for name in ("a", "b", "more/c"):
        shutil.copy(data / "img/val0.png", tmp_path / "photos/x.png")
        Image.open(tmp_path / "photos/x.png").save(tmp_path / f"photos/{name}.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(load_tool, command):
    assert command[0] == "python" and (ROOT / command[1]).is_file()
    tool = load_tool(command[1].removeprefix("tools/").removesuffix(".py"))
    assert not tool.main(command[2:])  # None or 0


def is_graph(command):
    return any(word.endswith((".onnx", ".pt2")) for word in command)


def test_all_tools_are_on_the_page():
    tools = [command[1] for command in COMMANDS if command[0] == "python"]
    assert set(tools) == {"tools/infer.py", "tools/publish.py", "tools/export.py"}
    assert [is_graph(command) for command in COMMANDS].count(True) == 2

    others = [command for command in COMMANDS if command[0] != "python"]
    assert others == [["pip", "install", "torch>=2.7", "onnx", "onnxscript", "onnxruntime"]]


def test_the_commands(project, load_tool):
    for command in COMMANDS:
        if command[0] == "python" and not is_graph(command):
            run(load_tool, command)
    for path in ("results/painted/a.png", "results/labels/b.png", "results/painted/clip.mp4", "painted/painted/c.png"):
        assert (project / path).is_file(), path
    assert list((project / "work_dirs/mine_pseudo_label").glob("my_model-????????.pth"))
    assert (project / "work_dirs/mine_pseudo_label/plain.py").is_file()


def test_the_python_lines(project, capsys):
    scope = {}
    for text in PYTHON[:3]:
        exec(text, scope)
        assert tuple(scope["labels"].shape) == (CROP, CROP)
    assert f"photos/b.jpg ({CROP}, {CROP}) None" in capsys.readouterr().out


@pytest.mark.slow
def test_the_graphs(project, load_tool):
    for module in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(module, reason=f"{module} is not installed: pip install 'mmseg-allspark[export]'")
    for command in filter(is_graph, COMMANDS):
        run(load_tool, [*command, "--sizes", "65x65", "96x64", "70x90"])
    scope = {}
    exec(PYTHON[3], scope)
    assert scope["logits"].shape == (1, 4, CROP, CROP) and scope["classes"] == ["a", "b", "c", "d"]
    images = torch.zeros(1, 3, 70, 90, dtype=torch.uint8)
    assert torch.export.load("work_dirs/mine_pseudo_label/model.pt2").module()(images).shape[1] == 4
