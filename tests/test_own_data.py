"""docs/own_data.md: from an empty folder to a trained model, by the commands of the page."""

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from builders import ROOT
from mmengine.config import Config
from mmseg.registry import DATASETS
from PIL import Image
from test_datasets.prepare_tools import load_tool, snapshot

from mmseg_allspark.utils.config_files import check_variables, read_config

COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", (ROOT / "docs/own_data.md").read_text(), re.DOTALL)
    for line in block.splitlines()
]
METHODS = [path.parent.name for path in sorted(ROOT.glob("configs/*/segformer_b0_own-data.py"))]
# the page's training, cut to two steps without downloaded weights
SHORT = (
    " --cfg-options model.backbone.init_cfg=None train_cfg.max_iters=2 train_cfg.val_interval=2"
    " train_dataloader.num_workers=0 train_dataloader.persistent_workers=False train_dataloader.batch_size=1"
    " unlabeled_dataloader.batch_size=2"
    " unlabeled_dataloader.num_workers=0 unlabeled_dataloader.persistent_workers=False"
    " val_dataloader.num_workers=0 val_dataloader.persistent_workers=False default_hooks.checkpoint.interval=2"
)


def write_images(root: Path, *, labeled: int = 5, rest: int = 2, unlabeled: int = 3) -> Path:
    """Grass with a pond and a path, three classes, in photos, masks and more; suffixes differ as cameras' do."""
    rng = np.random.default_rng(0)
    for index in range(labeled + rest + unlabeled):
        mask = np.zeros((60, 80), np.uint8)
        mask[10:30, 10:40], mask[:, 60:70] = 1, 2
        image = rng.integers(0, 60, (60, 80, 3)).astype(np.uint8) + mask[..., None] * 60
        folder = "photos" if index < labeled + rest else "more/camera 1"
        (root / folder).mkdir(parents=True, exist_ok=True)
        name = f"{index}.JPG" if index == 1 else f"{index}.jpg"
        Image.fromarray(image.astype(np.uint8)).save(root / folder / name, format="JPEG")
        if index < labeled:
            (root / "masks").mkdir(exist_ok=True)
            Image.fromarray(mask).save(root / "masks" / f"{index}.png")
    return root


def colour_masks(root: Path) -> None:
    """Give each class a colour."""
    colours = np.array([(0, 0, 0), (9, 99, 9), (9, 9, 99)], np.uint8)
    for path in (root / "masks").iterdir():
        Image.fromarray(colours[np.array(Image.open(path))]).save(path)


def own_config(folder: Path, method: str, variable: str, value: object) -> Config:
    """The config of a method on top of the AllSpark config with one of its variables edited."""
    names = [f"configs/{name}/segformer_b0_own-data.py" for name in dict.fromkeys(("allspark", method))]
    base = (ROOT / names[0]).read_text().replace('_base_ = "', f'_base_ = "{ROOT}/configs/allspark/')
    text, count = re.subn(rf"^{variable} = [^#\n]+", f"{variable} = {value}", base, flags=re.MULTILINE)
    assert count == 1
    for name, content in zip(names, (text, (ROOT / names[-1]).read_text()), strict=False):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return Config.fromfile(folder / names[-1])


def test_options_follow_the_classes_and_the_backbone(tmp_path):
    for classes, rank in ((2, 1), (3, 2), (9, 3)):
        cfg = own_config(tmp_path, "u2pl", "palette", [(0, 0, 0)] * classes)
        assert cfg.model.contrast.low_rank == rank
    cfg = own_config(tmp_path, "pseudoseg", "crop_size", (129, 129))
    assert cfg.model.cutout.half == 12
    for backbone, rate in (("mit-b0", 10.0), ("dinov2-s", 40.0)):
        if backbone == "dinov2-s":
            pytest.importorskip("mmseg_allspark.models.backbones.dinov2", reason="needs mmpretrain")
        cfg = own_config(tmp_path, "pseudoseg", "_base_", f'"{ROOT}/configs/_base_/own_data/{backbone}.py"')
        keys = cfg.optim_wrapper.paramwise_cfg.custom_keys
        assert keys.image_head == keys.attention == keys.decode_head == dict(lr_mult=rate)


@pytest.mark.parametrize("method", METHODS)
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


