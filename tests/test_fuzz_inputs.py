"""Whatever lies on the disk: a right sample, or an error that names the file. Never a hang, never a wrong label."""

from __future__ import annotations

import io
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fuzz_files import IMAGE_KINDS, LABELS, MASK_KINDS, File, encode, image_files, mask_files, pairs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from time_limit import time_limit

from mmseg_allspark.datasets import UnlabeledDataset
from mmseg_allspark.datasets.transforms import DataFileError, LoadImage, LoadSegMask

CROP = 24
PIPELINE = [
    dict(type="LoadImage"),
    dict(type="LoadSegMask", num_classes=LABELS),
    dict(type="RandomResizeLongSide", ratio_range=(0.5, 2.0)),
    dict(type="RandomCrop", crop_size=(CROP, CROP), cat_max_ratio=1.0),
    dict(type="Pad", size=(CROP, CROP), pad_val=dict(img=0, seg=255)),
    dict(type="RandomFlip", prob=0.5),
    dict(type="MultiView", views=dict(weak=[], strong=[dict(type="RandomColorJitter"), dict(type="RandomGray")])),
    dict(type="PackSemiInputs"),
]
pytestmark = pytest.mark.filterwarnings("ignore")


def attempt(path: Path, load: Callable[[], dict | None]) -> dict | None:
    """What is loaded, or None where an error names the file."""
    try:
        return load()
    except DataFileError as error:
        assert str(path) in str(error)
        assert len(str(error)) > len(str(path)) + 40, "the message says no more than the path"
        return None


def shown_by_pillow(content: bytes) -> np.ndarray | None:
    """BGR (H, W, 3) as a viewer shows it; None where Pillow cannot say."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I;16"):
                return np.repeat(np.round(np.array(image) / 257.0)[..., None], 3, axis=2)
            return np.array(image.convert("RGB"))[..., ::-1]
    except Exception:
        return None


class Fuzz:
    """The properties, one method a room; counts what was tried."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.counts, self.accepted = folder, Counter(), Counter()

    def count(self, room: str, category: str, accepted: bool) -> None:
        self.counts[room, category] += 1
        self.accepted[room, category] += accepted

    def image(self, file: File) -> None:
        path = self.folder / f"image{file.suffix}"
        path.write_bytes(file.content)
        found = attempt(path, lambda: LoadImage()(dict(img_path=str(path))))
        self.count("image", file.damage if file.damage != "none" else file.kind, found is not None)
        if found is None:
            refused = file.kind == "tiff float" or (file.kind == "tiff 16 bit" and file.orientation != 1)
            assert file.damage not in ("none", "appended") or refused or "gif" in file.kind
            return
        image, expected = found["img"], shown_by_pillow(file.content)
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        assert found["img_shape"] == found["ori_shape"] == image.shape[:2]
        assert (found.get("exif_orientation", 1) != 1) == (file.orientation != 1) or file.damage != "none"
        if file.damage in ("flipped", "zeroed") and not file.kind.startswith(("jpeg", "png")):
            return  # without check sums decoders may see different pictures in one damaged file
        assert image.shape == expected.shape
        difference = np.abs(image - expected.astype(float))
        assert difference.max() <= 16 and difference.mean() <= 2, (difference.max(), difference.mean())

    def mask(self, file: File) -> None:
        path = self.folder / f"mask{file.suffix}"
        path.write_bytes(file.content)
        sample = dict(img_path="image.png", seg_map_path=str(path), seg_fields=[], num_classes=LABELS)
        found = attempt(path, lambda: LoadSegMask()(sample))
        self.count("mask", file.damage if file.damage != "none" else file.kind, found is not None)
        in_range = bool(np.isin(file.pixels, [*range(LABELS), 255]).all())
        if found is None:
            exact = not any(name in file.kind for name in ("alpha", "rgb", "gif", "jpeg", "webp"))
            assert not (file.damage == "none" and in_range and exact)
            return
        labels, expected = found["gt_seg_map"], file.pixels
        if file.damage in ("flipped", "zeroed") and not file.kind.startswith("png"):  # no check sums
            expected = np.array(Image.open(io.BytesIO(file.content)))
        assert labels.dtype == np.uint8 and np.array_equal(labels, expected)
        assert np.isin(labels, [*range(LABELS), 255]).all()

    def pair(self, case: tuple[File, File]) -> None:
        """Through a whole training pipeline: right shapes and no label that is not in the file."""
        image, mask = case
        image_path, mask_path = self.folder / f"pair{image.suffix}", self.folder / f"pair_mask{mask.suffix}"
        image_path.write_bytes(image.content)
        mask_path.write_bytes(mask.content)
        dataset = UnlabeledDataset(str(image_path), pipeline=PIPELINE, serialize_data=False)
        dataset.data_list[0].update(seg_map_path=str(mask_path), num_classes=LABELS)
        try:
            sample = dataset[0]
        except DataFileError as error:
            assert str(image_path) in str(error) or str(mask_path) in str(error)
            sample = None
        self.count("pipeline", "image and mask", sample is not None)
        if sample is not None:
            assert sample["inputs"]["weak"].shape == sample["inputs"]["strong"].shape == (3, CROP, CROP)
            labels = np.unique(sample["data_samples"].gt_sem_seg.data.numpy())
            assert np.isin(labels, [*range(LABELS), 255]).all()

    def turned(self, case: tuple[str, int, int, int, str | None, str]) -> None:
        """An image whose EXIF data turn it, and a mask drawn on what is shown or on what is stored."""
        form, orientation, height, width, told, drawn = case
        labels = np.arange(height * width, dtype=np.uint8).reshape(height, width) % LABELS
        image = np.repeat((labels * 50)[..., None], 3, axis=2)
        path = self.folder / f"turned.{form.lower()}"
        options = dict(quality=100, subsampling=0) if form == "JPEG" else {}
        path.write_bytes(encode(image, form, "RGB", options, orientation))
        shown = shown_by_pillow(path.read_bytes())
        shown_labels = np.round(shown[..., 0] / 50.0).astype(np.uint8)
        mask_path = self.folder / "turned_mask.png"
        Image.fromarray(shown_labels if drawn == "shown" else labels).save(mask_path)

        def load() -> dict:
            sample = LoadImage()(dict(img_path=str(path), seg_map_path=str(mask_path), seg_fields=[]))
            return LoadSegMask(drawn_on=told)(sample)

        found = attempt(path, load)
        self.count("exif", f"told {told}", found is not None)
        if told is not None and told != drawn:
            return  # told something wrong
        if orientation == 1 and drawn == "shown" or told is not None:
            assert found is not None
        if found is not None:
            assert np.array_equal(found["gt_seg_map"], np.round(found["img"][..., 0] / 50.0))


