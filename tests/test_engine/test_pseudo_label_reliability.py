"""Held-out labeled images: they are never trained on, and the shares of their pseudo labels are right."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import assert_same_state, dataset_config, loader_config, model_config, run_config, write_data
from mmengine.runner import Runner
from PIL import Image
from small_methods import FEW_CASES, method_config
from two_ranks import run_ranks, train

from mmseg_allspark.labels import PseudoLabel, count_right_labels
from mmseg_allspark.methods import SemiSegmentor
from mmseg_allspark.utils.wrappers import averages

from .recording import record

HOOK = dict(type="PseudoLabelReliabilityHook", share=0.25, min_images=2)
SURE = dict(type="ConfidenceThreshold", threshold=0.9)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Twelve labeled images, of which three are held out."""
    return write_data(tmp_path_factory.mktemp("many"), labeled=12)


def hook_of(runner):
    return next(hook for hook in runner.hooks if type(hook).__name__ == HOOK["type"])


def names(dataset):
    return {Path(dataset.get_data_info(index)["img_path"]).stem for index in range(len(dataset))}


def records(runner):
    return [json.loads(line) for line in (Path(runner.log_dir) / "reliability.json").read_text().splitlines()]


def label_everything_a(self, inputs):
    """Class a everywhere, with probability 0.97 in the left half of an image and 0.65 in the right one."""
    batch, _, height, width = inputs["weak"].shape
    sure = torch.full((width,), 0.65)
    sure[: width // 2] = 0.97
    logits = torch.zeros(batch, 4, height, width)
    logits[:, 0] = torch.log(3 * sure / (1 - sure))
    return logits


def config(data, work_dir, hook=HOOK, model=None, loop=None, **options):
    loop = dict(max_iters=2, val_interval=1) | (loop or {})
    model = model_config(neck=None, confidence=SURE) if model is None else model
    return run_config(data, work_dir, loop=loop, validate=True, model=model, custom_hooks=[hook], **options)


def run(*arguments, **options):
    runner = Runner.from_cfg(config(*arguments, **options))
    runner.train()
    return runner


def test_shares_of_known_labels(many, tmp_path, monkeypatch):
    monkeypatch.setattr(SemiSegmentor, "label_unlabeled", label_everything_a)
    runner = run(many, tmp_path)
    masks = np.stack([np.asarray(Image.open(many / f"mask/{name}.png")) for name in names(hook_of(runner).held_out)])
    half = masks.shape[2] // 2
    kept, right, right_of_all = half / masks.shape[2], (masks[..., :half] == 0).mean(), (masks == 0).mean()
    for entry in records(runner):
        assert entry["columns"] == ["in force", "0.5", "0.6", "0.7", "0.8", "0.9", "0.95", "0.99"]
        for row in ("all classes", "a"):
            assert entry["kept"][row] == pytest.approx([kept, 1, 1, kept, kept, kept, kept, 0])
            assert entry["right"][row][:-1] == pytest.approx([right, right_of_all, right_of_all, *[right] * 4])
            assert entry["right"][row][-1] is None  # no label is that sure
        assert entry["kept"]["b"] == [None] * 8
    assert [entry["step"] for entry in records(runner)] == [1, 2]
    log = next(tmp_path.glob("*/*.log")).read_text()
    assert f"| {100 * kept:.1f} / {100 * right:.1f} |" in log and "Pseudo labels of 3 held-out images" in log


def test_supervised_training_keeps_all_images_and_is_told(many, tmp_path):
    loop = dict(type="SupervisedLoop", max_iters=1, val_interval=1)
    runner = run(many, tmp_path, model=model_config(type="EncoderDecoder", neck=None), train_cfg=loop)
    assert hook_of(runner).held_out is None and len(runner.train_dataloader.dataset) == 12
    assert "PseudoLabelReliabilityHook needs PseudoLabelLoop" in next(tmp_path.glob("*/*.log")).read_text()


def test_counts_leave_out_padding_and_what_is_ignored():
    label = torch.tensor([[[0, 1, 1, 0, 0]]])
    logits = 2 * torch.nn.functional.one_hot(label, 2).permute(0, 3, 1, 2).float()
    weight, valid = torch.tensor([[[1.0, 0.5, 0.25, 1.0, 1.0]]]), torch.tensor([[[True, True, True, True, False]]])
    counts = count_right_labels(
        PseudoLabel(logits, label, weight, valid), torch.tensor([[[0, 1, 0, 255, 0]]]), 2, (0.5, 0.9)
    )
    assert math.exp(2) / (1 + math.exp(2)) < 0.9
    assert counts.tolist() == [[[1, 2], [1, 1]], [[1, 0.75], [1, 0.5]], [[1, 2], [1, 1]], [[0, 0], [0, 0]]]


def test_held_out_images_are_never_trained_on_and_a_resumed_run_holds_out_the_same(many, tmp_path):
    loop = dict(max_iters=12)
    checkpoint = dict(checkpoint=dict(type="AtomicCheckpointHook", by_epoch=False, interval=6))
    options = dict(hooks=[HOOK], model=model_config(neck=None), default_hooks=checkpoint)
    runner, seen = record(many, tmp_path, loop=loop, randomness=dict(seed=None), **options)
    held_out = names(hook_of(runner).held_out)
    assert len(held_out) == 3
    assert {name for step in seen.seen for name in step["labeled"]} == names_of(many, "labeled") - held_out
    assert not held_out & {name for step in seen.seen for name in step["unlabeled"]}
    again, seen = record(many, tmp_path, loop=dict(max_iters=18), resume=True, randomness=dict(seed=None), **options)
    assert names(hook_of(again).held_out) == held_out and again.iter == 18
    assert not held_out & {name for step in seen.seen for name in step["labeled"]}


def names_of(data, part):
    return set((data / f"{part}.txt").read_text().split())


@pytest.mark.parametrize("case", FEW_CASES, ids="-".join)
def test_every_method_is_reported_on_and_its_training_does_not_notice(many, tmp_path, case):
    cfg = method_config(many, tmp_path, *case, steps=1, val_dataloader=loader_config(many, "val"))
    cfg.merge_from_dict(dict(val_cfg=dict(type="ValLoop"), val_evaluator=dict(type="IoUMetric")))
    cfg.custom_hooks.append(HOOK)
    runner = Runner.from_cfg(cfg)
    runner.train()
    networks = [runner.model, *(average.module for average in averages(runner))]
    before = [{name: value.clone() for name, value in network.state_dict().items()} for network in networks]
    modes = [[module.training for module in network.modules()] for network in networks]
    hook_of(runner).before_val(runner)
    for network, state, training in zip(networks, before, modes, strict=True):
        assert_same_state(state, network.state_dict())
        assert [module.training for module in network.modules()] == training
    first, second = records(runner)
    assert first == second  # the same crops, whatever was drawn before
    assert 0 <= first["right"]["all classes"][0] <= 1 and 0 < first["kept"]["all classes"][0] <= 1


def test_the_teacher_labels_before_it_is_exchanged_for_validation(many, tmp_path, monkeypatch):
    weights = []

    def label(self, inputs):
        if "labeled" not in inputs:  # not in a step
            weights.append({name: value.clone() for name, value in self.state_dict().items()})
        return label_everything_a(self, inputs)

    monkeypatch.setattr(SemiSegmentor, "label_unlabeled", label)
    ema = dict(ema=dict(type="MeanTeacherHook", momentum=0.3))
    optim = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1))
    loop = dict(pseudo_labels_from="ema", max_iters=2, val_interval=2)
    runner = run(many, tmp_path, loop=loop, default_hooks=ema, optim_wrapper=optim)
    teacher = next(hook for hook in runner.hooks if type(hook).__name__ == "MeanTeacherHook").ema_model.module
    assert_same_state(weights[-1], teacher.state_dict())
    assert not torch.equal(weights[-1]["decode_head.conv_seg.weight"], runner.model.decode_head.conv_seg.weight)


