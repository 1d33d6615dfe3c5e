"""Every shipped config is trained for a step and evaluated, small, on a tree in its data set's layout."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from builders import ROOT
from mmengine.config import Config
from mmengine.runner import Runner
from small_configs import shrink, write_tree

from mmseg_allspark.datasets.data_report import is_semi_supervised

CONFIGS = ROOT / "configs"
NAMES = sorted(str(p.relative_to(CONFIGS)) for p in CONFIGS.rglob("*.py") if "_base_" not in p.parts)
# Such a file differs from the one it builds on by its lists: their models and steps are the same.
GENERATED = {name for name in NAMES if "tools/dev/make_configs.py" in (CONFIGS / name).read_text()}
# Read by the Runner itself, or by tools/train.py and tools/test.py
READ_BY_RUNNER = set(Runner.__init__.__annotations__) | {
    "auto_scale_lr",
    "custom_imports",
    "tta_model",
    "tta_pipeline",
    "unlabeled_dataloader",  # by PseudoLabelLoop
}
SHIPPED = [name if name not in GENERATED else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]


def skip_without_mmpretrain(cfg):
    if cfg.model.backbone.type.startswith("mmpretrain.") and find_spec("mmpretrain") is None:
        pytest.skip("mmpretrain is an extra: pip install -e '.[mmpretrain]'")


def read(name):
    try:
        return Config.fromfile(CONFIGS / name)
    except ImportError as error:
        if "mmpretrain" in str(error.__cause__ or error):
            pytest.skip("mmpretrain is an extra: pip install -e '.[mmpretrain]'")
        raise


@pytest.mark.parametrize("name", SHIPPED)
def test_trains_and_evaluates(name, tmp_path):
    cfg = shrink(read(name))
    skip_without_mmpretrain(cfg)
    write_tree(cfg, tmp_path / "data")
    cfg.work_dir = str(tmp_path / "work")
    cfg.launcher = "none"
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == 1
    scalars = runner.message_hub.log_scalars
    assert scalars["train/loss"].current() > 0
    metrics = runner.val_loop.run()
    assert 0 <= metrics["mIoU"] <= 100


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
    return {key for key in keys - READ_BY_RUNNER - {"_base_"} if not re.search(rf"\b{key}\b(?!\s*=[^=])", code)}


@pytest.mark.parametrize("name", NAMES)
def test_every_key_of_a_config_is_read(name):
    files = list(chain(CONFIGS / name))
    assert not unread_keys([path for path in files if "_base_" not in path.parts], files)


def test_every_key_of_the_bases_is_read_by_some_config():
    files = list(CONFIGS.rglob("*.py"))
    assert not unread_keys([path for path in files if "_base_" in path.parts], files)


def test_an_unread_key_is_noticed(tmp_path):
    (tmp_path / "config.py").write_text("widht = 3\nmodel = dict(width=3)\n")
    assert unread_keys(*[[tmp_path / "config.py"]] * 2) == {"widht"}


@pytest.mark.parametrize("name", sorted(GENERATED))
def test_generated_config_differs_from_its_lead_by_lists_only(name):
    text = (CONFIGS / name).read_text()
    (lead,) = re.findall(r'^_base_ = "(.+)"$', text, re.MULTILINE)
    mine, base = read(name), read(str(Path(name).parent / lead))
    lists = [mine.train_dataloader.dataset.pop("ann_file"), base.train_dataloader.dataset.pop("ann_file")]
    if is_semi_supervised(mine):
        for cfg in (mine, base):
            lists.append(cfg.unlabeled_dataloader.dataset.pop("ann_file"))
        assert lists[0].replace("/labeled", "/unlabeled") == lists[2]
    assert lists[0] != lists[1]
    assert mine._cfg_dict == base._cfg_dict
