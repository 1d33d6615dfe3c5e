"""A resumed run is the undisturbed run, bit by bit, however random augmentations and model are."""

import pickle
import random

import numpy as np
import pytest
import torch
from builders import train, write_data
from mmengine.dataset import BaseDataset

from mmseg_allspark.engine.randomness import RandomStream
from mmseg_allspark.engine.stream import SeededDataset

from .random_runs import assert_same_run, random_options
from .recording import record

STEPS = dict(max_iters=7, max_epochs=3)  # an epoch has three
SAVE = dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=1))


@pytest.fixture(scope="module")
def odd_data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"), labeled=3, unlabeled=5)


def random_run(data, work_dir, unit="max_iters", num_workers=0, **changes):
    """The last checkpoint of a run with everything random in it, and the record of its steps."""
    options = random_options(data, num_workers, **{unit: STEPS[unit]}) | changes
    _, log = record(data, work_dir, hooks=options.pop("custom_hooks"), **options)
    return torch.load(
        work_dir / "iter_7.pth" if unit == "max_iters" else work_dir / "iter_9.pth", weights_only=False
    ), log


@pytest.fixture(scope="module", params=["max_epochs", pytest.param("max_iters", marks=pytest.mark.slow)])
def undisturbed(request, odd_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, folder, *random_run(odd_data, folder, request.param)


@pytest.mark.parametrize(
    ("start", "num_workers"), [(2, 2), *(pytest.param(start, 0, marks=pytest.mark.slow) for start in (1, 3))]
)
def test_resumed_run_is_the_undisturbed_one(undisturbed, odd_data, tmp_path, start, num_workers):
    """In burn-in, warm-up and ramp-up, in the middle of an epoch and where one ends (3)."""
    unit, folder, expected, log = undisturbed
    resume = dict(resume=True, load_from=str(folder / f"iter_{start}.pth"))
    got, resumed_log = random_run(odd_data, tmp_path, unit, num_workers, **resume)
    assert resumed_log.seen == log.seen[start:]
    assert resumed_log.steps == log.steps[start:]  # burn-in, ramp-up and warm-up
    calls = [[call for call in one.calls if call[2] > start and "iter" in call[0]] for one in (log, resumed_log)]
    assert calls[0] == calls[1]
    first, resumed = log.batches[start], resumed_log.batches[0]
    for part in ("labeled", "weak", "strong"):
        assert torch.equal(first["inputs"][part], resumed["inputs"][part])
    assert_same_run(got, expected)


@pytest.mark.slow
def test_undisturbed_runs_do_not_depend_on_the_workers_but_on_the_seed(undisturbed, odd_data, tmp_path):
    unit, _, expected, log = undisturbed
    assert_same_run(random_run(odd_data, tmp_path / "workers", unit, num_workers=2)[0], expected)
    with pytest.raises(AssertionError):
        assert_same_run(random_run(odd_data, tmp_path / "seed", unit, randomness=dict(seed=4))[0], expected)
    flips = [sample.flip for batch in log.batches for sample in batch["data_samples"]["labeled"]]
    assert {True, False} == set(flips)


@pytest.mark.slow
def test_deterministic_runs_are_equal(odd_data, tmp_path):
    try:
        runs = [
            random_run(odd_data, tmp_path / name, randomness=dict(seed=3, deterministic=True))[0] for name in ("a", "b")
        ]
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic = False
    assert_same_run(*runs)


def test_a_run_without_a_seed_is_resumed_exactly(odd_data, tmp_path):
    options = dict(randomness=dict(seed=None), num_workers=0)
    expected, _ = random_run(odd_data, tmp_path / "first", **options)
    resume = dict(resume=True, load_from=str(tmp_path / "first" / "iter_4.pth"))
    assert_same_run(random_run(odd_data, tmp_path / "second", **options, **resume)[0], expected)


@pytest.mark.parametrize(("unit", "last"), [("max_iters", "iter_4.pth"), ("max_epochs", "epoch_2.pth")])
def test_a_validation_that_a_kill_prevented_is_made_up_for(odd_data, tmp_path, unit, last):
    """Checkpoints are written before the validation of the same step."""
    options = dict(
        loop={unit: 4 if unit == "max_iters" else 2, "val_interval": 2},
        default_hooks=dict(
            checkpoint=dict(type="AtomicCheckpointHook", by_epoch=unit == "max_epochs", interval=1, max_keep_ckpts=1)
        ),
        validate=True,
    )
    _, log = record(odd_data, tmp_path / "first", **options)
    resume = dict(resume=True, load_from=str(tmp_path / "first" / last))
    _, resumed = record(odd_data, tmp_path / "second", **options, **resume)
    assert "before_train_iter" not in resumed.names
    validations = [[call for call in one.calls if call[0] == "after_val_epoch"] for one in (log, resumed)]
    assert validations[0][-1:] == validations[1]


def draws():
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_numbers_follow_from_seed_rank_stream_and_number():
    places = [("step", 0, 0), ("labeled", 0, 0), ("unlabeled", 0, 0), ("step", 1, 0), ("step", 0, 1)]
    drawn = {}
    for name, seed, rank in places:
        for number in range(3):
            RandomStream(name, seed, rank).seed_step(number)
            drawn[name, seed, rank, number] = draws()
    assert all(len({values[kind] for values in drawn.values()}) == len(drawn) for kind in range(3))
    RandomStream("step", 0, 1).seed_step(2)
    assert draws() == drawn["step", 0, 1, 2]


class FickleDataset(BaseDataset):
    """Refuses every other sample or so, as some pipelines do; mmengine then draws another one."""

    METAINFO = dict(classes=("a", "b"))

    def load_data_list(self):
        return [dict(number=number) for number in range(20)]

    def prepare_data(self, idx):
        return None if np.random.rand() < 0.5 else (super().prepare_data(idx)["number"], *draws())


def test_seeds_of_ranks_are_not_mmengines(data, tmp_path):
    with pytest.raises(ValueError, match=r"randomness\.diff_rank_seed"):
        train(data, tmp_path, loop=dict(max_iters=1), randomness=dict(seed=0, diff_rank_seed=True))


def test_a_sample_follows_from_its_position_and_disturbs_nobody():
    dataset = SeededDataset(FickleDataset(), RandomStream("labeled", 5, 0))
    samples = [dataset[3, position] for position in range(20)]
    assert len({sample[0] for sample in samples}) > 2  # refused and drawn again
    before = draws()
    RandomStream("step", 0, 0).seed_step(0)
    expected = draws()
    RandomStream("step", 0, 0).seed_step(0)
    copy = pickle.loads(pickle.dumps(dataset))
    assert [copy[3, position] for position in reversed(range(20))] == samples[::-1]
    assert draws() == expected != before
