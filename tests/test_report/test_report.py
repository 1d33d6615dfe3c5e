"""The report of a run, from work directories written by hand; tests/test_engine/test_report_hook.py trains for one."""

import json

import numpy as np
import pytest
from html_page import Page
from PIL import Image

from mmseg_allspark.report import write_report
from mmseg_allspark.report.run_record import read_run

CLASSES = ["sky", "road", "<em>tree</em>"]
CONFIG = """
model = dict(type='SemiSegmentor', neck=dict(type='AllSparkNeck'), backbone=dict(type='Net'))
train_dataloader = dict(batch_size=4, dataset=dict(type='CamVidDataset', data_root='data/camvid', ann_file='l.txt'))
randomness = dict(seed=7)
"""


def log_entry(text, level="INFO", second=0):
    return f"2026/01/02 03:04:{second:02d} - mmengine - {level} - {text}\n"


def train_entry(step, **figures):
    return dict(figures, iter=step, step=step)


def write_part(work_dir, name="20260101_000000", *, scalars=(), validations=(), log="", config=CONFIG, tail=""):
    folder = work_dir / name
    (folder / "vis_data" / "vis_image").mkdir(parents=True)
    text = "".join(json.dumps(entry) + "\n" for entry in scalars) + tail
    (folder / "vis_data" / "scalars.json").write_text(text)
    (folder / "vis_data" / "config.py").write_text(config)
    (folder / f"{name}.log").write_text(log_entry("start") + log)
    if validations:
        (folder / "validations.json").write_text("".join(json.dumps(entry) + "\n" for entry in validations))
    return folder


def validation(step, iou, confusion):
    sample = dict(name="val0", image='"><img src=x>.png')
    return dict(
        step=step, classes=CLASSES, palette=[[1, 2, 3]] * 3, iou=iou, confusion=confusion, samples=[sample]
    )  # fmt: skip


def add_picture(folder, name, size=(40, 30)):
    Image.fromarray(np.full((size[1], size[0], 3), 200, np.uint8)).save(folder / "vis_data" / "vis_image" / name)


def report(work_dir):
    page = Page(write_report(work_dir).read_text())
    page.check()
    return page


def write_whole(tmp_path):
    """A run with everything."""
    shares = {f"pseudo/share_{name}": value for name, value in zip(CLASSES, (0.125, 0.5, 0.375), strict=True)}
    folder = write_part(
        tmp_path,
        scalars=[
            {"memory/fill_sky": 0.5, "memory/fill_road": 1.0, "step": 10},
            {"pseudo/kept": 0.75, **shares, "step": 10},
            train_entry(10, loss=1.5, lr=0.01),
            train_entry(20, loss=1.25, lr=0.005),
            {"IoU/sky": 61.25, "step": 20},
            {"mIoU": 42.5, "aAcc": 80.0, "step": 20},
            train_entry(30, loss=1.0, lr=0.001),
            {"mIoU": 41.0, "aAcc": 79.0, "step": 30},
        ],
        validations=[
            validation(20, [61.25, 23.75, None], [[8, 2, 0], [1, 1, 0], [0, 0, 0]]),
            validation(30, [60.5, 21.5, 0.0], [[9, 1, 0], [3, 1, 0], [4, 0, 0]]),
        ],
        log=log_entry("Iter(train) [10/30]") + log_entry("sky <i>takes over</i>,\nsecond line", "WARNING", 9),
    )
    for name in ("val0_image_20", "val0_truth_20", "val0_prediction_20", "val0_prediction_30", "pseudo_labels_15"):
        add_picture(folder, f"{name}.png")
    return tmp_path


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return report(write_whole(tmp_path_factory.mktemp("whole")))


