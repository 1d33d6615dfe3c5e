"""What every registered method keeps, with and without AllSpark's neck. A new one stands in small_methods.METHODS."""

import copy

import pytest
import torch
from builders import CROP, assert_same_state, write_data
from mmengine.runner import Runner
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from small_methods import CASES, EVERY_CASE, METHODS, method_config, method_model, registered_methods
from test_engine.random_runs import assert_same_run
from test_engine.recording import RecordHook
from two_ranks import run_ranks, train

from mmseg_allspark.inference import make_plain
from mmseg_allspark.inference.models import choose_weights
from mmseg_allspark.methods import Step
from mmseg_allspark.utils.safe_checkpoints import load_checkpoint

STEPS, STOP = 4, 2
cases = pytest.mark.parametrize("case", CASES, ids="-".join, scope="module")


@pytest.fixture(scope="module")
def small_data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"), labeled=4, unlabeled=6)


def run(cfg):
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


@pytest.fixture(scope="module")
def finished(small_data, tmp_path_factory):
    """Folder and runner of a run of four steps, by case; the model is as training left it."""
    runs = {}

    def get(case):
        if case not in runs:
            folder = tmp_path_factory.mktemp("-".join(case))
            runner = run(method_config(small_data, folder, *case, steps=STEPS))
            runs[case] = folder, runner, copy.deepcopy(runner.model.state_dict())
        folder, runner, state = runs[case]
        runner.model.load_state_dict(state)
        return folder, runner

    return get


def a_step(runner):
    """The preprocessed batch of a step."""
    return next(hook for hook in runner.hooks if isinstance(hook, RecordHook)).batches[-1]


def losses_of(model, batch, seed=0):
    torch.manual_seed(seed)
    losses = model(**batch, mode="loss")
    return {name: value for name, value in losses.items() if "loss" in name}


def test_every_method_is_here():
    assert registered_methods() <= {model["type"] for model, _ in METHODS.values()}


@cases
def test_trains_without_masks_of_unlabeled_images(finished, case):
    folder, runner = finished(case)
    assert runner.iter == STEPS
    first, last = (
        choose_weights(load_checkpoint(folder / f"iter_{step}.pth"), "model", "student")[0] for step in (1, STEPS)
    )
    same = {name for name, _ in runner.model.named_parameters() if torch.equal(first[name], last[name])}
    modules = {".".join(name.removeprefix("second.").split(".")[:2]) for name in same}
    assert modules <= {"decode_head.convs"}  # a bias before batch norm
    assert not [name for name in same if name.endswith("weight")]
    log = next(folder.glob("*/*.log")).read_text()
    assert "nan" not in log.lower().split("iter(train)", 1)[1].replace("nanmean", "")


@cases
def test_every_loss_gives_the_student_a_gradient_and_no_parameter_is_left_out(finished, case):
    """The teacher gets none."""
    _, runner = finished(case)
    model = runner.model.train()
    losses = losses_of(model, a_step(runner))
    assert {name.split(".")[0] for name in losses} == {"sup", "unsup"}
    parameters = list(model.parameters())
    for name, loss in losses.items():
        assert torch.isfinite(loss) and loss != 0, name
        gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        assert any(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients), name
    model.zero_grad()
    sum(losses.values()).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    teacher = next(hook for hook in runner.hooks if hasattr(hook, "ema_model")).ema_model
    shared = {id(parameter) for parameter in parameters}  # of modules that no teacher follows
    assert all(parameter.grad is None for parameter in teacher.parameters() if id(parameter) not in shared)


TWO_VIEWS = ("unimatch_v2", "dgcl")  # both of them, or the weak one too, are in the joint pass


@pytest.mark.parametrize("case", CASES[1::2], ids="-".join, scope="module")  # those with the neck
def test_the_memory_learns_from_the_unlabeled_images_once(finished, case):
    _, runner = finished(case)
    model, batch = runner.model.train(), a_step(runner)
    before = model.neck.memory.enqueued.sum()
    losses_of(model, batch)
    images = len(batch["data_samples"]["unlabeled"]) * (2 if case[0] in TWO_VIEWS else 1)
    assert model.neck.memory.enqueued.sum() - before == images * model.neck.in_channels