def prepare(root, *options, labels="masks", out="prepared"):
    """Exit code and what is printed."""
    stdout, stderr = io.StringIO(), io.StringIO()
    words = [str(root / "photos"), str(root / labels), "--out", str(root / out), "--workers", "1", *map(str, options)]
    with load_tool("own_data") as tool, redirect_stdout(stdout), redirect_stderr(stderr):
        code = tool.main(words)
    return SimpleNamespace(returncode=code, stdout=stdout.getvalue(), stderr=stderr.getvalue())


def read_lists(folder):
    return [(folder / f"{part}.txt").read_text().splitlines() for part in ("labeled", "val", "unlabeled")]


@pytest.mark.slow
def test_the_page_leads_from_files_to_pictures(tmp_path):
    """The page starts in a checkout; here its folders are links, and what it writes stays in the test's folder."""
    for name in ("mmseg_allspark", "tools", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    write_images(tmp_path, rest=4)
    colour_masks(tmp_path)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    assert len(COMMANDS) == 8
    for command in COMMANDS:
        short = SHORT if "tools/train.py" in command else ""
        if "--cfg-options" in command:
            short = short.replace(" --cfg-options", "")
        done = subprocess.run(
            ["bash", "-c", command + short], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    assert list((tmp_path / "work_dirs/browse").glob("*.png"))
    assert list((tmp_path / "work_dirs/pictures").rglob("*.png"))
    for method in ("supervised", "pseudo_label"):  # named by data set and method
        assert f"mine_{method}: training report" in (tmp_path / f"work_dirs/mine_{method}/report.html").read_text()


def test_data_are_prepared_and_every_config_says_where_they_are(tmp_path):
    root = write_images(tmp_path / "own [1]")
    before = snapshot(root)
    done = prepare(root, "--unlabeled", root / "more", "--classes", "grass", "pond", "path")
    assert done.returncode == 0, done.stderr
    labeled, val, unlabeled = read_lists(root / "prepared")
    assert (len(labeled), len(val), len(unlabeled)) == (4, 1, 5)
    # suffixes differ, so that the lists hold them
    assert sorted(labeled + val) == ["0.jpg", "1.JPG", "2.jpg", "3.jpg", "4.jpg"]
    assert {Path(path).name for path in unlabeled} == {"5.jpg", "6.jpg", "7.jpg", "8.jpg", "9.jpg"}
    assert re.search(r"pond \| +12\.500 \| +12\.500", done.stdout) and "5 unlabeled, 1 validation" in done.stdout
    configs = sorted((root / "prepared/configs").iterdir())
    assert {path.stem for path in configs} == {f"prepared_{method}" for method in METHODS}
    for path in configs:
        check_variables(path)
        cfg = read_config(path)
        assert cfg.train_dataloader.dataset.metainfo.classes == ("grass", "pond", "path")
        assert cfg.model.decode_head.num_classes == 3
        command = shlex.split(path.read_text().splitlines()[1])
        assert (ROOT / command[2]).is_file() and command[3] == str(path)
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    assert Path(dataset[0]["data_samples"].img_path).is_file()
    assert before.items() <= snapshot(root).items()  # the user's files are as they were


def test_images_inside_the_folder_that_is_written(tmp_path):
    root = write_images(tmp_path / "mine", rest=4)
    (root / "masks").rename(root / "labels")
    done = prepare(root, labels="labels", out=".")
    assert done.returncode == 0, done.stderr
    cfg = read_config(root / "configs/mine_allspark.py")
    assert cfg.train_dataloader.dataset.data_prefix.img_path == "photos"  # so that the folder can be moved
    assert Path(DATASETS.build(cfg.train_dataloader.dataset)[0]["data_samples"].img_path).is_file()


def test_nothing_is_replaced_unasked(tmp_path):
    root = write_images(tmp_path, rest=4)
    assert prepare(root).returncode == 0
    before = snapshot(root)
    assert prepare(root).returncode == 0
    assert snapshot(root) == before
    done = prepare(root, "--seed", "1", "--val", "2/5")
    assert done.returncode == 1 and "exist with other content" in done.stderr and "--force" in done.stderr
    assert snapshot(root) == before
    assert prepare(root, "--seed", "1", "--val", "2/5", "--force").returncode == 0
    assert [len(part) for part in read_lists(root / "prepared")[:2]] == [3, 2]


def test_the_users_own_lists_and_shares(tmp_path):
    root = write_images(tmp_path, rest=4)
    (root / "train.txt").write_text("photos/0.jpg masks/0.png\n\n1\n")
    (root / "val.txt").write_text("2.jpg\n")
    assert prepare(root, "--train", root / "train.txt", "--val", root / "val.txt", out="a").returncode == 0
    labeled, val, unlabeled = read_lists(root / "a")
    assert (labeled, val) == (["0.jpg", "1.JPG"], ["2.jpg"])
    assert {Path(path).stem for path in unlabeled} == {"3", "4", "5", "6", "7", "8"}  # their labels are not used
    assert prepare(root, "--train", root / "train.txt", out="b").returncode == 0
    assert read_lists(root / "b")[1] == ["2.jpg", "3.jpg", "4.jpg"]
    assert prepare(root, "--train", "1/2", out="c").returncode == 0
    assert [len(part) for part in read_lists(root / "c")] == [2, 1, 6]
    (root / "val.txt").write_text("1\n")
    done = prepare(root, "--train", root / "train.txt", "--val", root / "val.txt", out="d")
    assert done.returncode == 1 and "1.JPG is in" in done.stderr
    (root / "val.txt").write_text("6\n")
    done = prepare(root, "--val", root / "val.txt", out="d")
    assert done.returncode == 1 and "which has no label" in done.stderr and not (root / "d").exists()


def test_colours_take_two_commands(tmp_path):
    root = write_images(tmp_path, rest=4)
    colour_masks(root)
    done = prepare(root)
    assert done.returncode == 0 and [path.name for path in (root / "prepared").iterdir()] == ["colours.json"]
    command = shlex.split(done.stdout.splitlines()[-1])
    assert command[-2:] == ["--colours", str(root / "prepared/colours.json")]
    done = prepare(root, *command[-2:])
    assert done.returncode == 0, done.stderr
    cfg = Config.fromfile(root / "prepared/configs/prepared_allspark.py")
    assert cfg.palette == [(0, 0, 0), (9, 99, 9), (9, 9, 99)]


FAULTS = {
    "at least 2 are needed": lambda root: [Image.new("L", (80, 60)).save(path) for path in (root / "masks").iterdir()],
    "equal bytes": lambda root: shutil.copy(root / "photos/3.jpg", root / "photos/6.jpg"),
    "1 labeled images": lambda root: [(root / f"masks/{index}.png").unlink() for index in range(4)],
    "no image of the same name": lambda root: (root / "photos/3.jpg").unlink(),
    "is 40x60 but the image is 80x60": lambda root: Image.new("L", (40, 60)).save(root / "masks/2.png"),
    "cannot be": lambda root: (root / "photos/3.jpg").write_bytes(b"no image"),
    "no unlabeled image": lambda root: [(root / f"photos/{index}.jpg").unlink() for index in (5, 6)],
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_fault_is_named_and_nothing_is_written(tmp_path, message):
    root = write_images(tmp_path)
    FAULTS[message](root)
    before = snapshot(root)
    done = prepare(root)
    assert done.returncode == 1 and message in done.stderr
    assert snapshot(root) == before


def test_the_users_masks_are_never_the_target(tmp_path):
    done = prepare(write_images(tmp_path), "--force", out=".")
    assert done.returncode == 1 and "choose another --out" in done.stderr


def test_crop_and_length_follow_from_the_data():
    with load_tool("_own_configs") as tool:
        sides = [(side, 2 * side) for side in (60, 360, 480, 1024)]
        for backbone, crops in (("mit-b0", [129, 257, 353, 513]), ("dinov2-s", [126, 266, 350, 504])):
            assert [tool.choose_crop([side], tool.read_backbone(backbone)) for side in sides] == crops
        assert [tool.choose_iterations(number) for number in (5, 2000, 10**6)] == [2000, 5000, 40000]


def test_configs_in_the_checkout_find_their_base_from_there():
    with load_tool("_own_configs") as tool:
        texts = tool.make_configs("x", {}, ROOT / "my_configs", "mobilenetv2")
    assert '_base_ = "../configs/_base_/own_data/mobilenetv2.py"' in texts["x_allspark_mobilenetv2.py"]
    assert '_base_ = "x_allspark_mobilenetv2.py"' in texts["x_supervised_mobilenetv2.py"]
