"""What a method needs is asked for before training: a part of it that could do nothing is an error or a warning."""

import pytest
from builders import write_data
from mmengine.config import Config
from mmengine.runner import Runner
from small_methods import method_config


@pytest.fixture(scope="module")
def small_data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"), labeled=4, unlabeled=6)


def start(cfg):
    """Train, and say how far it came."""
    runner = Runner.from_cfg(cfg)
    try:
        runner.train()
    finally:
        start.iterations = runner.iter
    return runner


def hooks(**options):
    return dict(custom_hooks=[dict(type="MeanTeacherHook", **options)])


@pytest.mark.parametrize(
    ("method", "changes", "text"),
    [
        ("psmt", hooks(), r"PSMTSegmentor.*at least 2 teachers.*num_teachers=1: set default_hooks.ema.num_teachers=2"),
        ("psmt", dict(custom_hooks=[dict(type="EMAHook")]), r"num_teachers=1: .*type='MeanTeacherHook'"),
        ("mkd", hooks(num_teachers=2), r"MKDSegmentor' .*1 teacher,.*num_teachers=2: set default_hooks.ema.num_teach"),
    ],
)
def test_teachers_that_a_method_is_defined_for(small_data, tmp_path, method, changes, text):
    with pytest.raises(ValueError, match=text):
        start(method_config(small_data, tmp_path, method, "plain", **changes))
    assert start.iterations == 0


@pytest.mark.parametrize(
    ("method", "model", "loop", "text"),
    [
        ("gta", dict(confidence_from="weak"), {}, "GTASegmentor' with these options never passes its teacher"),
        ("dgcl", dict(labels_in="eval"), {}, "DGCLSegmentor' with these options never passes its teacher"),
        ("mean_teacher", {}, {}, "MeanTeacherSegmentor' with these options never passes its teacher"),
        ("u2pl", dict(contrast=None), dict(burn_in_iters=1), "burn_in_iters=1: the teacher passes no images"),
        ("u2pl", {}, dict(burn_in_iters=1), None),
    ],
)
def test_own_statistics_of_a_teacher_need_passes_in_train_mode(small_data, tmp_path, method, model, loop, text):
    cfg = method_config(small_data, tmp_path, method, "plain", steps=1, **hooks(buffers="own"))
    cfg.model.update(model)
    cfg.train_cfg.update(loop)
    if text is None:
        assert start(cfg).iter == 1
    else:
        with pytest.raises(ValueError, match=f"buffers='own', but .*{text}.*buffers='average'"):
            start(cfg)


def changed(cfg, loader, images=None, **changes):
    """The config with changes of a loader, which has only the first of its images."""
    cfg[loader].update(changes)
    cfg[loader].dataset.update({} if images is None else dict(indices=images))
    return cfg


@pytest.mark.parametrize(
    ("method", "loader", "changes", "text"),
    [
        ("ael", "train_dataloader", dict(batch_size=1), r"batch_size=1 .*4 images.*model.copy_paste=None"),
        ("ael", "train_dataloader", dict(images=1), r"batch_size=2 .*1 images.*model.copy_paste=None"),
        ("ael", "unlabeled_dataloader", dict(batch_size=1), r"batch_size=1 .*6 images.*model.cutmix=None"),
        ("augseg", "unlabeled_dataloader", dict(images=1), r"batch_size=2 with 1 images"),
        ("ccvc", "unlabeled_dataloader", dict(images=1), r"batch_size=2 .*1 images.*model.cutmix=None"),
        ("unimatch_v2", "unlabeled_dataloader", dict(batch_size=1), r"batch_size=1 .*6 images.*model.cutmix=None"),
    ],
)
def test_an_image_has_another_one_to_receive_from(small_data, tmp_path, method, loader, changes, text):
    with pytest.raises(ValueError, match=rf"{loader}.*{text}"):
        start(changed(method_config(small_data, tmp_path, method, "plain"), loader, **changes))
    assert start.iterations == 0


def test_without_copy_paste_one_labeled_image_is_enough(small_data, tmp_path):
    cfg = changed(method_config(small_data, tmp_path, "ael", "plain", steps=1), "train_dataloader", batch_size=1)
    cfg.model.copy_paste = None
    assert start(cfg).iter == 1


@pytest.mark.parametrize(
    ("options", "following"),
    [
        (dict(), 1),  # three steps are one pass over the unlabeled images
        (dict(steps=4, begin_iter=4), 1),
        (dict(steps=4, begin_epoch=2), 1),
        (dict(steps=4), None),
        (dict(steps=4, begin_iter=3), None),
    ],
)
def test_a_teacher_whose_turn_never_comes_is_warned_of(small_data, tmp_path, options, following):
    options = dict(options)
    cfg = method_config(small_data, tmp_path, "psmt", "plain", options.pop("steps", 3))
    start(Config(cfg.to_dict() | hooks(num_teachers=2, **options)))
    log = next(tmp_path.glob("*/*.log")).read_text()
    assert (f"only {following} of the teachers ever follows the student" in log) == (following is not None)