@cases
def test_unlabeled_scale_zero_leaves_the_supervised_loss(finished, case):
    _, runner = finished(case)
    losses = losses_of(runner.model.train(), a_step(runner) | dict(step=Step(unsup_scale=0.0)))
    assert all((value == 0) == name.startswith("unsup") for name, value in losses.items())


@cases
def test_evaluation_is_deterministic_and_changes_nothing(finished, case):
    _, runner = finished(case)
    model, images = runner.model.eval(), torch.randn(2, 3, CROP, CROP)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        first, second = (model(images, mode="tensor") for _ in range(2))
    assert torch.equal(first, second)
    assert_same_state(dict(model.state_dict()), before)


@cases
def test_checkpoint_round_trip(finished, case):
    folder, runner = finished(case)
    checkpoint = load_checkpoint(folder / f"iter_{STEPS}.pth")
    model = MODELS.build(method_model(*case))
    trained = {name[7:]: value for name, value in checkpoint["ema_state_dict"].items() if name.startswith("module.")}
    model.load_state_dict(trained)
    batch = a_step(runner) | dict(step=Step())  # each model labels by itself
    expected, got = losses_of(runner.model.train(), batch), losses_of(model.train(), batch)
    assert {name: value.item() for name, value in got.items()} == {k: v.item() for k, v in expected.items()}


@cases
def test_resumed_run_is_the_undisturbed_one(finished, small_data, tmp_path, case):
    folder, _ = finished(case)
    resume = dict(resume=True, load_from=str(folder / f"iter_{STOP}.pth"))
    run(method_config(small_data, tmp_path, *case, steps=STEPS, **resume))
    got, expected = (torch.load(at / f"iter_{STEPS}.pth", weights_only=False) for at in (tmp_path, folder))
    assert_same_run(got, expected)


@cases
def test_exports_to_a_plain_model(finished, case):
    folder, runner = finished(case)
    checkpoint = load_checkpoint(folder / f"iter_{STEPS}.pth")
    plain, _ = make_plain(runner.cfg, checkpoint, "iter.pth", "model")
    assert type(plain.model) is EncoderDecoder
    images = torch.randn(2, 3, CROP, CROP)
    with torch.no_grad():
        assert torch.equal(plain.model(images, mode="tensor"), runner.model.eval()(images, mode="tensor"))


def two_ranks(rank, data, folder):
    for case in EVERY_CASE:
        options = dict(launcher="pytorch", model_wrapper_cfg=dict(type="MMDistributedDataParallel"))
        cfg = method_config(data, folder / "-".join(case), *case, **options)
        runner = train(cfg)
        assert runner.model.find_unused_parameters is False
        teacher = next(hook for hook in runner.hooks if hasattr(hook, "ema_model")).ema_model
        states = dict(student=runner.model.module.state_dict(), teacher=teacher.state_dict())
        torch.save(states, folder / f"{'-'.join(case)}.{rank}.pth")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    run_ranks(two_ranks, write_data(folder / "data", labeled=4, unlabeled=8), folder)
    return folder


@pytest.mark.slow
@cases
def test_two_ranks_train_without_unused_parameters_and_stay_equal(ranks, case):
    first, second = (torch.load(ranks / f"{'-'.join(case)}.{rank}.pth") for rank in (0, 1))
    for role in ("student", "teacher"):  # batch norm sees each rank's own images, and rank 0's memory is what is read
        own = ("running_mean", "running_var", "neck.memory.")
        states = [{k: v for k, v in state[role].items() if not any(o in k for o in own)} for state in (first, second)]
        assert_same_state(*states)


@cases
def test_images_that_are_mixed_are_of_different_files(finished, case):
    """CutMix pastes the next image of the batch: over passes and their ends never an image into itself."""
    _, runner = finished(case)
    batches = [
        [sample.img_path for sample in batch["data_samples"]["unlabeled"]]
        for batch in next(hook for hook in runner.hooks if isinstance(hook, RecordHook)).batches
    ]
    assert len(batches) == STEPS  # a pass has three
    assert all(len(set(paths)) == len(paths) == 2 for paths in batches)
