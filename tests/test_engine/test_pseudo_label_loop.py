"""The loop, by running it: what is seen when, and in which order hooks are called."""

import pytest
import torch
from builders import (
    assert_same_state,
    build_model,
    dataset_config,
    loader_config,
    model_config,
    neck_config,
    train,
    write_data,
)

from mmseg_allspark.report.run_record import read_run

from .recording import record

ITERATION = ["before_train_iter", "after_train_iter"]
EPOCH = ["before_train_epoch", *ITERATION, *ITERATION, "after_train_epoch"]


def test_epochs_are_passes_over_the_unlabeled_images(data, tmp_path):
    runner, log = record(data, tmp_path, loop=dict(max_epochs=3, val_interval=2), validate=True)
    assert log.names == [
        "before_train", *EPOCH, *EPOCH, "after_val_epoch", *EPOCH, "after_val_epoch", "after_train",
    ]  # fmt: skip
    everything = sorted(f"unlabeled{index}" for index in range(4))
    orders = []
    for epoch in range(3):
        unlabeled = [name for step in log.seen[2 * epoch : 2 * epoch + 2] for name in step["unlabeled"]]
        assert sorted(unlabeled) == everything
        orders.append(tuple(unlabeled))
    assert len(set(orders)) > 1
    for step in log.seen:  # two labeled images, two a step: each step is a pass over them
        assert sorted(step["labeled"]) == ["labeled0", "labeled1"]
    iterations = [call for call in log.calls if call[0] == "after_train_iter"]
    assert [call[1:] for call in iterations] == [(0, 0, 0), (0, 1, 1), (1, 2, 0), (1, 3, 1), (2, 4, 0), (2, 5, 1)]
    assert (runner.epoch, runner.iter, runner.max_epochs, runner.max_iters) == (3, 6, 3, 6)
    assert log.modes == [True] * 6  # also after a validation


def test_iterations_end_in_the_middle_of_a_pass(data, tmp_path):
    runner, log = record(data, tmp_path, loop=dict(max_iters=5, val_interval=3), validate=True)
    assert log.names == [
        "before_train",
        *EPOCH,
        "before_train_epoch", *ITERATION, "after_val_epoch", *ITERATION, "after_train_epoch",
        "before_train_epoch", *ITERATION, "after_val_epoch", "after_train_epoch",  # the last iteration
        "after_train",
    ]  # fmt: skip
    # as in mmengine's iteration-based loop: hooks count batches from the start of training
    assert [call[3] for call in log.calls if call[0] == "after_train_iter"] == [0, 1, 2, 3, 4]
    assert [call[2] for call in log.calls if call[0] == "after_val_epoch"] == [3, 5]
    assert (runner.max_epochs, runner.max_iters, runner.iter) == (3, 5, 5)
    assert log.modes == [True] * 5  # also right after a validation


@pytest.mark.parametrize(
    ("loop", "expected"),
    [(dict(max_iters=4, val_interval=1, val_begin=3), [3, 4]), (dict(max_epochs=2, val_begin=2), [4])],
)
def test_validation_begins_when_told(data, tmp_path, loop, expected):
    _, log = record(data, tmp_path, loop=loop, validate=True)
    assert [call[2] for call in log.calls if call[0] == "after_val_epoch"] == expected


def test_odd_numbers_of_images(tmp_path):
    data = write_data(tmp_path / "data", labeled=3, unlabeled=5)
    _, log = record(data, tmp_path / "run", loop=dict(max_epochs=2))
    assert [len(step["unlabeled"]) for step in log.seen] == [2, 2, 1, 2, 2, 1]  # B_u = 1 trains
    labeled = [name for step in log.seen for name in step["labeled"]]
    assert len(labeled) == 12
    for cycle in range(4):
        assert sorted(labeled[3 * cycle : 3 * cycle + 3]) == ["labeled0", "labeled1", "labeled2"]


def test_burn_in_and_ramp_up(data, tmp_path):
    _, log = record(data, tmp_path, loop=dict(max_iters=7, burn_in_iters=2, ramp_up_iters=3))
    expected = [0.0, 0.0, *(torch.tensor([-5.0 * (1 - t / 3) ** 2 for t in range(3)]).exp().tolist()), 1.0, 1.0]
    assert [step["unsup_scale"] for step in log.steps] == pytest.approx(expected)


@pytest.mark.parametrize(("shape", "middle"), [("linear", 0.5), ("exp", 0.2865)])
def test_shapes_of_the_ramp(data, tmp_path, shape, middle):
    _, log = record(data, tmp_path, loop=dict(max_iters=5, ramp_up_iters=4, ramp_up_shape=shape))
    scales = [step["unsup_scale"] for step in log.steps]
    assert scales[2] == pytest.approx(middle, abs=1e-3) and scales == sorted(scales) and scales[4] == 1.0


