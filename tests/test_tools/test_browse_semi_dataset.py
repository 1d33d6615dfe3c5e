"""The pages of ``tools/analysis/browse_semi_dataset.py``: every panel shows what its title says."""

import re

import numpy as np
import pytest
import torch
from builders import CLASSES, build_model, model_config, run_config
from PIL import Image

from mmseg_allspark.report.label_pictures import GAP, TITLE_HEIGHT, fit

PALETTE = [[200, 0, 0], [0, 200, 0], [0, 0, 200], [120, 60, 0]]
SIDE = 224


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


def panel(page, row, column):
    top, left = TITLE_HEIGHT + row * (SIDE + GAP), GAP + column * (SIDE + GAP)
    return page[top : top + SIDE, left : left + SIDE]


def test_every_panel_shows_its_sample(tool, data, tmp_path, capsys):
    config = write_config(data, tmp_path, cutmix=dict(prob=1.0, area=(0.4, 0.4)))
    page, labeled, unlabeled = browse(tool, capsys, config)
    assert len(set(labeled)) == len(set(unlabeled)) == 2
    for row in range(2):
        for column, name in ((1, labeled[row]), (4, unlabeled[row])):
            mask = np.asarray(PALETTE, np.uint8)[np.asarray(Image.open(data / "mask" / name))]
            assert (panel(page, row, column) == fit(mask, SIDE, smooth=False)).all()
        for column, name in ((0, labeled[row]), (2, unlabeled[row])):
            image = np.asarray(Image.open(data / "img" / name))
            assert (panel(page, row, column) == fit(image, SIDE, smooth=True)).all()
        assert np.ptp(panel(page, row, 3), axis=2).max() == 0  # the strong view is grey
    assert any((panel(page, row, 5) != panel(page, row, 3)).any() for row in range(2))


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
        assert (panel(page, row, 4) == expected).all()


@pytest.mark.parametrize(("model", "mixed"), [("MeanTeacherSegmentor", True), ("AELSegmentor", False)])
def test_the_method_says_whether_it_mixes(tool, data, tmp_path, capsys, model, mixed):
    settings = dict(cutmix=dict(bank_area=0.01)) if model == "AELSegmentor" else {}
    page, _, _ = browse(tool, capsys, write_config(data, tmp_path, type=model, **settings))
    assert page.shape[1] >= (7 if mixed else 5) * SIDE and (mixed or page.shape[1] < 6 * SIDE)


def test_more_images_than_rows_make_more_pages_and_the_seed_decides(tool, data, tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "ROWS", 2)
    config = write_config(data, tmp_path)
    for out in ("first", "second"):
        tool.main([str(config), "--out", str(tmp_path / out), "--num", "3", "--seed", "4"])
    pages = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert pages == ["page_00.png", "page_01.png"]
    for name in pages:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no/such/config.py"], "config not found: no/such/config.py"),
        (["CONFIG", "--num", "0"], "--num 0: at least 1"),
    ],
)
def test_usage_errors(tool, data, tmp_path, capsys, words, message):
    config = str(write_config(data, tmp_path))
    with pytest.raises(SystemExit) as stop:
        tool.main([config if word == "CONFIG" else word for word in words])
    assert stop.value.code == 2 and message in capsys.readouterr().err
