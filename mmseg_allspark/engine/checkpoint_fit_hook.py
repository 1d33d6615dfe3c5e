"""CheckpointFitHook: what of a checkpoint does not fit is said in words, and stops what would be wrong."""

import logging
from typing import Any

from mmengine.hooks import EMAHook, Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from mmseg.registry import HOOKS
from torch import Tensor, nn

from mmseg_allspark.engine.checkpoint_fit import CheckpointFit, fit_state_dict
from mmseg_allspark.engine.resume_checks import check_resumable, describe_steps, move_position, warn_of_ignored_settings
from mmseg_allspark.models import holds_average

_LEAST_SHARE = 0.5  # of the backbone; a few entries of any two networks happen to have the same shape


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """Compares a checkpoint with the model and the run before it is loaded.

    ``load_from`` in training: what fits is loaded, the rest stays as initialised, and one warning says by module what
    and why. If less than half of the backbone fits, that is an error. ``resume``: parameters, optimizer and
    schedulers have to be those of the checkpoint; with another number of processes or images per step the position
    is converted, see :func:`move_position`. Validation and test: whatever the network needs has to be in the
    checkpoint. Class names that differ from the data set's are a warning in all cases.

    ``PseudoLabelLoop`` and our tools register it; elsewhere add ``dict(type='CheckpointFitHook')`` to the hooks.
    """

    priority = "HIGH"  # before EMAHook, which loads its average from the checkpoint

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Write down what the position means: processes, images per step, steps per epoch."""
        checkpoint["meta"]["steps"] = describe_steps(runner.train_loop)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check, report, and leave in the checkpoint what fits.

        Raises:
            ValueError: If this is no checkpoint, or of another network; when a run is resumed or tested, if anything
                that matters does not fit.
        """
        name = runner._load_from or "The checkpoint"
        training = isinstance(runner._train_loop, BaseLoop)
        resuming = training and runner._resume
        _find_weights(checkpoint, name)
        if resuming and "ema_state_dict" in checkpoint and not any(isinstance(hook, EMAHook) for hook in runner.hooks):
            _take_own_weights(checkpoint)
            runner.logger.warning(
                f"{name} holds a moving average but the run has no EMAHook: the average is left out, training "
                "goes on with the model's own weights."
            )
        model = _innermost(runner.model)
        given = dict(checkpoint["state_dict"])
        fit = fit_state_dict(model, checkpoint["state_dict"])
        if resuming:
            check_resumable(runner, checkpoint, model, given, fit, name)
        elif training:
            _check_share(model, fit, given, name)
        else:
            _check_test(fit, name)
        if not fit.is_whole:
            fresh = training and (fit.changed or fit.missing)
            # running estimates begin anew where training starts from another method's checkpoint: nothing is wrong
            estimates = fit.training_only - fit.parameters
            odd = fit.changed or fit.adapted or fit.unexpected or not estimates.issuperset(fit.missing)
            runner.logger.log(
                logging.WARNING if odd else logging.INFO,
                f"{name}: {fit.describe()}" + (" What was not taken stays as initialised." if fresh else ""),
            )
        _compare_classes(runner, checkpoint, name)
        checkpoint["state_dict"] = fit.state
        if resuming:
            _fit_average(model, checkpoint)
            move_position(runner, checkpoint)
            warn_of_ignored_settings(runner, checkpoint, name)


def require_checkpoint_fit(runner: Runner) -> None:
    """Register the hook with a runner of mmengine's standard kind that has none.

    Args:
        runner: The runner; checkpoints of ``FlexibleRunner`` have another form.
    """
    if isinstance(runner, Runner) and not any(isinstance(hook, CheckpointFitHook) for hook in runner.hooks):
        runner.register_hook(CheckpointFitHook())


