"""Two processes, a fault in one of them: both decide alike, and neither waits for the other for ever."""

import pytest
import torch
from builders import assert_same_state, loader_config, run_config, write_data
from two_ranks import build_runner, run_ranks

from .faults import assert_all_finite, fault_options

pytestmark = pytest.mark.slow

RANKS = (0, 1)
KINDS = ("labeled", "loss", "gradient")  # the gradient of a "loss" is finite: rank 0 cannot see that one by itself


def run(data, folder, kind, policy, steps):
    """Final weights, skipped steps, error and files of a run whose rank 1 is spoiled at iteration 1."""
    hook = dict(policy=policy)
    cfg = run_config(
        data,
        folder,
        **fault_options(dict(kind=kind, rank=1), [1], hook, loop=dict(max_iters=4)),
        train_dataloader=loader_config(data, "labeled", batch_size=2),
        launcher="pytorch",
    )
    cfg.optim_wrapper.accumulative_counts = steps
    runner = build_runner(cfg)
    result = dict(error="")
    try:
        runner.train()
    except FloatingPointError as error:
        result["error"] = str(error)
    names = next(hook for hook in runner.hooks if type(hook).__name__ == "FaultHook").names
    weights = {name: value.detach() for name, value in runner.model.module.named_parameters()}
    return result | dict(
        weights=weights, iter=runner.iter, skipped=runner.message_hub.get_info("skipped_steps"), names=names
    )


def work(rank, data, folder):
    """What each process does."""
    cases = {(kind, policy, 1): folder / f"{kind}_{policy}" for kind in KINDS for policy in ("stop", "skip")}
    cases["labeled", "skip", 3] = folder / "accumulated"  # no rank has heard of the other when the loss is NaN
    runs = {case: run(data, path, *case) for case, path in cases.items()}
    torch.save(runs, folder / f"rank{rank}.pth")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    data = write_data(folder / "data", labeled=4, unlabeled=8)
    run_ranks(work, data, folder)  # which fails if they wait for each other
    return folder, [torch.load(folder / f"rank{rank}.pth", weights_only=False) for rank in RANKS]


@pytest.mark.parametrize("kind", KINDS)
def test_all_ranks_stop_and_say_whose_fault_it_is(ranks, kind):
    folder, runs = ranks
    for rank in RANKS:
        result = runs[rank][kind, "stop", 1]
        assert result["iter"] == 1
        assert "iteration 2:" in result["error"]
        assert "iter_1.pth" in result["error"]
        guilty = result["error"].index("[rank 1]")
        if kind != "gradient":  # where losses are finite, nobody knows whose gradient it was
            assert "[rank 0]" not in result["error"]
        for name in runs[1][kind, "stop", 1]["names"][1]:
            assert name in result["error"][guilty:]
    assert assert_all_finite(folder / f"{kind}_stop") == ["iter_1.pth"]


@pytest.mark.parametrize(("kind", "steps"), [(kind, 1) for kind in KINDS] + [("labeled", 3)])
def test_all_ranks_skip_and_stay_equal(ranks, kind, steps):
    folder, runs = ranks
    first, second = (runs[rank][kind, "skip", steps] for rank in RANKS)
    assert first["error"] == second["error"] == ""
    assert first["iter"] == second["iter"] == 4
    assert first["skipped"] == second["skipped"] == 1
    assert_same_state(first["weights"], second["weights"])
    assert len(assert_all_finite(folder / ("accumulated" if steps > 1 else f"{kind}_skip"))) == 4
