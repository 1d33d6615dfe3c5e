"""Train a segmentor: ``python tools/train.py CONFIG [--steps N | --quick] [--work-dir DIR] [--resume] [--amp] …``."""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError

# a checkout needs no installation of the plugin
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# first: it registers everything, and settles differences between the two mm* families
import mmseg_allspark  # noqa: F401

# isort: split
from _common import (
    add_common_arguments,
    build_runner,
    load_config,
    require_file,
    require_gpu_for_amp,
    start_processes,
)
from _config_checks import (
    check_component_keys,
    check_data_paths,
    check_hooks,
    check_palettes,
    check_pretrained_files,
    drop_pretrained,
    pretrained_weights,
)
from _console import StartHook, begin, describe_end, describe_stop
from _errors import Parser, errors_in_one_line, say
from _schedule import quick_options, steps_options
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from mmseg.registry import HOOKS
from torch.distributed.elastic.multiprocessing.errors import record

from mmseg_allspark.datasets.data_report import is_semi_supervised
from mmseg_allspark.datasets.setting_checks import LOADER_KEYS, check_classes, check_zero_label
from mmseg_allspark.engine import SupervisedLoop
from mmseg_allspark.engine.checkpoint.resume_point import NAMES, find_resume_point
from mmseg_allspark.utils.distributed import shutdown_distributed
from mmseg_allspark.utils.work_dir_lock import only_training_in
from mmseg_allspark.utils.wrappers import bare_model

LENGTHS = ("train_cfg.max_iters", "train_cfg.max_epochs")


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; a missing config or checkpoint is a usage error (exit code 2)."""
    parser = Parser(description="Train a segmentor")
    parser.add_argument("config", help="config file")
    what = "train N iterations instead; schedule, burn-in, ramp-up, warm-ups and all intervals in proportion"
    parser.add_argument("--steps", type=int, metavar="N", help=what)
    what = "a first look: 200 iterations unless --steps says how many, 4 validations on 50 images at most"
    parser.add_argument("--quick", action="store_true", help=what)
    what = "go on from CHECKPOINT, or from the latest one in the work directory when none is named"
    parser.add_argument("--resume", nargs="?", const="auto", metavar="CHECKPOINT", help=what)
    parser.add_argument("--amp", action="store_true", help="train with mixed precision (on the CPU: bfloat16)")
    add_common_arguments(parser)
    args = parser.parse_args(argv)
    require_file(parser, args.config, "config")
    if args.resume not in (None, "auto"):
        require_file(parser, args.resume, "checkpoint to resume")
    if args.steps is not None and args.steps < 2:
        parser.error(f"--steps {args.steps}: at least 2")
    clash = [key for key in LENGTHS if key in (args.cfg_options or ())]
    if clash and (args.steps or args.quick):
        parser.error(f"--cfg-options {clash[0]}: --steps says this")
    return args


def set_length(cfg: Config, args: argparse.Namespace) -> None:
    """Do what ``--steps`` and ``--quick`` ask for; without them warn of a length that the schedule does not follow.

    Raises:
        ValueError: For a setting that cannot be moved, naming it.
    """
    given = args.cfg_options or {}
    if args.quick:
        options, said = quick_options(cfg, args.steps, given)
        if is_main_process():
            say(f"--quick: {said}")
        cfg.merge_from_dict(options)
        if args.work_dir is None and "work_dir" not in given:
            cfg.work_dir = cfg.experiment_name = f"{cfg.work_dir}_quick"  # no checkpoint of it is in the way later
    elif args.steps is not None:
        length, phases = steps_options(cfg, args.steps, given=given)
        cfg.merge_from_dict(length | phases)
    elif (key := next((key for key in LENGTHS if key in given), None)) and not any(
        name.startswith("param_scheduler") for name in given
    ):
        text = f"--cfg-options {key}={given[key]} leaves schedule, burn-in and warm-ups as they are"
        warnings.warn(f"{text}. --steps N moves them, too.", stacklevel=2)


def enable_amp(cfg: Config) -> None:
    """Switch the optimizer wrapper to mixed precision: mmengine's on a GPU, ours in bfloat16 on the CPU.

    Raises:
        ValueError: The config uses an optimizer wrapper of its own.
    """
    kind = cfg.optim_wrapper.get("type", "OptimWrapper")  # mmengine's default
    if kind == "AutocastOptimWrapper":
        return
    if kind not in ("OptimWrapper", "AmpOptimWrapper"):
        raise ValueError(f'--amp works with optim_wrapper.type="OptimWrapper", but the config has {kind!r}.')
    if get_device() == "cpu":
        cfg.optim_wrapper.update(type="AutocastOptimWrapper", dtype="bfloat16")
        dropped = cfg.optim_wrapper.pop("loss_scale", None)
        print_log(
            "--amp: no GPU, training in bfloat16 on the CPU (AutocastOptimWrapper)"
            + ("." if dropped is None else f"; loss_scale={dropped!r} is left out, bfloat16 needs none."),
            "current",
        )
        return
    cfg.optim_wrapper.type = "AmpOptimWrapper"
    cfg.optim_wrapper.setdefault("loss_scale", "dynamic")


def set_resume(cfg: Config, resume: str | None) -> None:
    """Translate ``--resume`` to the Runner's ``resume`` and ``load_from``.

    Without a name it is the newest complete checkpoint; what was cut off by a kill is passed over.
    ``load_from`` of the config holds start weights, and the Runner would resume from *them*. They are put
    aside when the work directory has a checkpoint, and kept when there is nothing to resume yet.

    Raises:
        FileNotFoundError: If ``last_checkpoint`` names a checkpoint and there is none that is complete.
    """
    if resume is None:
        return
    if resume != "auto":
        cfg.resume, cfg.load_from = True, resume
        return
    template = ((cfg.get("default_hooks") or {}).get("checkpoint") or {}).get("filename_tmpl")
    found = [find_resume_point(cfg.work_dir, (template,) if template else NAMES)]
    broadcast_object_list(found)  # rank 0 chooses: another machine may see the folder a moment later
    point = found[0]
    if point.skipped:
        print_log(f"--resume: passed over {point.describe_skipped()}.", "current", logging.WARNING)
    if point.checkpoint is not None:
        print_log(f"--resume: training goes on from {point.checkpoint}.", "current")
        cfg.resume, cfg.load_from = True, point.checkpoint
    elif point.named:
        raise FileNotFoundError(
            f"{cfg.work_dir}/last_checkpoint names a checkpoint, but there is none that is complete: "
            f"{point.describe_skipped()}. "
            "Name a checkpoint with --resume CHECKPOINT, or delete last_checkpoint to start anew."
        )
    else:
        print_log(f"--resume: no checkpoint in {cfg.work_dir} yet, training starts from the beginning.", "current")
        cfg.resume = False


def protect_checkpoints(cfg: Config) -> None:
    """Let ``AtomicCheckpointHook`` write the checkpoints of a config that has mmengine's hook as it comes."""
    hook = (cfg.get("default_hooks") or {}).get("checkpoint", dict(type="CheckpointHook"))
    kind = hook.get("type") if hook else None
    kind = HOOKS.get(kind) if isinstance(kind, str) else kind
    if kind is not CheckpointHook or hook.get("backend_args") or hook.get("file_client_args"):
        return
    cfg.merge_from_dict({"default_hooks.checkpoint.type": "mmseg.AtomicCheckpointHook"})
    # the config is written to the work directory, where other tools read it
    imports = cfg.get("custom_imports") or dict(imports=[], allow_failed_imports=False)
    names = [imports["imports"]] if isinstance(imports["imports"], str) else list(imports["imports"])
    if "mmseg_allspark" not in names:
        cfg.custom_imports = dict(imports, imports=[*names, "mmseg_allspark"])


