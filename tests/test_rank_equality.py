"""Two ranks are one process with twice the batch, and uneven data neither hang nor surprise.

Losses are means over pixels, and the gradients of two ranks are averaged: with different numbers of ignored pixels (and
``avg_non_ignore=True``) a mean of means is not the mean of all. So the batches here have equally many.
"""

from pathlib import Path

import pytest
import torch
from builders import (
    assert_same_state,
    build_model,
    head_config,
    loader_config,
    model_config,
    neck_config,
    run_config,
    semi_batch,
    write_data,
)
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from two_ranks import run_ranks, train

from mmseg_allspark.utils.distributed import CPUDistributedDataParallel

MODEL = dict(decode_head=head_config(norm_cfg=dict(type="GN", num_groups=4)), neck=neck_config(sync="gather"))
EQUAL, UNEQUAL = 4, 30  # rows of ignored pixels in the masks of rank 1; rank 0 has 4
UNEVEN = dict(
    uneven=dict(labeled=3, unlabeled=5, validate=True),
    few_labeled=dict(labeled=1, unlabeled=5),
    few_unlabeled=dict(labeled=1, unlabeled=1),
    not_rounded=dict(labeled=1, unlabeled=5, round_up=False),
    none_left=dict(labeled=1, unlabeled=1, round_up=False),
    other_files=dict(labeled=1, unlabeled=4, other=True),
)


def batch_of(rank, model, ignored):
    batch = semi_batch(model, seed=rank)
    if rank == 1:
        for sample in batch["data_samples"]["labeled"]:
            sample.gt_sem_seg.data[:, :ignored] = 255
    return batch


def both_batches(model, ignored):
    """What rank 0 sees, then what rank 1 sees."""
    first, second = (batch_of(rank, model, ignored) for rank in (0, 1))
    joined = semi_batch(model)
    for part in joined["inputs"]:
        joined["inputs"][part] = torch.cat([first["inputs"][part], second["inputs"][part]])
    for part in joined["data_samples"]:
        joined["data_samples"][part] = first["data_samples"][part] + second["data_samples"][part]
    return joined


def gradients(model, batch):
    """Gradients and buffers after one step; ``model`` may be wrapped."""
    losses = model(**batch, mode="loss")
    sum(value for name, value in losses.items() if "loss" in name).backward()
    inner = getattr(model, "module", model)
    return dict(
        gradients={name: parameter.grad for name, parameter in inner.named_parameters()},
        buffers=dict(inner.named_buffers()),
    )


def wrapped_gradients(rank, ignored):
    model = build_model(**MODEL).train()
    batch = batch_of(rank, model, ignored)
    return gradients(CPUDistributedDataParallel(model, broadcast_buffers=False), batch)


def plain_run(data, folder, batch_size, launcher):
    """Four steps; two ranks with one image see what one process with two sees, in the same order."""
    loaders = {name: loader_config(data, name, batch_size=batch_size) for name in ("labeled", "unlabeled")}
    return run_config(
        data,
        folder,
        loop=dict(max_iters=4, unlabeled_dataloader=loaders["unlabeled"]),
        model=model_config(**MODEL),
        train_dataloader=loaders["labeled"],
        custom_hooks=[dict(type="SemanticMemoryHook")],
        launcher=launcher,
    )


def uneven_run(folder, labeled, unlabeled, round_up=True, validate=False, other=False):
    """Two passes over unlabeled images that do not come out even, or are not the same on rank 1."""
    data = write_data(folder / "data", labeled=labeled, unlabeled=unlabeled)
    if other and folder.name.endswith("1"):
        (data / "img" / "unlabeled0.png").rename(data / "img" / "other0.png")
        lines = (data / "unlabeled.txt").read_text().replace("unlabeled0", "other0")
        (data / "unlabeled.txt").write_text(lines)
    loader = loader_config(data, "unlabeled")
    loader["sampler"]["round_up"] = round_up
    options = dict(max_epochs=2, pseudo_labels_from="ema", unlabeled_dataloader=loader)
    hooks = [dict(type="SemanticMemoryHook"), dict(type="EMAHook")]
    return run_config(data, folder / "run", loop=options, validate=validate, custom_hooks=hooks, launcher="pytorch")


