"""SemanticMemoryHook and PseudoLabelStatisticsHook, by running them."""

import json
import re

import numpy as np
import pytest
import torch
from builders import CLASSES, model_config, neck_config, train

from .recording import record

LOCAL = dict(type="SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")])


def log_lines(work_dir, start):
    """Text after ``start`` of the log's lines that have it."""
    (path,) = work_dir.glob("*/*.log")
    lines = (line.partition(start) for line in path.read_text().splitlines())
    return [text.strip() for _, found, text in lines if found]


def scalars(work_dir, prefix):
    """The visualizer's figures whose name starts with ``prefix``: {step: {name: value}}."""
    (path,) = work_dir.glob("*/vis_data/scalars.json")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {row["step"]: row for row in rows if any(name.startswith(prefix) for name in row)}


def logger(interval):
    return dict(logger=dict(type="LoggerHook", interval=interval))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (dict(), [True] * 6),
        (dict(warmup_iters=3), [False] * 3 + [True] * 3),
        (dict(warmup_epochs=2), [False] * 4 + [True] * 2),  # an epoch is two steps
    ],
)
def test_memory_is_read_after_the_warm_up(data, tmp_path, options, expected):
    hook = dict(type="SemanticMemoryHook", **options)
    runner, log = record(data, tmp_path, hooks=[hook], loop=dict(max_iters=6))
    assert [step["use_memory"] for step in log.steps] == expected
    assert runner.model.neck.memory.enqueued.sum() == 6 * 2 * 32  # it is written from the first step on


def test_fill_and_enqueued_reach_log_and_visualizer(data, tmp_path):
    hook = dict(type="SemanticMemoryHook", warmup_iters=1)
    runner = train(
        data, tmp_path, loop=dict(max_iters=4), custom_hooks=[hook], visualizer=LOCAL, default_hooks=logger(2)
    )
    (start,) = log_lines(tmp_path, "Semantic memory: 4 classes")
    assert start == "x 32 channels of 3x3, warm-up 1 iterations, sync='rank0' over 1 rank(s)."
    lines = log_lines(tmp_path, "Semantic memory: fill")
    assert len(lines) == 2  # every second step
    figures, memory = scalars(tmp_path, "memory/"), runner.model.neck.memory
    enqueued = np.array([[figures[step][f"memory/enqueued_{name}"] for name in CLASSES] for step in (2, 4)])
    assert enqueued.sum(axis=1).tolist() == [2 * 64, 2 * 64]  # since the last line, not since the start
    assert enqueued.sum(axis=0).tolist() == memory.enqueued.tolist()
    fill = [figures[4][f"memory/fill_{name}"] for name in CLASSES]
    assert fill == pytest.approx(memory.fill_level().tolist())
    assert lines[1].startswith(f"{np.mean(fill):.3f} (least {min(fill):.3f}), enqueued: ")
    named = dict(re.findall(r"(\w) (\d+)", lines[1].partition("enqueued: ")[2]))
    assert {name: int(count) for name, count in named.items()} == {
        name: count for name, count in zip(CLASSES, enqueued[1], strict=True) if count
    }


@pytest.mark.parametrize("changes", [dict(neck=None), dict(neck=neck_config(memory=False))])
def test_without_a_memory_the_hook_is_an_error(data, tmp_path, changes):
    with pytest.raises(ValueError, match=r"SemanticMemoryHook.*no semantic memory.*memory=True"):
        train(
            data, tmp_path, loop=dict(max_iters=1), custom_hooks=[dict(type="SemanticMemoryHook")],
            model=model_config(**changes),
        )  # fmt: skip


def test_supervised_training_has_nothing_to_fill_the_memory_with(data, tmp_path):
    with pytest.raises(ValueError, match=r"delete default_hooks.semantic_memory and set model.neck=None"):
        train(
            data, tmp_path, loop={}, train_cfg=dict(type="SupervisedLoop", max_iters=1),
            model=model_config(type="EncoderDecoder"), custom_hooks=[dict(type="SemanticMemoryHook")],
        )  # fmt: skip


def statistics_run(data, tmp_path, **options):
    hook = dict(type="PseudoLabelStatisticsHook")
    model = model_config(confidence=dict(type="ConfidenceThreshold", threshold=0.25, per="image"))
    return record(data, tmp_path, hooks=[hook], visualizer=LOCAL, model=model, **options)


def test_statistics_are_means_since_the_last_line(data, tmp_path):
    _, log = statistics_run(data, tmp_path, loop=dict(max_iters=4), default_hooks=logger(2))
    lines, figures = log_lines(tmp_path, "Pseudo labels: "), scalars(tmp_path, "pseudo/")
    assert len(lines) == len(figures) == 2
    for step in (2, 4):
        batches = log.batches[step - 2 : step]
        logits = torch.cat([batch["step"].record["pseudo"].logits for batch in batches])[..., ::4, ::4]
        samples = [sample for batch in batches for sample in batch["data_samples"]["unlabeled"]]
        truth = torch.cat([sample.gt_sem_seg.data for sample in samples])[:, ::4, ::4]
        label, row = logits.argmax(dim=1), figures[step]
        assert row["pseudo/agreement"] == pytest.approx((label == truth).float().mean().item(), abs=1e-5)
        sure = (logits.softmax(dim=1).max(dim=1).values >= 0.25).float().mean().item()
        assert row["pseudo/kept"] == pytest.approx(sure, abs=1e-5)
        for kind, name in enumerate(CLASSES):
            assert row[f"pseudo/share_{name}"] == pytest.approx((label == kind).float().mean().item(), abs=1e-5)
            if (truth == kind).any():
                recall = (label[truth == kind] == kind).float().mean().item()
                assert row[f"pseudo/recall_{name}"] == pytest.approx(recall, abs=1e-5)
        assert lines[step // 2 - 1].startswith(f"kept {row['pseudo/kept']:.3f}, entropy {row['pseudo/entropy']:.3f}, ")
        assert "; precision: " in lines[step // 2 - 1]


@pytest.mark.parametrize(
    ("loop", "interval", "steps"),
    [
        (dict(max_iters=7), 3, [2, 3, 6]),  # mmengine also logs once at the end of the short first pass
        (dict(max_epochs=3), 50, [2, 4, 6]),  # epochs shorter than the interval: mmengine logs their end
    ],
)
def test_figures_come_with_every_line_of_the_logger(data, tmp_path, loop, interval, steps):
    hooks = [dict(type="PseudoLabelStatisticsHook"), dict(type="SemanticMemoryHook")]
    train(data, tmp_path, loop=loop, custom_hooks=hooks, visualizer=LOCAL, default_hooks=logger(interval))
    for prefix in ("pseudo/", "memory/", "loss"):
        assert sorted(scalars(tmp_path, prefix)) == steps, prefix
