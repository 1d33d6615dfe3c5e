import numpy as np
import pytest
from builders import ROOT
from PIL import Image

from .prepare_tools import assert_refused, run, snapshot

TOOL = "camvid"

SHARED = ROOT.parent / "shared/data/camvid"


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


def test_lists_follow_the_protocol(tool, tmp_path, save_camvid):
    source, out = save_camvid(tmp_path / "src", train=32), tmp_path / "out"
    assert run(tool, source, "--out", out, "--fractions", "1/16", "0.25", "--seed", "7") == 0
    ids = sorted(path.stem for path in (source / "leftImg/train").iterdir())
    for name, count in (("1_16", 2), ("1_4", 8)):
        chosen = {ids[index] for index in np.random.default_rng(7).permutation(32)[:count]}
        labeled, unlabeled = (
            (out / "splits" / name / f"{k}.txt").read_text().split() for k in ("labeled", "unlabeled")
        )
        assert set(labeled) == chosen and len(labeled) == count
        assert sorted(labeled + unlabeled) == ids
    for folder in ("leftImg/train", "labels/val"):
        assert (out / folder).resolve() == (source / folder).resolve()


def test_segnet_void_is_converted_and_a_second_run_changes_nothing(tool, tmp_path, segnet):
    out, before = tmp_path / "out", snapshot(segnet)
    assert run(tool, segnet, "--out", out, "--fractions", "1/4") == 0
    old, new = (np.array(Image.open(p)) for p in (segnet / "trainannot/train3.png", out / "labels/train/train3.png"))
    assert np.array_equal(new, np.where(old == 11, 255, old))
    assert (out / "leftImg/test/test0.png").is_file() and (out / "labels/test/test0.png").is_file()
    first = snapshot(out)
    assert run(tool, segnet, "--out", out, "--fractions", "1/4") == 0
    assert (snapshot(out), snapshot(segnet)) == (first, before)


FAULTS = [
    (lambda root, _: (root / "labels/train/t01.png").unlink(), ["1 of 4 masks", "t01"]),
    (lambda root, save: save(root / "labels/val/v00.png", np.full((12, 16), 12, np.uint8)), ["v00.png", "[12]"]),
    (lambda root, save: save(root / "labels/train/t02.png", np.zeros((5, 5), np.uint8)), ["t02.png", "5x5", "16x12"]),
    (lambda root, _: (root / "leftImg/train/t00.png").write_bytes(b"no image"), ["t00.png", "cannot be read"]),
]


@pytest.mark.parametrize(("spoil", "words"), FAULTS)
def test_bad_input_is_explained_and_no_list_written(tool, tmp_path, save_camvid, save_mask, capsys, spoil, words):
    source, out = save_camvid(tmp_path / "src"), tmp_path / "out"
    spoil(source, save_mask)
    assert_refused(run(tool, source, "--out", out, "--fractions", "1/4"), capsys, words)
    assert not (out / "splits").exists()


def test_unknown_layout_and_bad_arguments(tool, tmp_path, save_camvid, capsys):
    assert run(tool, tmp_path, "--out", tmp_path / "out") == 1
    assert "neither leftImg" in capsys.readouterr().err
    source = save_camvid(tmp_path / "src")
    assert run(tool, source, "--out", source) == 1
    assert run(tool, source, "--out", tmp_path / "out", "--fractions", "1/100") == 1
    assert "makes 0 labeled" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(tool, source, "--out", tmp_path / "out", "--fractions", "3/2")


def test_never_writes_through_links_of_another_preparation(tool, tmp_path, save_camvid, segnet, capsys):
    source, out = save_camvid(tmp_path / "src"), tmp_path / "out"
    assert run(tool, source, "--out", out, "--fractions", "1/4") == 0
    before = snapshot(source)
    assert run(tool, segnet, "--out", out, "--fractions", "1/4") == 1
    assert "link" in capsys.readouterr().err and snapshot(source) == before


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data/camvid")
def test_real_camvid_has_23_and_46_labeled(tool, tmp_path):
    assert run(tool, SHARED, "--out", tmp_path) == 0
    counts = [len((tmp_path / f"splits/{name}/labeled.txt").read_text().split()) for name in ("1_16", "1_8")]
    assert counts == [23, 46]