def train_ranks(cfg):
    runner = train(cfg)
    log = "".join(path.read_text() for path in Path(cfg.work_dir).rglob("*.log"))  # rank 0 writes it
    return dict(iters=runner.iter, epochs=runner.epoch, log=log, state=runner.model.module.state_dict())


def work(rank, data, folder):
    result = {ignored: wrapped_gradients(rank, ignored) for ignored in (EQUAL, UNEQUAL)}
    result["run"] = train_ranks(plain_run(data, folder / "run", 1, "pytorch"))
    for name, options in UNEVEN.items():
        try:
            result[name] = train_ranks(uneven_run(folder / f"{name}{rank}", **options))
        except ValueError as error:
            result[name] = str(error)
    torch.save(result, folder / f"rank{rank}.pth")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"), labeled=2, unlabeled=8)


@pytest.fixture(scope="module")
def ranks(data, tmp_path_factory):
    """What the two ranks did."""
    folder = tmp_path_factory.mktemp("ranks")
    run_ranks(work, data, folder)
    return [torch.load(folder / f"rank{rank}.pth", weights_only=False) for rank in (0, 1)]


def one_process(ignored):
    init_default_scope("mmseg")
    model = build_model(**MODEL).train()
    return gradients(model, both_batches(model, ignored))


def test_gradients_are_those_of_one_process_with_both_batches(ranks):
    expected = one_process(EQUAL)
    assert all(gradient.abs().max() > 0 for name, gradient in expected["gradients"].items() if "decode_head" in name)
    for rank in ranks:
        assert_same_state(rank[EQUAL]["gradients"], expected["gradients"], exact=False)
        assert_same_state(rank[EQUAL]["buffers"], expected["buffers"], exact=False)


def test_gradients_are_a_mean_of_means_where_the_ignored_pixels_differ(ranks):
    with pytest.raises(AssertionError):
        assert_same_state(ranks[0][UNEQUAL]["gradients"], one_process(UNEQUAL)["gradients"], exact=False)


def test_gathered_memories_of_a_run_are_that_of_one_process(ranks, data, tmp_path):
    runner = Runner.from_cfg(plain_run(data, tmp_path, 2, "none"))
    runner.train()
    expected = runner.model.state_dict()
    assert expected["neck.memory.enqueued"].sum() == 4 * 2 * 32
    first, second = (rank["run"]["state"] for rank in ranks)
    assert_same_state(first, second)
    for name in ("neck.memory.enqueued", "neck.memory.pointer"):
        assert torch.equal(first[name], expected[name])
    torch.testing.assert_close(first, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("name", "iters"), [("uneven", 4), ("few_labeled", 4), ("few_unlabeled", 2)])
def test_uneven_data_are_trained_on(ranks, name, iters):
    """Each rank gets as many images, some of them twice: 3 of 5, or 1 of 1."""
    for rank in ranks:
        assert (rank[name]["iters"], rank[name]["epochs"]) == (iters, 2)


def test_ranks_of_different_length_are_refused_on_all_ranks(ranks):
    assert ranks[0]["not_rounded"] == ranks[1]["not_rounded"]
    assert "different numbers of batches of unlabeled images: [2, 1]" in ranks[0]["not_rounded"]
    assert "round_up=True" in ranks[0]["not_rounded"]


def test_fewer_images_than_ranks_are_refused_on_all_ranks(ranks):
    for rank in ranks:
        assert "unlabeled_dataloader: 1 images are too few for 2 ranks; set sampler.round_up=True" in rank["none_left"]


def test_different_images_are_refused_on_all_ranks(ranks):
    """Of equal number: lists that were made anew on one machine."""
    for rank in ranks:
        assert "The ranks have different images in unlabeled_dataloader" in rank["other_files"]


def test_mmengines_checkpoints_are_warned_about(ranks):
    assert "Checkpoints will hold the buffers of rank 0 only" in ranks[0]["uneven"]["log"]
