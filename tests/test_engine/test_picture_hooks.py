"""PseudoLabelVisualizationHook, ValidationRecordHook and ReportHook, by one small run with all of them."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from builders import CLASSES, dataset_config, loader_config, model_config, sample_with_mask, train
from html_page import Page
from mmengine.structures import PixelData
from mmengine.visualization import LocalVisBackend
from mmseg.visualization import SegLocalVisualizer
from PIL import Image

from mmseg_allspark.engine import PredictionVisualizationHook, ValidationRecordHook
from mmseg_allspark.engine.hooks import validation_record
from mmseg_allspark.report.label_pictures import GAP, TITLE_HEIGHT, colour_confidence

from .recording import record

PALETTE = [[200, 0, 0], [0, 180, 0], [0, 0, 220], [120, 120, 120]]
SIDE = 65  # of the images: panels are not scaled
LOCAL = dict(type="LocalVisBackend")
HOOKS = [
    dict(type="SemanticMemoryHook"),
    dict(type="PseudoLabelStatisticsHook"),
    dict(type="PseudoLabelVisualizationHook", interval=2, num_images=1, side=SIDE),
    dict(type="ValidationRecordHook", num_images=1, side=SIDE),
    dict(type="ReportHook"),
]


def with_colours(data, name):
    meta = dict(classes=CLASSES, palette=PALETTE)
    return loader_config(data, name, dataset=dataset_config(data, name, metainfo=meta))


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """(work directory, recorded batches, time-stamped folder) of a run of four iterations with two validations."""
    work_dir = tmp_path_factory.mktemp("run")
    threshold = dict(type="ConfidenceThreshold", threshold=0.265)
    _, log = record(
        data,
        work_dir,
        hooks=HOOKS,
        model=model_config(confidence=threshold),
        loop=dict(max_iters=4, val_interval=2, unlabeled_dataloader=with_colours(data, "unlabeled")),
        train_dataloader=with_colours(data, "labeled"),
        val_dataloader=with_colours(data, "val"),
        val_cfg=dict(type="ValLoop"),
        val_evaluator=dict(type="IoUMetric", iou_metrics=["mIoU"]),
        visualizer=dict(type="SegLocalVisualizer", vis_backends=[LOCAL]),
    )
    (folder,) = (path.parent for path in work_dir.glob("*/vis_data"))
    return work_dir, log.batches, folder


def scalars(folder):
    """{name: {step: value}} of all that LocalVisBackend wrote."""
    found = {}
    for line in (folder / "vis_data" / "scalars.json").read_text().splitlines():
        entry = json.loads(line)
        for name, value in entry.items():
            found.setdefault(name, {})[entry["step"]] = value
    return found


def pictures(folder):
    return sorted(path.name for path in (folder / "vis_data" / "vis_image").iterdir())


def panel(path, column):
    """One of the pictures in the first row of a panel."""
    left = GAP + column * (SIDE + GAP)
    picture = np.asarray(Image.open(path).convert("RGB"))
    return picture[TITLE_HEIGHT : TITLE_HEIGHT + SIDE, left : left + SIDE]


def test_a_picture_every_interval_and_the_same_validation_image_each_time(run):
    assert pictures(run[2]) == [
        "pseudo_labels_2.png", "pseudo_labels_4.png", "val0_image_2.png", "val0_prediction_2.png",
        "val0_prediction_4.png", "val0_truth_2.png",
    ]  # fmt: skip


@pytest.mark.parametrize("step", [2, 4])
def test_panels_show_the_image_its_label_what_counts_and_the_truth(run, step):
    _, batches, folder = run
    path, batch = folder / "vis_data" / "vis_image" / f"pseudo_labels_{step}.png", batches[step - 1]
    confidence, label = batch["step"].record["pseudo"].logits[0].softmax(dim=0).max(dim=0)
    sample = batch["data_samples"]["unlabeled"][0]
    colours = np.asarray(PALETTE)
    assert (panel(path, 0) == np.asarray(Image.open(sample.img_path))).all()
    assert (panel(path, 1) == colours[label]).all()
    kept = np.where((confidence >= 0.265)[..., None], colours[label], 255)
    assert 0 < (confidence >= 0.265).float().mean() < 1
    assert (panel(path, 2) == kept).all()
    assert (panel(path, 3) == colours[sample.gt_sem_seg.data[0]]).all()
    assert (panel(path, 4) == colour_confidence(confidence.numpy())).all()


def test_without_masks_and_threshold_their_columns_are_left_out_and_colours_stay_right(data, tmp_path):
    unlabeled = with_colours(data, "unlabeled")
    unlabeled["dataset"]["data_prefix"] = dict(img_path=str(data / "img"))
    model = model_config(data_preprocessor=dict(type="SegDataPreProcessor", size_divisor=1))  # BGR, not normalised
    _, log = record(
        data, tmp_path, loop=dict(max_iters=2, unlabeled_dataloader=unlabeled), hooks=HOOKS[2:3], model=model,
        visualizer=dict(type="SegLocalVisualizer", vis_backends=[LOCAL]),
    )  # fmt: skip
    (path,) = tmp_path.glob("*/vis_data/vis_image/*.png")
    assert Image.open(path).width == 3 * (SIDE + GAP) + GAP
    image = log.batches[1]["data_samples"]["unlabeled"][0].img_path
    assert (panel(path, 0) == np.asarray(Image.open(image))).all()


def test_iou_and_confusion_are_those_of_the_metric(run):
    (log,) = run[2].glob("*.log")
    tables = re.findall(r"\| +([abcd]) +\| +([\d.]+|nan) +\| +([\d.]+|nan) +\|", log.read_text())
    entries = [json.loads(line) for line in (run[2] / "validations.json").read_text().splitlines()]
    assert [entry["step"] for entry in entries] == [2, 4]
    for entry, table in zip(entries, (tables[:4], tables[4:]), strict=True):
        assert [name for name, _, _ in table] == entry["classes"] == list(CLASSES)
        assert entry["iou"] == pytest.approx([float(iou) for _, iou, _ in table], abs=0.011)
        matrix = np.array(entry["confusion"])
        assert matrix.sum() == 2 * SIDE * SIDE  # two validation images, no pixel ignored
        accuracy = 100 * matrix.diagonal() / matrix.sum(axis=1)
        assert accuracy == pytest.approx([float(acc) for _, _, acc in table], abs=0.011)
        logged = scalars(run[2])
        assert [logged[f"IoU/{name}"][entry["step"]] for name in CLASSES] == entry["iou"]
        assert np.mean(entry["iou"]) == pytest.approx(logged["mIoU"][entry["step"]], abs=0.011)


def test_the_report_is_there_and_tells_what_ran(run):
    page = Page((run[0] / "report.html").read_text())
    page.check()
    last = scalars(run[2])["mIoU"][4]
    assert "4 of 4 iterations" in page.text and f"{last:.2f} mIoU, last (%)" in page.text
    assert len(page.all("img")) == 4 + 2  # image, truth, two predictions; two pictures of pseudo labels
    assert f"torch {torch.__version__}" in page.text and "CPU cores" in page.text
    assert not list(run[0].glob(".report*"))


def test_a_picture_or_report_that_fails_is_one_warning(data, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr("mmseg_allspark.engine.hooks.report.write_report", fail)
    monkeypatch.setattr(LocalVisBackend, "add_image", fail)
    visualizer = dict(type="SegLocalVisualizer", vis_backends=[LOCAL])
    hooks = [*HOOKS[2:], dict(type="PredictionVisualizationHook", draw=True, interval=1)]
    train(data, tmp_path, loop=dict(max_iters=4, val_interval=2), validate=True, custom_hooks=hooks,
          visualizer=visualizer)  # fmt: skip
    (log,) = tmp_path.glob("*/*.log")
    for hook in (hook["type"] for hook in hooks):
        assert log.read_text().count(f"{hook} could not draw; training goes on") == 1
    assert "OSError: no space left" in log.read_text()
    assert len((log.parent / "validations.json").read_text().splitlines()) == 2


def test_without_files_to_read_there_is_one_warning_and_no_report(data, tmp_path):
    train(data, tmp_path, loop=dict(max_iters=2, val_interval=1), validate=True, custom_hooks=[dict(type="ReportHook")])
    (log,) = tmp_path.glob("*/*.log")
    assert log.read_text().count("no report without LocalVisBackend") == 1
    assert not (tmp_path / "report.html").exists()


def validate(hook, predictions, truths, *, images, rank=0, ranks=1, folder=None, monkeypatch):
    """Let a hook see predictions in turn, as on one of several ranks, and return its confusion matrix."""
    monkeypatch.setattr(validation_record, "get_rank", lambda: rank)
    monkeypatch.setattr(validation_record, "get_world_size", lambda: ranks)
    dataset = type("Images", (list,), dict(metainfo=dict(classes=("a", "b"))))([None] * images)
    loader = type("Loader", (list,), dict(dataset=dataset))(predictions)
    written = []
    runner = SimpleNamespace(
        val_dataloader=loader, model=torch.nn.Linear(1, 1), iter=5, log_dir=str(folder),
        visualizer=SimpleNamespace(add_scalars=lambda found, step: written.append(found)),
    )  # fmt: skip
    hook.before_val_epoch(runner)
    for index, (prediction, truth) in enumerate(zip(predictions, truths, strict=True)):
        sample = sample_with_mask(torch.tensor([truth]))
        sample.pred_sem_seg = PixelData(data=torch.tensor([[prediction]]))
        hook.after_val_iter(runner, index, dict(inputs=[torch.zeros(3, 1, 4)]), [sample])
    hook.after_val_epoch(runner)
    return json.loads((folder / "validations.json").read_text()), written


def test_ignored_pixels_count_nowhere_and_others_as_in_the_metric(tmp_path, monkeypatch):
    found, (figures,) = validate(
        ValidationRecordHook(num_images=0), [[0, 0, 1, 1, 1]], [[0, 255, 0, 7, 1]], images=1, folder=tmp_path,
        monkeypatch=monkeypatch,
    )  # fmt: skip
    assert found["confusion"] == [[1, 1], [0, 1]]
    assert found["iou"] == [50.0, 33.33]  # b: predicted three times, also on a and on what is no class
    assert figures == {"IoU/a": 50.0, "IoU/b": 33.33}


def test_an_image_that_fills_up_the_last_round_counts_once(tmp_path, monkeypatch):
    ranks = dict(images=3, ranks=2, folder=tmp_path, monkeypatch=monkeypatch)
    monkeypatch.setattr(validation_record, "is_main_process", lambda: True)
    found, _ = validate(ValidationRecordHook(num_images=0), [[0] * 4, [1] * 4], [[0] * 4, [0] * 4], rank=1, **ranks)
    assert found["confusion"] == [[4, 0], [0, 0]]  # the second of rank 1 is image 0 again


class Images(list):
    """Paths of images that are all black."""

    pipeline = SimpleNamespace(transforms=[lambda results: dict(img=np.zeros((4, 6, 3), np.uint8))])

    def get_data_info(self, index):
        return dict(img_path=self[index])


def test_pictures_of_a_test_are_called_as_the_images_are(tmp_path):
    paths = [f"{tmp_path}/images/{name}" for name in ("a/1.jpg", "b/1.jpg", "b/2.jpg", "b/2.png")]
    visualizer = SegLocalVisualizer.get_instance(str(tmp_path), alpha=1.0)
    visualizer.dataset_meta = dict(classes=CLASSES, palette=PALETTE)
    hook = PredictionVisualizationHook(draw=True, show_dir=str(tmp_path / "out"))
    runner = SimpleNamespace(test_dataloader=SimpleNamespace(dataset=Images(paths)))
    hook.before_test_epoch(runner)
    for path in paths:
        sample = sample_with_mask(torch.full((4, 6), 1), path)
        sample.pred_sem_seg = PixelData(data=torch.full((1, 4, 6), 2))
        hook.after_test_iter(runner, 0, {}, [sample])
    written = sorted(tmp_path.glob("out/**/*.png"))
    names = [str(path.relative_to(tmp_path / "out")) for path in written]
    assert names == ["a/1.png", "b/1.png", "b/2.jpg.png", "b/2.png.png"]
    picture = np.asarray(Image.open(written[0]))
    truth, prediction = picture[TITLE_HEIGHT:, GAP:], picture[TITLE_HEIGHT:, 6 + 2 * GAP :]
    assert (truth[:4, :6] == PALETTE[1]).all() and (prediction[:4, :6] == PALETTE[2]).all()


def test_joined_data_sets_load_their_own_pictures_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bright = Images([f"{tmp_path}/more/2.jpg"])
    bright.pipeline = SimpleNamespace(transforms=[lambda results: dict(img=np.full((4, 6, 3), 255, np.uint8))])
    visualizer = SegLocalVisualizer.get_instance(str(tmp_path), alpha=0.0)
    visualizer.dataset_meta = dict(classes=CLASSES, palette=PALETTE)
    hook = PredictionVisualizationHook(draw=True, show_dir="out")
    joined = SimpleNamespace(datasets=[Images(["images/1.jpg"]), bright])  # one relative, one absolute
    runner = SimpleNamespace(test_dataloader=SimpleNamespace(dataset=joined))
    hook.before_test_epoch(runner)
    for path in ("images/1.jpg", bright[0]):
        hook.after_test_iter(runner, 0, {}, [sample_with_mask(torch.full((4, 6), 1), path)])
    for name, level in (("images/1", 0), ("more/2", 255)):
        assert (np.asarray(Image.open(f"out/{name}.png"))[TITLE_HEIGHT:, GAP:][:4, :6] == level).all()
