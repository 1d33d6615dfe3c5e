"""What check_data.py says about files of the wrong kind, and that it says it once."""

import io

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_allspark.datasets import check_splits

from .test_check_data import png, run, write_tree

TOOL = "check_data"


@pytest.fixture
def config(tmp_path):
    return write_tree(tmp_path, labeled=3, unlabeled=3, validation=3)


def test_masks_of_0_and_255_have_one_remedy(tool, config):
    for path in (config.parent / "mask").glob("labeled*.png"):
        path.write_bytes(png(np.eye(12, 16, dtype=np.uint8) * 255))
    code, report = run(tool, config)
    (finding,) = (finding for finding in report["findings"] if finding["level"] == "error")
    assert code == 1 and "hold a only" in finding["text"]
    assert "make it 1" in finding["remedy"] and "make it 1" not in finding["text"]


def four_channels(last, kind="png", dtype=np.uint8):
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (12, 16, 4), dtype)
    pixels[..., 3] = last
    return cv2.imencode(f".{kind}", pixels)[1].tobytes()


def by_pillow(mode, kind):
    pixels = np.random.default_rng(0).integers(0, 255, (12, 16, len(mode)), np.uint8)
    stream = io.BytesIO()
    Image.frombytes(mode, (16, 12), pixels.tobytes()).save(stream, kind)
    return stream.getvalue()


CHANNELS = {  # file -> channels stored and read; None: nothing is lost
    "half transparent": (four_channels(128), (4, 3)),
    "opaque": (four_channels(255), None),
    "deep and opaque": (four_channels(65535, dtype=np.uint16), None),
    "deep": (four_channels(65534, dtype=np.uint16), (4, 3)),
    "WebP": (four_channels(128, "webp"), (4, 3)),
    "TIFF with alpha": (four_channels(128, "tif"), (4, 3)),
    "TIFF with infrared": (by_pillow("RGBX", "tiff"), (4, 3)),
    "grey and alpha": (by_pillow("LA", "png"), (2, 1)),
    "grey TIFF and alpha": (by_pillow("LA", "tiff"), (2, 1)),
    "ink": (by_pillow("CMYK", "jpeg"), None),
}


@pytest.mark.parametrize("kind", CHANNELS)
def test_channels_that_are_not_read_are_a_warning(tool, config, kind):
    content, channels = CHANNELS[kind]
    (config.parent / "img/labeled0.jpg").write_bytes(content)
    code, report = run(tool, config)
    lost = [finding for finding in report["findings"] if finding["kind"] == "channels"]
    assert code == 0 and len(lost) == len(report["findings"]) == bool(channels)
    if channels:
        assert "labeled0.jpg has {} channels, of which the pipeline reads {}".format(*channels) in lost[0]["text"]
        assert "color_type='unchanged'" in lost[0]["remedy"] and "in_channels" in lost[0]["remedy"]


def test_channels_are_read_unchanged(tool, config):
    (config.parent / "img/labeled0.jpg").write_bytes(four_channels(128))
    config.write_text(config.read_text().replace("'LoadImage'", "'LoadImage', 'color_type': 'unchanged'"))
    assert run(tool, config)[1]["findings"] == []


def test_a_blank_line_is_one_finding_and_no_image(tool, config):
    for name in ("labeled", "validation"):  # nor is it an image in both
        (config.parent / f"{name}.txt").write_text(f"{name}0\n\n{name}1\n \n")
    code, report = run(tool, config)
    assert code == 1 and report["samples"] == dict(labeled=2, unlabeled=3, validation=2)
    assert [(f["kind"], f["where"], f["count"]) for f in report["findings"]] == [
        ("list", "labeled", 2),
        ("list", "validation", 2),
    ]
    assert f"2 blank lines in the list {config.parent}/labeled.txt" in report["findings"][0]["text"]


def test_a_list_of_blank_lines_is_no_crash(tool, config):
    (config.parent / "validation.txt").write_text("\n\n")
    code, report = run(tool, config)
    assert code == 1 and {finding["kind"] for finding in report["findings"]} == {"list", "dataset"}


@pytest.mark.parametrize("suffixes", [(".jpg", ".png"), ("_image.jpg", "_mask.png")])
def test_ids_with_the_suffix_are_named_by_check_and_training(tool, config, suffixes):
    root, hint = config.parent, "Lists hold ids without the suffix"
    for folder, suffix in zip(("img", "mask"), suffixes, strict=True):
        for path in (root / folder).iterdir():
            path.rename(path.with_name(path.stem + suffix))
    own = "{{'img_suffix': {!r}, 'seg_map_suffix': {!r}, ".format(*suffixes)
    config.write_text(config.read_text().replace("{'type': 'BaseSegDataset'", f"{own}'type': 'BaseSegDataset'"))
    assert run(tool, config)[0] == 0
    (root / "labeled.txt").write_text(f"labeled0{suffixes[0]}\nlabeled1")
    code, report = run(tool, config)
    assert code == 1 and all(hint in finding["text"] for finding in report["findings"])
    dataset = DATASETS.build(Config.fromfile(config).train_dataloader.dataset)
    with pytest.raises(FileNotFoundError, match=hint):
        check_splits(dataset)
