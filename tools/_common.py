"""What ``train.py`` and ``test.py`` share: common arguments, reading the config, building the Runner."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from _config_checks import check_options, warn_of_misspelled_keys
from _console import QuietLogger
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from mmengine.dist import init_dist, is_distributed
from mmengine.runner import Runner
from mmengine.utils.dl_utils import set_multi_processing
from mmseg.engine.hooks import SegVisualizationHook
from mmseg.registry import RUNNERS

from mmseg_allspark.engine import PredictionVisualizationHook
from mmseg_allspark.engine.checkpoint.fit import require_checkpoint_fit
from mmseg_allspark.inference.models import WEIGHTS
from mmseg_allspark.utils.config_files import check_variables, read_config
from mmseg_allspark.utils.distributed import prepare_cpu_distributed
from mmseg_allspark.utils.safe_checkpoints import load_safely_from_now_on


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that mmseg users expect of every command that runs a config."""
    parser.add_argument("--work-dir", help="folder for logs and results (default: work_dirs/<config name>)")
    what = 'change settings of the config: key=value pairs, nested keys with dots, lists as key="[a,b]"'
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help=what)
    launchers = ["none", "pytorch", "slurm", "mpi"]
    parser.add_argument("--launcher", choices=launchers, default="none", help="how processes are started")
    # torch.distributed.launch hands over --local-rank (torch >= 2.0) or --local_rank
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)


def require_file(parser: argparse.ArgumentParser, path: str, what: str) -> None:
    """Stop with a usage error when a local file is missing; addresses (``https://…``) are left alone."""
    if "://" not in path and not Path(path).is_file():
        parser.error(f"{what} not found: {path} (looked in {Path.cwd()})")


def add_weights(parser: argparse.ArgumentParser) -> None:
    """Add ``--weights``."""
    what = "averaged (ema) or trained weights (default: those that the run evaluated)"
    parser.add_argument("--weights", choices=WEIGHTS, help=what)


def require_model_files(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Stop with a usage error when CONFIG, which may be '-', or CHECKPOINT is missing."""
    if args.config != "-":
        require_file(parser, args.config, "config")
    require_file(parser, args.checkpoint, "checkpoint")


def load_config(args: argparse.Namespace) -> Config:
    """Read the config, apply ``--cfg-options``, and settle launcher, local rank and work directory.

    The work directory is ``--work-dir``, else the config's ``work_dir``, else ``work_dirs/<config name>``. The
    experiment has the same name unless the config sets another: mmengine shares logs of one name within a process.
    """
    check_variables(args.config)
    cfg = read_config(args.config)
    warn_of_misspelled_keys(cfg)
    written = cfg.get("work_dir")  # by an earlier run, which was named after it
    if args.cfg_options is not None:
        check_options(cfg, args.cfg_options)
        cfg = read_config(args.config, args.cfg_options)
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))  # where mmengine reads it, if the launcher has not put it
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get("work_dir") is None:
        cfg.work_dir = str(Path("work_dirs") / Path(args.config).stem)
    if cfg.get("experiment_name") in (None, written):
        cfg.experiment_name = cfg.work_dir
    return cfg


def require_gpu_for_amp(cfg: Config) -> None:
    """Refuse mmengine's mixed precision without a GPU with a sentence instead of its assertion."""
    wrapper = dict(cfg.get("optim_wrapper") or {})
    if wrapper.get("type") == "AmpOptimWrapper" and get_device() in ("cpu", "mps"):
        kept = {key: value for key, value in wrapper.items() if key not in ("type", "loss_scale", "dtype", "use_fsdp")}
        raise RuntimeError(
            'optim_wrapper.type="AmpOptimWrapper" needs a GPU, and none was found. For bfloat16, on the CPU and on '
            "GPUs, write in the config, without _delete_ if no _base_ sets optim_wrapper:\n"
            f'optim_wrapper = dict(_delete_=True, type="AutocastOptimWrapper", **{kept})\n'
            'For float32 write type="OptimWrapper" there, and leave --amp out.'
        )


def start_processes(cfg: Config) -> None:
    """Let the ranks meet, on GPUs or on the CPU, before anything that may fail on one of them only.

    The Runner would do the same with the same settings, but later.
    """
    if prepare_cpu_distributed(cfg, cfg.launcher) or cfg.launcher == "none" or is_distributed():
        return
    env_cfg = cfg.get("env_cfg") or {}
    set_multi_processing(**env_cfg.get("mp_cfg", {}), distributed=True)
    init_dist(cfg.launcher, **env_cfg.get("dist_cfg", {}))


def build_runner(cfg: Config, shows_tables: bool = False) -> Runner:
    """Build the Runner a config asks for (``runner_type``, else mmengine's), with a quiet console.

    mmengine shares logs and visualizers of the same name within a process: each run gets names of its own.
    mmseg's visualization hook becomes ours in the Runner alone: other tools read the config.
    """
    load_safely_from_now_on()
    if cfg.get("visualizer"):
        cfg.visualizer.pop("name", None)  # mmengine shares visualizers of one name within a process
    kind = cfg.get("runner_type", "Runner")
    kind = RUNNERS.get(kind) if isinstance(kind, str) else kind
    if kind is None:
        raise ValueError(f"runner_type={cfg.runner_type!r} is not registered: correct it, or import its module.")
    runner = type(kind.__name__, (QuietLogger, kind), dict(shows_tables=shows_tables)).from_cfg(cfg)
    for hook in runner.hooks:
        if type(hook) is SegVisualizationHook:
            hook.__class__ = PredictionVisualizationHook
    require_checkpoint_fit(runner)
    return runner
