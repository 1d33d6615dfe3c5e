"""What check_data.py finds in the files of a config, and that it says it once."""

import numpy as np
import pytest
from mmengine.config import Config
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_allspark.datasets import check_splits

from .check_tools import png, run, write_tree

TOOL = "check_data"


def kinds(report: dict) -> set[tuple[str, str, str]]:
    return {(finding["level"], finding["kind"], finding["where"]) for finding in report["findings"]}


def test_a_clean_tree_is_clean_and_its_classes_are_counted(tool, tmp_path, capsys):
    code, report = run(tool, write_tree(tmp_path / "data", labeled=3, unlabeled=5, validation=2))
    assert code == 0 and report["ok"] and not report["findings"]
    assert report["samples"] == dict(labeled=3, unlabeled=5, validation=2)
    per_image = [12 * 16 - 16 - 64 - 16, 64, 16]  # rows 8..11 x columns 0..3 are c, a 8 x 8 corner is b, row 0 void
    assert report["pixels"]["labeled"] == [3 * count for count in per_image]
    assert report["ignored"] == dict(labeled=3 * 16, unlabeled=5 * 16, validation=2 * 16)
    assert "0 kinds of errors" in capsys.readouterr().out


def test_three_planted_faults_are_found_among_500_images(tool, tmp_path, capsys):
    root = tmp_path / "data"
    config = write_tree(root, labeled=150, unlabeled=300, validation=50)
    (root / "img/unlabeled77.jpg").write_bytes((root / "img/validation31.jpg").read_bytes())  # another id
    mask = np.zeros((12, 16), np.uint8)
    mask[3, 4:6] = 7
    (root / "mask/labeled123.png").write_bytes(png(mask))
    whole = (root / "img/unlabeled290.jpg").read_bytes()
    (root / "img/unlabeled290.jpg").write_bytes(whole[: int(0.8 * len(whole))])
    code, report = run(tool, config)
    assert code == 1
    found = {finding["kind"]: finding for finding in report["findings"]}
    assert set(found) == {"leak", "labels", "truncated"}
    assert found["leak"]["where"] == "unlabeled and validation" and found["leak"]["count"] == 1
    assert "unlabeled77.jpg" in found["leak"]["files"][0] and "validation31.jpg" in found["leak"]["files"][0]
    assert found["labels"]["files"] == [str(root / "mask/labeled123.png")]
    assert "7 (2 pixels)" in found["labels"]["text"] and found["labels"]["where"] == "labeled"
    assert found["truncated"]["files"] == [str(root / "img/unlabeled290.jpg")]
    assert all(finding["key"] and finding["remedy"] for finding in report["findings"])
    printed = capsys.readouterr()
    assert "labeled123.png" in printed.out and "3 kinds of errors" in printed.out
    assert "read sample 500 of 500" in printed.err


def test_leaks_by_file_and_by_pixels_and_overlap(tool, config):
    root = config.parent
    (root / "labeled.txt").write_text("labeled0\nlabeled1\nlabeled2\nvalidation0")
    (root / "unlabeled.txt").write_text("unlabeled0\nlabeled1")
    pixels = np.asarray(Image.open(root / "img/validation1.jpg"))
    Image.fromarray(pixels).save(root / "img/unlabeled0.jpg", "PNG")  # equal pixels in another format
    code, report = run(tool, config)
    assert code == 1
    leaks = {("error", "leak", "labeled and validation"), ("error", "leak", "unlabeled and validation")}
    assert kinds(report) == leaks | {("error", "overlap", "labeled and unlabeled")}
    assert any("1 equal pixels" in finding["text"] for finding in report["findings"])
    code, report = run(tool, config, "--cfg-options", "train_cfg.allow_overlap=True")
    assert code == 1 and kinds(report) == leaks


def test_missing_sizes_and_repetitions(tool, config):
    root = config.parent
    (root / "img/labeled0.jpg").unlink()
    (root / "mask/labeled1.png").unlink()
    (root / "mask/validation1.png").write_bytes(png(np.zeros((16, 12), np.uint8)))
    (root / "mask/unlabeled1.png").unlink()  # no mask is needed there
    (root / "img/unlabeled2.jpg").write_bytes((root / "img/unlabeled0.jpg").read_bytes())
    code, report = run(tool, config)
    assert code == 1
    assert [(f["kind"], f["files"]) for f in report["findings"] if f["where"] == "labeled"] == [
        ("missing", [str(root / "img/labeled0.jpg")]),
        ("missing", [str(root / "mask/labeled1.png")]),
    ]
    assert ("error", "size", "validation") in kinds(report) and ("warning", "duplicate", "unlabeled") in kinds(report)
    assert report["samples"]["unlabeled"] == 3 and len(report["findings"]) == 4


