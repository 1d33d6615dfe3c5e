"""The synthetic data set: same seed, same pixels; masks and lists as promised; the tool around it."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_allspark.datasets.synthetic import SyntheticSpec, write_synthetic
from mmseg_allspark.datasets.synthetic_scenes import CLASSES, IGNORE, make_scene

from .prepare_tools import assert_refused, run

SPEC = SyntheticSpec(num_labeled=8, num_unlabeled=6, num_val=3, size=48, seed=0)
PINNED_MEAN = [113.7, 131.1, 105.7]
PINNED_PIXELS = [3030, 0, 0, 376, 278, 231, 0, 0, 181]
TOOL = "synthetic"


def hash_synthetic(out):
    """SHA-256 over names, lists and pixels of a data set; PNG bytes depend on the zlib at hand."""
    out, digest = Path(out), hashlib.sha256()
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        digest.update(path.relative_to(out).as_posix().encode())
        with path.open("rb") as stream:
            digest.update(np.array(Image.open(stream)).tobytes() if path.suffix == ".png" else stream.read())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "synthetic"
    assert write_synthetic(out, SPEC)
    return out


def stamps(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_same_seed_same_pixels_other_seed_other_pixels(folder: Path, tmp_path: Path) -> None:
    write_synthetic(tmp_path / "new" / "again", SPEC)
    write_synthetic(tmp_path / "other", replace(SPEC, seed=1))
    assert hash_synthetic(tmp_path / "new" / "again") == hash_synthetic(folder)
    assert (tmp_path / "new" / "again").stat().st_mode == (tmp_path / "new").stat().st_mode
    assert hash_synthetic(tmp_path / "other") != hash_synthetic(folder)
    write_synthetic(tmp_path / "more", replace(SPEC, num_unlabeled=9))  # a scene does not depend on their number
    for name in ("train_0003", "val_0001"):
        pair = [np.array(Image.open(root / "images" / f"{name}.png")) for root in (folder, tmp_path / "more")]
        np.testing.assert_array_equal(*pair)


def test_scene_is_the_same_on_every_machine() -> None:
    """Coarse enough to survive one grey level of rounding, fine enough to notice a change of the drawing."""
    image, mask = make_scene(np.random.default_rng([0, 0, 0]), 64)
    assert image.mean((0, 1)).round(1).tolist() == PINNED_MEAN
    assert np.bincount(mask.ravel(), minlength=256)[[*range(len(CLASSES)), IGNORE]].tolist() == PINNED_PIXELS


@pytest.mark.parametrize("size", [32, 97])
def test_scene_shapes_and_labels(size: int) -> None:
    for seed in range(12):
        image, mask = make_scene(np.random.default_rng(seed), size)
        assert image.shape == (size, size, 3) and image.dtype == np.uint8
        assert mask.shape == (size, size) and mask.dtype == np.uint8
        assert set(np.unique(mask).tolist()) <= {*range(len(CLASSES)), IGNORE}
        assert 0.2 < (mask == 0).mean() < 0.99
        assert (mask == IGNORE).mean() < 6 / size  # an outline is a line: its share falls with the size
        assert image.std() > 5


def test_too_few_labels_for_all_classes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="raise num_labeled"):
        write_synthetic(tmp_path / "out", SyntheticSpec(num_labeled=1, num_unlabeled=0, num_val=1, size=32))
    assert list(tmp_path.iterdir()) == []


def test_bad_argument_is_named() -> None:
    with pytest.raises(ValueError, match="size is 31"):
        replace(SPEC, size=31)


def test_mmseg_reads_it(folder: Path) -> None:
    pipeline = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations"), dict(type="PackSegInputs")]
    for name, count in (("labeled", 8), ("unlabeled", 6), ("val", 3)):
        dataset = DATASETS.build(
            dict(
                type="SyntheticDataset",
                data_root=str(folder),
                ann_file=f"{name}.txt",
                data_prefix=dict(img_path="images", seg_map_path="masks"),
                pipeline=pipeline,
            )
        )
        assert len(dataset) == count
        sample = dataset[0]
        assert sample["inputs"].shape == (3, 48, 48)
        name = Path(sample["data_samples"].img_path).stem
        expected = np.array(Image.open(folder / "masks" / f"{name}.png"))
        np.testing.assert_array_equal(sample["data_samples"].gt_sem_seg.data[0].numpy(), expected)


def test_second_call_changes_nothing(folder: Path) -> None:
    before = stamps(folder)
    assert not write_synthetic(folder, SPEC)
    assert stamps(folder) == before


def test_other_arguments_need_overwrite(folder: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "out", replace(SPEC, num_unlabeled=2, size=32)
    write_synthetic(out, SPEC)
    with pytest.raises(FileExistsError, match="num_unlabeled 6 there, 2 asked.*size 48 there.*--overwrite"):
        write_synthetic(out, other)
    assert hash_synthetic(out) == hash_synthetic(folder)
    assert write_synthetic(out, other, overwrite=True)
    assert len(list((out / "images").iterdir())) == 13
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_foreign_folder_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(FileExistsError, match="no synthetic data set"):
        write_synthetic(tmp_path, SPEC, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_synthetic(tmp_path / "out", SPEC, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_tool_says_that_it_is_there_already_and_with_other_arguments_that_it_is_another(tool, folder, capsys) -> None:
    arguments = ["--out", folder, "--num-labeled", 8, "--num-unlabeled", 6, "--num-val", 3, "--size", 48]
    assert run(tool, *arguments) == 0 and "nothing to do" in capsys.readouterr().out
    assert_refused(run(tool, *arguments, "--seed", 1), capsys, ["error: ", "--overwrite"])
