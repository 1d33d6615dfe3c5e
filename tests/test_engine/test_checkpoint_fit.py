"""Weights of another model: what fits is loaded, what does not is said, what would be wrong is an error."""

import copy

import pytest
import torch
from builders import (
    CLASSES,
    backbone_config,
    build_model,
    dataset_config,
    head_config,
    loader_config,
    model_config,
    neck_config,
    run_config,
    train,
)
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from mmseg_allspark.engine.checkpoint.fit import require_checkpoint_fit
from mmseg_allspark.utils.weights_fit import fit_weights

FIVE = (*CLASSES, "e")
HOOKS_AT_WORK = [
    dict(type="EMAHook", momentum=0.5, update_buffers=True),
    dict(type="SemanticMemoryHook", warmup_iters=1),
]
SAVE = dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=1))


@HOOKS.register_module(force=True)
class StartHook(Hook):
    """Keeps what model and average are before the first step."""

    def before_train(self, runner):
        self.model = copy.deepcopy(runner.model.state_dict())
        averages = [hook.ema_model.module for hook in runner.hooks if isinstance(hook, EMAHook)]
        self.average = copy.deepcopy(averages[0].state_dict()) if averages else None


def all_states(num_classes=4, **changes):
    """A model with every kind of state."""
    parts = dict(
        neck=neck_config(num_classes=num_classes),
        decode_head=head_config(num_classes=num_classes),
        confidence=dict(type="ClassQuantileThreshold"),
        alignment=dict(),
    )
    return model_config(**parts | changes)


def loaders(data, classes):
    def loader(name):
        return loader_config(data, name, dataset=dataset_config(data, name, metainfo=dict(classes=classes)))

    return dict(loop=dict(max_iters=1, unlabeled_dataloader=loader("unlabeled")), train_dataloader=loader("labeled"))


def begin(data, work_dir, checkpoint, classes=CLASSES, **options):
    """Train one step from a checkpoint; return what it began with and its log."""
    hooks = [*options.pop("hooks", HOOKS_AT_WORK), dict(type="StartHook")]
    options = loaders(data, classes) | dict(load_from=str(checkpoint), custom_hooks=hooks) | options
    runner = train(data, work_dir, **options)
    start = next(hook for hook in runner.hooks if isinstance(hook, StartHook))
    return start, read_log(work_dir)


def read_log(work_dir):
    return next(work_dir.glob("*/*.log")).read_text()


