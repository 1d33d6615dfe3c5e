"""What is in an image's file and not in what the pipeline reads: pages, channels, grey levels."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from .check_tools import run

TOOL = "check_data"


def write_pages(path: Path, *pages: tuple[np.ndarray, int]) -> None:
    """A TIFF of pages with their NewSubfileType."""
    with TiffImagePlugin.AppendingTiffWriter(str(path), new=True) as stream:
        for pixels, kind in pages:
            Image.fromarray(pixels).save(stream, "TIFF", tiffinfo={254: kind})
            stream.newFrame()


def test_what_reading_loses_is_a_warning_with_numbers(tool, config):
    root = config.parent
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
    "TIFF with infrared": (by_pillow("RGBX", "tiff"), (4, 3)),
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