@pytest.mark.parametrize("neck", [None, neck_config()])
def test_burn_in_leaves_unlabeled_images_out_unless_a_memory_needs_them(data, tmp_path, neck):
    runner, log = record(data, tmp_path, loop=dict(max_iters=4, burn_in_iters=2), model=model_config(neck=neck))
    labeled = ["pseudo" in batch["step"].record for batch in log.batches]
    assert labeled == ([False, False, True, True] if neck is None else [True] * 4)
    if neck is not None:
        assert runner.model.neck.memory.enqueued.sum() > 0


def test_labels_come_from_the_weak_view_and_the_model_before_the_step(data, tmp_path):
    _, log = record(data, tmp_path, loop=dict(max_iters=2))
    for state, batch in zip(log.states, log.batches, strict=True):
        model = build_model()
        model.load_state_dict(state)
        torch.testing.assert_close(batch["step"].record["pseudo"].logits, model.label_unlabeled(batch["inputs"]))


@pytest.mark.parametrize("masks", ["none", "wrong"])
def test_masks_of_unlabeled_images_never_influence_training(data, tmp_path, masks):
    """Same weights, bit by bit, with the right masks, with others, and without."""
    unlabeled = dataset_config(data, "unlabeled")
    other = dict(unlabeled)
    if masks == "none":
        other["pipeline"] = [step for step in unlabeled["pipeline"] if step["type"] != "LoadSegMask"]
    else:
        folder = tmp_path / "masks"
        folder.mkdir()
        for path in (data / "mask").glob("unlabeled*.png"):
            (folder / path.name).write_bytes((data / "mask" / "labeled0.png").read_bytes())
        other["data_prefix"] = dict(unlabeled["data_prefix"], seg_map_path=str(folder))
    states = []
    for dataset in (unlabeled, other):
        loop = dict(max_iters=3, unlabeled_dataloader=loader_config(data, "unlabeled", dataset=dataset))
        hooks = [dict(type="PseudoLabelStatisticsHook"), dict(type="SemanticMemoryHook", warmup_iters=1)]
        runner = train(data, tmp_path / "run", loop=loop, custom_hooks=hooks)
        states.append(runner.model.state_dict())
    assert_same_state(*states)


def test_early_stopping_ends_the_loop(data, tmp_path):
    stopping = dict(type="EarlyStoppingHook", monitor="mIoU", patience=1, min_delta=1000.0)
    runner, log = record(data, tmp_path, loop=dict(max_epochs=9), validate=True, hooks=[stopping])
    assert runner.iter < 18
    assert log.names[-1] == "after_train"


def test_a_pass_that_is_stopped_in_the_middle_is_no_epoch(data, tmp_path):
    stopping = dict(type="EarlyStoppingHook", monitor="mIoU", patience=2, min_delta=1000.0)
    loop = dict(max_iters=100, val_interval=1)
    runner, log = record(data, tmp_path, loop=loop, validate=True, hooks=[stopping])
    assert runner.iter % len(runner.train_dataloader)
    assert runner.epoch == runner.iter // len(runner.train_dataloader) == log.names.count("after_train_epoch")


def test_a_training_that_ends_early_is_finished(data, tmp_path):
    stopping = dict(type="EarlyStoppingHook", monitor="mIoU", patience=1, min_delta=1000.0)
    hooks = dict(custom_hooks=[stopping], default_hooks=dict(report=dict(type="ReportHook")))
    hooks["visualizer"] = dict(type="SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")])
    runner = train(data, tmp_path, loop=dict(max_iters=100, val_interval=1), validate=True, **hooks)
    assert read_run(tmp_path).facts["ended_at"] == runner.iter < 100


def test_checkpoint_names_the_classes_also_for_images_without_masks(data, tmp_path):
    """mmseg's inference draws with the classes of the checkpoint."""
    unlabeled = dict(type="UnlabeledDataset", source=str(data / "img" / "unlabeled*.png"), serialize_data=False)
    unlabeled["pipeline"] = [dict(type="LoadImage"), dict(type="PackSemiInputs")]
    loop = dict(max_iters=1, unlabeled_dataloader=loader_config(data, "unlabeled", dataset=unlabeled))
    hooks = dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=1))
    runner = train(
        data, tmp_path, loop=loop, default_hooks=hooks, custom_hooks=[dict(type="PseudoLabelStatisticsHook")]
    )
    meta = torch.load(tmp_path / "iter_1.pth", weights_only=False)["meta"]["dataset_meta"]
    assert meta["classes"] == ("a", "b", "c", "d")
    assert len(meta["palette"]) == 4
    assert runner.visualizer.dataset_meta["classes"] == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("loop", "text"),
    [
        (dict(), "exactly one of max_epochs and max_iters"),
        (dict(max_iters=1, unlabeled_dataloader=None), "the config has no unlabeled_dataloader"),
    ],
)
def test_bad_arguments_are_named(data, tmp_path, loop, text):
    with pytest.raises(ValueError, match=text):
        train(data, tmp_path, loop=loop)
