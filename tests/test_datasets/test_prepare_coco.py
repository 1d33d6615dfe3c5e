import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .prepare_tools import FOLDER, assert_refused, snapshot

TOOL = "coco"

pytest.importorskip("pycocotools", reason="tools/prepare/coco.py needs pycocotools")

MISSING_IDS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}  # COCO's category ids have gaps
CATEGORIES = [dict(id=i, name=f"c{i}") for i in range(90, 0, -1) if i not in MISSING_IDS]
WIDTH, HEIGHT = 40, 30


def box(x0, y0, x1, y1):
    """Polygon around the pixels x0 <= x < x1, y0 <= y < y1."""
    return [[x0, y0, x1, y0, x1, y1, x0, y1]]


def columns(x0, x1, height, width):
    """Uncompressed run lengths (column by column) of the columns x0 <= x < x1."""
    return dict(size=[height, width], counts=[x0 * height, (x1 - x0) * height, (width - x1) * height])


def save_coco(root: Path, annotations: list[dict], images=(1, 2), split="val2017", size=(WIDTH, HEIGHT)) -> Path:
    for number, annotation in enumerate(annotations, start=1):
        annotation.setdefault("iscrowd", 0)
        annotation.update(id=number, area=0.0)
    content = dict(
        images=[dict(id=i, file_name=f"{i:012d}.jpg", width=size[0], height=size[1]) for i in images],
        annotations=annotations,
        categories=CATEGORIES,
    )
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    (root / f"annotations/instances_{split}.json").write_text(json.dumps(content))
    (root / split).mkdir()
    for i in images:
        Image.new("RGB", size, (9, 99, 9)).save(root / split / f"{i:012d}.jpg")
    return root


def small(root: Path, **kwargs) -> Path:
    """Crowd of persons, a dog (18) and a large bed (65) with a small book (84) on it; image 2 without anything."""
    return save_coco(
        root,
        [
            dict(image_id=1, category_id=84, segmentation=box(22, 12, 26, 15)),
            dict(image_id=1, category_id=65, segmentation=box(5, 10, 40, 30)),
            dict(image_id=1, category_id=18, segmentation=box(2, 2, 6, 5)),
            dict(image_id=1, category_id=1, iscrowd=1, segmentation=columns(0, 10, HEIGHT, WIDTH)),
        ],
        **kwargs,
    )


def run(tool, source, out, *more):
    return tool.main([str(source), "--out", str(out), "--splits", "val2017", "--workers", "1", *more])


def test_classes_overlaps_crowds_and_images_without_objects(tool, tmp_path):
    source, out = small(tmp_path / "src"), tmp_path / "out"
    assert run(tool, source, out) == 0
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[:, :10] = 1  # crowd: person, below the dog though the json names it later
    expected[2:5, 2:6] = 17  # dog, category 18, is the 17th
    expected[10:, 5:] = 60  # bed, above the crowd though it is larger
    expected[12:15, 22:26] = 74  # book, on the bed though the json names it earlier
    masks = [np.array(Image.open(out / f"masks/val2017/{i:012d}.png")) for i in (1, 2)]
    assert np.array_equal(masks[0], expected) and not masks[1].any()
    assert (out / "val2017").resolve() == (source / "val2017").resolve()
    assert (out / "val2017.txt").read_text() == "000000000001\n000000000002\n"


def test_dataset_reads_what_the_tool_writes(tool, tmp_path):
    from mmseg_allspark.datasets.coco81 import COCO81Dataset

    assert run(tool, small(tmp_path / "src"), tmp_path / "out") == 0
    prefix = dict(img_path="val2017", seg_map_path="masks/val2017")
    pipeline = [dict(type="LoadImage"), dict(type="LoadSegMask"), dict(type="PackSemiInputs")]
    dataset = COCO81Dataset(
        data_root=str(tmp_path / "out"), ann_file="val2017.txt", data_prefix=prefix, pipeline=pipeline
    )
    labels = dataset[0]["data_samples"].gt_sem_seg.data.unique().tolist()
    assert [dataset.metainfo["classes"][i] for i in labels] == ["background", "person", "dog", "bed", "book"]


