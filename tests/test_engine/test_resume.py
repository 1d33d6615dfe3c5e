"""--resume in the middle of an epoch ends where an undisturbed run ends."""

import pytest
from builders import assert_same_state, model_config, run_config, train, write_data
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseg_allspark.report.run_record import read_run

from .recording import record

HOOKS = dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=1))
# whatever keeps a state of its own
FULL = dict(
    model=model_config(
        confidence=dict(type="ClassQuantileThreshold"), alignment=dict(), auxiliary_head=None, unsup_weight=1.0
    ),
    hooks=[
        dict(type="SemanticMemoryHook", warmup_iters=4),
        dict(type="EMAHook", momentum=0.2, update_buffers=True),
        dict(type="PseudoLabelStatisticsHook"),
    ],
)


@pytest.fixture(scope="module")
def odd_data(tmp_path_factory):
    """Three labeled and five unlabeled images: neither pass ends together with the other."""
    return write_data(tmp_path_factory.mktemp("data"), labeled=3, unlabeled=5)


@pytest.fixture(scope="module", params=["max_iters", "max_epochs"])
def undisturbed(request, odd_data, tmp_path_factory):
    loop = {request.param: 7 if request.param == "max_iters" else 3, "val_interval": 2}
    options = dict(
        loop=dict(loop, pseudo_labels_from="ema", burn_in_iters=2, ramp_up_iters=4), default_hooks=HOOKS, validate=True
    )
    folder = tmp_path_factory.mktemp(request.param)
    return folder, options, *record(odd_data, folder, **FULL, **options)


@pytest.mark.parametrize("start", [2, 3, 4])
def test_resumed_run_equals_the_undisturbed_one(undisturbed, odd_data, tmp_path, start):
    """Three batches are an epoch: before, at and after its end."""
    folder, options, runner, log = undisturbed
    resume = dict(resume=True, load_from=str(folder / f"iter_{start}.pth"))
    resumed, resumed_log = record(odd_data, tmp_path, **FULL, **options, **resume)
    assert resumed_log.seen == log.seen[start:]
    assert resumed_log.steps == log.steps[start:]  # burn-in, ramp-up and warm-up
    assert [step["use_memory"] for step in log.steps[:5]] == [False] * 4 + [True]
    calls = [call for call in log.calls if call[2] > start and "iter" in call[0]]
    assert [call for call in resumed_log.calls if call[2] > start and "iter" in call[0]] == calls
    assert (resumed.iter, resumed.epoch) == (runner.iter, runner.epoch)
    assert_same_state(resumed.model.state_dict(), runner.model.state_dict())


def test_resume_without_a_seed_in_the_config_goes_on_with_the_same_order(odd_data, tmp_path):
    """mmengine draws a seed, writes it into the checkpoint and takes it from there; so does the zoo's runtime."""
    options = dict(loop=dict(max_epochs=2), default_hooks=HOOKS, randomness=dict(seed=None))
    runner, log = record(odd_data, tmp_path / "first", **options)
    resume = dict(resume=True, load_from=str(tmp_path / "first" / "iter_2.pth"))
    resumed, resumed_log = record(odd_data, tmp_path / "second", **options, **resume)
    assert resumed_log.seen == log.seen[2:]
    assert_same_state(resumed.model.state_dict(), runner.model.state_dict())


def test_resume_of_a_finished_run_trains_no_more(odd_data, tmp_path):
    options = dict(loop=dict(max_iters=2), default_hooks=HOOKS)
    record(odd_data, tmp_path / "first", **options)
    resume = dict(resume=True, load_from=str(tmp_path / "first" / "iter_2.pth"))
    runner, log = record(odd_data, tmp_path / "second", **options, **resume)
    assert runner.iter == 2
    assert log.seen == []


def test_resume_finds_the_latest_checkpoint_of_its_folder(odd_data, tmp_path):
    options = dict(loop=dict(max_iters=2), default_hooks=HOOKS)
    record(odd_data, tmp_path, **options)
    options["loop"] = dict(max_iters=3)
    _, log = record(odd_data, tmp_path, **options, resume=True)
    assert [call[2] for call in log.calls if call[0] == "after_train_iter"] == [2]


class StopInValidation(Hook):
    def before_val_epoch(self, runner):
        if runner.iter == 2:
            raise KeyboardInterrupt


def test_a_run_stopped_in_its_last_validation_and_resumed_has_that_validation(odd_data, tmp_path):
    local = dict(type="SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")])
    hooks = HOOKS | dict(logger=dict(type="LoggerHook", interval=1, log_metric_by_epoch=False))
    options = dict(loop=dict(max_iters=2, val_interval=1), default_hooks=hooks, validate=True, visualizer=local)
    stopped = Runner.from_cfg(run_config(odd_data, tmp_path, **options))
    stopped.register_hook(StopInValidation())
    with pytest.raises(KeyboardInterrupt):
        stopped.train()
    next(tmp_path.glob("*/vis_data")).parent.rename(tmp_path / "0")  # named after the second in which it began
    assert list(read_run(tmp_path).metrics["mIoU"]) == [1]
    train(odd_data, tmp_path, **options, resume=True)
    run = read_run(tmp_path)
    assert list(run.metrics["mIoU"]) == [1, 2] and list(run.scalars["loss"]) == [1, 2]
    assert [start for _, start in run.starts] == [0, 2]