def test_figures_are_those_of_the_log(page):
    assert "30 iterations" in page.text
    assert "41.00 mIoU, last (%)" in page.text
    assert "42.50 mIoU, best (%), iteration 20" in page.text
    labels = " ".join(attrs["aria-label"] for attrs in page.all("svg") if "aria-label" in attrs)
    assert "loss: from 1.5 at iteration 10 to 1 at iteration 30" in labels
    assert "mIoU: from 42.5 at iteration 20 to 41 at iteration 30" in labels
    assert "mean of the classes: from 0.75 at iteration 10" in labels
    classes, confusion, shares = page.tables[:3]
    assert classes[0] == ["class", "20 ★", "30"]
    assert [row[1:] for row in classes[1:]] == [["61.2", "60.5"], ["23.8", "21.5"], ["–", "0.0"]]
    assert confusion[0] == ["truth", *CLASSES]
    assert [row[1:] for row in confusion[1:]] == [["90", "10", ""], ["75", "25", ""], ["100", "", ""]]
    assert "<em>tree</em> taken for sky 100 %; road taken for sky 75 %; sky taken for road 10 %" in page.text
    assert [row[1] for row in shares[1:]] == ["12.5", "50.0", "37.5"]
    assert (
        "CamVidDataset: data/camvid l.txt, 4 a step" in page.text
        and "SemiSegmentor with AllSparkNeck, Net" in page.text
    )


def test_reliability_of_the_last_validation_by_class_and_threshold(tmp_path):
    folder = write_whole(tmp_path) / "20260101_000000"
    old, new = (dict(step=step, columns=["in force", "0.9"], kept={}, right={}) for step in (20, 30))
    rows = dict(kept={"all classes": [1.0, 0.5], "sky": [None, 0.25]}, right={"all classes": [0.75, 0.875]})
    lines = [json.dumps(old), json.dumps(new | rows), "{"]
    (folder / "reliability.json").write_text("\n".join(lines))
    page = report(tmp_path)
    right, kept = page.tables[3:5]
    assert right == [["class", "in force", "0.9"], ["all classes", "75.0", "87.5"]]
    assert kept[1:] == [["all classes", "100.0", "50.0"], ["sky", "–", "25.0"]]
    assert "Held-out labeled images at iteration 30" in page.text and "1 line(s)" in page.text


@pytest.mark.parametrize("loop", ["PseudoLabelLoop", "IterBasedTrainLoop"])
def test_unlabeled_data_are_listed_where_they_are_used(tmp_path, loop):
    """A supervised config inherits them from the base of its data."""
    unlabeled = "unlabeled_dataloader = dict(batch_size=2, dataset=dict(type='Images', source='more'))"
    write_part(tmp_path, config=f"{CONFIG}{unlabeled}\ntrain_cfg = dict(type='{loop}', max_iters=9)")
    assert ("Images: more, 2 a step" in report(tmp_path).text) == (loop == "PseudoLabelLoop")


def test_pictures_are_in_the_page_and_in_words(page):
    alts = [attrs["alt"] for attrs in page.all("img")]
    assert alts[:4] == [
        'image of "><img src=x>.png', 'ground truth of "><img src=x>.png', "prediction at iteration 20",
        "prediction at iteration 30",
    ]  # fmt: skip
    assert "at iteration 15" in alts[4]
    assert all(attrs["src"].startswith("data:image/") for attrs in page.all("img"))


def test_what_comes_from_files_is_text_and_never_markup(page):
    assert "sky <i>takes over</i>, second line" in page.text
    assert not page.all("i") and not page.all("em")


def test_parts_of_a_resumed_run_are_joined_and_what_was_done_again_counts_once(tmp_path):
    first = [train_entry(step, loss=step / 10) for step in (10, 20, 21, 30)] + [{"mIoU": 99.0, "step": 30}]
    old = write_part(
        tmp_path, "20260101_000000", scalars=first, validations=[validation(30, [1.0] * 3, [[1, 0, 0]] * 3)]
    )
    add_picture(old, "pseudo_labels_30.png")
    second = [train_entry(step, loss=100.0 + step) for step in (25, 35)] + [{"mIoU": 50.0, "step": 35}]
    write_part(tmp_path, "20260102_000000", scalars=second, log=log_entry("resumed epoch: 1, iter: 20"))
    write_part(tmp_path, "20260103_000000")  # a test of the model: no training in it
    run = read_run(tmp_path)
    assert run.scalars["loss"] == {10: 1.0, 20: 2.0, 25: 125.0, 35: 135.0}
    assert run.metrics["mIoU"] == {35: 50.0}
    assert not run.validations and not run.pictures["pseudo_labels"]
    assert run.starts == [("20260101_000000", 0), ("20260102_000000", 20)]
    assert "20260101_000000; resumed: 20260102_000000 from iteration 20" in report(tmp_path).text
    assert "stroke-dasharray: 2,4" in (tmp_path / "report.html").read_text()


