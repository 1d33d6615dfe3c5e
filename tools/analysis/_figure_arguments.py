"""The arguments of ``figures.py``, and what they choose."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from _figure_inputs import LOADERS
from mmengine.config import DictAction

from mmseg_allspark.inference.models import WEIGHTS


def add_arguments(parser: argparse.ArgumentParser, figure: str, images: int | None) -> None:
    """Add the arguments of one figure."""
    parser.add_argument("config", metavar="CONFIG", help="config file")
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="checkpoint of that config")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="picture to write")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of images (default: 0)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda:0, ... (default: cpu)")
    parser.add_argument("--weights", choices=WEIGHTS, help="averaged (ema) or trained (default: those of evaluation)")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="change CONFIG: nested.key=value ...")
    if images is not None:
        per = " of each set" if figure == "dominance" else ""
        parser.add_argument("--images", type=positive, default=images, help=f"images{per} (default: {images})")
    if figure in ("channels", "backbones"):
        parser.add_argument("--split", choices=list(LOADERS), default="val", help="images of which set (default: val)")
        parser.add_argument("--channels", type=int, nargs="+", metavar="INDEX", help="which (default: --count)")
    if figure in ("channels", "backbones", "memory"):
        parser.add_argument("--count", type=positive, default=6, help="maps, spread evenly (default: 6)")
    if figure == "memory":
        parser.add_argument("--refill", type=positive, default=0, metavar="N", help="unlabeled images to write")
        parser.add_argument("--classes", nargs="+", metavar="NAME", help="which (default: the first 12)")
    if figure == "backbones":
        parser.add_argument("--level", type=int, default=-1, help="of the backbones' maps (default: -1, the deepest)")
    if figure in ("backbones", "dominance"):
        parser.add_argument(
            "--other",
            nargs=2,
            action="append",
            metavar=("CONFIG", "CHECKPOINT"),
            required=figure == "backbones",
            help="another model; may be given again",
        )
        parser.add_argument("--names", nargs="+", help="of the models (default: the names of the configs)")


def positive(text: str) -> int:
    """Read a number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


def choose_channels(args: argparse.Namespace, maps: Sequence[Sequence[np.ndarray]]) -> list[int]:
    """Indexes to draw: those asked for, else ``--count`` spread evenly over what all sources have."""
    available = min(len(channels) for sources in maps for channels in sources)
    if args.channels is None:
        return np.unique(np.linspace(0, available, args.count, endpoint=False).astype(int)).tolist()
    for index in args.channels:
        if not 0 <= index < available:
            raise ValueError(f"--channels {index}: choose from 0 to {available - 1}.")
    return args.channels


def choose_classes(args: argparse.Namespace, names: Sequence[str]) -> list[int]:
    """Indexes of ``--classes``, else the first 12."""
    unknown = set(args.classes or ()) - set(names)
    if unknown:
        raise ValueError(f"--classes {' '.join(sorted(unknown))}: choose from {', '.join(names)}.")
    return [names.index(name) for name in args.classes or names[:12]]


def model_names(args: argparse.Namespace) -> list[str]:
    """``--names``, else the names of the configs."""
    names = args.names or [Path(path).stem for path in (args.config, *(path for path, _ in args.other))]
    if len(names) != len(args.other) + 1 or len(set(names)) < len(names):
        raise ValueError(f"--names {' '.join(names)}: give {len(args.other) + 1} different names, one per model.")
    return names
