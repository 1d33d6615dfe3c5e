"""Train a config for another number of iterations: the settings that move with the length of a training."""

from __future__ import annotations

from collections.abc import Collection

from _config_checks import walk
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS

Options = dict[str, object]
OWN_LOOPS = ("PseudoLabelLoop", "SupervisedLoop")
LOOPS = ("IterBasedTrainLoop", "EpochBasedTrainLoop", *OWN_LOOPS)
PHASES = ("burn_in_iters", "ramp_up_iters", "warmup_iters", "begin_iter")  # of loops, hooks and models
EPOCH_PHASES = {"warmup_epochs": "warmup_iters", "begin_epoch": "begin_iter"}
TIMES = ("begin", "end", "T_max", "total_steps", "step_size")  # of schedulers
LISTS = ("milestones", "periods")
PICTURES = "PseudoLabelVisualizationHook"
QUICK_STEPS, QUICK_VALIDATIONS, QUICK_IMAGES = 200, 4, 50  # of a first look


def counts_epochs(cfg: Config) -> bool:
    """Whether the length of a config's training is given in epochs."""
    return cfg.train_cfg.get("max_epochs") is not None


def steps_options(
    cfg: Config, steps: int, val_interval: int | None = None, given: Collection[str] = ()
) -> tuple[Options, Options]:
    """Options that stretch or shorten a training and all its phases in proportion; epochs become iterations.

    Validations, checkpoints and pictures of pseudo labels come every ``val_interval`` iterations, by default eight
    times. Keys that the user has ``given`` stay. The first part is about loop, validations, log, checkpoints and
    pictures, the second about schedules and phases.
    """
    kind = cfg.train_cfg.get("type") or ("EpochBasedTrainLoop" if counts_epochs(cfg) else "IterBasedTrainLoop")
    if kind not in LOOPS:
        raise ValueError(f"train_cfg.type={kind!r}: the length can be changed of {', '.join(LOOPS)}.")
    whole = cfg.train_cfg.max_epochs if counts_epochs(cfg) else cfg.train_cfg.max_iters
    phases = _schedulers(cfg, steps, whole, given) | _phases(cfg, steps, whole, given)
    return _loop(cfg, kind, steps, val_interval or max(1, steps // 8), given), phases


def _loop(cfg: Config, kind: str, steps: int, val_interval: int, given: Collection[str]) -> Options:
    """Length, validations, log and checkpoints."""
    options: Options = {"train_cfg.max_iters": steps, "train_cfg.val_interval": val_interval}
    if "val_begin" in cfg.train_cfg:
        options["train_cfg.val_begin"] = 1
    if counts_epochs(cfg):
        if kind in OWN_LOOPS:
            options["train_cfg.max_epochs"] = None
        else:  # mmengine's loops know max_epochs or max_iters, not both
            options |= {"train_cfg._delete_": True, "train_cfg.type": "IterBasedTrainLoop"}
    hooks = cfg.get("default_hooks") or {}
    logger, checkpoint = hooks.get("logger") or {}, hooks.get("checkpoint") or {}
    pictures = [name for name, hook in hooks.items() if hook and hook.get("type") == PICTURES]
    options |= {
        "log_processor.by_epoch": False,
        "default_hooks.logger.type": logger.get("type", "LoggerHook"),
        "default_hooks.logger.log_metric_by_epoch": False,
        # some twenty lines at least, of which the time of an iteration is read
        "default_hooks.logger.interval": max(1, min(logger.get("interval", 10), steps // 20)),
        "default_hooks.checkpoint.type": checkpoint.get("type", "CheckpointHook"),
        "default_hooks.checkpoint.by_epoch": False,
        "default_hooks.checkpoint.interval": val_interval,
        "default_hooks.checkpoint.max_keep_ckpts": 2,
    } | {f"default_hooks.{name}.interval": val_interval for name in pictures}
    return {key: value for key, value in options.items() if key not in given}


def _stretch(value: int, steps: int, whole: int) -> int:
    """``value`` of ``whole`` as a share of ``steps``; what took some time still takes some."""
    return max(1, round(value * steps / whole)) if value > 0 else value


def _schedulers(cfg: Config, steps: int, whole: int, given: Collection[str]) -> Options:
    """Beginnings and ends of the learning rate's schedulers."""
    options: Options = {}
    for path, part in walk(cfg.get("param_scheduler") or [], "param_scheduler"):
        by_epoch = part.get("by_epoch", True)
        times = [key for key in (*TIMES, *LISTS) if part.get(key) and f"{path}.{key}" not in given]
        if times and by_epoch != counts_epochs(cfg):
            raise _unknown(cfg, f"{path}.{times[0]}", part[times[0]])
        if part["type"].startswith("Exponential"):
            raise ValueError(f"{path}.type={part['type']!r} decays by a factor a step and has no end to move.")
        if by_epoch:
            options |= {f"{path}.by_epoch": False, f"{path}.convert_to_iter_based": False}
        for key in times:
            moved = [_stretch(value, steps, whole) for value in (part[key] if key in LISTS else [part[key]])]
            options[f"{path}.{key}"] = moved if key in LISTS else moved[0]
        begin, end = (options.get(f"{path}.{key}", part.get(key)) for key in ("begin", "end"))
        if begin is not None and end is not None and begin >= end:
            raise ValueError(
                f"{path}: {part['type']} would begin at {begin} and end at {end} of {steps} iterations. Train longer, "
                f"or set {path}.begin and {path}.end with --cfg-options."
            )
    return {key: value for key, value in options.items() if key not in given}


def _phases(cfg: Config, steps: int, whole: int, given: Collection[str]) -> Options:
    """Burn-in, ramp-up and warm-ups of loop, hooks and model."""
    options: Options = {}
    for top in ("train_cfg", "custom_hooks", "default_hooks", "model"):
        for path, part in walk(cfg.get(top) or {}, top):
            for key in (*PHASES, *EPOCH_PHASES):
                value, name = part.get(key), f"{path}.{key}"
                if not isinstance(value, int) or value <= 0 or name in given:
                    continue
                if (key in EPOCH_PHASES) != counts_epochs(cfg):
                    raise _unknown(cfg, name, value)
                if key in EPOCH_PHASES:
                    options[name] = 0
                    name = f"{path}.{EPOCH_PHASES[key]}"
                options[name] = _stretch(value, steps, whole)
    return options


def _unknown(cfg: Config, key: str, value: object) -> ValueError:
    own, other = ("epochs", "iterations") if counts_epochs(cfg) else ("iterations", "epochs")
    return ValueError(
        f"{key}={value} counts {other} while the training counts {own}: which share of the training that is cannot be "
        f"told. Say it in {own} in the config, or set what it shall be with --cfg-options."
    )


def quick_options(cfg: Config, steps: int | None, given: Collection[str]) -> tuple[Options, str]:
    """Options of a first look, and what they do in words: few iterations (200), few validations on a few images.

    Keys that the user has ``given`` stay.
    """
    steps = steps or QUICK_STEPS
    interval = max(1, steps // QUICK_VALIDATIONS)
    length, phases = steps_options(cfg, steps, interval, given)
    options, said = length | phases, f"{steps} iterations, validated every {interval}"
    key = "val_dataloader.dataset"
    if cfg.get("val_dataloader") and "indices" not in cfg.val_dataloader.dataset and key not in given:
        with DefaultScope.overwrite_default_scope(cfg.get("default_scope", "mmseg")):
            images = DATASETS.build(cfg.val_dataloader.dataset)
        if len(images) > QUICK_IMAGES and isinstance(images, BaseDataset):
            options[f"{key}.indices"] = [len(images) * number // QUICK_IMAGES for number in range(QUICK_IMAGES)]
            said += f" on {QUICK_IMAGES} of {len(images)} images"
    return options, said


def to_arguments(options: Options) -> list[str]:
    """Options as words of ``--cfg-options``."""
    return [f"{key}={str(value).replace(' ', '')}" for key, value in options.items()]
