"""Two ranks, stopped and started anew, go on as if nothing had happened: each with its own memory and statistics."""

import pytest
import torch
from builders import assert_same_state, loader_config, model_config, run_config, write_data
from mmengine.hooks import EMAHook
from mmengine.runner import Runner
from test_engine.random_runs import RANDOM_MODEL, assert_same_run, random_options
from two_ranks import build_runner, run_ranks, train

from mmseg_allspark.utils.safe_checkpoints import load_checkpoint, load_safely_from_now_on

pytestmark = pytest.mark.slow  # half a minute of one core
SYNC = ("rank0", "gather", "local")
STEPS, STOP = 5, 4  # the fourth step is one of the second pass over the unlabeled images


def two_rank_config(data, folder, sync, **changes):
    """Everything random, labels from the moving average of weights and statistics, batch norm in the head."""
    options = random_options(data, max_iters=STEPS)
    neck = dict(RANDOM_MODEL["neck"], sync=sync)
    options["model"] = model_config(**dict(RANDOM_MODEL, neck=neck))
    options["train_dataloader"] = loader_config(data, "labeled", dataset=options["train_dataloader"]["dataset"])
    return run_config(data, folder, **options | dict(launcher="pytorch") | changes)


def run(cfg):
    """Train and return what this rank has at the end."""
    load_safely_from_now_on()
    runner = train(cfg)
    ema = next(hook for hook in runner.hooks if isinstance(hook, EMAHook)).ema_model
    return dict(model=runner.model.module.state_dict(), ema=ema.state_dict())


def load(cfg):
    """Return what this rank starts from."""
    runner = build_runner(cfg)
    runner.call_hook("before_run")
    runner.load_or_resume()
    return runner.model.module.state_dict()


def work(rank, data, folder, resume):
    """All runs from the start, or all from their fourth step on in a new process."""
    for sync in SYNC:
        first = folder / sync
        changes = dict(resume=True, load_from=str(first / f"iter_{STOP}.pth")) if resume else {}
        name = f"{sync}-resumed" if resume else sync
        torch.save(run(two_rank_config(data, folder / name, sync, **changes)), folder / f"{name}{rank}.pth")
    if resume:
        cfg = two_rank_config(data, folder / "started", "local", **dict(changes, resume=False))
        torch.save(load(cfg), folder / f"started{rank}.pth")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folder of undisturbed and resumed runs of two ranks."""
    folder = tmp_path_factory.mktemp("runs")
    data = write_data(folder / "data", labeled=3, unlabeled=10)
    for resume in (False, True):
        run_ranks(work, data, folder, resume)
    return folder


@pytest.mark.parametrize("sync", SYNC)
def test_resumed_ranks_are_the_undisturbed_ones(runs, sync):
    last = [torch.load(runs / name / f"iter_{STEPS}.pth", weights_only=False) for name in (sync, f"{sync}-resumed")]
    assert_same_run(*last)
    ends = [[torch.load(runs / f"{name}{rank}.pth") for rank in (0, 1)] for name in (sync, f"{sync}-resumed")]
    if sync == "rank0":
        # the average of memories is used nowhere, and rank 1's is not kept where rank 0's overwrites the memory
        for end in ends:
            end[1]["ema"] = {key: value for key, value in end[1]["ema"].items() if ".memory." not in key}
    for undisturbed, resumed in zip(*ends, strict=True):
        assert_same_state(undisturbed["model"], resumed["model"])
        assert_same_state(undisturbed["ema"], resumed["ema"])
    own = [key for key, value in ends[0][0]["model"].items() if not torch.equal(value, ends[0][1]["model"][key])]
    assert any("running_mean" in key for key in own)
    assert any("memory" in key for key in own) == (sync != "gather")


@pytest.mark.parametrize("sync", SYNC)
def test_only_what_differs_is_in_the_checkpoint_and_it_loads_safely(runs, sync):
    saved = load_checkpoint(runs / sync / f"iter_{STOP}.pth")["rank_buffers"]
    assert saved["world_size"] == 2
    assert saved["ranks"].keys() == {1}
    for part in ("model", "ema"):
        names = saved["ranks"][1][part]
        assert any("running_mean" in name for name in names)
        assert any("memory.queue" in name for name in names) == (sync == "local")
        assert not any(name.endswith(("weight", "num_batches_tracked")) for name in names)


def test_another_number_of_ranks_is_refused(runs, tmp_path):
    checkpoint = runs / "local" / f"iter_{STOP}.pth"
    cfg = two_rank_config(runs / "data", tmp_path, "local", resume=True, load_from=str(checkpoint), launcher="none")
    with pytest.raises(ValueError, match=r"cannot be resumed: .*'processes': 2.*'processes': 1"):
        Runner.from_cfg(cfg).train()


def test_start_weights_are_rank_0s(runs):
    """``load_from`` without ``resume`` is a new run."""
    assert_same_state(*(torch.load(runs / f"started{rank}.pth") for rank in (0, 1)))