def _innermost(model: nn.Module) -> nn.Module:
    """The model that mmengine loads the weights into."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def _find_weights(checkpoint: Any, name: str) -> None:
    """Leave a ``state_dict`` in the checkpoint, without the prefix of a distributed wrapper."""
    if not isinstance(checkpoint, dict):
        raise ValueError(f"{name} is no checkpoint: it holds a {type(checkpoint).__name__}, not a dict of weights.")
    if (
        "state_dict" not in checkpoint
        and checkpoint
        and all(isinstance(value, Tensor) for value in checkpoint.values())
    ):
        weights = dict(checkpoint)
        checkpoint.clear()
        checkpoint["state_dict"] = weights
    weights = checkpoint.get("state_dict")
    if not isinstance(weights, dict) or not weights:
        raise ValueError(
            f"{name} has no weights under 'state_dict', it holds {', '.join(map(str, checkpoint)) or 'nothing'}. "
            "A checkpoint of the released AllSpark is converted by tools/convert_reference_checkpoint.py."
        )
    for key in [key for key in weights if key.startswith("module.")]:
        weights[key.removeprefix("module.")] = weights.pop(key)


def _take_own_weights(checkpoint: dict) -> None:
    """Leave the trained weights in ``state_dict`` and nothing else."""
    average = checkpoint.pop("ema_state_dict")
    if not holds_average(checkpoint):
        return
    checkpoint["state_dict"].update(
        {key.removeprefix("module."): value for key, value in average.items() if key.startswith("module.")}
    )


def _fit_average(model: nn.Module, checkpoint: dict) -> None:
    """What does not fit the model does not fit its average; torch would raise."""
    average = checkpoint.get("ema_state_dict")
    if average is None:
        return
    own = {key.removeprefix("module."): value for key, value in average.items() if key.startswith("module.")}
    fitting = fit_state_dict(model, own).state
    counters = {key: value for key, value in average.items() if not key.startswith("module.")}
    checkpoint["ema_state_dict"] = counters | {f"module.{key}": value for key, value in fitting.items()}


def _check_share(model: nn.Module, fit: CheckpointFit, given: dict, name: str) -> None:
    """Raise if training would as good as start from scratch."""
    sizes = {key: value.numel() for key, value in model.named_parameters()}
    sizes = {key: size for key, size in sizes.items() if key.startswith("backbone.")} or sizes
    share = sum(size for key, size in sizes.items() if key in fit.loaded) / max(1, sum(sizes.values()))
    if share >= _LEAST_SHARE:
        return
    alone = any(f"backbone.{key}" in fit.state for key in given)
    remedy = (
        "These look like weights of the backbone alone: leave load_from out and set model.backbone.init_cfg="
        "dict(type='Pretrained', checkpoint=...)."
        if alone
        else "Choose a checkpoint of this backbone, or leave load_from out."
    )
    raise ValueError(f"load_from={name} fits {share:.0%} of the backbone's weights. {fit.describe()} {remedy}")


def _check_test(fit: CheckpointFit, name: str) -> None:
    """Raise if something would be evaluated that was never trained; a table that a module computes itself was not."""
    trained = fit.parameters | {name for name in fit.missing if name.endswith(("running_mean", "running_var"))}
    if ({*fit.changed} | {*fit.missing} & trained) - fit.training_only:
        raise ValueError(
            f"{name} does not fit the config's model, and parts that were not trained would be evaluated. "
            f"{fit.describe()} Use the config that the checkpoint was trained with (model, num_classes)."
        )


def _compare_classes(runner: Runner, checkpoint: dict, name: str) -> None:
    """Warn if a class number means one thing in the checkpoint and another in the data."""
    meta = checkpoint.get("meta") or {}
    trained = (meta.get("dataset_meta") or {}).get("classes") or meta.get("CLASSES")  # the latter: mmseg 0.x
    loops = (runner._train_loop, runner._test_loop, runner._val_loop)
    loop = next((loop for loop in loops if isinstance(loop, BaseLoop)), None)
    dataset = getattr(getattr(loop, "dataloader", None), "dataset", None)
    present = (getattr(dataset, "metainfo", None) or {}).get("classes")
    if not trained or not present or tuple(trained) == tuple(present):
        return
    if len(trained) != len(present):
        text = f"{len(trained)} classes, the data have {len(present)}"
    else:
        differing = [index for index, pair in enumerate(zip(trained, present, strict=True)) if pair[0] != pair[1]]
        pairs = ", ".join(f"{index} was {trained[index]!r}, is {present[index]!r}" for index in differing[:5])
        more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
        text = f"as many classes as the data, but others: {pairs}{more}. Outputs keep their number and change meaning"
    runner.logger.warning(f"{name} was trained on {text}.")
