"""What a resumed run has to have in common with its checkpoint, and what is converted where it may differ."""

from collections.abc import Iterator

import torch
from mmengine.dist import get_world_size
from mmengine.optim import OptimWrapperDict
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner
from torch import Tensor, nn

from mmseg_allspark.engine.checkpoint_fit import CheckpointFit

_PROGRESS = ("base_values", "_last_value")  # of a scheduler, not counted in steps
_FRESH = "To take over what fits and start anew, set load_from to it and leave --resume out (resume=False)."


def describe_steps(loop: BaseLoop) -> dict:
    """Say what an iteration number means.

    Args:
        loop: The training loop.

    Returns:
        ``processes``, ``images`` of a step over all of them by loader, and ``epoch``, the steps of an epoch (None
        for data without a length).
    """
    loaders = dict(train_dataloader=loop.dataloader)
    if hasattr(loop, "labeled_dataloader"):
        loaders = dict(train_dataloader=loop.labeled_dataloader, unlabeled_dataloader=loop.dataloader)
    world = get_world_size()
    sizes = {key: getattr(loader.batch_sampler, "batch_size", loader.batch_size) for key, loader in loaders.items()}
    images = {key: size * world for key, size in sizes.items() if size}
    has_length = hasattr(loop.dataloader.dataset, "__len__")
    return dict(processes=world, images=images, epoch=len(loop.dataloader) if has_length else None)


def check_resumable(
    runner: Runner, checkpoint: dict, model: nn.Module, given: dict[str, Tensor], fit: CheckpointFit, name: str
) -> None:
    """Raise unless parameters, optimizer and schedulers are those of the checkpoint.

    Args:
        runner: The runner about to resume.
        checkpoint: The checkpoint.
        model: The model, without a wrapper.
        given: The checkpoint's weights as they are in the file.
        fit: What of them fits.
        name: The checkpoint in messages.

    Raises:
        ValueError: Naming what differs.
    """
    needed = ["meta", "message_hub", "optimizer"] + ["param_schedulers"] * (runner.param_schedulers is not None)
    absent = [key for key in needed if key not in checkpoint]
    absent += [f"meta.{key}" for key in ("epoch", "iter") if key not in checkpoint.get("meta", ())]
    if absent:
        raise ValueError(
            f"{name} cannot be resumed: it has no {', '.join(absent)}, so it holds weights to use and not a run to "
            f"go on with (a best or a published checkpoint). {_FRESH}"
        )
    # Also what the model would resize: the optimizer's running means keep the old shape.
    if any(key in fit.missing or given.get(key, value).shape != value.shape for key, value in model.named_parameters()):
        raise ValueError(
            f"{name} cannot be resumed: the config's model is not the checkpoint's. {fit.describe()} The optimizer's "
            f"state belongs to the old shapes. {_FRESH}"
        )
    if isinstance(runner.optim_wrapper, OptimWrapperDict):
        return
    differing = _compare_optimizers(runner.optim_wrapper.optimizer, checkpoint["optimizer"])
    differing = differing or _compare_schedulers(runner.param_schedulers or [], checkpoint.get("param_schedulers", []))
    if differing:
        raise ValueError(f"{name} cannot be resumed: {differing}. Restore the config it was made with. {_FRESH}")


def _compare_optimizers(optimizer: torch.optim.Optimizer, saved: dict) -> str | None:
    """Say why an optimizer cannot take over a saved state; None if it can."""
    groups, old_groups = optimizer.param_groups, saved["param_groups"]
    settings, old_settings = _list_settings(groups[0]), _list_settings(old_groups[0])
    if settings != old_settings:
        return (
            f"the optimizer is a {type(optimizer).__name__} with the settings {', '.join(sorted(settings))}, in the "
            f"checkpoint they are {', '.join(sorted(old_settings))}"
        )
    sizes, old_sizes = ([len(group["params"]) for group in part] for part in (groups, old_groups))
    if sizes != old_sizes:
        return (
            f"the optimizer has {sum(sizes)} parameters in {len(sizes)} groups, in the checkpoint {sum(old_sizes)} in "
            f"{len(old_sizes)} (optim_wrapper.paramwise_cfg, or another model)"
        )
    for number, (parameter, state) in enumerate(_pair_states(groups, saved)):
        for key, value in state.items():
            if isinstance(value, Tensor) and value.dim() == parameter.dim() and value.shape != parameter.shape:
                return (
                    f"parameter {number} of the optimizer has the shape {tuple(parameter.shape)}, its {key} in the "
                    f"checkpoint {tuple(value.shape)}"
                )
    return None


def _list_settings(group: dict) -> set[str]:
    """Names that tell one kind of optimizer from another; switches come and go with versions of torch."""
    return {
        key
        for key, value in group.items()
        if key != "params" and not key.startswith("initial_") and value is not None and not isinstance(value, bool)
    }


def _pair_states(groups: list[dict], saved: dict) -> Iterator[tuple[Tensor, dict]]:
    """Pair each parameter with its saved state."""
    for group, old in zip(groups, saved["param_groups"], strict=True):
        for parameter, index in zip(group["params"], old["params"], strict=True):
            yield parameter, saved["state"].get(index, {})


def _compare_schedulers(schedulers: list, saved: list[dict]) -> str | None:
    """Say why schedulers cannot take over saved states; None if they can."""
    if isinstance(schedulers, dict) or isinstance(saved, dict):
        return None
    if len(schedulers) != len(saved):
        return f"param_scheduler has {len(schedulers)} entries, in the checkpoint {len(saved)}"
    for number, (scheduler, state) in enumerate(zip(schedulers, saved, strict=True)):
        differing = set(scheduler.state_dict()) ^ set(state)
        if differing:
            return (
                f"param_scheduler[{number}] is a {type(scheduler).__name__}, in the checkpoint it is another one "
                f"(they do not share {', '.join(sorted(differing))})"
            )
    return None


