"""ST++: the loss over pixels of both kinds of images, the ranking, CutOut, snapshots, the stages and their resume."""

import csv
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from builders import CLASSES, CROP, build_model, dataset_config, head_config, loader_config, run_config, semi_batch
from mmengine.config import Config
from mmengine.structures import PixelData

from mmseg_allspark.datasets.transforms import RandomNoiseCutOut
from mmseg_allspark.datasets.transforms.pseudo_labels import label_names
from mmseg_allspark.engine import SelfTraining, SnapshotHook
from mmseg_allspark.engine.self_training import label_path, list_unlabeled
from mmseg_allspark.labels import image_reliability, split_by_reliability


def labeled_batch(model, unknown):
    """A batch of 2 + 2 images with labels from files; the first rows of the unlabeled ones are unknown."""
    batch = semi_batch(model, labels_from="data")
    for sample in batch["data_samples"]["unlabeled"]:
        label = torch.randint(0, len(CLASSES), (1, CROP, CROP), dtype=torch.uint8)
        label[:, :unknown] = 255
        sample.pseudo_seg_map = PixelData(data=label)
    return batch


@pytest.mark.parametrize("unknown", [0, 40, CROP])
def test_the_loss_is_the_mean_over_all_labeled_pixels_of_the_batch(unknown):
    model = build_model(type="SelfTrainingSegmentor", neck=None).train()
    batch = labeled_batch(model, unknown)
    losses, samples = model(**batch, mode="loss"), batch["data_samples"]
    masks = [sample.gt_sem_seg.data for sample in samples["labeled"]]
    masks = torch.cat([*masks, *(sample.pseudo_seg_map.data for sample in samples["unlabeled"])]).long()
    logits = model._forward(torch.cat([batch["inputs"]["labeled"], batch["inputs"]["weak"]]))
    logits = F.interpolate(logits, (CROP, CROP), mode="bilinear", align_corners=False)
    expected = F.cross_entropy(logits, masks, ignore_index=255)
    torch.testing.assert_close(losses["sup.decode.loss_ce"] + losses["unsup.decode.loss_ce"], expected)


def test_a_loss_that_counts_ignored_pixels_is_refused():
    with pytest.raises(ValueError, match="avg_non_ignore=True"):
        build_model(
            type="SelfTrainingSegmentor", neck=None, decode_head=head_config(loss_decode=dict(type="CrossEntropyLoss"))
        )


def test_equal_checkpoints_are_reliable_and_ties_keep_their_order():
    labels = torch.randint(0, 5, (8, 9))
    assert image_reliability([labels, labels], labels, 5) == 1
    assert image_reliability([1 - labels % 2], labels % 2, 5) == 0
    assert split_by_reliability([0.5, 1.0, 0.5, 1.0, 1.0]) == ([1, 3], [4, 0, 2])
    with pytest.raises(ValueError, match="at least one"):
        image_reliability([], labels, 5)


def test_cutout_ignores_its_rectangle_and_leaves_the_rest():
    image, labels = np.full((50, 70, 3), 300 % 256, np.uint8), np.ones((50, 70), np.uint8)
    for _ in range(50):
        sample = dict(img=image, pseudo_seg_map=labels, valid=labels, seg_fields=["pseudo_seg_map", "valid"])
        sample = RandomNoiseCutOut(prob=1.0)(sample)
        inside = sample["pseudo_seg_map"] == 255
        assert 0.01 < inside.mean() <= 0.4 and (sample["img"][~inside] == image[~inside]).all()
        assert sample["valid"].all() and len(np.unique(sample["img"][inside])) > 20
    assert labels.all() and (image == 300 % 256).all()  # the caller's arrays are as they were
    with pytest.raises(ValueError, match="area"):
        RandomNoiseCutOut(area=(0.4, 0.2))


@pytest.mark.parametrize(
    ("epochs", "iterations", "expected"), [(80, 880, [286, 583]), (240, 2400, [800, 1600]), (1, 100, [33, 66])]
)
def test_snapshots_are_of_whole_epochs(epochs, iterations, expected):
    loop = SimpleNamespace() if epochs > 1 else SimpleNamespace(by_epoch=False)
    runner = SimpleNamespace(max_epochs=epochs, max_iters=iterations, train_loop=loop)
    assert SnapshotHook().iterations(runner) == expected


def test_a_data_set_of_data_sets_is_refused():
    wrapped = dict(dataset=dict(type="ConcatDataset", datasets=[]))
    with pytest.raises(ValueError, match="'ConcatDataset' has no pipeline of its own.*lists all folders"):
        list_unlabeled(Config(dict(unlabeled_dataloader=wrapped)))


def test_without_selection_all_images_are_labeled_at_once():
    names = [stage.name for stage in SelfTraining(supervised={}, select="none").stages]
    assert names == ["supervised", "label_all", "retrain_all"]


def stage_config(data, folder):
    """A self-training of 3 steps a training."""
    unlabeled = dataset_config(data, "unlabeled")
    unlabeled["data_prefix"] = dict(img_path=str(data / "img"))
    steps = ["LoadImage", dict(type="LoadPseudoLabel", folder=""), "RandomNoiseCutOut", "PackSemiInputs"]
    unlabeled["pipeline"] = [step if isinstance(step, dict) else dict(type=step) for step in steps]
    loop = dict(
        max_iters=3,
        pseudo_labels_from="data",
        unlabeled_dataloader=loader_config(data, "unlabeled", dataset=unlabeled),
    )
    cfg = run_config(data, folder, loop=loop, custom_imports=dict(imports=["mmseg_allspark"]), validate=True)
    cfg.model.update(type="SelfTrainingSegmentor", neck=None)
    cfg.test_dataloader, cfg.test_cfg, cfg.test_evaluator = cfg.val_dataloader, dict(type="TestLoop"), cfg.val_evaluator
    supervised = dict(_delete_=True, type="SupervisedLoop", max_iters=3, val_interval=3)
    cfg.self_training = dict(supervised=dict(train_cfg=supervised), scales=[0.5, 1.0])
    cfg.dump(folder / "stages.py")
    return folder / "stages.py"


