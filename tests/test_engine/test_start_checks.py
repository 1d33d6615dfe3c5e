"""Bad input is an error before the first iteration, and the message names file or key.

Every refusal of data: tests/test_datasets/test_refusals.py.
"""

import shutil

import pytest
from builders import (
    dataset_config,
    loader_config,
    model_config,
    neck_config,
    run_config,
    train,
)
from mmengine.runner import Runner


def start(data, work_dir, **options):
    """Train, and say how far it came."""
    options.setdefault("loop", dict(max_iters=1))
    runner = Runner.from_cfg(run_config(data, work_dir, validate=True, **options))
    try:
        runner.train()
    finally:
        start.iterations = getattr(runner._train_loop, "iter", 0)


@pytest.fixture
def own(data, tmp_path):
    """A copy of the data, to be spoiled."""
    return shutil.copytree(data, tmp_path / "data")


def fails(error, text, data, tmp_path, **options):
    start.iterations = None
    with pytest.raises(error, match=text):
        start(data, tmp_path / "run", **options)
    return start.iterations


def test_overlap_of_labeled_and_unlabeled_can_be_allowed(own, tmp_path):
    (own / "unlabeled.txt").write_text("unlabeled0\nlabeled0")
    start(own, tmp_path / "run", loop=dict(max_iters=1, allow_overlap=True))
    assert start.iterations == 1


def loaders_of_zero(data, reduced, wrapped):
    """Loaders of which some ignore the label 0, in a wrapper each."""
    loaders = {}
    for key, name in zip(LOADERS, ("labeled", "unlabeled", "val", "val"), strict=True):
        dataset = dataset_config(data, name, reduce_zero_label=key in reduced)
        part = dict(type="RepeatDataset", times=1, dataset=dict(type="ConcatDataset", datasets=[dataset]))
        loaders[key] = loader_config(data, name, dataset=part if wrapped else dataset)
    return loaders


LOADERS = ("train_dataloader", "unlabeled_dataloader", "val_dataloader", "test_dataloader")
TEST = dict(test_cfg=dict(type="TestLoop"), test_evaluator=dict(type="IoUMetric"))


@pytest.mark.parametrize(
    ("reduced", "text"),
    [
        (LOADERS[:1], "train_dataloader.dataset.reduce_zero_label=True, unlabeled_dataloader.dataset.*=False: "),
        (LOADERS[3:], "train_dataloader.dataset.reduce_zero_label=False, test_dataloader.dataset.*=True: "),
    ],
)
def test_the_label_0_counts_in_some_data_sets_only(data, tmp_path, reduced, text):
    """Every class would be shifted by one."""
    loaders = loaders_of_zero(data, reduced, wrapped=True)
    loop = dict(max_iters=1, unlabeled_dataloader=loaders.pop("unlabeled_dataloader"))
    assert fails(ValueError, text, data, tmp_path, loop=loop, **loaders, **TEST) == 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            dict(model=model_config(neck=neck_config(memory_size=(4, 4)))),
            r"features are 3x3, but AllSparkNeck.memory_size is 4x4.*neck.memory_size=\(3, 3\)",
        ),
        (dict(loop=dict(max_iters=1, pseudo_labels_from="ema")), "pseudo_labels_from='ema' needs.*MeanTeacherHook"),
        (dict(model=model_config(type="EncoderDecoder", neck=None)), "EncoderDecoder cannot label.*SemiSegmentor"),
    ],
)
def test_parts_that_do_not_fit_together(data, tmp_path, options, text):
    assert not fails(ValueError, text, data, tmp_path, **options)


def test_supervised_loop_with_a_semi_supervised_model(data, tmp_path):
    with pytest.raises(TypeError, match=r"train_cfg=dict\(type='PseudoLabelLoop'"):
        train(data, tmp_path, loop=dict(max_iters=1), train_cfg=dict(type="IterBasedTrainLoop", max_iters=1))


COLOUR = dict(type="PhotoMetricDistortion")


@pytest.mark.parametrize(
    ("step", "name"),
    [
        (dict(type="RandomChoice", transforms=[[dict(type="RandomGaussianBlur", prob=0.1)]]), "RandomGaussianBlur"),
        (dict(type="MultiView", views=dict(weak=[], strong=[COLOUR])), None),
    ],
)
def test_pseudo_labels_of_distorted_images_are_warned_of(data, tmp_path, step, name):
    loader = loader_config(data, "unlabeled")
    loader["dataset"]["pipeline"].insert(2, step)
    start(data, tmp_path, loop=dict(max_iters=1, unlabeled_dataloader=loader))
    log = next(tmp_path.glob("*/*.log")).read_text()
    assert (f"The unlabeled pipeline has {name} outside of MultiView" in log) == (name is not None)
    assert ("outside of MultiView" in log) == (name is not None)


def test_roles_and_a_missing_warm_up_are_in_the_log(data, tmp_path):
    hooks = [dict(type="EMAHook", momentum=0.1, update_buffers=True)]
    start(data, tmp_path, loop=dict(max_iters=1, pseudo_labels_from="ema"), custom_hooks=hooks)
    log = next(tmp_path.glob("*/*.log")).read_text()
    assert "Pseudo labels come from the model's moving average (teacher)" in log
    assert "use: the teacher (EMAHook)." in log
    assert "no SemanticMemoryHook: there is no warm-up" in log


@pytest.mark.parametrize(("length", "warned"), [(3, True), (4, False)])
def test_a_training_that_ends_before_it_begins(data, tmp_path, length, warned):
    """As after ``--cfg-options train_cfg.max_iters=3`` alone."""
    hooks = [dict(type="SemanticMemoryHook", warmup_iters=3)]
    start(data, tmp_path, loop=dict(max_iters=length, burn_in_iters=3), custom_hooks=hooks)
    log = next(tmp_path.glob("*/*.log")).read_text()
    assert (
        "burn_in_iters=3, ramp_up_iters=0, but the training has 3 iterations: nothing will be learned" in log
    ) == warned
    assert ("training has 3 iterations: the memory will never be read" in log) == warned


def test_labeled_and_unlabeled_crops_of_different_size(data, tmp_path):
    loader = loader_config(data, "unlabeled")
    loader["dataset"]["pipeline"].insert(2, dict(type="Resize", scale=(32, 32), keep_ratio=False))
    text = r"Labeled crops are \(65, 65\), unlabeled ones \(32, 32\)"
    fails(ValueError, text, data, tmp_path, loop=dict(max_iters=1, unlabeled_dataloader=loader))


def test_a_batch_sampler_of_ones_own_is_refused(data, tmp_path):
    loader = loader_config(data, "unlabeled", batch_sampler=dict(type="BatchSampler", drop_last=True))
    text = r"unlabeled_dataloader.batch_sampler=.*is not supported"
    fails(ValueError, text, data, tmp_path, loop=dict(max_iters=1, unlabeled_dataloader=loader))
