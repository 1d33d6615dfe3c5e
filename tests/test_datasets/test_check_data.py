import io
import json
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from mmseg_allspark.datasets.inspection import is_complete
from mmseg_allspark.datasets.synthetic import SyntheticSpec, write_synthetic
from mmseg_allspark.datasets.transforms.decoding import count_pages

from .prepare_tools import REPOSITORY

TOOL = "check_data"

CLASSES = ("a", "b", "c")
CONFIG = """
train_dataloader = {labeled}
train_cfg = dict(type='PseudoLabelLoop', max_iters=1)
unlabeled_dataloader = {unlabeled}
val_dataloader = {validation}
"""


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def write_tree(root: Path, **counts: int) -> Path:
    """JPEG images img/<split><i>.jpg with masks of all three classes; returns the config."""
    rng = np.random.default_rng(0)
    mask = np.zeros((12, 16), np.uint8)
    mask[4:, 8:], mask[8:, :4], mask[0] = 1, 2, 255
    mask_file = png(mask)
    (root / "img").mkdir(parents=True)
    (root / "mask").mkdir()
    for split, count in counts.items():
        names = [f"{split}{index}" for index in range(count)]
        (root / f"{split}.txt").write_text("\n".join(names))
        for name in names:
            Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).save(root / "img" / f"{name}.jpg")
            (root / "mask" / f"{name}.png").write_bytes(mask_file)
    loaders = {
        split: dict(
            dataset=dict(
                type="BaseSegDataset",
                metainfo=dict(classes=CLASSES),
                data_root=str(root),
                ann_file=f"{split}.txt",
                data_prefix=dict(img_path="img", seg_map_path="mask"),
                pipeline=[dict(type="LoadImage"), dict(type="LoadSegMask", optional=split == "unlabeled")],
            )
        )
        for split in ("labeled", "unlabeled", "validation")
    }
    config = root / "config.py"
    config.write_text(CONFIG.format(**loaders))
    return config


def run(tool, config: Path, *more: str) -> tuple[int, dict]:
    out = config.parent / "report.json"
    code = tool.main([str(config), "--workers", "2", "--json", str(out), *more])
    return code, json.loads(out.read_text())


def kinds(report: dict) -> set[tuple[str, str, str]]:
    return {(finding["level"], finding["kind"], finding["where"]) for finding in report["findings"]}


def test_a_clean_tree_is_clean_and_its_classes_are_counted(tool, tmp_path, capsys):
    code, report = run(tool, write_tree(tmp_path / "data", labeled=3, unlabeled=5, validation=2))
    assert code == 0 and report["ok"] and not report["findings"]
    assert report["samples"] == dict(labeled=3, unlabeled=5, validation=2)
    per_image = [12 * 16 - 16 - 64 - 16, 64, 16]  # rows 8..11 x columns 0..3 are c, a 8 x 8 corner is b, row 0 void
    assert report["pixels"]["labeled"] == [3 * count for count in per_image]
    assert report["ignored"] == dict(labeled=3 * 16, unlabeled=5 * 16, validation=2 * 16)
    assert "0 kinds of errors" in capsys.readouterr().out


def test_three_planted_faults_are_found_among_2000_images(tool, tmp_path, capsys):
    root = tmp_path / "data"
    config = write_tree(root, labeled=500, unlabeled=1200, validation=300)
    (root / "img/unlabeled77.jpg").write_bytes((root / "img/validation31.jpg").read_bytes())  # another id
    mask = np.zeros((12, 16), np.uint8)
    mask[3, 4:6] = 7
    (root / "mask/labeled123.png").write_bytes(png(mask))
    whole = (root / "img/unlabeled900.jpg").read_bytes()
    (root / "img/unlabeled900.jpg").write_bytes(whole[: int(0.8 * len(whole))])
    start = time.monotonic()
    code, report = run(tool, config)
    assert time.monotonic() - start < 15
    assert code == 1
    found = {finding["kind"]: finding for finding in report["findings"]}
    assert set(found) == {"leak", "labels", "truncated"}
    assert found["leak"]["where"] == "unlabeled and validation" and found["leak"]["count"] == 1
    assert "unlabeled77.jpg" in found["leak"]["files"][0] and "validation31.jpg" in found["leak"]["files"][0]
    assert found["labels"]["files"] == [str(root / "mask/labeled123.png")]
    assert "7 (2 pixels)" in found["labels"]["text"] and found["labels"]["where"] == "labeled"
    assert found["truncated"]["files"] == [str(root / "img/unlabeled900.jpg")]
    assert all(finding["key"] and finding["remedy"] for finding in report["findings"])
    printed = capsys.readouterr()
    assert "labeled123.png" in printed.out and "3 kinds of errors" in printed.out
    assert "read sample 2000 of 2000" in printed.err


