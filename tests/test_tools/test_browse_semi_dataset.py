"""The pages of ``tools/analysis/browse_semi_dataset.py``: every panel shows what its title says."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import CLASSES, build_model, model_config, run_config
from mmengine.runner import CheckpointLoader
from PIL import Image

from mmseg_allspark.utils.safe_checkpoints import UnsafeCheckpointError

PALETTE = [[200, 0, 0], [0, 200, 0], [0, 0, 200], [120, 60, 0]]
QUARTERS = [(0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)]


@pytest.fixture
def tool(load_tool):
    return load_tool("analysis/browse_semi_dataset")


def write_config(data, folder, **model):
    """A config whose strong view is grey and whose data sets move nothing."""
    config = run_config(data, folder, loop=dict(max_iters=1), model=model_config(**model))
    unlabeled = config.unlabeled_dataloader.dataset
    for dataset in (config.train_dataloader.dataset, unlabeled):
        dataset.metainfo = dict(classes=CLASSES, palette=PALETTE)
    views = dict(weak=[], strong=[dict(type="RandomGray", prob=1.0)])
    unlabeled.pipeline = [*unlabeled.pipeline[:-1], dict(type="MultiView", views=views), dict(type="PackSemiInputs")]
    path = folder / "config.py"
    config.dump(path)
    return path


def browse(tool, capsys, config, *more):
    """Run the tool for two rows; returns the page and the names of labeled and unlabeled images."""
    out = config.parent / "pages"
    tool.main([str(config), "--out", str(out), "--num", "2", *more])
    printed = capsys.readouterr().out
    labeled, unlabeled = re.search(r"page_00\.png: labeled (.*) \| unlabeled (.*)", printed).groups()
    page = np.asarray(Image.open(out / "page_00.png").convert("RGB")).astype(int)
    return page, labeled.split(), unlabeled.split()


def corner(page, columns, row, column, place):
    """An 11 x 11 block of a panel; ``place`` (y, x) in [0, 1]. Two rows; titles and legend take 50 and 70 pixels."""
    height = (page.shape[0] - 120) / 2
    y = int(50 + (row + place[0]) * height)
    x = int((column + place[1]) * page.shape[1] / columns)
    return page[y - 5 : y + 6, x - 5 : x + 6]


def shows_mask(page, columns, row, column, mask_path):
    mask = np.asarray(Image.open(mask_path))
    size = len(mask)
    for place in QUARTERS:
        expected = PALETTE[mask[int(place[0] * size), int(place[1] * size)]]
        assert (corner(page, columns, row, column, place) == expected).all(), (row, column, place)


def test_every_panel_shows_its_sample(tool, data, tmp_path, capsys):
    page, labeled, unlabeled = browse(
        tool, capsys, write_config(data, tmp_path, cutmix=dict(prob=1.0, area=(0.4, 0.4)))
    )
    assert len(set(labeled)) == len(set(unlabeled)) == 2
    for row in range(2):
        shows_mask(page, 7, row, 1, data / "mask" / labeled[row])
        shows_mask(page, 7, row, 4, data / "mask" / unlabeled[row])
        for column, name in ((0, labeled[row]), (2, unlabeled[row])):
            image = np.asarray(Image.open(data / "img" / name)).astype(int)
            for y, x in QUARTERS:
                block = image[int(65 * y) - 1 : int(65 * y) + 2, int(65 * x) - 1 : int(65 * x) + 2]
                drawn = corner(page, 7, row, column, (y, x))
                assert np.abs(drawn.mean((0, 1)) - block.mean((0, 1))).max() < 20
                assert np.ptp(drawn, axis=2).max() > 0
        assert all(np.ptp(corner(page, 7, row, 3, place), axis=2).max() == 0 for place in QUARTERS)
    mixed, plain = (
        [corner(page, 7, row, column, place) for row in range(2) for place in QUARTERS] for column in (5, 3)
    )
    assert any((a != b).any() for a, b in zip(mixed, plain, strict=True))


@pytest.mark.parametrize(("bias", "expected"), [([0, 0, 9, 0], PALETTE[2]), ([0, 0, 0, 0], [255] * 3)])
def test_pseudo_labels_are_the_models_and_unsure_ones_white(tool, data, tmp_path, capsys, bias, expected):
    settings = dict(confidence=dict(type="ConfidenceThreshold", threshold=0.9))
    model = build_model(**settings)
    with torch.no_grad():
        model.decode_head.conv_seg.weight.zero_()
        model.decode_head.conv_seg.bias.copy_(torch.tensor(bias))
    torch.save(dict(state_dict=model.state_dict()), tmp_path / "model.pth")
    config = write_config(data, tmp_path, **settings)
    page, _, _ = browse(tool, capsys, config, "--checkpoint", str(tmp_path / "model.pth"))
    for row in range(2):
        assert all((corner(page, 5, row, 4, place) == expected).all() for place in QUARTERS)


def test_more_images_than_rows_make_more_pages_and_the_seed_decides(tool, data, tmp_path):
    config = write_config(data, tmp_path)
    for out in ("first", "second"):
        tool.main([str(config), "--out", str(tmp_path / out), "--num", "3", "--rows", "2", "--seed", "4"])
    pages = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert pages == ["page_00.png", "page_01.png"]
    for name in pages:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_a_checkpoint_that_could_run_code_is_refused(tool, data, tmp_path, monkeypatch):
    monkeypatch.setattr(CheckpointLoader, "_schemes", dict(CheckpointLoader._schemes))
    path = tmp_path / "evil.pth"
    torch.save(dict(state_dict=build_model().state_dict(), meta=Path(tmp_path)), path)  # a class that is no plain value
    with pytest.raises(UnsafeCheckpointError, match=str(path)):
        tool.main([str(write_config(data, tmp_path)), "--out", str(tmp_path / "out"), "--checkpoint", str(path)])


def test_missing_files_are_usage_errors(tool, data, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        tool.main(["no/such/config.py"])
    assert stop.value.code == 2 and "config not found: no/such/config.py" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        tool.main([str(write_config(data, tmp_path)), "--checkpoint", "lost.pth"])
    assert "checkpoint not found: lost.pth" in capsys.readouterr().err