class PlainLoopHook(Hook):
    """What supervised loops leave out: a check of the data."""

    priority = "LOWEST"  # after ReportHook, which begins its report at the same moment

    def before_train(self, runner: Runner) -> None:
        """Check the data."""
        loop = runner.train_loop
        if not isinstance(loop, EpochBasedTrainLoop | IterBasedTrainLoop | SupervisedLoop):
            return
        loops = dict(labeled=loop, validation=runner.val_loop)
        datasets = {name: part.dataloader.dataset for name, part in loops.items() if part}
        for name, dataset in datasets.items():
            check_classes(LOADER_KEYS[name], dataset, getattr(bare_model(runner.model), "num_classes", None))
        with suppress(TypeError):  # data sets of another kind than mmseg's
            check_zero_label(runner.cfg, datasets)


def main(argv: Sequence[str] | None = None) -> None:
    """Train what the command line asks for."""
    args = parse_args(argv)
    cfg = settle_config(args)
    try:
        run(cfg, args)
    except BaseException as error:
        if not is_interrupt(error):
            raise
        if is_main_process():
            say(f"\n{describe_stop(cfg.work_dir, args.resume is not None)}")
        raise SystemExit(130) from None


def settle_config(args: argparse.Namespace) -> Config:
    """The config with all that the arguments change, and all ranks running."""
    begin()
    cfg = load_config(args)
    start_processes(cfg)
    set_length(cfg, args)
    return cfg


def run(cfg: Config, args: argparse.Namespace) -> None:
    """Train a settled config."""
    with only_training_in(cfg.work_dir):
        train(cfg, args)
    shutdown_distributed()


def is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error: mmengine raises another one where it comes while it formats a config."""
    return error is not None and (isinstance(error, KeyboardInterrupt) or is_interrupt(error.__context__))


def train(cfg: Config, args: argparse.Namespace) -> None:
    """Train, with all ranks running."""
    if args.amp:
        enable_amp(cfg)
    require_gpu_for_amp(cfg)
    protect_checkpoints(cfg)
    set_resume(cfg, args.resume)
    if cfg.get("resume"):
        drop_pretrained(cfg)  # the checkpoint replaces them: nothing to download
    unlabeled = ["unlabeled_dataloader"] if is_semi_supervised(cfg) else []
    check_component_keys(cfg)
    check_hooks(cfg)
    check_palettes(cfg)
    check_data_paths(cfg, ("train_dataloader", *unlabeled, "val_dataloader"))
    check_pretrained_files(cfg)
    weights = pretrained_weights(cfg)
    runner = build_runner(cfg)
    runner.register_hook(PlainLoopHook())
    runner.register_hook(StartHook())
    try:
        runner.train()
    except URLError as error:
        listed = ", ".join(f"{key}={place}" for key, place in weights.items() if "://" in place)
        raise RuntimeError(
            f"Pretrained weights cannot be downloaded ({error.reason}): {listed}. Without a network give a file, "
            "--cfg-options model.backbone.init_cfg.checkpoint=FILE, or start without: model.backbone.init_cfg=None."
        ) from error
    if is_main_process():
        say(describe_end(runner))


if __name__ == "__main__":
    # record: torchrun's last words then show the exception of the rank that failed first
    errors_in_one_line(record(main))()
