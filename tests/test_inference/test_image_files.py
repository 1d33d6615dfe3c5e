from pathlib import Path

import pytest

from mmseg_allspark.inference import find_images, name_outputs


@pytest.fixture
def tree(tmp_path):
    for name in ("b.jpg", "a.PNG", "notes.txt", "sub/c.png", "v.mp4", "odd[1].jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(found, root):
    return {str(Path(path).relative_to(root)): name for path, name in found.items()}


def test_a_folder(tree):
    found = {"a.PNG": "a", "b.jpg": "b", "odd[1].jpg": "odd[1]", "v.mp4": "v"}
    for hidden in ("._b.jpg", ".hidden/d.png"):  # macOS writes the first beside a file
        (tree / hidden).parent.mkdir(exist_ok=True)
        (tree / hidden).touch()
    assert names(find_images(tree), tree) == found
    assert names(find_images(tree, recursive=True), tree) == found | {"sub/c.png": "sub/c"}


def test_a_glob_and_a_file_that_looks_like_one(tree):
    assert names(find_images(tree / "**/*.png"), tree) == {"sub/c.png": "c"}
    assert names(find_images(tree / "odd[1].jpg"), tree) == {"odd[1].jpg": "odd[1]"}
    assert names(find_images(tree / "notes.txt"), tree) == {"notes.txt": "notes"}  # named: the user's choice
    root = (tree / "sub").rename(tree / "sub[1]")
    assert names(find_images(root / "*.png"), root) == {"c.png": "c"}


def test_what_is_not_there_is_named(tree):
    for source, word in ((tree / "no.jpg", "does not exist"), (tree / "*.gif", "glob"), (tree / "sub/x", "x")):
        with pytest.raises(FileNotFoundError, match=word):
            find_images(source)
    (tree / "empty/deep").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="--recursive"):
        find_images(tree / "empty")


def test_no_two_results_have_one_name():
    files = [("x/a.jpg", "a"), ("x/A.png", "A"), ("y/a.jpg", "a"), ("x/b.jpg", "b"), ("z/a.jpg.png", "a.jpg")]
    named = name_outputs(files)
    assert list(named) == [path for path, _ in files]
    assert named["x/b.jpg"] == "b" and named["z/a.jpg.png"] == "a.jpg" and named["x/A.png"] == "A.png"
    assert len({name.lower() for name in named.values()}) == len(files)
    assert name_outputs([("a.jpg", "a"), ("a.jpg", "a")]) == {"a.jpg": "a"}