def test_a_jpeg_that_decodes_though_it_is_cut_off_is_found():
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)).save(stream, "JPEG")
    whole = stream.getvalue()
    assert is_complete(whole) and is_complete(whole + b"\0\0")
    assert not is_complete(whole[:-2]) and not is_complete(whole[: len(whole) // 2])
    assert is_complete(png(np.zeros((4, 4), np.uint8))) and not is_complete(png(np.zeros((4, 4), np.uint8))[:-9])


def test_leaks_by_file_and_by_pixels_and_overlap(tool, tmp_path):
    root = tmp_path / "data"
    config = write_tree(root, labeled=3, unlabeled=4, validation=2)
    (root / "labeled.txt").write_text("labeled0\nlabeled1\nlabeled2\nvalidation0")
    (root / "unlabeled.txt").write_text("unlabeled0\nlabeled1")
    pixels = np.asarray(Image.open(root / "img/validation1.jpg"))
    Image.fromarray(pixels).save(root / "img/unlabeled0.jpg", "PNG")  # equal pixels in another format
    code, report = run(tool, config)
    assert code == 1
    leaks = {("error", "leak", "labeled and validation"), ("error", "leak", "unlabeled and validation")}
    assert kinds(report) == leaks | {("error", "overlap", "labeled and unlabeled")}
    assert any("1 equal pixels" in finding["text"] for finding in report["findings"])
    code, report = run(tool, config, "--cfg-options", "train_cfg.allow_overlap=True")
    assert code == 1 and kinds(report) == leaks


def test_missing_sizes_and_repetitions(tool, tmp_path):
    root = tmp_path / "data"
    config = write_tree(root, labeled=4, unlabeled=3, validation=2)
    (root / "img/labeled0.jpg").unlink()
    (root / "mask/labeled1.png").unlink()
    (root / "mask/validation1.png").write_bytes(png(np.zeros((16, 12), np.uint8)))
    (root / "mask/unlabeled1.png").unlink()  # no mask is needed there
    (root / "img/unlabeled2.jpg").write_bytes((root / "img/unlabeled0.jpg").read_bytes())
    code, report = run(tool, config)
    assert code == 1
    assert [(f["kind"], f["files"]) for f in report["findings"] if f["where"] == "labeled"] == [
        ("missing", [str(root / "img/labeled0.jpg")]),
        ("missing", [str(root / "mask/labeled1.png")]),
    ]
    assert ("error", "size", "validation") in kinds(report) and ("warning", "duplicate", "unlabeled") in kinds(report)
    assert report["samples"]["unlabeled"] == 3 and len(report["findings"]) == 4


def test_labels_are_judged_after_the_data_sets_own_changes(tool, tmp_path):
    config = write_tree(tmp_path / "data", labeled=2, unlabeled=2, validation=2)
    every = ("train_dataloader", "unlabeled_dataloader", "val_dataloader")
    options = [f"{key}.dataset.reduce_zero_label=True" for key in every]
    code, report = run(tool, config, "--cfg-options", *options)
    assert code == 0
    assert report["pixels"]["labeled"] == [2 * 64, 2 * 16, 0]  # 1 -> 0, 2 -> 1, the zeros are ignored


def test_a_plain_mmseg_config_without_unlabeled_data_works(tool, tmp_path):
    root = tmp_path / "data"
    config = write_tree(root, labeled=2, unlabeled=1, validation=2)
    (root / "mask/validation1.png").write_bytes(png(np.full((12, 16), 3, np.uint8)))
    plain = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations"), dict(type="PackSegInputs")]
    with config.open("a") as stream:
        stream.write(f"train_cfg = dict(type='IterBasedTrainLoop', max_iters=1)\nplain = {plain}\n")
        for key in ("train_dataloader", "val_dataloader"):
            stream.write(f"{key}['dataset']['pipeline'] = plain\n")
    code, report = run(tool, config)
    assert code == 1 and kinds(report) == {("error", "labels", "validation")}
    assert report["samples"] == dict(labeled=2, validation=2)


def test_equal_ids_of_different_pictures_are_a_warning(tool, tmp_path):
    root = tmp_path / "data"
    config = write_tree(root, labeled=2, unlabeled=2, validation=2)
    (root / "val").mkdir()
    (root / "img/validation0.jpg").rename(root / "val/labeled0.jpg")
    (root / "img/validation1.jpg").rename(root / "val/validation1.jpg")
    (root / "validation.txt").write_text("labeled0\nvalidation1")
    code, report = run(tool, config, "--cfg-options", "val_dataloader.dataset.data_prefix.img_path=val")
    assert code == 0 and kinds(report) == {("warning", "same id", "labeled and validation")}


def test_the_embedded_data_set_is_clean(tool, tmp_path):
    root = tmp_path / "synthetic"
    write_synthetic(root, SyntheticSpec(num_labeled=3, num_unlabeled=4, num_val=2, size=32))
    config = REPOSITORY / "configs/allspark/resnet18-tiny_synthetic.py"
    keys = ("train_dataloader", "unlabeled_dataloader", "val_dataloader")
    options = [f"{key}.dataset.data_root={root}" for key in keys]
    assert tool.main([str(config), "--workers", "1", "--cfg-options", *options]) == 0


def test_a_mask_is_turned_as_the_config_says(tool, tmp_path):
    config = write_tree(tmp_path, labeled=3, unlabeled=3, validation=3)
    path = tmp_path / "img" / "labeled0.jpg"
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down: the size does not tell what the mask was drawn on
    Image.open(path).save(path, exif=exif)
    assert run(tool, config)[0] == 1
    config.write_text(config.read_text().replace("'LoadSegMask'", "'LoadSegMask', 'drawn_on': 'stored'"))
    assert run(tool, config)[0] == 0


def test_warnings_alone_do_not_fail(tool, tmp_path):
    root = tmp_path / "data"
    config = write_tree(root, labeled=2, unlabeled=2, validation=2)
    for name in ("labeled0", "labeled1"):
        (root / "mask" / f"{name}.png").write_bytes(png(np.eye(12, 16, dtype=np.uint8)))
    code, report = run(tool, config)
    assert code == 0 and kinds(report) == {("warning", "class", "labeled")}
    assert report["findings"][0]["files"] == ["c"]


def write_pages(path: Path, *pages: tuple[np.ndarray, int]) -> None:
    """A TIFF of pages with their NewSubfileType."""
    with TiffImagePlugin.AppendingTiffWriter(str(path), new=True) as stream:
        for pixels, kind in pages:
            Image.fromarray(pixels).save(stream, "TIFF", tiffinfo={254: kind})
            stream.newFrame()


def test_what_reading_loses_is_a_warning_with_numbers(tool, tmp_path):
    root = tmp_path / "data"
    config = write_tree(root, labeled=4, unlabeled=3, validation=2)
    rng = np.random.default_rng(0)
    for name, low, high in (("labeled0", 0, 3060), ("validation0", 30000, 31000), ("unlabeled0", 0, 65535)):
        shape = (12, 16, 3) if name == "labeled0" else (12, 16)
        png_file = cv2.imencode(".png", rng.integers(low, high, shape, np.uint16))[1].tobytes()
        (root / f"img/{name}.jpg").write_bytes(png_file)
    page = rng.integers(0, 256, (12, 16, 3), np.uint8)
    write_pages(root / "img/labeled1.jpg", (page, 0), (page // 4, 0), (page // 16, 0))
    write_pages(root / "img/unlabeled1.jpg", (page + 1, 0), (page[::2, ::2], 1))  # a copy of half the size
    code, report = run(tool, config)
    assert code == 0
    found = {(finding["kind"], finding["where"]): finding for finding in report["findings"]}
    assert set(found) == {("depth", "labeled"), ("depth", "validation"), ("pages", "labeled")}
    assert found["depth", "labeled"]["files"] == [str(root / "img/labeled0.jpg")]
    assert "use 5% of the range. In the 8 bits that are read, 12 grey levels remain" in str(found)
    assert "use 1% of the range. In the 8 bits that are read, 5 grey levels remain" in str(found)
    assert "labeled1.jpg has 3 pages; the first is read" in found["pages", "labeled"]["text"]
    config.write_text(config.read_text().replace("'LoadImage'", "'LoadImage', 'color_type': 'unchanged'"))
    assert "depth" not in {finding["kind"] for finding in run(tool, config)[1]["findings"]}


@pytest.mark.parametrize(("bigtiff", "byteorder"), [(False, "<"), (True, "<"), (False, ">"), (True, ">")])
def test_pages_that_pillow_cannot_open_are_counted(tool, tmp_path, bigtiff, byteorder):
    tifffile = pytest.importorskip("tifffile")
    root = tmp_path / "data"
    config = write_tree(root, labeled=2, unlabeled=2, validation=2)
    page = np.random.default_rng(0).integers(0, 256, (12, 16, 6), np.uint16)
    with tifffile.TiffWriter(root / "img/labeled0.jpg", bigtiff=bigtiff, byteorder=byteorder) as file:
        for subfile in (0, 0, 1, 0):  # 1: a smaller copy
            file.write(page, photometric="minisblack", planarconfig="contig", subfiletype=subfile, metadata=None)
    assert count_pages((root / "img/labeled0.jpg").read_bytes()) == 3
    loader = "'LoadImage', 'color_type': 'unchanged', 'imdecode_backend': 'tifffile'"
    config.write_text(config.read_text().replace("'LoadImage'", loader))
    pages = [finding for finding in run(tool, config)[1]["findings"] if finding["kind"] == "pages"]
    assert [finding["files"] for finding in pages] == [[str(root / "img/labeled0.jpg")]]
    assert "has 3 pages" in pages[0]["text"] and "12, 16, 6) is read" in pages[0]["text"]


def test_masks_among_unlabeled_images_are_a_warning(tool, tmp_path):
    root = tmp_path / "data"
    config = write_tree(root, labeled=2, unlabeled=3, validation=2)
    (root / "img/masks").mkdir()
    mask = (root / "mask/labeled0.png").read_bytes()
    (root / "img/unlabeled0_mask.jpg").write_bytes(mask)
    (root / "img/masks/unlabeled1.jpg").write_bytes(png(np.eye(12, 16, dtype=np.uint8)))
    (root / "img/unlabeled0_2.jpg").write_bytes(png(np.random.default_rng(9).integers(0, 256, (12, 16, 3), np.uint8)))
    (root / "img/drawing.jpg").write_bytes(png(np.eye(12, 16, 1, dtype=np.uint8)))  # few colours, but of its own
    with (root / "unlabeled.txt").open("a") as stream:
        stream.write("\nunlabeled0_mask\nunlabeled0_2\nmasks/unlabeled1\ndrawing")
    code, report = run(tool, config)
    assert code == 0 and kinds(report) == {("warning", "mask", "unlabeled")}
    names = ["unlabeled0_mask.jpg", "masks/unlabeled1.jpg"]
    assert report["findings"][0]["files"] == [str(root / "img" / name) for name in names]


def test_a_data_set_that_cannot_be_built_is_a_finding_and_the_others_are_checked(tool, tmp_path):
    config = write_tree(tmp_path / "data", labeled=2, unlabeled=2, validation=2)
    code, report = run(tool, config, "--cfg-options", "val_dataloader.dataset.ann_file=lost.txt")
    assert code == 1 and kinds(report) == {("error", "dataset", "validation")}
    assert "lost.txt" in report["findings"][0]["text"] and set(report["samples"]) == {"labeled", "unlabeled"}


@pytest.mark.parametrize("arguments", [["no/such/config.py"], ["EMPTY"], ["EMPTY", "--workers", "0"]])
def test_wrong_usage_is_exit_code_2(tool, tmp_path, arguments):
    (tmp_path / "empty.py").write_text("model = dict(type='EncoderDecoder')\n")
    with pytest.raises(SystemExit) as stop:
        tool.main([str(tmp_path / "empty.py") if a == "EMPTY" else a for a in arguments])
    assert stop.value.code == 2
