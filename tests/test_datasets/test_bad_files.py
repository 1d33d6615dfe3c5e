"""One short test for each thing that the fuzz test (tests/test_fuzz_inputs.py) found."""

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.dataset import BaseDataset
from PIL import Image

from mmseg_allspark.datasets import SplitError, UnlabeledDataset, check_splits
from mmseg_allspark.datasets.transforms import DataFileError, LoadImage, LoadSegMask
from mmseg_allspark.datasets.transforms.decoding import is_complete, turn

from .conftest import picture

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from fuzz_files import bomb, encode  # noqa: E402


def load_image(path: Path, content: bytes, **options: object) -> dict:
    path.write_bytes(content)
    return LoadImage(**options)(dict(img_path=str(path)))


def load_mask(path: Path, content: bytes, options: dict | None = None, **sample: object) -> np.ndarray:
    path.write_bytes(content)
    sample = dict(img_path="x.jpg", seg_map_path=str(path), seg_fields=[]) | sample
    return LoadSegMask(**(options or {}))(sample)["gt_seg_map"]


@pytest.mark.parametrize(("mode", "top"), [("L2", 3), ("L4", 15), ("1", 1)])
def test_grey_masks_of_few_bits_are_not_stretched(tmp_path, mode, top):
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4) % (top + 1)
    for backend in ("pillow", "cv2"):
        found = load_mask(tmp_path / "m.png", encode(labels, "PNG", mode, {}), dict(imdecode_backend=backend))
        assert np.array_equal(found, labels)


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "GIF"])
def test_masks_in_formats_that_change_labels_are_refused(tmp_path, form):
    with pytest.raises(DataFileError, match=r"m\.png is a .* file, a format that may change"):
        load_mask(tmp_path / "m.png", encode(np.ones((8, 8), np.uint8), form, "L", {}))


@pytest.mark.parametrize("value", [0.5, np.nan, -1.0, 256.0])
def test_float_masks_hold_whole_numbers(tmp_path, value):
    labels = np.ones((2, 2), np.float32)
    assert np.array_equal(load_mask(tmp_path / "m.tif", encode(labels, "TIFF", "F", {})), labels)
    labels[0, 1] = value
    with pytest.raises(DataFileError, match=r"m\.tif .*whole numbers"):
        load_mask(tmp_path / "m.tif", encode(labels, "TIFF", "F", {}))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_is_what_pillow_does(orientation):
    stored = picture(3, 5)
    with Image.open(io.BytesIO(encode(stored, "PNG", "RGB", {}, orientation))) as image:
        from PIL import ImageOps

        shown = np.array(ImageOps.exif_transpose(image))
    assert np.array_equal(turn(stored, orientation), shown)
    assert np.array_equal(turn(shown, orientation, back=True), stored)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_orientation_is_ignored_when_told_so(tmp_path, form, orientation):
    image = np.kron(picture(2, 3), np.ones((8, 8, 1), np.uint8))
    content = encode(image, form, "RGB", {}, orientation)
    stored = load_image(tmp_path / "a", content, color_type="color_ignore_orientation")
    shown = load_image(tmp_path / "a", content)
    assert stored["img"].shape == image.shape and not stored["img_turned"] and shown["img_turned"]
    assert np.array_equal(turn(stored["img"], orientation), shown["img"])


def test_the_size_of_a_mask_tells_what_it_was_drawn_on(tmp_path):
    labels = (np.arange(15) % 4).astype(np.uint8).reshape(3, 5)
    image = load_image(tmp_path / "a.jpg", encode(np.zeros((3, 5, 3), np.uint8), "JPEG", "RGB", {}, 6))
    for written in (labels, turn(labels, 6)):
        assert np.array_equal(load_mask(tmp_path / "m.png", encode(written, "PNG", "L", {}), **image), turn(labels, 6))


@pytest.mark.parametrize(("orientation", "shape"), [(3, (3, 5)), (2, (3, 5)), (6, (4, 4))])
def test_a_turned_image_with_a_mask_that_may_be_either_is_refused(tmp_path, orientation, shape):
    labels = np.eye(*shape, dtype=np.uint8)
    image = load_image(tmp_path / "a.jpg", encode(np.zeros((*shape, 3), np.uint8), "JPEG", "RGB", {}, orientation))
    mask = encode(labels, "PNG", "L", {})
    with pytest.raises(DataFileError, match=r"a\.jpg turn it .*drawn_on='stored'"):
        load_mask(tmp_path / "m.png", mask, **image)
    assert np.array_equal(load_mask(tmp_path / "m.png", mask, dict(drawn_on="shown"), **image), labels)
    stored = load_mask(tmp_path / "m.png", mask, dict(drawn_on="stored"), **image)
    assert np.array_equal(stored, turn(labels, orientation))


def test_a_mask_with_an_orientation_of_its_own(tmp_path):
    labels = np.eye(4, dtype=np.uint8)[:, ::-1][:, :3]
    mask = encode(labels, "TIFF", "L", {}, 3)
    with pytest.raises(DataFileError, match=r"m\.tif asks to be turned \(orientation 3\)"):
        load_mask(tmp_path / "m.tif", mask, ori_shape=(4, 3))
    image = load_image(tmp_path / "a.tif", encode(np.zeros((4, 3, 3), np.uint8), "TIFF", "RGB", {}, 3))
    assert np.array_equal(load_mask(tmp_path / "m.tif", mask, **image), labels[::-1, ::-1])