def test_a_new_training_in_an_old_folder_replaces_the_old_one(tmp_path):
    write_part(tmp_path, "20260101_000000", scalars=[train_entry(500, loss=9.0)], log=log_entry("old", "WARNING"))
    write_part(tmp_path, "20260102_000000", scalars=[train_entry(10, loss=1.0)])
    run = read_run(tmp_path)
    assert run.scalars == {"iter": {10: 10.0}, "loss": {10: 1.0}}
    assert run.starts == [("20260102_000000", 0)] and len(run.times) == 1 and not run.warnings
    text = report(tmp_path).text
    assert "an earlier run in this folder is left out (20260101_000000)" in text and "resumed" not in text


def test_run_folders_below_a_folder_of_runs_are_listed(tmp_path):
    write_part(tmp_path / "seed0" / "allspark")
    write_part(tmp_path / "single")
    with pytest.raises(FileNotFoundError, match="Runs below it: .*seed0/allspark, .*single"):
        read_run(tmp_path)


def test_validations_counted_in_epochs_stand_at_their_iteration(tmp_path):
    entries = [train_entry(50, loss=1.0, epoch=1), {"IoU/sky": 1.0, "step": 65}, {"mIoU": 10.0, "step": 1}]
    entries += [train_entry(115, loss=1.0, epoch=2), {"IoU/sky": 2.0, "step": 130}, {"mIoU": 20.0, "step": 2}]
    write_part(tmp_path, scalars=entries)
    assert read_run(tmp_path).metrics["mIoU"] == {65: 10.0, 130: 20.0}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (dict(), "Nothing has been logged yet. "),
        (dict(scalars=[train_entry(10, loss=1.0)]), "There has been no validation yet. "),
        (dict(scalars=[train_entry(10, loss=1.0)], tail='{"loss": 0.5, "it'), "1 line(s) of scalars.json"),
        (dict(scalars=[train_entry(10, loss=float("nan")), train_entry(20, loss=2.0)]), "loss 2"),
        (dict(config="model = dict(type='Semi"), "The config cannot be read"),
    ],
)
def test_what_is_missing_or_damaged_is_said_and_the_rest_is_shown(tmp_path, options, expected):
    write_part(tmp_path, **options)
    assert expected in report(tmp_path).text


def test_a_picture_that_is_just_being_written_is_named(tmp_path):
    (path,) = write_whole(tmp_path).glob("*/vis_data/vis_image/val0_prediction_30.png")
    path.write_bytes(path.read_bytes()[:40])
    assert "val0_prediction_30.png cannot be read" in report(tmp_path).text


def test_long_runs_with_many_classes_stay_small(tmp_path):
    names = [f"class{index}" for index in range(81)]
    scalars = [train_entry(step, loss=1.0 / step) for step in range(1, 4001)]
    scalars += [{f"pseudo/share_{name}": 0.01 for name in names} | {"step": step} for step in range(1, 2001)]
    scalars.append({"pseudo/share_class0": float("inf"), "step": 2001})
    entry = dict(
        step=4000, classes=names, palette=[[9] * 3] * 81, iou=[1.0] * 81, confusion=np.eye(81).tolist(), samples=[]
    )
    write_part(tmp_path, scalars=scalars, validations=[entry])
    page = report(tmp_path)
    assert (tmp_path / "report.html").stat().st_size < 1_000_000
    assert "The matrix of 81 classes is in" in page.text
    assert "from 1 at iteration 1 to 0.00025 at iteration 4000" in str(page.all("svg"))


def test_the_tool_takes_another_file_and_refuses_an_empty_folder(tmp_path, capsys, load_tool):
    tool = load_tool("analysis/report")
    out = tmp_path / "new" / "page.html"
    write_part(tmp_path / "run")
    tool.main([str(tmp_path / "run"), "--out", str(out)])
    assert capsys.readouterr().out.strip() == str(out) and out.stat().st_size > 5000
    out.unlink()
    with pytest.raises(SystemExit, match="2"):
        tool.main([str(out.parent)])
    assert "holds no run" in capsys.readouterr().err and not list(out.parent.iterdir())
