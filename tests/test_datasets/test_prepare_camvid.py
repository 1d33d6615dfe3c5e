from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .prepare_tools import REPOSITORY, snapshot

TOOL = "camvid"

SHARED = REPOSITORY.parent / "shared/data/camvid"


@pytest.fixture
def segnet(tmp_path, save_image, save_mask):
    """SegNet's layout: .png images, void label 11."""
    root = tmp_path / "SegNet"
    for split, count in (("train", 8), ("val", 2), ("test", 1)):
        for index in range(count):
            name = f"{split}{index}.png"
            save_image(root / split / name, seed=index)
            labels = (np.arange(12 * 16) % 12).astype(np.uint8).reshape(12, 16)
            save_mask(root / f"{split}annot" / name, labels)
    return root


def run(tool, source: Path, out: Path, *more: str) -> int:
    return tool.main([str(source), "--out", str(out), *more])


def test_lists_follow_the_protocol(tool, tmp_path, save_camvid, capsys):
    source, out = save_camvid(tmp_path / "src", train=32), tmp_path / "out"
    assert run(tool, source, out, "--fractions", "1/16", "0.25", "--seed", "7") == 0
    ids = sorted(path.stem for path in (source / "leftImg/train").iterdir())
    for name, count in (("1_16", 2), ("1_4", 8)):
        chosen = {ids[index] for index in np.random.default_rng(7).permutation(32)[:count]}
        labeled, unlabeled = (
            (out / "splits" / name / f"{k}.txt").read_text().split() for k in ("labeled", "unlabeled")
        )
        assert set(labeled) == chosen and len(labeled) == count
        assert sorted(labeled + unlabeled) == ids
    assert (out / "leftImg/train").resolve() == (source / "leftImg/train").resolve()
    assert (out / "labels/val").resolve() == (source / "labels/val").resolve()
    printed = capsys.readouterr().out
    assert "checked 32 of 32" in printed and "2 labeled, 30 unlabeled (seed 7)" in printed


def test_second_run_changes_nothing(tool, tmp_path, save_camvid, segnet):
    for number, source in enumerate((save_camvid(tmp_path / "src", train=16), segnet)):
        out = tmp_path / f"out{number}"
        assert run(tool, source, out, "--fractions", "1/4") == 0
        before = snapshot(out), snapshot(source)
        assert run(tool, source, out, "--fractions", "1/4") == 0
        assert (snapshot(out), snapshot(source)) == before


def test_segnet_void_is_converted_without_touching_the_source(tool, tmp_path, segnet):
    out, before = tmp_path / "out", snapshot(segnet)
    assert run(tool, segnet, out, "--fractions", "1/4") == 0
    old, new = (np.array(Image.open(p)) for p in (segnet / "trainannot/train3.png", out / "labels/train/train3.png"))
    assert np.array_equal(new, np.where(old == 11, 255, old))
    assert (out / "leftImg/test/test0.png").is_file() and (out / "labels/test/test0.png").is_file()
    assert snapshot(segnet) == before
    assert not [path for path in out.rglob(".*")]  # no temporary file left


def test_other_seed_needs_force(tool, tmp_path, save_camvid, capsys):
    source, out = save_camvid(tmp_path / "src", train=16), tmp_path / "out"
    arguments = (source, out, "--fractions", "1/4", "--seed")
    assert run(tool, *arguments, "1") == 0
    first = (out / "splits/1_4/labeled.txt").read_text()
    assert run(tool, *arguments, "2") == 1
    assert "--force" in capsys.readouterr().err
    assert (out / "splits/1_4/labeled.txt").read_text() == first
    assert run(tool, *arguments, "2", "--force") == 0
    assert (out / "splits/1_4/labeled.txt").read_text() != first


def _remove_mask(root: Path) -> None:
    (root / "labels/train/t01.png").unlink()


def _bad_label(root: Path) -> None:
    Image.fromarray(np.full((12, 16), 12, np.uint8)).save(root / "labels/val/v00.png")


def _other_size(root: Path) -> None:
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(root / "labels/train/t02.png")


def _damage_image(root: Path) -> None:
    path = root / "leftImg/train/t00.png"
    path.write_bytes(path.read_bytes()[:60])


def _colour_mask(root: Path) -> None:
    Image.fromarray(np.zeros((12, 16, 3), np.uint8)).save(root / "labels/train/t00.png")


def _twice(root: Path) -> None:
    Image.fromarray(np.zeros((12, 16, 3), np.uint8)).save(root / "leftImg/train/t00.jpg")


def _no_images(root: Path) -> None:
    for path in (root / "leftImg/val").iterdir():
        path.unlink()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_remove_mask, ["t01.png", "no mask"]),
        (_bad_label, ["v00.png", "[12]"]),
        (_other_size, ["t02.png", "5x5", "16x12"]),
        (_damage_image, ["t00.png", "cannot be read"]),
        (_colour_mask, ["t00.png", "one channel"]),
        (_twice, ["t00 twice"]),
        (_no_images, ["leftImg/val", "no .jpg or .png"]),
    ],
)
def test_bad_input_is_explained_and_no_list_written(tool, tmp_path, save_camvid, capsys, spoil, words):
    source, out = save_camvid(tmp_path / "src"), tmp_path / "out"
    spoil(source)
    assert run(tool, source, out, "--fractions", "1/4") == 1
    message = capsys.readouterr().err
    assert all(word in message for word in words)
    assert not (out / "splits").exists()


def test_unknown_layout_and_bad_arguments(tool, tmp_path, save_camvid, capsys):
    (tmp_path / "some").mkdir()
    (tmp_path / "some/thing").touch()
    assert run(tool, tmp_path / "some", tmp_path / "out") == 1
    assert "It holds: thing" in capsys.readouterr().err
    assert run(tool, tmp_path / "none", tmp_path / "out") == 1
    assert "not a folder" in capsys.readouterr().err
    source = save_camvid(tmp_path / "src")
    assert run(tool, source, source) == 1
    assert run(tool, source, tmp_path / "out", "--fractions", "1/100") == 1
    assert "makes 0 labeled" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(tool, source, tmp_path / "out", "--fractions", "3/2")


def test_never_writes_through_links_of_another_preparation(tool, tmp_path, save_camvid, segnet, capsys):
    source, out = save_camvid(tmp_path / "src"), tmp_path / "out"
    assert run(tool, source, out, "--fractions", "1/4") == 0
    before = snapshot(source)
    assert run(tool, segnet, out, "--fractions", "1/4") == 1
    assert "link" in capsys.readouterr().err and snapshot(source) == before


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data/camvid")
def test_real_camvid_has_23_and_46_labeled(tool, tmp_path):
    assert run(tool, SHARED, tmp_path) == 0
    counts = [len((tmp_path / f"splits/{name}/labeled.txt").read_text().split()) for name in ("1_16", "1_8")]
    assert counts == [23, 46]
