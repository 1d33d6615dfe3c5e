"""Every shipped config is trained for a step and evaluated, small, on a tree in its data set's layout."""

import re
from importlib.util import find_spec

import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from small_configs import CONFIGS, NAMES, SAME, shrink, write_tree

from mmseg_allspark.utils.config_files import READ


def read(name):
    try:
        return Config.fromfile(CONFIGS / name)
    except ImportError as error:
        if "mmpretrain" in str(error.__cause__ or error):
            pytest.skip("mmpretrain is an extra: pip install -e '.[mmpretrain]'")
        raise


# one of each backbone and head; the contract of methods trains every method
USUAL = {
    name
    for name in NAMES
    if re.match(r"(allspark|supervised|unimatch)/resnet18-tiny_synthetic\.py", name)
    or re.match(r"allspark/(segformer_b5|deeplabv3plus_r101|dinov2-b14|sam-b16)_voc_1-8\.py|.*_zoo\.py", name)
    or name in ("unimatch_v2/dinov2-b14_voc_1-8.py", "allspark/tinyvit-5m_voc-animals.py")
}


@pytest.mark.parametrize(
    "name", [name if name in USUAL else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]
)
def test_trains_and_evaluates(name, tmp_path):
    cfg = shrink(read(name))
    if cfg.model.backbone.type.startswith("mmpretrain.") and find_spec("mmpretrain") is None:
        pytest.skip("mmpretrain is an extra: pip install -e '.[mmpretrain]'")
    write_tree(cfg, tmp_path / "data")
    cfg.work_dir = str(tmp_path / "work")
    cfg.launcher = "none"
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == 1
    assert runner.message_hub.log_scalars["train/loss"].current() > 0
    metrics = runner.val_loop.run()
    assert 0 <= metrics["mIoU"] <= 100


@pytest.mark.parametrize("name", sorted(SAME))
def test_a_config_of_other_lists_has_both_lists_of_one_split(name):
    """Its file sets lists and nothing else (``SAME``), so that the rest is what it builds on."""
    lists = re.findall(r'ann_file="(.+)"', (CONFIGS / name).read_text())
    assert len(lists) == (1 if name.startswith("supervised/") else 2)
    assert lists[-1] == lists[0] or lists[-1] == lists[0].replace("/labeled", "/unlabeled")


def chain(path):
    """A config and all it builds on that is ours."""
    yield path
    for base in re.findall(r'"([\w./-]+\.py)"', path.read_text()):
        if (path.parent / base).is_file():
            yield from chain((path.parent / base).resolve())


def unread_keys(assigning, reading):
    """Top-level names that ``assigning`` gives a value and that neither the runner nor a line of ``reading`` reads."""
    code = "\n".join(line.split("#")[0] for path in reading for line in path.read_text().splitlines())
    keys = {key for path in assigning for key in re.findall(r"^(\w+) = ", path.read_text(), re.MULTILINE)}
    return {key for key in keys - READ - {"_base_"} if not re.search(rf"\b{key}\b(?!\s*=[^=])", code)}


def test_every_key_of_the_configs_is_read(tmp_path):
    for name in NAMES:
        files = list(chain(CONFIGS / name))
        assert not unread_keys([path for path in files if "_base_" not in path.parts], files), name
    files = list(CONFIGS.rglob("*.py"))
    assert not unread_keys([path for path in files if "_base_" in path.parts], files)
    (tmp_path / "config.py").write_text("widht = 3\nmodel = dict(width=3)\n")
    assert unread_keys(*[[tmp_path / "config.py"]] * 2) == {"widht"}
