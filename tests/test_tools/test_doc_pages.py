"""Get started, configs, adding a method, watching a run: their commands and files, shortened only in their numbers."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from builders import ROOT
from mmengine.config import Config
from mmseg.visualization import SegLocalVisualizer

from mmseg_allspark.utils.config_files import configured_hooks

LOADERS = ("train_dataloader", "unlabeled_dataloader", "val_dataloader", "test_dataloader")
KINDS = ("labels", "confidence")
SHORT = {
    "tools/prepare/synthetic.py": "--num-labeled 8 --num-unlabeled 8 --num-val 2",
    "tools/train.py": "train_cfg.max_iters=2 train_cfg.val_interval=2 train_cfg.burn_in_iters=0 "
    "train_cfg.ramp_up_iters=0 default_hooks.checkpoint.interval=1",
}


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder that looks like a checkout and takes what the commands write."""
    for name in ("mmseg_allspark", "tools", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(load_tool, monkeypatch, command):
    """One line of a page in this process; a second's imports would cost more than the work."""
    command = re.sub(r'"\$\(cat (\S+)\)"', lambda file: Path(file[1]).read_text().strip(), command)
    words = shlex.split(command, comments=True)
    while "=" in words[0]:
        assert words[0].startswith("PYTHONPATH=")
        monkeypatch.syspath_prepend(words.pop(0).removeprefix("PYTHONPATH="))
    assert words[0] == "python" and (ROOT / words[1]).is_file(), command
    short = SHORT.get(words[1], "").split()
    if "configs/supervised/" in command:  # mmengine's loop knows no burn-in
        short = [option for option in short if "burn_in" not in option and "ramp_up" not in option]
    if words[1] == "tools/train.py" and "--cfg-options" not in words:
        short.insert(0, "--cfg-options")
    SegLocalVisualizer._instance_dict.clear()  # one a process, whose backends are those of the first run
    tool = load_tool(words[1].removeprefix("tools/").removesuffix(".py"))
    arguments = words[2:] + short
    monkeypatch.setattr(sys, "argv", [words[1], *arguments])
    assert not tool.main(arguments), command


def lines(text):
    return text.strip().splitlines()


@pytest.mark.slow
def test_get_started(checkout, load_tool, monkeypatch):
    single_steps = blocks("get_started.md", "bash")[3]
    assert [line.split()[1] for line in lines(single_steps)] == [
        *("tools/prepare/synthetic.py", "tools/train.py", "tools/test.py", "tools/infer.py")
    ]
    for command in lines(single_steps):
        run(load_tool, monkeypatch, command)
    assert (checkout / "work_dirs/resnet18-tiny_synthetic/report.html").is_file()
    assert len(list((checkout / "results/painted").glob("*.png"))) == 18

    (option,) = lines(blocks("configs.md", "bash")[0])
    run(load_tool, monkeypatch, option)  # on the same data
    config = Config.fromfile(checkout / "work_dirs/resnet18-tiny_synthetic/resnet18-tiny_synthetic.py")
    assert config.randomness.seed == 1 and config.model.neck.sync == "gather"


@pytest.mark.slow
def test_labels_of_one_model_train_another(checkout, load_tool, monkeypatch):
    (example,) = blocks("labels_from_files.md", "bash")
    names = [line.split()[1].rpartition("/")[2] for line in lines(example)]
    assert names == ["synthetic.py", "train.py", "infer.py", "check_data.py", "train.py"]
    for command in lines(example):
        run(load_tool, monkeypatch, command)
    labels, confidence = (sorted((checkout / "data/synthetic_labels" / kind).glob("*")) for kind in KINDS)
    assert len(labels) == 16 and [path.name for path in labels] == [path.name for path in confidence]
    log = next((checkout / "work_dirs/resnet18-tiny_synthetic_labels-from-files").glob("*/*.log")).read_text()
    assert "Pseudo labels come from LoadPseudoLabel's files" in log and "unsup.decode.loss_ce" in log


def test_config_of_the_page_about_label_files(tmp_path):
    (text,) = blocks("labels_from_files.md", "python")
    (tmp_path / "labels.py").write_text(text.replace('"../', f'"{ROOT}/configs/'))
    config = Config.fromfile(tmp_path / "labels.py")
    steps = [step.type for step in config.unlabeled_dataloader.dataset.pipeline]
    assert steps[:2] == ["LoadImage", "LoadPseudoLabel"] and steps[-1] == "PackSemiInputs"
    assert config.train_cfg.pseudo_labels_from == "data" and config.model.confidence is None


def git(*arguments):
    author = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    return subprocess.run(["git", *author, *arguments], check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_the_method_of_the_page_trains_and_is_one_python_file_and_one_config(checkout, load_tool, monkeypatch):
    """The package, its tools and its configs are the checkout's and stay as they are."""
    (checkout / ".gitignore").write_text((ROOT / ".gitignore").read_text())
    git("init", "--quiet"), git("add", "--all"), git("commit", "--quiet", "--message", "before")
    names = re.findall(r"^`(my_method/\w+\.py)`:$", (ROOT / "docs/add_a_method.md").read_text(), re.MULTILINE)
    files = blocks("add_a_method.md", "python")
    assert len(names) == len(files) == 2
    (checkout / "my_method").mkdir()
    for name, text in zip(names, files, strict=True):
        (checkout / name).write_text(text)
    (commands,) = blocks("add_a_method.md", "bash")
    assert re.findall(r"tools/(\w+)", commands) == ["prepare", "train", "train", "export"]
    folder = checkout / "work_dirs/soft_label_synthetic"
    for command in lines(commands):
        if "--resume" in command:  # interrupted after the first of two steps
            (folder / "iter_2.pth").unlink()
            (folder / "last_checkpoint").unlink()
            assert (folder / "iter_1.pth").is_file()
        run(load_tool, monkeypatch, command)
    logs = (checkout / "work_dirs/soft_label_synthetic").glob("*/vis_data/scalars.json")
    log = "".join(path.read_text() for path in logs)
    assert "unsup.decode.loss_soft" in log and '"mIoU"' in log
    assert (checkout / "work_dirs/soft_label_synthetic/plain.pth").is_file()
    changed = git("status", "--porcelain", "--untracked-files=all").split("\n")[:-1]
    assert changed == ["?? my_method/soft_label.py", "?? my_method/soft_label_synthetic.py"]
    model = Config.fromfile(checkout / "my_method/soft_label_synthetic.py").model
    assert model.type == "SoftLabelSegmentor" and "class SoftLabelSegmentor(SemiSegmentor)" in files[0]


def test_python_of_the_configs_page(checkout, capsys):
    shown, own, crop = blocks("configs.md", "python")
    exec(shown, {})
    assert "AllSparkNeck" in capsys.readouterr().out
    (checkout / "own.py").write_text(own)
    config = Config.fromfile(checkout / "own.py")
    assert config.model.confidence == dict(type="ConfidenceThreshold", threshold=0.9)
    assert config.model.unsup_weight == 1.0 and config.model.cutmix.prob == 0.5  # the base's stay
    assert config.default_hooks.ema.momentum == 0.001 and config.default_hooks.channels_last.type == "ChannelsLastHook"
    (checkout / "own.py").write_text(crop)
    config = Config.fromfile(checkout / "own.py")
    assert config.unlabeled_dataloader.dataset.pipeline[3].crop_size == (321, 321)
    assert config.model.neck.memory_size == (11, 11)


def test_configs_of_the_other_pages(tmp_path):
    (speed,) = blocks("speed_options.md", "python")
    (tmp_path / "speed.py").write_text(speed.replace('_base_ = "', f'_base_ = "{ROOT}/configs/allspark/'))
    hooks = [hook.type for hook in configured_hooks(Config.fromfile(tmp_path / "speed.py"))]
    assert "SemanticMemoryHook" in hooks and hooks[-1] == "ChannelsLastHook"
    base = f'_base_ = "{ROOT}/configs/allspark/resnet18-tiny_synthetic.py"\n'
    for number, text in enumerate(blocks("watching_a_run.md", "python")):
        (tmp_path / f"watch{number}.py").write_text(base + text)
    backends = Config.fromfile(tmp_path / "watch0.py").visualizer.vis_backends
    assert [backend.type for backend in backends] == ["LocalVisBackend", "TensorboardVisBackend"]
    hooks = Config.fromfile(tmp_path / "watch1.py").default_hooks
    assert hooks.report.type == "ReportHook" and hooks.pseudo_label_pictures.interval == 500
