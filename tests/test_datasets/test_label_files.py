"""Label files of unlabeled images are checked before training: one for each image, of its size, with its classes."""

import shutil

import numpy as np
import pytest
from builders import CROP, loader_config, run_config
from mmengine.runner import Runner
from PIL import Image

from .check_tools import png, run

TOOL = "check_data"


def with_labels(config, root, confidence=True):
    """Let the unlabeled pipeline of ``check_tools`` read labels, and write them for all three unlabeled images."""
    folders = dict(folder=str(root / "labels"), **(dict(confidence_folder=str(root / "sure")) if confidence else {}))
    text, old = config.read_text(), "{'type': 'LoadSegMask', 'optional': True}"
    assert text.count(old) == 1
    config.write_text(text.replace(old, str(dict(type="LoadPseudoLabel", **folders))))
    for folder in folders.values():
        shutil.copytree(root / "mask", folder)
    return config


def found(report):
    return {(finding["kind"], tuple(finding["files"])): finding for finding in report["findings"]}


def test_clean_label_files_are_clean_and_masks_that_nothing_loads_are_not_looked_at(tool, config):
    root = config.parent
    for path in (root / "mask").glob("unlabeled*"):
        path.write_bytes(b"no mask")
    shutil.copy(root / "mask/labeled0.png", root / "mask/unlabeled0.png")
    with_labels(config, root)
    for path in (root / "labels").glob("unlabeled*"):
        shutil.copy(root / "mask/labeled0.png", path)
        shutil.copy(root / "mask/labeled0.png", root / "sure" / path.name)
    code, report = run(tool, config)
    assert code == 0, report["findings"]
    assert "unlabeled" not in report["pixels"]


def test_label_files_are_checked_as_masks_are(tool, config):
    root = with_labels(config, config.parent).parent
    (root / "labels/unlabeled0.png").write_bytes(png(np.zeros((16, 12), np.uint8)))
    (root / "labels/unlabeled1.png").write_bytes(png(np.full((12, 16), 7, np.uint8)))
    (root / "labels/unlabeled2.png").write_bytes(png(np.zeros((12, 16, 3), np.uint8)))
    (root / "sure/unlabeled0.png").write_bytes((root / "sure/unlabeled1.png").read_bytes()[:-9])
    (root / "sure/unlabeled1.png").unlink()
    code, report = run(tool, config)
    assert code == 1
    findings = found(report)
    for kind, name in (
        ("size", "labels/unlabeled0.png"),
        ("labels", "labels/unlabeled1.png"),
        ("unreadable", "labels/unlabeled2.png"),
        ("truncated", "sure/unlabeled0.png"),
        ("missing", "sure/unlabeled1.png"),
    ):
        finding = findings.pop((kind, (str(root / name),)))
        assert finding["level"] == "error" and finding["where"] == "unlabeled", finding
        assert finding["key"] == "unlabeled_dataloader.dataset.pipeline" and finding["remedy"], finding
    assert not findings


def label_loader(data, folder, source, **options):
    """Unlabeled images of a folder with labels from another one."""
    pipeline = [
        dict(type="LoadImage"),
        dict(type="LoadPseudoLabel", folder=str(folder), **options),
        dict(type="PackSemiInputs"),
    ]
    dataset = dict(type="UnlabeledDataset", source=str(source), pipeline=pipeline, serialize_data=False)
    return loader_config(data, "unlabeled", dataset=dataset)


def start(data, tmp_path, loader):
    loop = dict(max_iters=1, pseudo_labels_from="data", unlabeled_dataloader=loader)
    runner = Runner.from_cfg(run_config(data, tmp_path / "run", loop=loop))
    try:
        runner.train()
    finally:
        start.iterations = runner._train_loop.iter


@pytest.fixture
def images(data, tmp_path):
    """Four unlabeled images, two of them of one name, and a folder with the labels of all."""
    (tmp_path / "labels/b").mkdir(parents=True)
    for number, name in enumerate(("a/x", "b/x", "y", "z")):
        (tmp_path / "img" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(data / f"img/unlabeled{number}.png", tmp_path / "img" / f"{name}.png")
    for name in ("x", "b/x", "y", "z"):
        shutil.copy(data / "mask/unlabeled0.png", tmp_path / "labels" / f"{name}.png")
    return tmp_path / "img"


def test_training_starts_where_every_image_has_labels_of_its_own(data, images, tmp_path):
    start(data, tmp_path, label_loader(data, tmp_path / "labels", images))
    assert start.iterations == 1


def test_a_config_of_self_training_names_its_tool(data, images, tmp_path):
    with pytest.raises(ValueError, match=r"folder=''.*self_training.py"):
        start(data, tmp_path, label_loader(data, "", images))
    assert start.iterations == 0


def test_missing_label_files_are_counted_and_named_before_training(data, images, tmp_path):
    (tmp_path / "labels/y.png").unlink()
    (tmp_path / "labels/z.png").unlink()
    text = r"2 of 4 unlabeled images have no file in LoadPseudoLabel\.folder=.*labels, first: .*y\.png, .*z\.png\."
    with pytest.raises(FileNotFoundError, match=text) as error:
        start(data, tmp_path, label_loader(data, tmp_path / "labels", images))
    assert "img/y.png.png" in str(error.value) and "infer.py" in str(error.value) and start.iterations == 0
    Image.fromarray(np.full((CROP, CROP), 255, np.uint8)).save(tmp_path / "labels/y.png")
    shutil.copy(tmp_path / "labels/y.png", tmp_path / "labels/z.png")
    (tmp_path / "sure").mkdir()
    with pytest.raises(FileNotFoundError, match=r"4 of 4 unlabeled images .*confidence_folder=.*sure"):
        start(data, tmp_path, label_loader(data, tmp_path / "labels", images, confidence_folder=str(tmp_path / "sure")))


def test_two_images_do_not_share_a_label_file(data, images, tmp_path):
    (tmp_path / "labels/b/x.png").unlink()
    with pytest.raises(ValueError, match=r"a/x\.png and .*b/x\.png would have the same labels, .*labels/x\.png"):
        start(data, tmp_path, label_loader(data, tmp_path / "labels", images))
    assert start.iterations == 0
