"""Train a segmentor: ``python tools/train.py CONFIG [--work-dir DIR] [--resume [CHECKPOINT]] [--amp] …``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
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
    export_local_rank,
    load_config,
    require_file,
    require_gpu_for_amp,
)
from _config_checks import check_data_paths, drop_pretrained, pretrained_addresses
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.runner import find_latest_checkpoint

from mmseg_allspark.datasets.data_report import is_semi_supervised
from mmseg_allspark.utils.distributed import shutdown_distributed


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; a missing config or checkpoint is a usage error (exit code 2)."""
    parser = argparse.ArgumentParser(description="Train a segmentor")
    parser.add_argument("config", help="config file")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CHECKPOINT",
        help="go on from CHECKPOINT, or from the latest one in the work directory when none is named",
    )
    parser.add_argument("--amp", action="store_true", help="train with mixed precision (on the CPU: bfloat16)")
    add_common_arguments(parser)
    args = parser.parse_args(argv)
    require_file(parser, args.config, "config")
    if args.resume not in (None, "auto"):
        require_file(parser, args.resume, "checkpoint to resume")
    return args


def enable_amp(cfg: Config) -> None:
    """Switch the optimizer wrapper to mixed precision: mmengine's on a GPU, ours in bfloat16 on the CPU.

    Raises:
        ValueError: The config uses an optimizer wrapper of its own.
    """
    kind = cfg.optim_wrapper.type
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

    ``load_from`` of the config holds start weights, and the Runner would resume from *them*. They are put
    aside when the work directory has a checkpoint, and kept when there is nothing to resume yet.
    """
    if resume is None:
        return
    if resume != "auto":
        cfg.resume, cfg.load_from = True, resume
        return
    latest = find_latest_checkpoint(cfg.work_dir)
    if latest is None:
        print_log(f"--resume: no checkpoint in {cfg.work_dir} yet, training starts from the beginning.", "current")
        cfg.resume = False
    elif not Path(latest).is_file():
        raise FileNotFoundError(
            f"{cfg.work_dir}/last_checkpoint names {latest}, which does not exist. "
            "Name a checkpoint with --resume CHECKPOINT, or delete last_checkpoint to start anew."
        )
    else:
        cfg.resume, cfg.load_from = True, latest


def main(argv: Sequence[str] | None = None) -> None:
    """Train what the command line asks for."""
    args = parse_args(argv)
    export_local_rank(args)
    cfg = load_config(args)
    if args.amp:
        enable_amp(cfg)
    require_gpu_for_amp(cfg)
    set_resume(cfg, args.resume)
    if cfg.get("resume"):
        drop_pretrained(cfg)  # the checkpoint replaces them: nothing to download
    unlabeled = ["unlabeled_dataloader"] if is_semi_supervised(cfg) else []
    check_data_paths(cfg, ("train_dataloader", *unlabeled, "val_dataloader"))
    addresses = pretrained_addresses(cfg)
    runner = build_runner(cfg)
    try:
        runner.train()
    except URLError as error:
        listed = ", ".join(f"{key}={address}" for key, address in addresses.items())
        raise RuntimeError(
            f"Pretrained weights cannot be downloaded ({error.reason}): {listed}. Without a network give a file, "
            "--cfg-options model.backbone.init_cfg.checkpoint=FILE, or start without: model.backbone.init_cfg=None."
        ) from error
    shutdown_distributed()


if __name__ == "__main__":
    main()
