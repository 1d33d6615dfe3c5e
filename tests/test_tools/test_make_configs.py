"""configs/families.yaml: right, and what tools/dev/make_configs.py has made of it is what is on disk."""

import re
import shutil
import sys

import pytest
import yaml
from builders import ROOT
from mmengine.config import Config
from small_configs import SAME

from mmseg_allspark.datasets.published_splits import PUBLISHED

sys.path.insert(0, str(ROOT / "tools/dev"))
import make_configs

CELLS = list(make_configs.read_cells(ROOT / make_configs.SOURCE))
LEADING = [cell for cell in CELLS if f"{cell.method}/{cell.name}.py" not in SAME]
NAMED = pytest.mark.parametrize("cell", CELLS, ids=[f"{cell.method}/{cell.name}" for cell in CELLS])
# UniMatch V2's lists, which splits.py does not know by their hashes
ADE20K = {"1_64": 316, "1_32": 631, "1_16": 1263, "1_8": 2526, "1_4": 5052}


def test_files_are_up_to_date():
    assert make_configs.main(["--check"]) == 0


def test_edited_missing_and_orphaned_files_are_noticed_and_mended(tmp_path, capsys):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    edited, orphan = (tmp_path / f"configs/allspark/segformer_b5_voc_{name}.py" for name in ("1-16", "1-32"))
    text = edited.read_text()
    edited.write_text(text.replace("splits/voc/92", "splits/voc/93"))
    orphan.write_text(text)
    (tmp_path / "configs/supervised/segformer_b5_voc_full.py").unlink()
    root = ["--root", str(tmp_path)]
    assert make_configs.main([*root, "--check"]) == 1
    printed = capsys.readouterr().out
    assert "segformer_b5_voc_1-16.py" in printed and "segformer_b5_voc_1-32.py" in printed
    assert make_configs.main(root) == 0
    assert edited.read_text() == text and not orphan.exists()
    assert make_configs.main([*root, "--check"]) == 0


@NAMED
def test_a_cell_agrees_with_its_split_and_its_table(cell):
    data, split = cell.split_list.split("/")
    counts = {name: want.count for name, want in PUBLISHED[data].labeled.items()} if data in PUBLISHED else ADE20K
    published = counts[split] if split in counts else int(split)  # drawn: named by its size
    assert published == cell.num_labeled
    header = (ROOT / "configs" / cell.method / f"{cell.name}.py").read_text().split("\n_base_")[0]
    assert f"{cell.num_labeled} labeled" in header or f"original {cell.num_labeled}" in header
    if cell.paper is None:
        return
    assert re.search(rf"paper mIoU {cell.paper:g}0? \({cell.source}\)", header)
    assert f"{cell.paper:.2f} ({cell.source})" in (ROOT / "configs" / cell.method / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("cell", LEADING, ids=[f"{cell.method}/{cell.name}" for cell in LEADING])
def test_a_leading_config_has_the_lists_and_the_crop_of_its_cell(cell):
    """The others differ by their lists alone, of which tests/test_config_runs.py sees to it."""
    cfg = Config.fromfile(ROOT / "configs" / cell.method / f"{cell.name}.py")
    assert cfg.train_dataloader.dataset.ann_file == f"splits/{cell.split_list}/labeled.txt"
    if cell.method != "supervised":
        assert cfg.unlabeled_dataloader.dataset.ann_file == f"splits/{cell.split_list}/unlabeled.txt"
    crops = {step.crop_size for step in cfg.train_dataloader.dataset.pipeline if step.type == "RandomCrop"}
    assert crops == {(cell.crop, cell.crop)}


def test_mim_sees_every_method():
    methods = sorted(path.parent.name for path in (ROOT / "configs").glob("*/metafile.yaml"))
    index = yaml.safe_load((ROOT / "model-index.yml").read_text())["Import"]
    assert index == [f"configs/{method}/metafile.yaml" for method in methods]
    files = [yaml.safe_load((ROOT / path).read_text()) for path in index]
    names = [model["Name"] for file in files for model in file["Models"]]
    assert len(names) == len(set(names)) == len(CELLS)
