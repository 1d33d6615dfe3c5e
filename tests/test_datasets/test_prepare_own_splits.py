"""Seeded splits of own data: ``tools/prepare/splits.py make``."""

import json
import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .prepare_tools import run, snapshot, write_ids

TOOL = "splits"


images = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=6), st.frozensets(st.integers(0, 7), max_size=4), min_size=2, max_size=40
)


@settings(max_examples=100, deadline=None)
@given(classes=images, percent=st.integers(1, 99), seed=st.integers(0, 5))
def test_balanced_draws_cover_the_classes(tool, classes, percent, seed):
    count = round(len(classes) * Fraction(percent, 100))
    if not 0 < count < len(classes):
        with pytest.raises(tool.PrepareError):
            tool.draw_balanced(classes, Fraction(percent, 100), seed)
        return
    labeled, unlabeled = tool.draw_balanced(classes, Fraction(percent, 100), seed)
    assert len(labeled) == count and sorted(labeled + unlabeled) == sorted(classes)
    covered, occurring = (frozenset().union(*(classes[i] for i in names)) for names in (labeled, classes))
    assert len(covered) >= min(count, len(occurring))
    shuffled = list(classes.items())
    random.Random(seed).shuffle(shuffled)
    assert tool.draw_balanced(dict(shuffled), Fraction(percent, 100), seed) == (labeled, unlabeled)


def test_rare_classes_get_labels_where_chance_gives_none(tool):
    classes = {f"{n:03d}": {0, 1} | ({2} if n in (17, 61) else set()) for n in range(100)}
    ways = (tool.draw_balanced, classes), (tool.draw_labeled, list(classes))
    balanced, chance = (
        [sum(2 in classes[i] for i in draw(ids, Fraction(1, 10), seed)[0]) for seed in range(10)] for draw, ids in ways
    )
    assert min(balanced) >= 1 and min(chance) == 0


def make_arguments(root: Path, *more: object) -> list[object]:
    return ["make", "--ids", root / "images", "--out", root / "out", "--fractions", "1/4", *more]


@pytest.fixture
def own(tmp_path, save_image, save_mask):
    """Sixteen images in two folders; class 3 is in one mask only."""
    for n in range(16):
        name = f"{'ab'[n % 2]}/{n:02d}"
        save_image(tmp_path / f"images/{name}.png")
        labels = np.full((12, 16), 3 if n == 11 else n % 3, np.uint8)
        labels[0] = 255
        save_mask(tmp_path / f"masks/{name}_label.png", labels)
    return tmp_path


def test_own_splits(tool, own, capsys):
    assert run(tool, *make_arguments(own, "--seed", 3)) == 0
    ids = sorted(f"{'ab'[n % 2]}/{n:02d}" for n in range(16))
    chosen = {ids[n] for n in np.random.default_rng(3).permutation(16)[:4]}
    folder = own / "out/splits/1_4"
    assert set((folder / "labeled.txt").read_text().split()) == chosen
    before = snapshot(own)
    assert run(tool, *make_arguments(own, "--seed", 3)) == 0 and snapshot(own) == before
    assert run(tool, *make_arguments(own, "--seed", 4)) == 1 and "--force" in capsys.readouterr().err
    listed = write_ids(own / "ids.txt", ids, "{0}.png masks/{0}.png")
    assert run(tool, "make", "--ids", listed, "--out", own / "out", "--fractions", "0.25", "--seed", 3) == 0
    balanced = ("--balanced", "--masks", own / "masks", "--mask-suffix", "_label.png", "--num-classes")
    assert run(tool, *make_arguments(own, *balanced, 4, "--force")) == 0
    assert "b/11" in (folder / "labeled.txt").read_text().split()
    assert json.loads((folder / "info.json").read_text())["labeled_images_per_class"] == [1, 1, 1, 1]
    assert run(tool, *make_arguments(own, *balanced, 3)) == 1
    assert "b/11_label.png holds the labels [3]" in capsys.readouterr().err


def test_lists_of_given_sizes_in_a_folder_of_their_own(tool, own, capsys):
    sizes = ["make", "--ids", own / "images", "--out", own / "out", "--group", "guidedmix", "--counts", 3, 7]
    assert run(tool, *sizes, "--seed", 1) == 0
    ids = {f"{'ab'[n % 2]}/{n:02d}" for n in range(16)}
    for count in (3, 7):
        folder = own / f"out/splits/guidedmix/{count}"
        labeled, unlabeled = (set((folder / f"{part}.txt").read_text().split()) for part in ("labeled", "unlabeled"))
        assert len(labeled) == count and labeled | unlabeled == ids and not labeled & unlabeled
    before = snapshot(own)
    assert run(tool, *sizes, "--seed", 1) == 0 and snapshot(own) == before
    for count in (0, 16):
        assert run(tool, *sizes[:-2], count) == 1
        assert f"makes {count} labeled: choose another" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(tool, *sizes, "--fractions", "1/4")


def test_own_splits_explain_bad_input(tool, own, capsys):
    for more, words in (
        (("--val-ids", write_ids(own / "val.txt", ["x", "a/04"])), "1 training ids are also in"),
        (("--balanced", "--masks", own / "none", "--num-classes", 4), "none/a/00.png does not exist"),
        (("--ids", write_ids(own / "twice.txt", ["x", "y", "x"])), "1 ids more than once, such as ['x']"),
        (("--ids", write_ids(own / "empty.txt", [])), "holds no id"),
        (("--ids", own / "missing"), "neither a list of ids nor a folder"),
        (("--fractions", "1/100"), "makes 0 labeled"),
    ):
        assert run(tool, *make_arguments(own, *more)) == 1
        assert words in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(tool, *make_arguments(own, "--balanced"))
    assert not (own / "out").exists()
