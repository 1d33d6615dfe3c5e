"""Options that make training faster change nothing else: every one is run, and compared with a run without it."""

import importlib

import pytest
import torch
from builders import (
    assert_same_state,
    backbone_config,
    build_model,
    semi_batch,
    train,
)
from mmengine.hooks import EMAHook
from mmengine.registry import HOOKS
from mmseg.models.backbones import mit
from small_methods import method_model

from mmseg_allspark.utils.wrappers import averages

from .recording import RecordHook

SGD = dict(type="SGD", lr=0.01, momentum=0.9)
EMA = dict(type="EMAHook", momentum=0.2, update_buffers=True)
SAVE = dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=1))
BFLOAT = dict(type="AutocastOptimWrapper", dtype="bfloat16", optimizer=SGD)


@HOOKS.register_module(force=True)
class LossHook(RecordHook):
    """Keeps the losses of every step as well."""

    def __init__(self):
        super().__init__()
        self.losses = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        self.losses.append(outputs["loss"].item())


def run(data, work_dir, *hooks, steps=2, **options):
    """Train and return runner and record."""
    options = dict(loop=dict(max_iters=steps), default_hooks=SAVE) | options
    runner = train(data, work_dir, custom_hooks=[*hooks, dict(type="LossHook")], **options)
    return runner, next(hook for hook in runner.hooks if isinstance(hook, LossHook))


def load(folder, step):
    return torch.load(folder / f"iter_{step}.pth", map_location="cpu", weights_only=False)


@pytest.fixture(scope="module")
def plain(data, tmp_path_factory):
    """Three steps without any of the options, the average labelling."""
    folder = tmp_path_factory.mktemp("plain")
    runner, log = run(data, folder, EMA, steps=3, loop=dict(max_iters=3, pseudo_labels_from="ema"))
    return folder, runner, log


@pytest.fixture
def blocks(monkeypatch):
    """The exact attention by blocks, as in real sizes: two of them here."""
    module = importlib.import_module("mmseg_allspark.models.channel_attention")
    monkeypatch.setattr(module, "SMALL_MAP", 0)
    blockwise = importlib.import_module("mmseg_allspark.models.blockwise_attention")
    monkeypatch.setitem(blockwise._BLOCK_ENTRIES, "cpu", 128 * 128)


# AutocastOptimWrapper


@pytest.fixture(scope="module")
def half(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bfloat16")
    options = dict(default_hooks=SAVE, optim_wrapper=dict(BFLOAT, clip_grad=dict(max_norm=10.0)))
    return folder, *run(data, folder, EMA, steps=3, loop=dict(max_iters=3, pseudo_labels_from="ema"), **options)


def test_bfloat16_trains_on_the_cpu_close_to_float32(plain, half):
    losses, reference = half[2].losses, plain[2].losses
    assert losses[0] != reference[0]
    assert losses[:2] == pytest.approx(reference[:2], rel=0.05)


def test_labelling_is_under_autocast_and_weights_and_memory_stay_float32(half):
    _, runner, log = half
    assert all(batch["step"].record["pseudo"].logits.dtype == torch.bfloat16 for batch in log.batches)
    state = runner.model.state_dict()
    assert {value.dtype for value in state.values()} <= {torch.float32, torch.int64}
    assert state["neck.memory.queue"].dtype == torch.float32
    assert runner.model.neck.memory.enqueued.sum() == 3 * 2 * 32


def test_bfloat16_run_resumes(data, half, tmp_path):
    folder, runner, log = half
    options = dict(loop=dict(max_iters=3, pseudo_labels_from="ema"), resume=True, load_from=str(folder / "iter_2.pth"))
    resumed, resumed_log = run(
        data, tmp_path, EMA, optim_wrapper=dict(BFLOAT, clip_grad=dict(max_norm=10.0)), **options
    )
    assert resumed_log.losses == log.losses[2:]
    assert_same_state(resumed.model.state_dict(), runner.model.state_dict())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_both_types_train_and_resume_on_a_gpu(data, plain, tmp_path, dtype):
    wrapper = dict(BFLOAT, type="AutocastOptimWrapper" if dtype == "bfloat16" else "AmpOptimWrapper", dtype=dtype)
    runner, log = run(data, tmp_path, optim_wrapper=wrapper)
    assert ("loss_scaler" in load(tmp_path, 2)["optimizer"]) == (dtype == "float16")
    assert log.losses == pytest.approx(plain[2].losses[:2], rel=0.05)
    assert log.batches[0]["step"].record["pseudo"].logits.dtype == getattr(torch, dtype)
    resume = dict(loop=dict(max_iters=3), resume=True, load_from=str(tmp_path / "iter_2.pth"))
    assert len(run(data, tmp_path / "resumed", optim_wrapper=wrapper, **resume)[1].losses) == 1


# ChannelsLastHook


def is_channels_last(model):
    """Whether every 3x3 or larger convolution has weights in channels-last format and no other."""
    weights = [value for value in model.parameters() if value.dim() == 4 and value.shape[1] > 1 and value.shape[2] > 1]
    return bool(weights) and all(
        value.is_contiguous(memory_format=torch.channels_last) and not value.is_contiguous() for value in weights
    )


def tensors(tree):
    """All tensors of a checkpoint's part."""
    if isinstance(tree, torch.Tensor):
        return [tree]
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, (list, tuple)) else ()
    return [tensor for child in children for tensor in tensors(child)]


