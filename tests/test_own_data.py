"""docs/own_data.md: from an empty folder to a trained model, by the commands of the page."""

import io
import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from builders import ROOT
from mmengine.config import Config
from PIL import Image
from test_datasets.prepare_tools import load_tool

from mmseg_allspark.inference.models import reduces_zero_label

COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", (ROOT / "docs/own_data.md").read_text(), re.DOTALL)
    for line in block.splitlines()
]
# the page's training, cut to two steps without downloaded weights
SHORT = (
    " --cfg-options model.backbone.init_cfg=None train_cfg.max_iters=2 train_cfg.val_interval=2"
    " train_dataloader.num_workers=0 train_dataloader.persistent_workers=False train_dataloader.batch_size=1"
    " unlabeled_dataloader.batch_size=2"
    " unlabeled_dataloader.num_workers=0 unlabeled_dataloader.persistent_workers=False"
    " val_dataloader.num_workers=0 val_dataloader.persistent_workers=False default_hooks.checkpoint.interval=2"
)


def write_images(root: Path, *, labeled: int = 5, rest: int = 2, unlabeled: int = 3) -> Path:
    """A ramp on grass with a pond and a path: three classes."""
    rng = np.random.default_rng(0)
    for index in range(labeled + rest + unlabeled):
        mask = np.zeros((60, 80), np.uint8)
        mask[10:30, 10:40], mask[:, 60:70] = 1, 2
        image = rng.integers(0, 60, (60, 80, 3)).astype(np.uint8) + mask[..., None] * 60
        folder = "images" if index < labeled + rest else "unlabeled/camera 1"
        (root / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.astype(np.uint8)).save(root / folder / f"{index}.jpg")
        if index < labeled:
            (root / "masks").mkdir(exist_ok=True)
            Image.fromarray(mask).save(root / "masks" / f"{index}.png")
    return root


def own_config(folder: Path, method: str, variable: str, value: object) -> Config:
    """The config of a method on top of the AllSpark config with one of its variables edited."""
    names = [f"configs/{name}/segformer_b0_own-data.py" for name in dict.fromkeys(("allspark", method))]
    base = (ROOT / names[0]).read_text().replace('"segformer', f'"{ROOT}/configs/allspark/segformer')
    text, count = re.subn(rf"^{variable} = [^#\n]+", f"{variable} = {value}", base, flags=re.MULTILINE)
    assert count == 1
    for name, content in zip(names, (text, (ROOT / names[-1]).read_text()), strict=False):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return Config.fromfile(folder / names[-1])


@pytest.mark.parametrize(
    "method",
    [
        "allspark",
        "supervised",
        "pseudo_label",
        "unimatch",
        "unimatch_v2",
        "mean_teacher",
        "guidedmix",
        "ael",
        "augseg",
        "corrmatch",
        "esl",
        "psmt",
        "cps",
        "fpl",
        "stpp",
    ],  # fmt: skip
)
def test_intervals_of_a_short_training_are_at_least_one(tmp_path, method):
    cfg = own_config(tmp_path, method, "max_iters", 2)
    assert cfg.train_cfg.max_iters == 2 and cfg.train_cfg.val_interval == 1
    assert all(hook.get("interval", 1) >= 1 for hook in cfg.default_hooks.values())


@pytest.mark.parametrize(("length", "warmup"), [(2, 1), (20, 2), (10000, 75)])
def test_the_memory_is_read_in_a_short_training_too(tmp_path, length, warmup):
    hooks = own_config(tmp_path, "allspark", "max_iters", length).default_hooks
    assert hooks.semantic_memory.warmup_iters == warmup and hooks.ema.evaluated == "teacher"


def test_the_memory_has_the_size_of_the_crops_features(tmp_path):
    assert own_config(tmp_path, "allspark", "crop_size", (256, 257)).model.neck.memory_size == (8, 9)