def _train_in_ranks(rank, data, folder):
    SemiSegmentor.label_unlabeled = label_everything_a
    runner = train(config(data, folder, launcher="pytorch"))
    (folder / f"rank{rank}.txt").write_text(" ".join(sorted(names(hook_of(runner).held_out))))
    if rank == 0:
        (folder / "records.json").write_text(json.dumps(records(runner)))


@pytest.mark.slow
def test_ranks_hold_out_the_same_images_and_share_the_counting(many, tmp_path, monkeypatch):
    run_ranks(_train_in_ranks, many, tmp_path)
    first, second = ((tmp_path / f"rank{rank}.txt").read_text() for rank in (0, 1))
    monkeypatch.setattr(SemiSegmentor, "label_unlabeled", label_everything_a)
    runner = run(many, tmp_path / "one")
    assert set(first.split()) == set(second.split()) == names(hook_of(runner).held_out)
    assert json.loads((tmp_path / "records.json").read_text()) == records(runner)


def test_refusals(many, tmp_path):
    with pytest.raises(ValueError, match=r"train_dataloader: .*share=0\.1 of 12 labeled images is 1, .*min_images=5"):
        run(many, tmp_path, hook=dict(type=HOOK["type"]))
    wrapped = dict(type="ConcatDataset", datasets=[dataset_config(many, "labeled")])
    with pytest.raises(TypeError, match="ConcatDataset: list all labeled images in one data set"):
        run(many, tmp_path, train_dataloader=loader_config(many, "labeled", dataset=wrapped))
    labels = dict(type="LoadPseudoLabel", folder=str(many / "mask"))
    unlabeled = loader_config(many, "unlabeled")
    unlabeled["dataset"]["pipeline"].insert(1, labels)
    with pytest.raises(ValueError, match="pseudo_labels_from='data': leave the hook out"):
        run(many, tmp_path, loop=dict(pseudo_labels_from="data", unlabeled_dataloader=unlabeled))
    both = loader_config(
        many, "unlabeled", dataset=dataset_config(many, "unlabeled", ann_file=str(many / "labeled.txt"))
    )
    with pytest.raises(ValueError, match="3 of the 3 held-out images are unlabeled images, too"):
        run(many, tmp_path, loop=dict(allow_overlap=True, unlabeled_dataloader=both))
