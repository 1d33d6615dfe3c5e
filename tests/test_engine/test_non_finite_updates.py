"""NaN and Inf under accumulation, clipping, loss scaling and after a resume; good runs are left as they are."""

import math

import pytest
import torch
from builders import assert_same_state, model_config, train, write_data
from mmengine.registry import OPTIM_WRAPPERS

from mmseg_allspark.engine import AutocastOptimWrapper

from .faults import assert_all_finite, failing_run, fault_options, state_of
from .random_runs import assert_same_run, random_options
from .test_hooks import log_lines


@pytest.mark.parametrize(
    ("policy", "at"),
    [pytest.param("stop", 3, marks=pytest.mark.slow), ("skip", 2), pytest.param("skip", 3, marks=pytest.mark.slow)],
)
def test_accumulated_gradients(data, tmp_path, policy, at):
    """The first (2) and the last (3) of two steps of one update; there is a checkpoint between them."""
    wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=0.01), accumulative_counts=2)
    given = fault_options("weak", [at], dict(policy=policy), optim_wrapper=wrapper)
    if policy == "stop":
        _, text = failing_run(data, tmp_path, **given)
        assert f"iteration {at + 1}:" in text
        assert len(assert_all_finite(tmp_path)) == at
        return
    train(data, tmp_path, **given)
    assert len(assert_all_finite(tmp_path)) == 6
    weights = [state_of(tmp_path / f"iter_{number}.pth")["ema_state_dict"] for number in (2, 4, 6)]
    name = "module.backbone.layers.0.0.projection.weight"
    assert torch.equal(weights[0][name], weights[1][name]) == (at == 3)  # 2: the other step of the update counts
    assert not torch.equal(weights[1][name], weights[2][name])


@pytest.mark.parametrize(("clip", "policy"), [(dict(max_norm=0.1), "stop"), (None, "skip")])
def test_a_good_run_is_the_same_with_and_without_the_hook(data, tmp_path, clip, policy):
    wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=0.01), clip_grad=clip)
    states = []
    for hooks in (dict(), dict(non_finite=dict(type="NonFiniteHook", policy=policy))):
        given = dict(loop=dict(max_iters=3), default_hooks=dict(hooks), optim_wrapper=dict(wrapper))
        states.append(train(data, tmp_path / str(len(states)), **given).model.state_dict())
    assert_same_state(*states)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("clip", [dict(max_norm=0.1), dict(type="value", clip_value=0.1)])
def test_clipping_does_not_hide_nan(data, tmp_path, value, clip):
    wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01), clip_grad=clip)
    given = fault_options(dict(kind="gradient", value=value), [1], optim_wrapper=wrapper)
    if clip.get("type") == "value" and value == math.inf:
        train(data, tmp_path, **given)  # Inf times a gradient of mixed signs, clipped to finite values: an update
        assert_all_finite(tmp_path)
        return
    failing_run(data, tmp_path, **given)


@OPTIM_WRAPPERS.register_module(force=True)
class ScaledCpuWrapper(AutocastOptimWrapper):
    """Loss scaling as for float16, on the CPU."""

    def __init__(self, init_scale, **kwargs):
        super().__init__(**kwargs)
        self.loss_scaler = torch.amp.GradScaler("cpu", init_scale=init_scale)


def test_what_the_loss_scale_leaves_out_is_no_fault(data, tmp_path):
    """A scale that is too large at first gives Inf gradients of a finite loss: float16 begins like that."""
    optimizer = dict(type="AdamW", lr=0.01, fused=True)
    wrapper = dict(type="ScaledCpuWrapper", init_scale=2.0**127, optimizer=optimizer)
    hook = dict(type="NonFiniteHook", max_skipped=20)
    hooks = dict(non_finite=hook, logger=dict(type="LoggerHook", interval=1))
    model = model_config(neck=None, sup_weight=8.0)
    runner = train(data, tmp_path, loop=dict(max_iters=7), optim_wrapper=wrapper, default_hooks=hooks, model=model)
    assert runner.optim_wrapper.loss_scaler.get_scale() < 2.0**126  # there was something to leave out
    assert not log_lines(tmp_path, "NaN or Inf")


def test_a_loss_scale_that_leaves_everything_out_is_a_fault(data, tmp_path):
    wrapper = dict(type="ScaledCpuWrapper", init_scale=2.0**16, optimizer=dict(type="AdamW", lr=0.01))
    given = fault_options("gradient", list(range(99)), dict(max_skipped=3), optim_wrapper=wrapper)
    _, text = failing_run(data, tmp_path, **given)
    assert "left out the last 3 updates until iteration 3" in text


@pytest.mark.slow
def test_skipped_steps_survive_an_exact_resume(tmp_path):
    data = write_data(tmp_path / "data", labeled=3, unlabeled=5)
    ends = []
    for start in (0, 3, 5):
        given = random_options(data, max_iters=6)
        hooks = dict(non_finite=dict(type="NonFiniteHook", policy="skip"), collapse=dict(type="CollapseMonitorHook"))
        given["default_hooks"] = given["default_hooks"] | hooks
        given["custom_hooks"] = [*given["custom_hooks"], dict(type="FaultHook", kind="gradient", at=[2, 4])]
        if start:
            given |= dict(resume=True, load_from=str(tmp_path / "0" / f"iter_{start}.pth"))
        runner = train(data, tmp_path / str(start), **given)
        assert runner.message_hub.get_info("skipped_steps") == 2
        ends.append(state_of(tmp_path / str(start) / "iter_6.pth"))
    for resumed in ends[1:]:
        assert_same_run(ends[0], resumed)