@pytest.fixture(scope="module")
def channels_last(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("channels_last")
    loop = dict(max_iters=3, pseudo_labels_from="ema")
    return folder, *run(data, folder, EMA, dict(type="ChannelsLastHook"), steps=3, loop=loop)


def test_channels_last_gives_the_same_losses_and_averages(plain, channels_last):
    _, runner, log = channels_last
    assert log.losses == pytest.approx(plain[2].losses, rel=1e-5)
    state, expected = runner.model.state_dict(), plain[1].model.state_dict()
    torch.testing.assert_close(dict(state), dict(expected), rtol=1e-4, atol=1e-5)
    average = next(hook.ema_model.module for hook in runner.hooks if isinstance(hook, EMAHook))
    assert is_channels_last(runner.model)
    assert is_channels_last(average)
    assert not is_channels_last(plain[1].model)
    assert any(value.dim() == 4 and not value.is_contiguous() for value in tensors(runner.optim_wrapper.state_dict()))


def test_channels_last_changes_no_result(plain, channels_last):
    checkpoint, reference = load(channels_last[0], 3), load(plain[0], 3)
    assert checkpoint.keys() == reference.keys()
    for key in ("state_dict", "ema_state_dict", "optimizer"):
        values, expected = tensors(checkpoint[key]), tensors(reference[key])
        torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-5)


def test_channels_last_takes_all_teachers_and_leaves_what_they_share(data, tmp_path):
    options = dict(
        loop=dict(max_iters=1, pseudo_labels_from="ema"), model=method_model("gta", "plain") | dict(mask_padding=False)
    )
    teachers = dict(type="MeanTeacherHook", num_teachers=2)
    runner, _ = run(data, tmp_path, teachers, dict(type="ChannelsLastHook"), **options)
    for average in averages(runner):
        assert is_channels_last(average.module)
        assert average.avg_parameters and not any(name.startswith("second.") for name in average.avg_parameters)


def test_channels_last_resumes_also_from_a_run_without_it(data, plain, channels_last, tmp_path):
    for name, folder in (("with", channels_last[0]), ("without", plain[0])):
        loop = dict(max_iters=3, pseudo_labels_from="ema")
        resume = dict(loop=loop, resume=True, load_from=str(folder / "iter_2.pth"))
        runner, log = run(data, tmp_path / name, EMA, dict(type="ChannelsLastHook"), **resume)
        assert log.losses == pytest.approx(plain[2].losses[2:], rel=1e-5)
        assert is_channels_last(runner.model)
        momentum = [value for value in tensors(runner.optim_wrapper.state_dict()["state"]) if value.dim() == 4]
        assert all(value.is_contiguous(memory_format=torch.channels_last) for value in momentum)


# Gradient checkpointing


def train_step(model, batch):
    """Losses and gradients of a step with a fixed seed."""
    torch.manual_seed(1)
    losses = model.loss(**batch)
    sum(value for name, value in losses.items() if "loss" in name).backward()
    gradients = {name: value.grad for name, value in model.named_parameters()}
    return {name: value.detach() for name, value in losses.items()}, gradients


@pytest.mark.filterwarnings("ignore:torch.utils.checkpoint:UserWarning")  # mmseg leaves use_reentrant to torch
def test_checkpointed_backbone_gives_the_same_losses_and_gradients(monkeypatch):
    """With dropout and stochastic depth: the second forward draws what the first one drew."""
    calls = []
    checkpoint = mit.cp.checkpoint
    monkeypatch.setattr(mit.cp, "checkpoint", lambda *args, **options: calls.append(1) or checkpoint(*args, **options))
    results = []
    for with_cp in (False, True):
        options = dict(num_layers=[2] * 4, drop_path_rate=0.1, drop_rate=0.1, with_cp=with_cp)
        model = build_model(backbone=backbone_config(**options))
        batch = semi_batch(model)
        assert not calls  # labelling needs no gradient
        results.append(train_step(model, batch))
        assert len(calls) == (8 if with_cp else 0)
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=0)
