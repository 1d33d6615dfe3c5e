"""Validations that give other figures than mIoU, or mIoU by another name: who looks for one finds it, or says so."""

import json

import pytest
from builders import train
from html_page import Page
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS

from mmseg_allspark.utils.metric_names import find_metric

from .test_hooks import log_lines


@METRICS.register_module(force=True)
class OwnMetric(IoUMetric):
    """A metric whose figures nobody can know before the first validation."""

    def compute_metrics(self, results):
        return {f"own{name}": value for name, value in super().compute_metrics(results).items()}


def run(data, work_dir, evaluator, save_best="mIoU", monitor=None):
    checkpoint = dict(type="AtomicCheckpointHook", by_epoch=False, interval=2, save_best=save_best, rule="greater")
    return train(
        data,
        work_dir,
        loop=dict(max_iters=2, val_interval=2),
        validate=True,
        val_evaluator=evaluator,
        default_hooks=dict(checkpoint=checkpoint, logger=dict(type="LoggerHook", log_metric_by_epoch=False)),
        custom_hooks=[dict(type="CollapseMonitorHook", **(monitor or {})), dict(type="ReportHook")],
        visualizer=dict(type="SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")]),
    )


@pytest.mark.parametrize(
    ("evaluator", "found"),
    [
        (dict(type="IoUMetric", iou_metrics="mFscore", prefix="val"), "val/mFscore"),
        ([dict(type="mmseg.IoUMetric", prefix="val")], "val/mIoU"),
    ],
)
def test_the_metric_that_is_there_is_taken(data, tmp_path, evaluator, found):
    runner = run(data, tmp_path, evaluator)
    assert (tmp_path / f"best_{found.replace('/', '_')}_iter_2.pth").is_file()
    assert runner.message_hub.get_info("collapse_monitor")["best"] == runner.message_hub.get_info("best_score") > 0
    assert log_lines(tmp_path, f"save_best='mIoU': validations give {found}")
    page = (tmp_path / "report.html").read_text()
    Page(page).check()
    assert f"{found}, last (%)" in page
    (scalars,) = tmp_path.glob("*/vis_data/scalars.json")
    assert any(found in json.loads(line) for line in scalars.read_text().splitlines())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(save_best="mAccuracy"), r"checkpoint\.save_best='mAccuracy'.* give aAcc, mIoU, mAcc"),
        (dict(monitor=dict(metric="mDice")), r"CollapseMonitorHook\.metric='mDice'.* give aAcc, mIoU, mAcc"),
        (
            dict(evaluator=dict(type="IoUMetric", iou_metrics=["mJaccard"])),
            r"val_evaluator\.iou_metrics=\['mJaccard'\].*mIoU, mDice, mFscore",
        ),
    ],
)
def test_a_metric_that_will_not_be_there_is_refused_before_training(data, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        run(data, tmp_path, **dict(evaluator=dict(type="IoUMetric")) | options)
    assert not log_lines(tmp_path, "Iter(train)")


def test_a_metric_of_unknown_figures_is_looked_at_when_it_gives_them(data, tmp_path):
    with pytest.raises(ValueError, match=r"save_best='mIoU'.* give ownaAcc, ownmIoU, ownmAcc"):
        run(data, tmp_path, dict(type="OwnMetric"))
    assert (tmp_path / "iter_2.pth").is_file()
    run(data, tmp_path / "best", dict(type="OwnMetric"), save_best="ownmIoU")
    assert log_lines(tmp_path / "best", "CollapseMonitorHook.metric='mIoU'")


@pytest.mark.parametrize(
    ("names", "wanted", "found"),
    [
        (["day/mIoU", "mIoU"], "mIoU", "mIoU"),
        (["day/mDice", "night/mIoU"], "mIoU", "night/mIoU"),
        (["aAcc", "mFscore", "mDice"], "mIoU", "mDice"),
        (["aAcc", "mIoU"], "mDice", None),  # asked for by name
    ],
)
def test_which_is_taken(names, wanted, found):
    assert find_metric(names, wanted) == found