def warnings_of(log, name):
    return [line for line in log.splitlines() if "WARNING" in line and name in line]


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A checkpoint of two steps with four classes, a moving average and all running estimates."""
    folder = tmp_path_factory.mktemp("trained")
    options = loaders(data, CLASSES)
    options["loop"]["max_iters"] = 2
    train(data, folder, **options, model=all_states(), default_hooks=SAVE, custom_hooks=HOOKS_AT_WORK)
    return folder / "iter_2.pth"


@pytest.fixture(scope="module")
def weights(trained):
    return torch.load(trained, weights_only=False)["state_dict"]


def test_other_classes_keep_the_trunk_and_say_what_is_dropped(data, tmp_path, trained, weights):
    start, log = begin(data, tmp_path, trained, FIVE, model=all_states(5))
    per_class = ("neck.memory.", "decode_head.conv_seg.", "confidence.", "alignment.")
    for key, value in start.model.items():
        torch.testing.assert_close(start.average[key], value, rtol=0, atol=0)
        if not key.startswith(per_class):
            torch.testing.assert_close(value, weights[key], rtol=0, atol=0)
    assert start.model["neck.memory.enqueued"].tolist() == [0] * 5
    assert start.model["alignment.updates"] == 0  # not that of the other classes' means
    assert weights["alignment.updates"] > 0
    line, classes = warnings_of(log, "iter_2.pth")
    for part in (
        "decode_head.conv_seg.weight 4x16x1x1 -> 5x16x1x1",
        "decode_head.conv_seg.bias 4 -> 5",
        "neck.memory.queue 4x32x9 -> 5x32x9",
        "confidence.threshold 4 -> 5",
        "alignment.labeled_prior 4 -> 5",
    ):
        assert part in line
    assert "was trained on 4 classes, the data have 5." in classes
    assert "do not match exactly" not in log  # mmengine's list of names
    assert "size mismatch" not in log


def test_as_many_classes_of_other_names(data, tmp_path, trained):
    _, log = begin(data, tmp_path, trained, ("a", "c", "b", "d"), model=all_states())
    (line,) = warnings_of(log, "iter_2.pth")
    assert "1 was 'b', is 'c', 2 was 'c', is 'b'. Outputs keep their number and change meaning" in line


def test_another_crop_resizes_the_memory(data, tmp_path, trained, weights):
    sets = loaders(data, CLASSES)
    for loader in (sets["train_dataloader"], sets["loop"]["unlabeled_dataloader"]):
        loader["dataset"]["pipeline"].insert(2, dict(type="Resize", scale=(129, 129)))
    start, log = begin(data, tmp_path, trained, model=all_states(neck=neck_config(memory_size=(5, 5))), **sets)
    (line,) = warnings_of(log, "iter_2.pth")
    assert "Resized (checkpoint -> model): neck.memory.queue 4x32x9 -> 4x32x25." in line
    queue, old = start.model["neck.memory.queue"], weights["neck.memory.queue"]
    torch.testing.assert_close(queue[..., 12], old[..., 4])  # the middle of 5x5 is that of 3x3
    torch.testing.assert_close(queue.mean(), old.mean(), atol=0.1, rtol=0)
    assert torch.equal(start.model["neck.memory.enqueued"], weights["neck.memory.enqueued"])


def test_a_zoo_checkpoint_without_neck(data, tmp_path):
    zoo = build_model(seed=7, neck=None).state_dict()
    torch.save(dict(meta=dict(), state_dict=zoo), tmp_path / "zoo.pth")
    start, log = begin(data, tmp_path / "run", tmp_path / "zoo.pth", model=model_config())
    (line,) = warnings_of(log, "zoo.pth")
    number = sum(key.startswith("neck.") for key in start.model)
    assert f"Not in the checkpoint: neck ({number} entries from neck." in line
    assert all(torch.equal(start.model[key], value) for key, value in zoo.items())


def test_our_checkpoint_in_a_plain_segmentor(data, tmp_path, trained, weights):
    model = model_config(type="EncoderDecoder", neck=None)
    loop = dict(type="IterBasedTrainLoop", max_iters=1)
    start, log = begin(data, tmp_path, trained, model=model, train_cfg=loop, hooks=[dict(type="CheckpointFitHook")])
    (line,) = warnings_of(log, "iter_2.pth")
    assert "Only in the checkpoint, not used: neck (" in line
    assert "confidence (1 entries" in line and "alignment (3 entries" in line
    assert "as initialised" not in line
    assert all(torch.equal(value, weights[key]) for key, value in start.model.items())


def test_weights_that_fit_are_no_warning(data, tmp_path, weights):
    torch.save({f"module.{name}": value for name, value in weights.items()}, tmp_path / "weights.pth")
    start, log = begin(data, tmp_path / "run", tmp_path / "weights.pth", model=all_states())
    assert warnings_of(log, "weights.pth") == []
    for state in (start.model, start.average):
        assert all(torch.equal(value, weights[key]) for key, value in state.items())


def test_a_supervised_checkpoint_lacks_running_estimates_and_that_is_no_warning(data, tmp_path):
    plain = build_model(seed=7, neck=None).state_dict()
    torch.save(dict(meta=dict(), state_dict=plain), tmp_path / "supervised.pth")
    hooks = HOOKS_AT_WORK[:1]
    start, log = begin(data, tmp_path / "run", tmp_path / "supervised.pth", model=all_states(neck=None), hooks=hooks)
    assert warnings_of(log, "supervised.pth") == []
    assert start.model.keys() - plain.keys()  # the estimates
    assert all(torch.equal(start.model[key], value) for key, value in plain.items())


@pytest.fixture(scope="module")
def at_work(data, tmp_path_factory):
    """A runner in training, to load one thing after the other."""
    return train(data, tmp_path_factory.mktemp("run"), loop=dict(max_iters=1))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([1, 2], "bad.pth holds no weights.* but a list"),
        (dict(model={}, epoch=3), "but model, epoch.*tools/convert_reference_checkpoint.py"),
        ("wider", r"load_from=.*bad.pth fits 0% of the backbone's weights.*Choose a checkpoint of this backbone"),
        ("backbone", r"model.backbone.init_cfg=dict\(type='Pretrained'"),
    ],
)
def test_nothing_to_start_from_is_an_error(tmp_path, at_work, content, text):
    if content == "wider":
        wide = [16, 32, 48, 64]
        neck, head = neck_config(in_channels=64), head_config(in_channels=wide)
        content = build_model(backbone=backbone_config(embed_dims=16), neck=neck, decode_head=head).state_dict()
    elif content == "backbone":
        content = build_model().backbone.state_dict()
    torch.save(content, tmp_path / "bad.pth")
    at_work._load_from = str(tmp_path / "bad.pth")
    with pytest.raises(ValueError, match=text):
        at_work.load_checkpoint(at_work._load_from)


def evaluate(data, work_dir, checkpoint, model, classes=CLASSES, **options):
    val = loader_config(data, "val", dataset=dataset_config(data, "val", metainfo=dict(classes=classes)))
    test = dict(
        test_dataloader=val, test_cfg=dict(type="TestLoop"), test_evaluator=dict(type="IoUMetric"), custom_hooks=[]
    )
    cfg = run_config(data, work_dir, loop=dict(max_iters=1), model=model, load_from=str(checkpoint), **test | options)
    runner = Runner.from_cfg(cfg)
    require_checkpoint_fit(runner)
    return runner.test()


def test_testing_what_was_never_trained_is_an_error(data, tmp_path, trained):
    with pytest.raises(
        ValueError, match="iter_2.pth does not fit the config's model.*conv_seg.weight 4x16x1x1 -> 5x16"
    ):
        evaluate(data, tmp_path, trained, all_states(5))


def test_testing_without_what_the_network_needs_is_an_error(data, tmp_path):
    torch.save(dict(state_dict=build_model(neck=None).state_dict()), tmp_path / "zoo.pth")
    with pytest.raises(ValueError, match=r"Not in the checkpoint: neck \("):
        evaluate(data, tmp_path / "run", tmp_path / "zoo.pth", model_config())


def test_testing_without_a_part_that_was_trained_is_an_error(data, tmp_path, trained):
    with pytest.raises(ValueError, match=r"Only in the checkpoint, not used: .*neck \("):
        evaluate(data, tmp_path, trained, all_states(neck=None))


def test_testing_with_augmentation_and_with_other_class_names(data, tmp_path, trained):
    model = dict(type="SegTTAModel", module=all_states())
    pipeline = [
        dict(type="LoadImage"),
        dict(
            type="TestTimeAug",
            transforms=[
                [dict(type="RandomFlip", prob=0.0), dict(type="RandomFlip", prob=1.0)],
                [dict(type="LoadSegMask", num_classes=4)],
                [dict(type="PackSegInputs")],
            ],
        ),
    ]
    names = ("a", "b", "c", "x")
    val = loader_config(
        data, "val", dataset=dataset_config(data, "val", pipeline=pipeline, metainfo=dict(classes=names))
    )
    assert "mIoU" in evaluate(data, tmp_path, trained, model, test_dataloader=val)
    (line,) = warnings_of(read_log(tmp_path), "iter_2.pth")
    assert "3 was 'd', is 'x'" in line


def test_a_module_that_resizes_what_it_loads():
    """As the position embeddings of mmpretrain's transformers do, in a hook of torch's."""

    class Positions(nn.Module):
        def __init__(self, length):
            super().__init__()
            self.embedding = nn.Parameter(torch.zeros(length))
            self.register_load_state_dict_pre_hook(self._resize)

        @staticmethod
        def _resize(module, state, prefix, *_):
            key = f"{prefix}embedding"
            state[key] = nn.functional.interpolate(state[key][None, None], size=len(module.embedding))[0, 0]

    model = nn.Sequential(nn.Linear(2, 2), Positions(6))
    untouched = copy.deepcopy(model.state_dict())
    given = nn.Sequential(nn.Linear(2, 3), Positions(3)).state_dict()
    given["1.embedding"] = torch.tensor([1.0, 2.0, 3.0])
    fit = fit_weights(model, given)
    assert fit.resized == {"1.embedding": "3 -> 6"}
    assert fit.changed == {"0.weight": "3x2 -> 2x2", "0.bias": "3 -> 2"}
    assert fit.state["1.embedding"].tolist() == [1, 1, 2, 2, 3, 3]
    assert torch.equal(fit.state["0.weight"], untouched["0.weight"])
    assert all(torch.equal(value, untouched[key]) for key, value in model.state_dict().items())
    assert given["1.embedding"].tolist() == [1, 2, 3]
