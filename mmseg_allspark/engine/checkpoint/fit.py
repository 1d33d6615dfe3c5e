"""CheckpointFitHook: what of a checkpoint does not fit is said in words, and stops what would be wrong."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from mmengine.dist import get_world_size
from mmengine.hooks import EMAHook, Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from mmseg.registry import HOOKS
from torch import Tensor, nn

from mmseg_allspark.utils.training_only import training_only_names
from mmseg_allspark.utils.weights_fit import WeightsFit, check_inference_fit, fit_weights, shorten

_LEAST_SHARE = 0.5  # of the backbone; a few entries of any two networks happen to have the same shape


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """Compares a checkpoint with the model and the run before it is loaded.

    ``load_from`` in training: what fits is loaded, the rest stays as initialised, and one warning says what and why. If
    less than half of the backbone fits, that is an error. ``resume``: model, optimizer, schedules, processes, images
    per step and steps per epoch have to be those of the checkpoint. Validation and test: network and checkpoint have
    to be of one kind. Class names that differ from the data set's are a warning in all cases.

    ``PseudoLabelLoop`` and our tools register it; elsewhere add ``dict(type='CheckpointFitHook')`` to the hooks.
    """

    priority = "HIGH"  # before EMAHook, which loads its average from the checkpoint

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Write down what the position means: processes, images per step, steps per epoch."""
        checkpoint["meta"]["steps"] = _describe_steps(runner.train_loop)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check, report, and leave in the checkpoint what fits; ``ValueError`` where it must not be used."""
        name = runner._load_from or "The checkpoint"
        model = runner.model
        while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
            model = model.module
        fit = fit_weights(model, _find_weights(checkpoint, name))
        fresh, silent = "", set()
        if not isinstance(runner._train_loop, BaseLoop):
            check_inference_fit(model, fit, name, checkpoint)
        elif not runner._resume:
            _check_share(model, fit, name)
            silent = _running_estimates(model)
            fresh = " What was not taken stays as initialised." if fit.changed or fit.missing else ""
        else:
            problem = next(_resume_problems(runner, checkpoint, model, fit), None)
            if problem is not None:
                raise ValueError(
                    f"{name} cannot be resumed: {problem}. Restore the settings it was made with; or take over what "
                    "fits and start anew: set load_from to it and leave --resume out (resume=False)."
                )
            _warn_of_ignored_settings(runner, checkpoint, name)
        if fit.changed or fit.resized or fit.unexpected or not silent.issuperset(fit.missing):
            runner.logger.warning(f"{name}: {fit.describe()}{fresh}")
        _compare_classes(runner, checkpoint, name)
        checkpoint["state_dict"] = fit.state


def require_checkpoint_fit(runner: Runner) -> None:
    """Register the hook with a runner that has none; checkpoints of ``FlexibleRunner`` have another form."""
    if isinstance(runner, Runner) and not any(isinstance(hook, CheckpointFitHook) for hook in runner.hooks):
        runner.register_hook(CheckpointFitHook())


def _find_weights(checkpoint: Any, name: str) -> dict[str, Tensor]:
    """The weights, framed or bare, without the prefix of a distributed wrapper."""
    weights = checkpoint.get("state_dict", checkpoint) if isinstance(checkpoint, dict) else None
    if not isinstance(weights, dict) or not any(isinstance(value, Tensor) for value in weights.values()):
        held = ", ".join(map(str, checkpoint)) if isinstance(checkpoint, dict) else f"a {type(checkpoint).__name__}"
        raise ValueError(
            f"{name} holds no weights, neither under 'state_dict' nor bare, but {held or 'nothing'}. "
            "A checkpoint of the released AllSpark is converted by tools/convert_reference_checkpoint.py."
        )
    found = OrderedDict((key.removeprefix("module."), value) for key, value in weights.items())
    found._metadata = getattr(weights, "_metadata", {})
    return found


def _running_estimates(model: nn.Module) -> set[str]:
    """Buffers of training that no supervised checkpoint has and that a new run collects anew."""
    return {key for key, _ in model.named_buffers()} & training_only_names(model)


def _check_share(model: nn.Module, fit: WeightsFit, name: str) -> None:
    """Raise if training would as good as start from scratch."""
    sizes = {key: value.numel() for key, value in model.named_parameters()}
    sizes = {key: size for key, size in sizes.items() if key.startswith("backbone.")} or sizes
    left_out = fit.changed.keys() | fit.missing
    share = sum(size for key, size in sizes.items() if key not in left_out) / max(1, sum(sizes.values()))
    if share < _LEAST_SHARE:
        raise ValueError(
            f"load_from={name} fits {share:.0%} of the backbone's weights. {fit.describe()} Choose a checkpoint of "
            "this backbone, or leave load_from out; weights of a backbone alone are given as model.backbone.init_cfg="
            "dict(type='Pretrained', checkpoint=...)."
        )


def _compare_classes(runner: Runner, checkpoint: dict, name: str) -> None:
    """Warn if a class number means one thing in the checkpoint and another in the data."""
    meta = checkpoint.get("meta") or {}
    trained = (meta.get("dataset_meta") or {}).get("classes") or meta.get("CLASSES")  # the latter: mmseg 0.x
    loops = (runner._train_loop, runner._test_loop, runner._val_loop)
    loop = next((loop for loop in loops if isinstance(loop, BaseLoop)), None)
    dataset = getattr(getattr(loop, "dataloader", None), "dataset", None)
    present = (getattr(dataset, "metainfo", None) or {}).get("classes")
    if trained and present and tuple(trained) != tuple(present):
        pairs = enumerate(zip(trained, present, strict=False))
        renamed = [f"{index} was {old!r}, is {new!r}" for index, (old, new) in pairs if old != new]
        runner.logger.warning(
            f"{name} was trained on {len(trained)} classes, the data have {len(present)}"
            + (f": {shorten(renamed)}. Outputs keep their number and change meaning." if renamed else ".")
        )


def _describe_steps(loop: BaseLoop) -> dict:
    """What an iteration number means; ``epoch`` is its number of steps, None for data without a length."""
    loaders = dict(train_dataloader=loop.dataloader)
    if hasattr(loop, "labeled_dataloader"):
        loaders = dict(train_dataloader=loop.labeled_dataloader, unlabeled_dataloader=loop.dataloader)
    world = get_world_size()
    sizes = {key: getattr(loader.batch_sampler, "batch_size", loader.batch_size) for key, loader in loaders.items()}
    images = {key: size * world for key, size in sizes.items() if size}
    has_length = hasattr(loop.dataloader.dataset, "__len__")
    return dict(processes=world, images=images, epoch=len(loop.dataloader) if has_length else None)


def _resume_problems(runner: Runner, checkpoint: dict, model: nn.Module, fit: WeightsFit) -> Iterator[str]:
    """Say what keeps a run from going on, the first thing first."""
    needed = ["meta", "message_hub", "optimizer"] + ["param_schedulers"] * (runner.param_schedulers is not None)
    absent = [key for key in needed if key not in checkpoint]
    absent += [f"meta.{key}" for key in ("epoch", "iter") if key not in checkpoint.get("meta", ())]
    if absent:
        yield f"it has no {', '.join(absent)}, so it holds weights to use (as the best one does) and not a run"
    if "ema_state_dict" in checkpoint and not any(isinstance(hook, EMAHook) for hook in runner.hooks):
        yield "it holds a moving average, but the run has no EMAHook"
    before, now = checkpoint["meta"].get("steps"), _describe_steps(runner.train_loop)
    if before not in (None, now):  # None: written by another tool
        yield f"processes, images of a step and steps of an epoch were {before}, now they are {now}"
    if fit.changed or fit.resized or fit.unexpected or {key for key, _ in model.named_parameters()} & {*fit.missing}:
        yield f"the config's model is not the checkpoint's. {fit.describe().rstrip('.')}"
    groups, saved = runner.optim_wrapper.optimizer.param_groups, checkpoint["optimizer"]["param_groups"]
    kind, old_kind = (", ".join(_settings(part[0])) for part in (groups, saved))
    if kind != old_kind:
        yield f"the optimizer's settings are {kind}, in the checkpoint they are {old_kind}"
    sizes, old_sizes = ([len(group["params"]) for group in part] for part in (groups, saved))
    if sizes != old_sizes:
        yield (
            f"the optimizer has {sum(sizes)} parameters in {len(sizes)} groups, in the checkpoint {sum(old_sizes)} in "
            f"{len(old_sizes)} (optim_wrapper.paramwise_cfg)"
        )
    schedulers, states = runner.param_schedulers or [], checkpoint.get("param_schedulers", [])
    if [one.state_dict().keys() for one in schedulers] != [state.keys() for state in states]:
        yield f"param_scheduler has {len(schedulers)} entries, in the checkpoint {len(states)}, or others"


def _settings(group: dict) -> list[str]:
    """Names that tell one kind of optimizer from another; switches come and go with versions of torch."""
    return sorted(
        key
        for key, value in group.items()
        if key != "params" and not key.startswith("initial_") and value is not None and not isinstance(value, bool)
    )


def _warn_of_ignored_settings(runner: Runner, checkpoint: dict, name: str) -> None:
    """Warn where the config's optimizer or schedules have other settings: those of the checkpoint go on."""
    found = []
    for group, old in zip(
        runner.optim_wrapper.optimizer.param_groups, checkpoint["optimizer"]["param_groups"], strict=True
    ):
        for key in _settings(group):
            first = f"initial_{key}" if f"initial_{key}" in old.keys() & group.keys() else key
            found.append((f"optimizer {key}", old[first], group[first]))
    for number, scheduler in enumerate(runner.param_schedulers or ()):
        state = checkpoint["param_schedulers"][number]
        found += [(f"param_scheduler[{number}].{key}", state[key], getattr(scheduler, key)) for key in ("begin", "end")]
    ignored = dict.fromkeys(f"{key}={old} (config: {new})" for key, old, new in found if old != new)  # each once
    if ignored:
        runner.logger.warning(f"{name} goes on with its own settings, not the config's: {shorten(list(ignored))}.")