def spoil(data, folder):
    """A copy of the data with an unlabeled image that cannot be read."""
    own = shutil.copytree(data, folder)
    (own / "img/unlabeled1.png").write_bytes(b"no image")
    return own


def test_unlabeled_images_that_cannot_be_read_are_left_out(data, tmp_path, load_tool, monkeypatch, capsys):  # noqa: F811
    tool, train = load_tool("self_training"), load_tool("train")
    monkeypatch.setattr(tool, "run_training", lambda path, at, _: train.main([str(path), "--work-dir", str(at)]) or 0)
    command = [str(stage_config(spoil(data, tmp_path / "data"), tmp_path)), "--work-dir", str(tmp_path / "out")]
    assert tool.main([*command, "--device", "cpu"]) == 0
    lists = {path.stem: path.read_text().split() for path in (tmp_path / "out").glob("*.txt")}
    (left_out,) = lists["unreadable"]
    assert left_out.endswith("unlabeled1.png") and capsys.readouterr().out.count("Left out") == 1
    assert (
        set(lists["all"]) == {left_out, *lists["retrain_all"]} == {left_out, *lists["reliable"], *lists["unreliable"]}
    )
    assert len(lists["retrain_all"]) == 3 == len([*(tmp_path / "out/labels").rglob("*.png")])
    assert lists["retrain_reliable"] == lists["reliable"]


@pytest.mark.parametrize(
    ("spoilt", "load", "text"),
    [(1, dict(unreadable="stop"), "unlabeled1.png"), (3, {}, "3 of 4 unlabeled images cannot be read.*unlabeled")],
)
def test_one_of_them_or_too_many_stop_it(data, tmp_path, load_tool, monkeypatch, capsys, spoilt, load, text):  # noqa: F811
    tool, train = load_tool("self_training"), load_tool("train")
    monkeypatch.setattr(tool, "run_training", lambda path, at, _: train.main([str(path), "--work-dir", str(at)]) or 0)
    own = spoil(data, tmp_path / "data")
    for number in range(1, spoilt):
        (own / f"img/unlabeled{number + 1}.png").write_bytes(b"")
    path = stage_config(own, tmp_path)
    cfg = Config.fromfile(path)
    cfg.self_training.update(select="none")
    cfg.unlabeled_dataloader.dataset.pipeline[0].update(load)
    cfg.dump(path)
    with pytest.raises(SystemExit):
        tool.main([str(path), "--work-dir", str(tmp_path / "out"), "--device", "cpu"])
    assert re.search(text, capsys.readouterr().err)


def test_steps_are_those_of_every_training(data, tmp_path, load_tool, monkeypatch, capsys):  # noqa: F811
    tool = load_tool("self_training")
    monkeypatch.setattr(tool, "run_training", lambda *_: 1)
    path = stage_config(data, tmp_path)
    command = [str(path), "--work-dir", str(tmp_path / "out"), "--device", "cpu"]
    with pytest.raises(SystemExit):  # the first training fails
        tool.main([*command, "--steps", "6"])
    cfg = Config.fromfile(tmp_path / "out/supervised.py")
    assert cfg.train_cfg.max_iters == 6 and cfg.param_scheduler[0].end == 40  # 20 with 3 steps
    for words, text in ((["--steps", "7"], "another config"), (["--cfg-options", "train_cfg.max_iters=7"], "--steps")):
        with pytest.raises(SystemExit):
            tool.main([*command, *words])
        assert text in capsys.readouterr().err


def test_labels_lie_below_all_folders_of_their_image():
    labels = Path("/labels")
    paths = [label_path(labels, f"/kitti/drive_{number}/image_02/data/0.jpg") for number in (1, 2)]
    assert paths[0] != paths[1] and str(paths[0].relative_to(labels)) in label_names(
        "/kitti/drive_1/image_02/data/0.jpg"
    )


@pytest.mark.slow
def test_stages_go_on_after_an_interruption(data, tmp_path, load_tool, monkeypatch):  # noqa: F811
    tool, train = load_tool("self_training"), load_tool("train")
    config, runs = stage_config(data, tmp_path), []

    def run_training(path, folder, gpus):
        runs.append(folder.name)
        if len(runs) == 2:
            return 1  # as after a kill
        train.main([str(path), "--work-dir", str(folder), "--resume"])
        return 0

    monkeypatch.setattr(tool, "run_training", run_training)
    command, work_dir = [str(config), "--work-dir", str(tmp_path / "out"), "--device", "cpu"], tmp_path / "out"
    with pytest.raises(SystemExit):
        tool.main(command)
    reliable, labels = (work_dir / "reliable.txt").read_text().split(), sorted((work_dir / "labels").rglob("*.png"))
    assert len(reliable) == len(labels) == 2
    before = [label.read_bytes() for label in labels]
    assert tool.main(command) == 0 and tool.main(command) == 0
    assert runs == ["supervised", "retrain_reliable", "retrain_reliable", "retrain_all"]
    assert [label.read_bytes() for label in labels] == before and len([*(work_dir / "labels").rglob("*.png")]) == 4
    _, *rows = csv.reader((work_dir / "reliability.csv").open())
    values = [float(value) for _, value in rows]
    assert [image for image, _ in rows][:2] == reliable and values == sorted(values, reverse=True)
    with pytest.raises(SystemExit):
        tool.main([*command, "--cfg-options", "train_cfg.max_iters=4"])