def odd_paths(folder: Path) -> Iterator[tuple[str, Path]]:
    """Things that are no files."""
    (folder / "folder.png").mkdir()
    (folder / "broken.png").symlink_to(folder / "nowhere.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "device.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.png")
    with (folder / "huge.png").open("wb") as stream:
        stream.truncate(2**40)  # sparse
    (folder / "secret.png").write_bytes(b"x")
    (folder / "secret.png").chmod(0)
    for name in ("folder", "broken", "loop", "device", "pipe", "huge", "secret", "missing"):
        yield name, folder / f"{name}.png"
    yield "long name", folder / ("x" * 300 + ".png")
    yield "null byte", folder / "a\0b.png"
    yield "below a file", folder / "secret.png" / "a.png"


TURNED = st.tuples(
    st.sampled_from(["JPEG", "PNG", "TIFF", "WEBP"][:3]),
    st.integers(1, 8),
    st.sampled_from([8, 16]),
    st.sampled_from([8, 16]),
    st.sampled_from([None, "shown", "stored"]),
    st.sampled_from(["shown", "stored"]),
)


def repeat(check: Callable, strategy: st.SearchStrategy, examples: int) -> None:
    """Let hypothesis draw cases, the same ones every time."""
    options = dict(deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck])
    options["phases"] = [Phase.generate, Phase.shrink]

    @settings(max_examples=examples, **options)
    @given(strategy)
    def test(case: object) -> None:
        with time_limit():
            check(case)

    test()


def run_all(folder: Path, each_kind: int, any_kind: int) -> Counter:
    """Try that many cases of each kind of file, and of each room."""
    fuzz = Fuzz(folder)
    rooms = [
        (fuzz.image, image_files(), any_kind),
        (fuzz.mask, mask_files(), any_kind),
        (fuzz.pair, pairs(), any_kind),
        (fuzz.turned, TURNED, any_kind),
    ]
    if each_kind:
        rooms += [(fuzz.image, image_files(kind), each_kind) for kind in sorted(IMAGE_KINDS)]
        rooms += [(fuzz.mask, mask_files(kind), each_kind) for kind in sorted(MASK_KINDS)]
    for check, strategy, examples in rooms:
        repeat(check, strategy, examples)
    for name, path in odd_paths(folder):
        for loader, key in ((LoadImage(), "img_path"), (LoadSegMask(), "seg_map_path")):
            sample = {"img_path": "x", "seg_fields": [], key: str(path)}
            with time_limit():
                found = attempt(path, lambda loader=loader, sample=sample: loader(sample))
            assert found is None
            fuzz.count("path", name, False)
    for key, number in sorted(fuzz.counts.items()):
        print(f"{key[0]:>9}: {key[1]:<18} {number:5d} cases, {fuzz.accepted[key]:5d} accepted")
    print(f"{sum(fuzz.counts.values())} cases")
    return fuzz.counts


def test_some_files(tmp_path):
    started = time.monotonic()
    counts = run_all(tmp_path, each_kind=0, any_kind=25)
    assert sum(counts.values()) >= 100 and time.monotonic() - started < 600


@pytest.mark.slow
def test_many_files(tmp_path):
    counts = run_all(tmp_path, each_kind=50, any_kind=200)
    assert sum(counts.values()) >= 2000
    assert {category for room, category in counts if room == "image"} >= set(IMAGE_KINDS)
    assert {category for room, category in counts if room == "mask"} >= set(MASK_KINDS)
