"""Seeded splits of own data: ``tools/prepare/splits.py make``."""

import numpy as np
import pytest

from .prepare_tools import run, snapshot, write_ids

TOOL = "splits"
IDS = sorted(f"{'ab'[n % 2]}/{n:02d}" for n in range(16))


@pytest.fixture
def own(tmp_path, save_image):
    """Sixteen images in two folders."""
    for name in IDS:
        save_image(tmp_path / f"images/{name}.png")
    return tmp_path


def make_arguments(root, *more):
    return ["make", "--ids", root / "images", "--out", root / "out", "--fractions", "1/4", *more]


def test_own_splits(tool, own, capsys):
    assert run(tool, *make_arguments(own, "--seed", 3)) == 0
    chosen = {IDS[n] for n in np.random.default_rng(3).permutation(16)[:4]}
    assert set((own / "out/splits/1_4/labeled.txt").read_text().split()) == chosen
    before = snapshot(own)
    assert run(tool, *make_arguments(own, "--seed", 3)) == 0 and snapshot(own) == before
    assert run(tool, *make_arguments(own, "--seed", 4)) == 1 and "--force" in capsys.readouterr().err
    listed = write_ids(own / "ids.txt", IDS, "{0}.png masks/{0}.png")
    assert run(tool, "make", "--ids", listed, "--out", own / "out", "--fractions", "0.25", "--seed", 3) == 0


def test_ids_with_spaces_stay_whole(tool, own):
    names = ["a 1", "b 2", "c 3", "d 4"]
    assert run(tool, *make_arguments(own, "--ids", write_ids(own / "ids.txt", names), "--fractions", "1/2")) == 0
    folder = own / "out/splits/1_2"
    assert sorted(sum(((folder / f"{p}.txt").read_text().splitlines() for p in ("labeled", "unlabeled")), [])) == names


def test_lists_of_given_sizes_in_a_folder_of_their_own(tool, own, capsys):
    sizes = ["make", "--ids", own / "images", "--out", own / "out", "--group", "guidedmix", "--counts", 3, 7]
    assert run(tool, *sizes, "--seed", 1) == 0
    for count in (3, 7):
        folder = own / f"out/splits/guidedmix/{count}"
        labeled, unlabeled = (set((folder / f"{part}.txt").read_text().split()) for part in ("labeled", "unlabeled"))
        assert len(labeled) == count and labeled | unlabeled == set(IDS) and not labeled & unlabeled
    assert run(tool, *sizes[:-2], 16) == 1
    assert "makes 16 labeled: choose another" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(tool, *sizes, "--fractions", "1/4")


def test_own_splits_explain_bad_input(tool, own, capsys):
    for more, words in (
        (("--ids", write_ids(own / "twice.txt", ["x", "y", "x"])), "1 ids more than once, such as ['x']"),
        (("--ids", write_ids(own / "empty.txt", [])), "holds no id"),
        (("--ids", own / "missing"), "neither a list of ids nor a folder"),
        (("--fractions", "1/100"), "makes 0 labeled"),
    ):
        assert run(tool, *make_arguments(own, *more)) == 1
        assert words in capsys.readouterr().err
    assert not (own / "out").exists()
