"""Two processes with gloo on the CPU: how the ranks' memories combine, and whole runs.

The processes are started once and write down what they did; the tests look at that.
"""

import pytest
import torch
from builders import (
    assert_same_state,
    loader_config,
    model_config,
    neck_config,
    run_config,
    write_data,
)
from test_engine.recording import RecordHook
from two_ranks import build_runner, run_ranks

from mmseg_allspark.labels import ClassQuantileThreshold, DistributionAlignment
from mmseg_allspark.models import SemanticMemory

RANKS = (0, 1)
SYNC = ("rank0", "gather", "local")
IMAGES = (2, 1)  # unlabeled images on rank 0 and rank 1
RUNS = dict(
    rank0=dict(sync="rank0"),
    gather=dict(sync="gather"),
    local=dict(sync="local"),
    blind=dict(sync="gather", grouping=False),
    cross=dict(memory=False, memory_size=None),
)


def new_memory(sync, seed):
    torch.manual_seed(seed)
    return SemanticMemory(3, 4, (1, 2), sync=sync)


def batches(rank):
    """Two writes: tokens and the classes of their channels."""
    rng = torch.Generator().manual_seed(100 + rank)
    shape = IMAGES[rank], 5
    return [(torch.randn(shape[0], 2, 5, generator=rng), torch.randint(3, shape, generator=rng)) for _ in range(2)]


def copied(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def write_memories(rank):
    """States before and after each write, per mode; ranks begin with equal memories only for 'gather'."""
    result = {}
    for sync in SYNC:
        memory = new_memory(sync, seed=0 if sync == "gather" else rank)
        states = [copied(memory)]
        for tokens, classes in batches(rank):
            memory.write(tokens, classes)
            states.append(copied(memory))
        result[sync] = states
    return result


def update_estimates(rank):
    rng = torch.Generator().manual_seed(rank)
    logits = torch.randn(2, 3, 4, 4, generator=rng)
    labels = torch.randint(rank + 2, (2, 4, 4), generator=rng)
    confidence, label = logits.softmax(dim=1).max(dim=1)
    threshold, alignment = ClassQuantileThreshold(3), DistributionAlignment(3)
    threshold.update(confidence, label)
    alignment.update(labels, logits)
    return dict(states=[threshold.state_dict(), alignment.state_dict()], inputs=[confidence, label, labels, logits])


def run(data, folder, neck, rank):
    """Burn-in, warm-up, labels from the average, all hooks; returns final state and images seen."""
    cfg = run_config(
        data,
        folder,
        loop=dict(max_iters=4, burn_in_iters=1, pseudo_labels_from="ema"),
        model=model_config(neck=neck_config(**neck), alignment=dict(), confidence=dict(type="ClassQuantileThreshold")),
        train_dataloader=loader_config(data, "labeled", batch_size=1),
        custom_hooks=[
            dict(type="EMAHook", momentum=0.1),
            dict(type="PseudoLabelStatisticsHook"),
            dict(type="RecordHook"),
            *([dict(type="SemanticMemoryHook", warmup_iters=2)] if neck.get("memory", True) else []),
        ],
        launcher="pytorch",
    )
    runner = build_runner(cfg)
    torch.manual_seed(rank)
    runner.train()
    seen = [step["unlabeled"] for step in next(hook for hook in runner.hooks if isinstance(hook, RecordHook)).seen]
    return dict(state=runner.model.module.state_dict(), seen=seen, wrapper=type(runner.model).__name__)


def work(rank, data, folder):
    """What each process does."""
    result = dict(memories=write_memories(rank), estimates=update_estimates(rank))
    result["runs"] = {name: run(data, folder / name, neck, rank) for name, neck in RUNS.items()}
    torch.save(result, folder / f"rank{rank}.pth")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What the two ranks wrote down."""
    folder = tmp_path_factory.mktemp("ranks")
    data = write_data(folder / "data", labeled=2, unlabeled=8)
    run_ranks(work, data, folder)
    return [torch.load(folder / f"rank{rank}.pth", weights_only=False) for rank in RANKS]


def after_writes(start, writes):
    """State of a memory of one process."""
    memory = SemanticMemory(3, 4, (1, 2), sync="local")
    memory.load_state_dict(start)
    for tokens, classes in writes:
        memory.write(tokens, classes)
    return memory.state_dict()


def test_rank0_overwrites_the_others_before_each_write(ranks):
    states = [rank["memories"]["rank0"] for rank in ranks]
    for step in range(2):
        before = states[0][step]  # whatever rank 1 had is gone
        for rank in RANKS:
            assert_same_state(states[rank][step + 1], after_writes(before, [batches(rank)[step]]))
    assert not torch.equal(states[0][2]["queue"], states[1][2]["queue"])


def test_gather_writes_the_channels_of_all_ranks_in_rank_order(ranks):
    """One process that writes both batches, of different size, has the same memory."""
    first, second = (rank["memories"]["gather"] for rank in ranks)
    for step in range(2):
        assert_same_state(first[step + 1], second[step + 1])
        assert_same_state(first[step + 1], after_writes(first[step], [batches(rank)[step] for rank in RANKS]))


def test_local_memories_are_each_ranks_own(ranks):
    for rank in RANKS:
        states = ranks[rank]["memories"]["local"]
        assert_same_state(states[2], after_writes(states[0], batches(rank)))


def test_running_estimates_are_over_all_ranks(ranks):
    """As if one process had seen both batches."""
    confidence, label, labels, logits = (
        torch.cat(parts) for parts in zip(*(rank["estimates"]["inputs"] for rank in ranks), strict=True)
    )
    threshold, alignment = ClassQuantileThreshold(3), DistributionAlignment(3)
    threshold.update(confidence, label)
    alignment.update(labels, logits)
    for rank in ranks:
        for got, module in zip(rank["estimates"]["states"], (threshold, alignment), strict=True):
            assert_same_state(got, module.state_dict(), exact=False)


@pytest.mark.parametrize("name", RUNS)
def test_parameters_agree_after_a_run(ranks, name):
    """With burn-in and warm-up in it, and no error about parameters without gradient."""
    first, second = (rank["runs"][name] for rank in ranks)
    assert first["wrapper"] == "CPUDistributedDataParallel"
    own = ("running_mean", "running_var") + (("queue", "pointer", "enqueued") if name in ("rank0", "local") else ())
    shared = [key for key in first["state"] if not key.endswith(own)]
    assert len(shared) > 60
    for key in shared:
        assert torch.equal(first["state"][key], second["state"][key]), key


def test_memories_after_a_run(ranks):
    written = 4 * 2 * 32  # steps, images a rank, channels
    for name, count in dict(rank0=written, local=written, gather=2 * written, blind=2 * written).items():
        for rank in ranks:
            assert rank["runs"][name]["state"]["neck.memory.enqueued"].sum() == count, name
    queues = [rank["runs"]["local"]["state"]["neck.memory.queue"] for rank in ranks]
    assert not torch.equal(*queues)


@pytest.mark.parametrize("name", ["rank0", "gather"])
def test_an_epoch_is_one_pass_of_all_ranks_together(ranks, name):
    steps = [rank["runs"][name]["seen"] for rank in ranks]
    for epoch in (slice(0, 2), slice(2, 4)):
        images = [path for rank in steps for step in rank[epoch] for path in step]
        assert len(images) == len(set(images)) == 8