def prepare(root, *options):
    """Exit code and what is printed."""
    out, err = io.StringIO(), io.StringIO()
    with load_tool("own_data") as tool, redirect_stdout(out), redirect_stderr(err):
        code = tool.main([str(root), *options])
    return SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=err.getvalue())


@pytest.mark.slow
def test_the_page_leads_from_files_to_pictures(tmp_path):
    """The page starts in a checkout; here its folders are links, and what it writes stays in the test's folder."""
    for name in ("mmseg_allspark", "tools"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "configs").mkdir()
    for folder in (ROOT / "configs").iterdir():
        if folder.name != "allspark":
            (tmp_path / "configs" / folder.name).symlink_to(folder)
    (tmp_path / "configs/allspark").mkdir()
    for config in (ROOT / "configs/allspark").glob("*.py"):
        (tmp_path / "configs/allspark" / config.name).symlink_to(config)
    write_images(tmp_path / "data/own")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    assert len(COMMANDS) == 8
    for command in COMMANDS:
        short = SHORT if "tools/train.py" in command else ""
        done = subprocess.run(
            ["bash", "-c", command + short], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    assert list((tmp_path / "work_dirs/browse").glob("*.png"))
    assert list((tmp_path / "work_dirs/my_data/pictures").rglob("*.png"))


def test_lists_and_links(tmp_path):
    root = write_images(tmp_path / "own")
    done = prepare(root)
    assert done.returncode == 0, done.stderr
    labeled, val = ((root / f"{part}.txt").read_text().split() for part in ("labeled", "val"))
    assert (len(labeled), len(val)) == (4, 1)
    assert sorted(labeled + val) == ["0", "1", "2", "3", "4"]
    assert sorted(p.name for p in (root / "unlabeled/rest").iterdir()) == ["5.jpg", "6.jpg"]
    assert "5 unlabeled images" in done.stdout
    assert prepare(root).returncode == 0  # again: nothing changes
    done = prepare(root, "--seed", "1", "--val", "2/5")
    assert done.returncode == 1 and "labeled.txt exists with other content" in done.stderr
    assert "--force" in done.stderr and "--out" not in done.stderr


def test_a_zero_that_is_no_class(tmp_path):
    """Masks of 0, 1, 2 have two classes with --reduce-zero-label, and the config says so to training and evaluation."""
    root = write_images(tmp_path / "own")
    done = prepare(root, "--reduce-zero-label")
    assert done.returncode == 0, done.stderr
    assert re.findall(r"class (\d) \(label (\d)\): ([\d.]+) %", done.stdout) == [
        ("0", "1", "50.00"),
        ("1", "2", "50.00"),
    ]
    assert "reduce_zero_label = True" in done.stdout and "reduce_zero_label = False" in prepare(root).stdout
    text = (ROOT / "configs/allspark/segformer_b0_own-data.py").read_text()
    text = text.replace('_base_ = "', f'_base_ = "{ROOT}/configs/allspark/')
    (tmp_path / "my_data.py").write_text(text.replace("reduce_zero_label = False", "reduce_zero_label = True"))
    cfg = Config.fromfile(tmp_path / "my_data.py")
    assert cfg.train_dataloader.dataset.reduce_zero_label and reduces_zero_label(cfg)
    assert not reduces_zero_label(Config.fromfile(ROOT / "configs/allspark/segformer_b0_own-data.py"))


def test_newly_labeled_images_leave_the_unlabeled_ones(tmp_path):
    root = write_images(tmp_path / "own", labeled=2)
    assert prepare(root).returncode == 0  # two masks are enough: one is held out
    assert [len((root / f"{part}.txt").read_text().split()) for part in ("labeled", "val")] == [1, 1]
    Image.fromarray(np.ones((60, 80), np.uint8)).save(root / "masks/2.png")
    assert prepare(root, "--force").returncode == 0
    assert [path.name for path in (root / "unlabeled/rest").iterdir()] == ["3.jpg"]


def spoil_mask(root):
    Image.fromarray(np.full((60, 80), 255, np.uint8) * (np.arange(80) > 9)).convert("L").save(root / "masks/0.png")
    for index in range(1, 5):
        Image.fromarray((np.arange(80) > 9).astype(np.uint8)[None].repeat(60, 0) * 7).save(root / f"masks/{index}.png")


def binary_masks(root):
    """As label tools export them."""
    for path in (root / "masks").iterdir():
        Image.fromarray((np.asarray(Image.open(path)) > 0).astype(np.uint8) * 255).save(path)


FAULTS = {
    "hold class 0 only; 255, which is ignored, covers": binary_masks,
    "labeled and unlabeled: 1 images in both": lambda root: shutil.copy(root / "images/3.jpg", root / "unlabeled"),
    "one seg_map_suffix; rename": lambda root: (root / "masks/3.png").rename(root / "masks/3.PNG"),
    "one mask": lambda root: [(root / f"masks/{index}.png").unlink() for index in range(4)],
    "no image of the same name": lambda root: (root / "images/3.jpg").unlink(),
    "is 40x60 but its image is 80x60": lambda root: Image.new("L", (40, 60)).save(root / "masks/2.png"),
    "the labels [0, 7]": spoil_mask,
    "cannot be read": lambda root: (root / "images/3.jpg").write_bytes(b"no image"),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_fault_is_named(tmp_path, message):
    root = write_images(tmp_path / "own")
    FAULTS[message](root)
    before = sorted(root.rglob("*"))
    done = prepare(root)
    assert done.returncode == 1
    assert message in done.stderr
    assert sorted(root.rglob("*")) == before  # a refused folder is left as it is


def relabel(root, old, new):
    for path in (root / "masks").iterdir():
        labels = np.array(Image.open(path))
        labels[labels == old] = new
        Image.fromarray(labels).save(path)


@pytest.mark.parametrize(("options", "first"), [([], 0), (["--reduce-zero-label"], 1)])
def test_a_class_that_no_mask_shows_needs_num_classes(tmp_path, options, first):
    root = write_images(tmp_path / "own")
    relabel(root, 2, 3)
    Image.open(root / "masks/0.png").save(root / "unlabeled/camera 1/8_mask.png")
    done = prepare(root, *options)
    assert done.returncode == 1 and "give --num-classes" in done.stderr
    assert "look like masks" in done.stderr  # what else is wrong is not hidden
    done = prepare(root, *options, "--num-classes", str(3 - first))
    assert done.returncode == 1 and f"3 in the mask of 0; classes have to be {first} ... 2" in done.stderr
    assert not list(root.glob("*.txt"))
    done = prepare(root, *options, "--num-classes", str(5 - first))
    assert done.returncode == 0, done.stderr
    assert re.findall(r"class (\d).*: 0.00 % of labeled, 0.00 % of val   <- in no", done.stdout) == [
        str(2 - first),
        str(4 - first),
    ]
    assert f"the {5 - first} classes above" in done.stdout


def test_what_is_odd_is_said_and_masks_may_have_another_suffix(tmp_path):
    root = write_images(tmp_path / "own [1]", labeled=9)
    for path in (root / "masks").glob("*.png"):
        path.rename(path.with_suffix(".PNG"))
    Image.open(root / "masks/0.PNG").save(root / "unlabeled/camera 1/12_mask.png")
    cv2.imwrite(str(root / "unlabeled/a.tif"), np.random.default_rng(0).integers(0, 3060, (60, 80, 3), np.uint16))
    done = prepare(root)
    assert done.returncode == 0, done.stderr
    assert "WARNING [mask] unlabeled: 1 of 7 images look like masks" in done.stdout
    assert "use 5% of the range" in done.stdout
    assert "In your config: img_suffix = '.jpg', seg_map_suffix = '.PNG'" in done.stdout
