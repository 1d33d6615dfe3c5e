import os

import pytest
from mmseg.registry import DATASETS

from mmseg_allspark.datasets import UnlabeledDataset

PIPELINE = [dict(type="LoadImage"), dict(type="LoadSegMask", optional=True), dict(type="PackSemiInputs")]


@pytest.fixture
def folder(tmp_path, save_image):
    """b.jpg, a.png, sub/c.PNG, sub/deep/d.jpg and files that are no images."""
    root = tmp_path / "images"
    for index, name in enumerate(("b.jpg", "a.png", "sub/c.PNG", "sub/deep/d.jpg")):
        save_image(root / name, seed=index)
    (root / "notes.txt").write_text("no image")
    (root / ".hidden.jpg").touch()
    return root


def names(dataset: UnlabeledDataset, root: os.PathLike) -> list[str]:
    return [os.path.relpath(dataset.get_data_info(i)["img_path"], root) for i in range(len(dataset))]


def test_folders_and_globs(folder):
    everything = ["a.png", "b.jpg", "sub/c.PNG", "sub/deep/d.jpg"]
    for source, options, found in (
        (str(folder), {}, everything),  # with its subfolders, sorted
        (folder, dict(suffixes=[".jpg"]), ["b.jpg", "sub/deep/d.jpg"]),
        (f"{folder}/**/*.jpg", {}, ["b.jpg", "sub/deep/d.jpg"]),
        ("sub/*", dict(data_root=str(folder)), ["sub/c.PNG"]),
    ):
        assert names(UnlabeledDataset(source, **options), folder) == found


def test_brackets_in_the_name_of_a_folder_are_no_pattern(folder):
    root = folder.rename(folder.parent / "set [1]")
    assert names(UnlabeledDataset("**/*.jpg", data_root=str(root)), root) == ["b.jpg", "sub/deep/d.jpg"]
    assert names(UnlabeledDataset(f"{root}/sub/*.[pP]NG"), root) == ["sub/c.PNG"]


def test_several_sources_are_deduplicated(folder):
    (folder.parent / "link").symlink_to(folder / "sub", target_is_directory=True)
    dataset = UnlabeledDataset([f"{folder}/b.jpg", f"{folder}/*.jpg", f"{folder}/sub", f"{folder.parent}/link"])
    assert names(dataset, folder) == ["b.jpg", "sub/c.PNG", "sub/deep/d.jpg"]


def test_text_lists_start_at_themselves_or_at_the_data_root(folder, tmp_path):
    (folder / "list.txt").write_text("# chosen\nsub/c.PNG\n\na.png\n" + str(folder / "b.jpg"))
    assert names(UnlabeledDataset(folder / "list.txt"), folder) == ["a.png", "b.jpg", "sub/c.PNG"]
    (tmp_path / "list.txt").write_text("a.png\n")
    assert names(UnlabeledDataset(str(tmp_path / "list.txt"), data_root=str(folder)), folder) == ["a.png"]


def test_sample_without_mask_and_metainfo_for_visualisers(folder):
    config = dict(type="UnlabeledDataset", source=str(folder), pipeline=PIPELINE)
    dataset = DATASETS.build(dict(config, metainfo=dict(classes=("x", "y"), palette=[[0, 0, 0], [9, 9, 9]])))
    sample = dataset[0]
    assert "gt_sem_seg" not in sample["data_samples"] and tuple(sample["inputs"].shape) == (3, 12, 16)
    assert sample["data_samples"].metainfo["img_path"] == str(folder / "a.png")
    assert dataset.metainfo["classes"] == ("x", "y") and dataset.metainfo["palette"][1] == [9, 9, 9]
    assert dataset.get_data_info(0)["num_classes"] == 2
    assert "num_classes" not in DATASETS.build(config).get_data_info(0)


def test_nothing_found_names_what_was_searched(tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"no image in \['{tmp_path}'\].*\.jpg"):
        UnlabeledDataset(str(tmp_path))


def test_missing_source_and_missing_entries(folder):
    with pytest.raises(FileNotFoundError, match="/none of UnlabeledDataset does not exist.*`data_root`"):
        UnlabeledDataset("none", data_root=str(folder))
    (folder / "list.txt").write_text("a.png\nx.png\ny.png\n")
    with pytest.raises(FileNotFoundError, match=r"2 of 3 images named in .*list\.txt.*x\.png"):
        UnlabeledDataset(folder / "list.txt")


def test_a_json_file_is_no_list(folder):
    (folder / "list.json").write_text('["a.png"]')
    with pytest.raises(ValueError, match=r"list.json is a JSON file. Write the paths to a .txt file"):
        UnlabeledDataset(folder / "list.json")


def test_links_that_lead_back_and_hidden_folders(folder):
    before = names(UnlabeledDataset(folder), folder)
    for name in ("x", "y"):
        (folder / "sub" / name).symlink_to(folder, target_is_directory=True)
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints/a-checkpoint.png").write_bytes((folder / "a.png").read_bytes())
    assert names(UnlabeledDataset(folder), folder) == before
