"""Evaluate a checkpoint: ``python tools/test.py CONFIG CHECKPOINT [--show-dir DIR] [--out DIR] [--tta]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

# a checkout needs no installation of the plugin
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# first: it registers everything, and settles differences between the two mm* families
import mmseg_allspark  # noqa: F401

# isort: split
from _common import add_common_arguments, build_runner, load_config, require_file, start_processes
from _config_checks import check_component_keys, check_data_paths, drop_pretrained
from _console import begin
from _errors import Parser, errors_in_one_line, say
from mmengine.config import Config
from mmengine.dist import is_main_process
from torch.distributed.elastic.multiprocessing.errors import record

from mmseg_allspark.utils.distributed import shutdown_distributed


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; a missing config or checkpoint is a usage error (exit code 2)."""
    parser = Parser(description="Test (and evaluate) a segmentor")
    parser.add_argument("config", help="config file")
    parser.add_argument("checkpoint", help="checkpoint file")
    parser.add_argument("--out", metavar="DIR", help="folder to save predictions in, as PNG label maps")
    parser.add_argument("--show", action="store_true", help="show predictions in a window")
    parser.add_argument(
        "--show-dir", metavar="DIR", help="folder for pictures of truth and prediction, named as the images are"
    )
    parser.add_argument("--wait-time", type=float, default=2, help="seconds each window of --show stays (default: 2)")
    parser.add_argument("--tta", action="store_true", help="test-time augmentation (tta_model, tta_pipeline)")
    add_common_arguments(parser)
    args = parser.parse_args(argv)
    require_file(parser, args.config, "config")
    require_file(parser, args.checkpoint, "checkpoint")
    return args


def enable_drawing(cfg: Config, show: bool, show_dir: str | None, wait_time: float) -> None:
    """Let predictions be drawn, whatever hook of that name the config has."""
    hook = dict(type="PredictionVisualizationHook", draw=True, show=show, wait_time=wait_time, show_dir=show_dir)
    cfg.merge_from_dict({"default_hooks.visualization": dict(hook, _delete_=True)})


def enable_tta(cfg: Config) -> None:
    """Wrap the model and replace the test pipeline for test-time augmentation.

    Raises:
        ValueError: The config lacks ``tta_model`` or ``tta_pipeline``.
    """
    missing = [key for key in ("tta_model", "tta_pipeline") if key not in cfg]
    if missing:
        raise ValueError(f"--tta needs {' and '.join(missing)} in the config; mmseg's dataset configs show both.")
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model


def set_output(cfg: Config, out: str) -> None:
    """Tell every evaluator that can write predictions where to write them."""
    evaluators = cfg.test_evaluator if isinstance(cfg.test_evaluator, list | tuple) else [cfg.test_evaluator]
    for evaluator in evaluators:
        if evaluator.get("type", "").endswith(("IoUMetric", "CityscapesMetric")):
            evaluator["output_dir"] = out
            Path(out).mkdir(parents=True, exist_ok=True)  # mmseg's rank 0 makes it, maybe after another rank writes


def main(argv: Sequence[str] | None = None) -> None:
    """Evaluate what the command line asks for."""
    args = parse_args(argv)
    begin()
    cfg = load_config(args)
    cfg.load_from = args.checkpoint
    cfg.resume = False
    start_processes(cfg)
    evaluate(cfg, args)
    shutdown_distributed()


def evaluate(cfg: Config, args: argparse.Namespace) -> None:
    """Evaluate, with all ranks running."""
    drop_pretrained(cfg)  # the checkpoint replaces them: nothing to download
    check_component_keys(cfg, ("test_dataloader",))
    check_data_paths(cfg, ("test_dataloader",))
    if args.show or args.show_dir:
        enable_drawing(cfg, args.show, args.show_dir, args.wait_time)
    if args.tta:
        enable_tta(cfg)
    if args.out:
        set_output(cfg, args.out)
    build_runner(cfg, shows_tables=True).test()
    if args.show_dir and is_main_process():
        say(f"pictures: {args.show_dir}")


if __name__ == "__main__":
    # record: torchrun's last words then show the exception of the rank that failed first
    errors_in_one_line(record(main))()
