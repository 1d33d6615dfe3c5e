"""Training on labeled images alone: its epochs, and a resume that is the undisturbed run, bit by bit."""

import pytest
import torch
from builders import dataset_config, head_config, loader_config, model_config, train, write_data
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from .random_runs import PIPELINES, assert_same_weights

EMA = dict(type="EMAHook", momentum=0.2, update_buffers=True)
STEPS = 5


@HOOKS.register_module(force=True)
class SeenHook(Hook):
    """The files of each batch, and the calls around epochs."""

    def __init__(self):
        self.batches, self.calls = [], []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.batches.append([sample.img_path for sample in data_batch["data_samples"]])

    def before_train_epoch(self, runner):
        self.calls.append(("begin", runner.epoch, runner.iter))

    def after_val_epoch(self, runner, metrics=None):
        self.calls.append(("validated", runner.epoch, runner.iter))


@pytest.fixture(scope="module")
def odd_data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"), labeled=3, unlabeled=2)


def run(data, work_dir, num_workers=0, drop_last=False, **options):
    """Everything random; a pass over the three images has two batches."""
    length = options.pop("length", dict(max_iters=STEPS, val_interval=2))
    dataset = dataset_config(data, "labeled", pipeline=PIPELINES["labeled"])
    sampler = dict(type="InfiniteSampler" if "max_iters" in length else "DefaultSampler", shuffle=True)
    loader = loader_config(data, "labeled", num_workers=num_workers, dataset=dataset, sampler=sampler)
    runner = train(
        data,
        work_dir,
        loop=length,
        train_cfg=dict(type="SupervisedLoop", **length),
        train_dataloader=loader | dict(drop_last=drop_last),
        model=model_config(type="EncoderDecoder", neck=None, decode_head=head_config(dropout_ratio=0.1)),
        custom_hooks=[EMA, dict(type="SeenHook")],
        default_hooks=dict(checkpoint=dict(type="AtomicCheckpointHook", by_epoch=False, interval=1)),
        validate=True,
        **options,
    )
    return next(hook for hook in runner.hooks if isinstance(hook, SeenHook))


LENGTHS = [dict(max_iters=STEPS, val_interval=2), dict(max_epochs=3, val_interval=2)]


@pytest.fixture(scope="module", params=LENGTHS, ids=lambda length: next(iter(length)))
def undisturbed(request, odd_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return request.param, folder, run(odd_data, folder, length=request.param)


def test_batches_and_epochs(undisturbed):
    """By iterations every batch is full; by epochs each pass ends, as in mmengine's loops."""
    length, _, seen = undisturbed
    images = [path for batch in seen.batches for path in batch]
    assert all(len(set(images[start : start + 3])) == 3 for start in range(0, len(images) - 2, 3))
    if "max_iters" in length:
        assert [len(batch) for batch in seen.batches] == [2] * STEPS
        assert [call[1:] for call in seen.calls if call[0] == "validated"] == [(0, 2), (1, 4), (2, 5)]
    else:
        assert [len(batch) for batch in seen.batches] == [2, 1] * 3
        assert [call[1:] for call in seen.calls if call[0] == "validated"] == [(2, 4), (3, 6)]
    assert [call[1:] for call in seen.calls if call[0] == "begin"] == [(0, 0), (1, 2), (2, 4)]


@pytest.mark.parametrize(
    ("start", "num_workers"), [(2, 2), *(pytest.param(start, 0, marks=pytest.mark.slow) for start in (1, 4))]
)
def test_resumed_run_is_the_undisturbed_one(undisturbed, odd_data, tmp_path, start, num_workers):
    length, folder, seen = undisturbed
    resume = dict(resume=True, load_from=str(folder / f"iter_{start}.pth"))
    resumed = run(odd_data, tmp_path, num_workers, length=length, **resume)
    assert resumed.batches == seen.batches[start:]
    last = len(seen.batches)
    assert_same_weights(*(torch.load(at / f"iter_{last}.pth", weights_only=False) for at in (tmp_path, folder)))


def test_a_pass_may_drop_its_last_batch(odd_data, tmp_path):
    seen = run(odd_data, tmp_path, drop_last=True, length=dict(max_epochs=2))
    assert [len(batch) for batch in seen.batches] == [2, 2]


def test_it_has_one_length(odd_data, tmp_path):
    with pytest.raises(ValueError, match="SupervisedLoop needs exactly one of max_epochs and max_iters"):
        run(odd_data, tmp_path, length=dict(max_iters=1, max_epochs=1))