def test_second_run_changes_nothing_and_masks_of_another_size_are_made_again(tool, tmp_path):
    source, out = small(tmp_path / "src"), tmp_path / "out"
    assert run(tool, source, out) == 0
    before = snapshot(out), snapshot(source)
    assert run(tool, source, out) == 0
    assert (snapshot(out), snapshot(source)) == before
    mask = out / "masks/val2017/000000000001.png"
    whole = mask.read_bytes()
    for damaged in (whole[:-5], b"", whole.replace(bytes([0, 0, 0, WIDTH]), bytes([0, 0, 0, 7]), 1)):
        mask.write_bytes(damaged)
        assert run(tool, source, out) == 0
        assert mask.read_bytes() == whole


def snapshot_bytes(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def many(root: Path, count: int = 96) -> Path:
    random = np.random.default_rng(3)
    size, annotations = (480, 360), []
    for image in range(1, count + 1):
        start = int(random.integers(0, 300))
        annotations.append(
            dict(image_id=image, category_id=1, iscrowd=1, segmentation=columns(start, start + 150, 360, 480))
        )
        for _ in range(8):
            x, y = random.integers(0, 280, 2).tolist()
            category = CATEGORIES[int(random.integers(80))]["id"]
            shape = [[x, y, x + 200, y + 30, x + 90, y + 80, x + 7, y + 60]]
            annotations.append(dict(image_id=image, category_id=category, segmentation=shape))
    return save_coco(root, annotations, images=range(1, count + 1), size=size)


def command(source: Path, out: Path) -> list[str]:
    options = ["--out", str(out), "--splits", "val2017", "--workers", "2"]
    return [sys.executable, str(FOLDER / "coco.py"), str(source), *options]


@pytest.mark.slow
def test_killed_and_started_again_gives_the_same_bytes(tmp_path):
    source, out = many(tmp_path / "src"), tmp_path / "out"
    subprocess.run(command(source, tmp_path / "undisturbed"), check=True, capture_output=True)
    expected = snapshot_bytes(tmp_path / "undisturbed/masks")
    assert len(expected) == 96

    process = subprocess.Popen(command(source, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while len(list(out.glob("masks/val2017/0*.png"))) < 4 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    time.sleep(0.5)  # the workers end by themselves
    kept = {path: path.stat().st_mtime_ns for path in out.glob("masks/val2017/0*.png")}
    assert 4 <= len(kept) < 96
    assert not (out / "val2017.txt").exists()
    (out / "masks/val2017/.000000000001.4711.png").write_bytes(b"half")  # as a kill within a write leaves it

    again = subprocess.run(command(source, out), check=True, capture_output=True, text=True)
    assert f"{len(kept)} masks are there, {96 - len(kept)} to make" in again.stdout
    assert snapshot_bytes(out / "masks") == expected  # and no temporary file is left
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def edit_json(root, edit):
    path = root / "annotations/instances_val2017.json"
    path.write_text(edit(path.read_text()))


FAULTS = [
    (
        lambda root: (root / "val2017/000000000002.jpg").unlink(),
        ["1 of 2 images", "000000000002", "zips/val2017.zip"],
    ),
    (lambda root: edit_json(root, lambda text: text[:-40]), ["instances_val2017.json", "http://"]),
    (
        lambda root: Image.new("RGB", (5, 5)).save(root / "val2017/000000000001.jpg"),
        ["000000000001.jpg", "5x5", "40x30"],
    ),
    (
        lambda root: edit_json(root, lambda text: text.replace(f"[{HEIGHT}, {WIDTH}]", f"[{WIDTH}, {HEIGHT}]")),
        ["Annotation 4", "image 1"],
    ),
]


@pytest.mark.parametrize(("spoil", "words"), FAULTS)
@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_missing_or_wrong_is_named(tool, tmp_path, capsys, spoil, words, workers):
    source = small(tmp_path / "src")
    spoil(source)
    assert_refused(run(tool, source, tmp_path / "out", "--workers", str(workers)), capsys, words)
    assert not (tmp_path / "out/val2017.txt").exists()