@pytest.mark.parametrize("loader", [load_image, load_mask])
def test_a_decompression_bomb_is_not_decoded(tmp_path, loader):
    with pytest.raises(DataFileError, match=r"a\.png .*too large"):
        loader(tmp_path / "a.png", bomb(20_000))


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_never_ends_is_not_read(tmp_path, kind):
    path = tmp_path / "a.png"
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    with pytest.raises(DataFileError, match=r"a\.png cannot be read: it is a pipe"):
        LoadImage()(dict(img_path=str(path)))


def test_values_of_16_bit_and_alpha_in_tiff(tmp_path):
    deep = np.arange(0, 65536, 4096, dtype=np.uint16).reshape(4, 4)
    found = load_image(tmp_path / "a.png", encode(deep, "PNG", "I;16", {}), imdecode_backend="pillow")["img"]
    assert np.abs(found[..., 0] - deep / 257.0).max() <= 1
    colours = picture(4, 4)
    found = load_image(tmp_path / "a.tif", encode(colours, "TIFF", "RGBA", {}))["img"]
    assert np.array_equal(found[..., ::-1], colours)
    with pytest.raises(DataFileError, match=r"a\.tif .*mode F.*8 bit"):
        load_image(tmp_path / "a.tif", encode(np.ones((4, 4), np.float32), "TIFF", "F", {}))


def test_a_motion_photo_is_complete_and_a_cut_one_is_not():
    photo = encode(picture(16, 16), "JPEG", "RGB", {})
    assert is_complete(photo + b"film \xff\xda film")
    assert not is_complete(photo[:-2]) and not is_complete(photo[:-2] + b"\xff\x00" * 9)


def images_with_broken(folder: Path, save_image, broken: int, whole: int) -> Path:
    for index in range(whole):
        save_image(folder / f"w{index:02d}.png", seed=index)
    for index in range(broken):
        (folder / f"b{index:02d}.png").write_bytes(b"no image")
    return folder


PIPELINE = [dict(type="LoadImage"), dict(type="PackSemiInputs")]


def used(dataset: BaseDataset) -> list[str]:
    return [Path(dataset[i]["data_samples"].img_path).name for i in range(len(dataset))]


def test_unreadable_unlabeled_images_are_replaced_alike_in_every_run(tmp_path, save_image, caplog):
    folder = images_with_broken(tmp_path / "images", save_image, broken=3, whole=6)
    runs = []
    for seed in (0, 1):
        np.random.seed(seed)
        runs.append(used(UnlabeledDataset(folder, pipeline=PIPELINE)))
    assert runs[0] == runs[1] and runs[0][3:] == [f"w0{i}.png" for i in range(6)]
    assert {name[0] for name in runs[0]} == {"w"}


def test_each_unreadable_file_is_named_once(tmp_path, save_image, monkeypatch):
    said = []
    monkeypatch.setattr("mmseg_allspark.datasets.transforms.unreadable.print_log", lambda text, **_: said.append(text))
    dataset = UnlabeledDataset(images_with_broken(tmp_path / "i", save_image, broken=2, whole=9), pipeline=PIPELINE)
    used(dataset), used(dataset)
    assert sorted(text.count("b00.png") + 2 * text.count("b01.png") for text in said) == [1, 2]


def test_mostly_unreadable_images_stop_the_run(tmp_path, save_image):
    folder = images_with_broken(tmp_path / "images", save_image, broken=30, whole=9)
    with pytest.raises(DataFileError, match=r"\d\d of the \d\d unlabeled images .*check_data\.py"):
        used(UnlabeledDataset(folder, pipeline=PIPELINE))
    with pytest.raises(DataFileError, match=r"b00\.png"):
        UnlabeledDataset(folder, pipeline=PIPELINE, unreadable="stop")[0]


def test_plain_data_sets_skip_through_the_transform(tmp_path, save_image):
    folder = images_with_broken(tmp_path / "images", save_image, broken=2, whole=6)

    class Plain(BaseDataset):
        def load_data_list(self):
            return [dict(img_path=str(path)) for path in sorted(folder.iterdir())]

    skipping = dict(type="LoadImage", unreadable="skip")
    runs = []
    for _ in range(2):
        np.random.seed(4)  # as mmengine does in every worker
        runs.append(used(Plain(pipeline=[skipping, PIPELINE[1]])))
    assert runs[0] == runs[1] and all(name.startswith("w") for name in runs[0])
    with pytest.raises(DataFileError, match=r"b00\.png"):
        Plain(pipeline=PIPELINE)[0]


def test_labeled_images_are_never_skipped(tmp_path, save_image):
    folder = images_with_broken(tmp_path / "images", save_image, broken=0, whole=2)
    dataset = UnlabeledDataset(folder, pipeline=[dict(type="LoadImage", unreadable="skip")])
    with pytest.raises(SplitError, match=r"labeled data has LoadImage\(unreadable='skip'\)"):
        check_splits(dataset)


def test_an_error_of_the_pipeline_names_the_image(tmp_path, save_image):
    folder = images_with_broken(tmp_path / "images", save_image, broken=0, whole=1)
    dataset = UnlabeledDataset(folder, pipeline=[dict(type="LoadImage"), dict(type="Resize", scale=(0, 0))])
    with pytest.raises(DataFileError, match=r"w00\.png"):
        dataset[0]
