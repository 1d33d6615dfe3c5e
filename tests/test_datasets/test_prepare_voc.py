import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from builders import ROOT
from PIL import Image

from .prepare_tools import assert_refused, run, snapshot

TOOL = "voc"

savemat = pytest.importorskip("scipy.io", reason="tools/prepare/voc.py reads SBD masks with scipy").savemat

SHARED = ROOT.parent / "shared/data/voc2012_subset"
LISTS = "ImageSets/Segmentation"
VOC_TRAIN, VOC_VAL = ["2007_01", "2007_02"], ["2007_03", "2007_04"]
# SBD's lists are other ones: some of its images are in VOC's val, its val is to be trained on
SBD_TRAIN, SBD_VAL = ["2007_02", "2007_03", "2008_01"], ["2008_02"]
ALL = [*VOC_TRAIN, *VOC_VAL, "2008_01", "2008_02"]
OWN, EXTRA = 5, 9  # labels that say where a mask came from


def labels(value: int) -> np.ndarray:
    mask = np.full((6, 8), value, np.uint8)
    mask[0, 0] = 255
    return mask


def save_palette(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(labels(value))
    image.putpalette([number % 256 for number in range(768)])
    image.save(path)


@pytest.fixture
def voc(tmp_path):
    root = tmp_path / "VOCdevkit/VOC2012"
    for name in ALL:
        (root / "JPEGImages").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(root / f"JPEGImages/{name}.jpg")
    (root / LISTS).mkdir(parents=True)
    for split, names in (("train", VOC_TRAIN), ("val", VOC_VAL), ("trainval", VOC_TRAIN + VOC_VAL)):
        (root / LISTS / f"{split}.txt").write_text("\n".join(names) + "\n")
    for name in VOC_TRAIN + VOC_VAL:
        save_palette(root / f"SegmentationClass/{name}.png", OWN)
    return root


@pytest.fixture
def sbd(tmp_path):
    root = tmp_path / "benchmark_RELEASE/dataset"
    (root / "cls").mkdir(parents=True)
    for split, names in (("train", SBD_TRAIN), ("val", SBD_VAL)):
        (root / f"{split}.txt").write_text("\n".join(names) + "\n")
        for name in names:
            savemat(root / f"cls/{name}.mat", {"GTcls": {"Segmentation": labels(EXTRA), "Boundaries": np.zeros(3)}})
    return root.parent


@pytest.fixture
def ready(tmp_path):
    for name in ALL:
        save_palette(tmp_path / f"ready/SegmentationClassAug/{name}.png", EXTRA)
    return tmp_path / "ready/SegmentationClassAug"


def prepare(tool, source, out, *more):
    return run(tool, source, "--out", out, "--workers", 1, *more)


def read_list(out: Path, name: str) -> list[str]:
    return (out / LISTS / f"{name}.txt").read_text().split()


def origins(out: Path) -> dict[str, int]:
    masks = {path.stem: np.array(Image.open(path)) for path in (out / "SegmentationClassAug").iterdir()}
    assert all(np.array_equal(mask, labels(mask[1, 1])) for mask in masks.values())
    return {name: int(mask[1, 1]) for name, mask in masks.items()}


def test_train_aug_is_all_but_val_and_own_masks_win(tool, tmp_path, voc, sbd, capsys):
    out, before = tmp_path / "out", (snapshot(voc), snapshot(sbd))
    assert prepare(tool, voc, out, "--sbd", sbd) == 0
    assert read_list(out, "train_aug") == ["2007_01", "2007_02", "2008_01", "2008_02"]
    assert read_list(out, "train") == VOC_TRAIN and read_list(out, "val") == VOC_VAL
    assert read_list(out, "trainval") == VOC_TRAIN + VOC_VAL
    assert origins(out) == {**dict.fromkeys(VOC_TRAIN + VOC_VAL, OWN), "2008_01": EXTRA, "2008_02": EXTRA}
    assert (out / "JPEGImages").resolve() == (voc / "JPEGImages").resolve()
    assert (snapshot(voc), snapshot(sbd)) == before
    printed = capsys.readouterr().out
    assert "warning: 4 images in train_aug, the published set has 10582" in printed and "6 of 6" in printed
    first = snapshot(out)
    assert prepare(tool, voc, out, "--sbd", sbd) == 0
    assert snapshot(out) == first


def test_official_archives(tool, tmp_path, voc, sbd):
    packed, out = tmp_path / "packed", tmp_path / "out"
    packed.mkdir()
    with tarfile.open(packed / "VOCtrainval_11-May-2012.tar", "w") as archive:
        archive.add(voc.parent, "VOCdevkit")
    with tarfile.open(packed / "benchmark.tgz", "w:gz") as archive:
        archive.add(sbd, "benchmark_RELEASE")
    assert prepare(tool, packed, out) == 0
    first = snapshot(out)
    assert prepare(tool, packed, out) == 0 and snapshot(out) == first
    assert len(read_list(out, "train_aug")) == 4 and len(origins(out)) == 6


@pytest.mark.parametrize("zipped", [False, True])
def test_ready_made_masks(tool, tmp_path, voc, ready, zipped):
    given = ready
    if zipped:
        given = tmp_path / "SegmentationClassAug.zip"
        with zipfile.ZipFile(given, "w") as archive:
            for path in ready.iterdir():
                archive.write(path, f"SegmentationClassAug/{path.name}")
    out = tmp_path / "out"
    assert prepare(tool, voc, out, "--sbd", given) == 0
    first = snapshot(out)
    assert prepare(tool, voc, out, "--sbd", given) == 0 and snapshot(out) == first
    assert read_list(out, "train_aug") == ["2007_01", "2007_02", "2008_01", "2008_02"]
    assert origins(out) == {**dict.fromkeys(VOC_TRAIN + VOC_VAL, OWN), "2008_01": EXTRA, "2008_02": EXTRA}
    assert not [path for path in (out / "SegmentationClassAug").iterdir() if not path.is_symlink()]


def test_in_place_only_adds(tool, voc, sbd):
    before = snapshot(voc)
    for more in (["--sbd", sbd], ["--sbd", sbd], []):
        assert prepare(tool, voc, voc, *more) == 0
        after = snapshot(voc)
        folders = {"", LISTS}  # their times change with what is added
        assert {path: after[path] for path in before if path not in folders} == {
            path: before[path] for path in before if path not in folders
        }
        assert len(read_list(voc, "train_aug")) == 4 and len(origins(voc)) == 6


FAULTS = [
    (
        lambda voc, sbd: (voc / "JPEGImages").rename(voc / "elsewhere"),
        ["JPEGImages", "VOCtrainval_11-May-2012.tar", "http://host.robots.ox.ac.uk"],
    ),
    (
        lambda voc, sbd: sbd.rename(sbd.parent / "elsewhere"),
        ["augmented masks", "benchmark.tgz", "https://", "--sbd"],
    ),
    (lambda voc, sbd: (sbd / "dataset/cls/2008_02.mat").unlink(), ["1 of 6 masks", "2008_02", "benchmark.tgz"]),
    (lambda voc, sbd: (sbd / "dataset/val.txt").unlink(), ["dataset/val.txt", "benchmark.tgz"]),
    (lambda voc, sbd: (sbd / "dataset/cls/2008_01.mat").write_bytes(b"\0" * 400), ["2008_01.mat", "benchmark.tgz"]),
    (lambda voc, sbd: save_palette(voc / "SegmentationClass/2007_03.png", 21), ["2007_03.png", "[21]"]),
]


@pytest.mark.parametrize(("spoil", "words"), FAULTS)
def test_what_is_missing_or_wrong_is_named(tool, tmp_path, voc, sbd, capsys, spoil, words):
    spoil(voc, sbd)
    assert_refused(prepare(tool, voc, tmp_path / "out", "--sbd", sbd), capsys, words)
    assert not (tmp_path / "out" / LISTS).exists()


def test_damaged_archive_and_what_a_killed_run_left(tool, tmp_path, voc, sbd, capsys):
    archive, out = tmp_path / "voc.tar", tmp_path / "out"
    with tarfile.open(archive, "w") as file:
        file.add(voc.parent, "VOCdevkit")
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    assert prepare(tool, archive, out, "--sbd", sbd) == 1
    assert "voc.tar is damaged" in capsys.readouterr().err
    (out / "unpacked/.voc.partial/VOCdevkit").mkdir(parents=True)  # as a kill leaves it
    archive.write_bytes(whole)
    assert prepare(tool, archive, out, "--sbd", sbd) == 0
    assert sorted(path.name for path in (out / "unpacked").iterdir()) == ["voc"]


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data/voc2012_subset")
def test_real_subset_is_linked(tool, tmp_path):
    assert prepare(tool, SHARED, tmp_path, "--workers", 2) == 0
    assert [len(read_list(tmp_path, name)) for name in ("train_aug", "val")] == [675, 200]
    masks = list((tmp_path / "SegmentationClassAug").iterdir())
    assert len(masks) == 875
    assert {path.resolve().parent for path in masks} == {(SHARED / "SegmentationClassAug").resolve()}
    first = snapshot(tmp_path)
    assert prepare(tool, SHARED, tmp_path) == 0 and snapshot(tmp_path) == first
