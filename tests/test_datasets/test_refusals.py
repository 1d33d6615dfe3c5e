"""check_data.py finds whatever training refuses about its data: every fault here stops a training, too."""

import io
import re
import shutil
import sys

import numpy as np
import pytest
from builders import CLASSES, run_config, write_data
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from PIL import Image

from .prepare_tools import load_tool

LOADERS = ("train_dataloader", "unlabeled_dataloader", "val_dataloader")


def listed(name, text):
    """Change a list."""
    return lambda root, cfg: (root / f"{name}.txt").write_text(text)


def dataset(key, **changes):
    """Change settings of a data set."""
    return lambda root, cfg: cfg[key]["dataset"].update(changes)


def step(key, place, **changes):
    """Change a step of a pipeline."""
    return lambda root, cfg: cfg[key]["dataset"]["pipeline"][place].update(changes)


def added(key, **new):
    """Add a step behind the loading."""
    return lambda root, cfg: cfg[key]["dataset"]["pipeline"].insert(2, new)


def removed(name):
    """Remove a file."""
    return lambda root, cfg: (root / name).unlink()


def written(name, content):
    """Replace a file."""
    return lambda root, cfg: (root / name).write_bytes(content)


def image(pixels, kind="png", **options):
    """The bytes of a picture."""
    stream = io.BytesIO()
    pixels = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    pixels.save(stream, kind, **options)
    return stream.getvalue()


def exif(orientation):
    data = Image.Exif()
    data[0x0112] = orientation
    return data


def relabel(root, cfg):
    """Binary masks as label tools export them."""
    for path in (root / "mask").glob("labeled*.png"):
        Image.fromarray((np.asarray(Image.open(path)) > 1).astype(np.uint8) * 255).save(path)


LABELS = np.zeros((65, 65), np.uint8)
RGB = np.zeros((65, 65, 3), np.uint8)
FAULTS = {
    # settings
    "classes are a string": dataset("train_dataloader", metainfo=dict(classes="abcd")),
    "other number of classes": dataset("val_dataloader", metainfo=dict(classes=("a", "b"))),
    "other number of colours": dataset("train_dataloader", metainfo=dict(classes=CLASSES, palette=[(0, 0, 0)])),
    "labeled images are skipped": step("train_dataloader", 0, unreadable="skip"),
    "masks count from another zero": lambda root, cfg: [
        cfg[key]["dataset"].update(reduce_zero_label=True) for key in ("train_dataloader", "unlabeled_dataloader")
    ],
    "masks choose the crops": added("unlabeled_dataloader", type="RandomCrop", crop_size=9, cat_max_ratio=0.7),
    "masks of unlabeled images": added("unlabeled_dataloader", type="LoadAnnotations"),
    "other number of unlabeled classes": dataset("unlabeled_dataloader", metainfo=dict(classes=("a", "b", "c"))),
    "no unlabeled loader": lambda root, cfg: cfg.pop("unlabeled_dataloader"),
    "no batch": lambda root, cfg: cfg["unlabeled_dataloader"].update(batch_size=9, drop_last=True),
    "no folder": dataset("train_dataloader", ann_file="", data_prefix=dict(img_path="no", seg_map_path="no")),
    "no list": dataset("val_dataloader", ann_file="no.txt"),
    "no mask folder": lambda root, cfg: cfg["train_dataloader"]["dataset"]["data_prefix"].pop("seg_map_path"),
    "the pipeline fails": added("train_dataloader", type="Resize", scale=(0, 0)),
    # lists
    "empty list": listed("unlabeled", ""),
    "empty labeled list": listed("labeled", ""),
    "blank line": listed("labeled", "labeled0\nlabeled1\n\n"),
    "labeled is validation": listed("val", "val0\nlabeled1"),
    "unlabeled is validation": listed("unlabeled", "val0\nunlabeled1"),
    "labeled is unlabeled": listed("unlabeled", "unlabeled0\nlabeled1"),
    "missing image": removed("img/unlabeled3.png"),
    "missing validation mask": removed("mask/val0.png"),
    # files
    "0/255 masks": relabel,
    "no image": written("img/labeled0.png", b"no image"),
    "image cut off": written("img/labeled0.png", image(RGB)[:-8]),
    "damaged pixels": written("img/labeled0.png", image(RGB).replace(b"IDATx", b"IDAT?")),
    "label without class": written("mask/labeled0.png", image(LABELS + 7)),
    "image is turned": written("img/labeled0.png", image(RGB, exif=exif(3))),
}
MESSAGES = {
    "other number of classes": "val_dataloader has 2 classes but model.decode_head.num_classes=4",
    "other number of unlabeled classes": "unlabeled_dataloader has 3 classes but model.decode_head.num_classes=4",
    "masks choose the crops": r"RandomCrop\(cat_max_ratio=0.7\).*=1.0",
    "masks of unlabeled images": r"LoadAnnotations.*LoadSegMask\(optional=True\)",
    "empty labeled list": "train_dataloader.*empty",
    "unlabeled is validation": r"unlabeled and validation data: 1 images in both.*val0\.png",
    "missing validation mask": r"validation data: 1 of 2 masks\..*val0\.png does not exist",
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Fault -> what training and check_data.py say."""
    init_default_scope("mmseg")
    whole, found = write_data(tmp_path_factory.mktemp("whole")), {}
    with load_tool("check_data") as tool:
        for fault, spoil in FAULTS.items():
            root = tmp_path_factory.mktemp("spoiled") / "data"
            shutil.copytree(whole, root)
            cfg = run_config(root, root / "run", loop=dict(max_iters=1), validate=True)
            spoil(root, cfg)
            cfg.dump(root / "config.py")
            found[fault] = train(cfg), check(tool, root / "config.py")
    return found


def train(cfg):
    """The error that ends a training, as tools/train.py starts it, before the first iteration."""
    tool, runner = sys.modules["_config_checks"], None
    try:
        tool.check_palettes(cfg)
        tool.check_data_paths(cfg, [key for key in LOADERS if key in cfg])
        runner = Runner.from_cfg(cfg)
        runner.train()
    except Exception as error:
        assert getattr(runner and runner._train_loop, "iter", 0) == 0, error
        return error


def check(tool, config):
    """Exit code of check_data.py."""
    try:
        return tool.main([str(config), "--workers", "1"])
    except SystemExit as stop:
        return stop.code


@pytest.mark.parametrize("fault", FAULTS)
def test_what_training_refuses_is_found(outcomes, fault):
    error, code = outcomes[fault]
    assert error is not None and re.search(MESSAGES.get(fault, ""), str(error), re.DOTALL), error
    assert code in (1, 2)


def test_data_without_fault_are_trained_on_and_clean(tmp_path):
    data = write_data(tmp_path / "data")
    cfg = run_config(data, tmp_path / "run", loop=dict(max_iters=1), validate=True)
    cfg.dump(data / "config.py")
    with load_tool("check_data") as tool:
        assert train(cfg) is None and check(tool, data / "config.py") == 0


def test_a_misspelled_unlabeled_loader_is_in_the_error(tmp_path, capsys):
    data = write_data(tmp_path / "data")
    cfg = run_config(data, tmp_path / "run", loop=dict(max_iters=1))
    cfg.unlabled_dataloader = cfg.pop("unlabeled_dataloader")
    cfg.dump(data / "config.py")
    text = "the config has no unlabeled_dataloader; the config has unlabled_dataloader, which nothing reads. Set it"
    with load_tool("check_data") as tool:
        assert text in str(train(cfg))
        assert check(tool, data / "config.py") == 1
    assert text in capsys.readouterr().out