def move_position(runner: Runner, checkpoint: dict) -> None:
    """Go on at the same share of the training where a step or an epoch has become another; say what changed.

    With ``max_epochs`` an epoch may have another number of steps (processes, batch size, images): iteration and
    schedules given in epochs are converted. With ``max_iters`` iterations stay as they are. The learning rate
    stays the checkpoint's, or becomes that of the config where ``auto_scale_lr.enable`` says so.

    Args:
        runner: The runner about to resume.
        checkpoint: The checkpoint; changed in place. Without ``meta.steps`` (written by other tools) nothing is known
            about its steps and nothing is changed.
    """
    loop, meta = runner.train_loop, checkpoint["meta"]
    before, now = meta.get("steps"), describe_steps(loop)
    if before is None or before == now:
        return
    done, schedulers = meta["iter"], runner.param_schedulers or []
    pairs = {"processes": (before["processes"], now["processes"])}
    for key in now["images"].keys() & before["images"].keys():
        pairs[f"images per step ({key})"] = before["images"][key], now["images"][key]
    pairs["steps per epoch"] = before["epoch"], now["epoch"]
    changes = [f"{what} {old} -> {new}" for what, (old, new) in sorted(pairs.items()) if old != new]
    text = f"This run differs from the one resumed: {', '.join(changes)}. "
    if getattr(loop, "by_epoch", isinstance(loop, EpochBasedTrainLoop)) and before["epoch"] != now["epoch"]:
        meta["iter"] = done * now["epoch"] // before["epoch"]
        if isinstance(schedulers, list):
            _convert_schedules(schedulers, checkpoint.get("param_schedulers", []), now["epoch"], before["epoch"])
        text += (
            f"It goes on at the same share of the training: iteration {done} is now {meta['iter']} of "
            f"{loop.max_iters}. Settings in iterations (burn-in, warm-up) count the new ones. "
        )
    else:
        text += f"It goes on at iteration {done} of {loop.max_iters}. "
    key = "train_dataloader"  # what auto_scale_lr counts
    factor = now["images"].get(key, 1) / before["images"].get(key, now["images"].get(key, 1))
    if (runner.auto_scale_lr or {}).get("enable") and isinstance(schedulers, list):
        _scale_rates(runner.optim_wrapper.param_groups, checkpoint)
        text += "Learning rates are scaled to the config's (auto_scale_lr)."
    elif factor != 1:
        text += (
            "Learning rates stay the checkpoint's; in proportion to the labeled images of a step they would be "
            f"{factor:g} times as large (auto_scale_lr.enable=True)."
        )
    runner.logger.warning(text)


def _convert_schedules(schedulers: list, saved: list[dict], length: int, old_length: int) -> None:
    """Convert the states of schedules that were given in epochs and count iterations."""
    for scheduler, state in zip(schedulers, saved, strict=True):
        if state["by_epoch"] or (scheduler.begin, scheduler.end) == (state["begin"], state["end"]):
            continue
        steps = {key: state[key] * length // old_length for key in ("last_step", "_global_step")}
        state.update(scheduler.state_dict() | {key: state[key] for key in _PROGRESS} | steps)


def _scale_rates(groups: list[dict], checkpoint: dict) -> None:
    """Bring the checkpoint's learning rates to the level of the config's."""
    saved = checkpoint["optimizer"]
    # with paramwise_cfg mmengine counts the settings outside all groups as a last group, but saves them apart
    old_groups = [*saved["param_groups"], *([saved["base_param_settings"]] if "base_param_settings" in saved else [])]
    for number, (group, old) in enumerate(zip(groups, old_groups, strict=False)):
        key = "initial_lr" if "initial_lr" in group and "initial_lr" in old else "lr"
        factor = group[key] / old[key] if old[key] else 1.0
        for name in {"lr", key}:
            old[name] *= factor
        for state in checkpoint.get("param_schedulers", ()):
            if state["param_name"] == "lr":
                for values in (state["base_values"], state["_last_value"]):
                    values[number] *= factor


def warn_of_ignored_settings(runner: Runner, checkpoint: dict, name: str) -> None:
    """Warn where the config's optimizer or schedules have other settings: those of the checkpoint go on.

    Args:
        runner: The runner about to resume.
        checkpoint: The checkpoint.
        name: The checkpoint in messages.
    """
    if isinstance(runner.optim_wrapper, OptimWrapperDict):
        return
    ignored: dict[str, None] = {}  # in order, each once
    groups = runner.optim_wrapper.optimizer.param_groups
    for group, old in zip(groups, checkpoint["optimizer"]["param_groups"], strict=True):
        for key in sorted(_list_settings(group)):
            initial = f"initial_{key}" if f"initial_{key}" in old and f"initial_{key}" in group else key
            if group[initial] != old[initial]:
                ignored[f"optimizer {key}={_plain(old[initial])} (config: {_plain(group[initial])})"] = None
    for number, scheduler in enumerate(runner.param_schedulers or ()):
        state = checkpoint["param_schedulers"][number]
        for key in ("begin", "end"):
            if state[key] != getattr(scheduler, key):
                ignored[f"param_scheduler[{number}].{key}={state[key]} (config: {getattr(scheduler, key)})"] = None
    if ignored:
        runner.logger.warning(
            f"{name} goes on with its own settings, not the config's: {', '.join(list(ignored)[:6])}"
            + (f" and {len(ignored) - 6} more." if len(ignored) > 6 else ".")
        )


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
