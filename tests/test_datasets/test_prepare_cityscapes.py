from pathlib import Path

import numpy as np
import pytest
from mmseg.datasets import CityscapesDataset
from PIL import Image

from .prepare_tools import assert_refused, run, snapshot

TOOL = "cityscapes"

# name of the official table: id, training id (cityscapesScripts, helpers/labels.py)
OFFICIAL = {
    "unlabeled": (0, 255), "ego vehicle": (1, 255), "rectification border": (2, 255), "out of roi": (3, 255),
    "static": (4, 255), "dynamic": (5, 255), "ground": (6, 255), "road": (7, 0), "sidewalk": (8, 1),
    "parking": (9, 255), "rail track": (10, 255), "building": (11, 2), "wall": (12, 3), "fence": (13, 4),
    "guard rail": (14, 255), "bridge": (15, 255), "tunnel": (16, 255), "pole": (17, 5), "polegroup": (18, 255),
    "traffic light": (19, 6), "traffic sign": (20, 7), "vegetation": (21, 8), "terrain": (22, 9), "sky": (23, 10),
    "person": (24, 11), "rider": (25, 12), "car": (26, 13), "truck": (27, 14), "bus": (28, 15), "caravan": (29, 255),
    "trailer": (30, 255), "train": (31, 16), "motorcycle": (32, 17), "bicycle": (33, 18),
}  # fmt: skip
NAMES = {"train": ("jena/jena_000001_000019", "ulm/ulm_000000_000019"), "val": ("munster/munster_000002_000019",)}
IDS = np.arange(48).reshape(6, 8) % 34


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "src"
    for split, names in NAMES.items():
        for name in names:
            for kind, suffix, labels in (
                ("leftImg8bit", "leftImg8bit", np.zeros((6, 8, 3))),
                ("gtFine", "gtFine_labelIds", IDS),
                ("gtFine", "gtFine_instanceIds", IDS),
            ):
                path = root / kind / split / f"{name}_{suffix}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(labels.astype(np.uint8)).save(path)
    return root


def prepare(tool, source, out, workers=1):
    return run(tool, source, "--out", out, "--workers", workers)


def test_masks_follow_the_official_table(tool, tmp_path, source, capsys):
    out, before = tmp_path / "out", snapshot(source)
    assert prepare(tool, source, out, workers=2) == 0
    table = dict(OFFICIAL.values())
    for split, names in NAMES.items():
        for name in names:
            mask = np.array(Image.open(out / f"gtFine/{split}/{name}_gtFine_labelTrainIds.png"))
            assert np.array_equal(mask, np.vectorize(table.get)(IDS))
    assert snapshot(source) == before
    printed = capsys.readouterr().out
    assert "warning: 2 images in train, the published set has 2975" in printed and "2 of 2" in printed
    evaluated = sorted((new, name) for name, (_, new) in OFFICIAL.items() if new != 255)
    assert tuple(name for _, name in evaluated) == CityscapesDataset.METAINFO["classes"]


def test_mmseg_reads_ids_as_the_published_splits_write_them(tool, tmp_path, source):
    out = tmp_path / "out"
    assert prepare(tool, source, out) == 0
    assert (out / "train.txt").read_text() == "".join(f"train/{name}\n" for name in NAMES["train"])
    prefix = dict(img_path="leftImg8bit", seg_map_path="gtFine")
    dataset = CityscapesDataset(data_root=str(out), ann_file="train.txt", data_prefix=prefix)
    for index in range(2):
        info = dataset.get_data_info(index)
        assert Path(info["img_path"]).is_file() and Path(info["seg_map_path"]).is_file()


def test_second_run_changes_nothing_and_damaged_masks_are_made_again(tool, tmp_path, source):
    out = tmp_path / "out"
    assert prepare(tool, source, out) == 0
    before = snapshot(out)
    assert prepare(tool, source, out) == 0
    assert snapshot(out) == before
    mask = out / f"gtFine/train/{NAMES['train'][0]}_gtFine_labelTrainIds.png"
    whole = mask.read_bytes()
    mask.write_bytes(whole[:-3])
    (mask.parent / f".{mask.stem}.4711.png").touch()
    assert prepare(tool, source, out) == 0
    assert mask.read_bytes() == whole and not list(out.rglob(".*"))


def test_training_ids_are_linked_where_there_is_nothing_else(tool, tmp_path, source, capsys):
    for path in list(source.rglob("*_labelIds.png")):
        Image.fromarray((IDS % 19).astype(np.uint8)).save(
            path.with_name(path.name.replace("labelIds", "labelTrainIds"))
        )
        path.unlink()
    out = tmp_path / "out"
    assert prepare(tool, source, out) == 0
    before = snapshot(out)
    assert prepare(tool, source, out) == 0 and snapshot(out) == before
    linked = list((out / "gtFine").rglob("*.png"))
    assert len(linked) == 3 and all(path.is_symlink() for path in linked)
    bad = source / f"gtFine/val/{NAMES['val'][0]}_gtFine_labelTrainIds.png"
    Image.fromarray(IDS.astype(np.uint8)).save(bad)
    assert prepare(tool, source, tmp_path / "other") == 1
    assert bad.name in capsys.readouterr().err


def mask_of(root, split, index):
    return root / f"gtFine/{split}/{NAMES[split][index]}_gtFine_labelIds.png"


FAULTS = [
    (
        lambda root: (root / "gtFine").rename(root / "elsewhere"),
        ["gtFine", "gtFine_trainvaltest.zip", "https://www.cityscapes-dataset.com"],
    ),
    (
        lambda root: mask_of(root, "train", 1).unlink(),
        ["1 of 2 masks", "ulm_000000_000019", "gtFine_trainvaltest.zip"],
    ),
    (
        lambda root: Image.fromarray(np.full((6, 8), 77, np.uint8)).save(mask_of(root, "val", 0)),
        ["munster_000002_000019", "[77]"],
    ),
]


@pytest.mark.parametrize(("spoil", "words"), FAULTS)
def test_what_is_missing_or_wrong_is_named(tool, tmp_path, source, capsys, spoil, words):
    spoil(source)
    assert_refused(prepare(tool, source, tmp_path / "out"), capsys, words)


def test_the_source_is_never_written_to(tool, source, capsys):
    before = snapshot(source)
    assert prepare(tool, source, source) == 1
    assert "another --out" in capsys.readouterr().err and snapshot(source) == before