def test_labels_are_judged_after_the_data_sets_own_changes(tool, config):
    every = ("train_dataloader", "unlabeled_dataloader", "val_dataloader")
    code, report = run(tool, config, "--cfg-options", *(f"{key}.dataset.reduce_zero_label=True" for key in every))
    assert code == 0
    assert report["pixels"]["labeled"] == [3 * 64, 3 * 16, 0]  # 1 -> 0, 2 -> 1, the zeros are ignored


def test_a_plain_mmseg_config_without_unlabeled_data_works(tool, config):
    (config.parent / "mask/validation1.png").write_bytes(png(np.full((12, 16), 3, np.uint8)))
    plain = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations"), dict(type="PackSegInputs")]
    with config.open("a") as stream:
        stream.write(f"train_cfg = dict(type='IterBasedTrainLoop', max_iters=1)\nplain = {plain}\n")
        for key in ("train_dataloader", "val_dataloader"):
            stream.write(f"{key}['dataset']['pipeline'] = plain\n")
    code, report = run(tool, config)
    assert code == 1 and kinds(report) == {("error", "labels", "validation")}
    assert report["samples"] == dict(labeled=3, validation=3)


def test_equal_ids_of_different_pictures_are_a_warning(tool, config):
    root = config.parent
    (root / "val").mkdir()
    for index, name in enumerate(("labeled0", "validation1", "validation2")):
        (root / f"img/validation{index}.jpg").rename(root / f"val/{name}.jpg")
    (root / "validation.txt").write_text("labeled0\nvalidation1")
    code, report = run(tool, config, "--cfg-options", "val_dataloader.dataset.data_prefix.img_path=val")
    assert code == 0 and kinds(report) == {("warning", "same id", "labeled and validation")}


def test_warnings_alone_do_not_fail(tool, config):
    for path in (config.parent / "mask").glob("labeled*.png"):
        path.write_bytes(png(np.eye(12, 16, dtype=np.uint8)))
    code, report = run(tool, config)
    assert code == 0 and kinds(report) == {("warning", "class", "labeled")}
    assert report["findings"][0]["files"] == ["c"]


def test_masks_among_unlabeled_images_are_a_warning(tool, config):
    root, mask = config.parent, (config.parent / "mask/labeled0.png").read_bytes()
    (root / "img/masks").mkdir()
    (root / "img/unlabeled0_mask.jpg").write_bytes(mask)
    (root / "img/masks/unlabeled1.jpg").write_bytes(png(np.eye(12, 16, dtype=np.uint8)))
    (root / "img/unlabeled0_2.jpg").write_bytes(png(np.random.default_rng(9).integers(0, 256, (12, 16, 3), np.uint8)))
    (root / "img/drawing.jpg").write_bytes(png(np.eye(12, 16, 1, dtype=np.uint8)))  # few colours, but of its own
    with (root / "unlabeled.txt").open("a") as stream:
        stream.write("\nunlabeled0_mask\nunlabeled0_2\nmasks/unlabeled1\ndrawing")
    code, report = run(tool, config)
    assert code == 0 and kinds(report) == {("warning", "mask", "unlabeled")}
    names = ["unlabeled0_mask.jpg", "masks/unlabeled1.jpg"]
    assert report["findings"][0]["files"] == [str(root / "img" / name) for name in names]


def test_a_data_set_that_cannot_be_built_is_a_finding_and_the_others_are_checked(tool, config):
    code, report = run(tool, config, "--cfg-options", "val_dataloader.dataset.ann_file=lost.txt")
    assert code == 1 and kinds(report) == {("error", "dataset", "validation")}
    assert "lost.txt" in report["findings"][0]["text"] and set(report["samples"]) == {"labeled", "unlabeled"}


@pytest.mark.parametrize(
    ("name", "hint"), [("labeled0.jpg", "Lists hold ids without the suffix"), ("", "is a line of the list blank")]
)
def test_ids_with_the_suffix_and_blank_lines_are_named_by_check_and_training(tool, config, name, hint):
    (config.parent / "labeled.txt").write_text(f"{name}\nlabeled1")
    code, report = run(tool, config)
    assert code == 1 and all(hint in finding["text"] for finding in report["findings"])
    dataset = DATASETS.build(Config.fromfile(config).train_dataloader.dataset)
    with pytest.raises(FileNotFoundError, match=hint):
        check_splits(dataset)


@pytest.mark.parametrize("arguments", [["no/such/config.py"], ["EMPTY"]])
def test_wrong_usage_is_exit_code_2(tool, tmp_path, arguments):
    (tmp_path / "empty.py").write_text("model = dict(type='EncoderDecoder')\n")
    with pytest.raises(SystemExit) as stop:
        tool.main([str(tmp_path / "empty.py") if a == "EMPTY" else a for a in arguments])
    assert stop.value.code == 2
