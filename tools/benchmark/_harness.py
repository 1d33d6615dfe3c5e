"""What every benchmark shares: random batches, paired timing in one process, extra memory, JSON output.

A benchmark is a dict of name -> function without arguments; each does the same work in another way. They run in turn,
round after round, so that a machine that slows down slows down all of them, and ratios are taken within rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

import torch
from _errors import say
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn
from torch.utils.benchmark import Measurement, TaskSpec, timer  # a clock that waits for the GPU

from mmseg_allspark.datasets.data_report import is_semi_supervised
from mmseg_allspark.engine.hooks.report import collect_facts
from mmseg_allspark.models import TeacherAverage, feature_size
from mmseg_allspark.utils.config_files import configured_hooks
from mmseg_allspark.utils.images import input_channels

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
Cases = dict[str, Callable[[], object]]


def measurement(seconds: list[float]) -> Measurement:
    """Torch's median, interquartile range (``iqr``) and list (``times``) of the seconds of each round."""
    return Measurement(1, seconds, TaskSpec(stmt="", setup=""))


def speedup(ours: Measurement, theirs: Measurement) -> Measurement:
    """Their time over ours, round by round."""
    return measurement([their / our for our, their in zip(ours.times, theirs.times, strict=True)])


def time_cases(cases: Cases, args: argparse.Namespace) -> dict[str, Measurement]:
    """Time the cases in turn, ``--rounds`` times after ``--warmup`` rounds that do not count."""
    seconds = [{name: time_once(case) for name, case in cases.items()} for _ in range(args.warmup + args.rounds)]
    return {name: measurement([times[name] for times in seconds[args.warmup :]]) for name in cases}


def time_once(case: Callable[[], object]) -> float:
    """Seconds of one call, the work it left to the GPU included."""
    start = timer()
    case()
    return timer() - start


def draw_batch(model: nn.Module, crop: int, labeled: int, unlabeled: int) -> dict:
    """Draw random images, with masks of blocks of 32 pixels, as the loop hands them to the data preprocessor."""
    rng = torch.Generator().manual_seed(1)

    def part(images: int) -> dict:
        samples = [SegDataSample(metainfo=dict(img_shape=(crop, crop))) for _ in range(images)]
        for sample in samples:
            label = torch.randint(model.num_classes, (1, *feature_size(crop)), generator=rng)
            label = label.repeat_interleave(32, 1).repeat_interleave(32, 2)[:, :crop, :crop]
            sample.gt_sem_seg = PixelData(data=label)
            sample.pseudo_seg_map = PixelData(data=label.to(torch.uint8))  # for labels from files
            sample.valid = PixelData(data=torch.ones(1, crop, crop, dtype=torch.bool))
        shape = (images, input_channels(model), crop, crop)
        return dict(inputs=list(torch.randint(256, shape, dtype=torch.uint8, generator=rng)), data_samples=samples)

    batch = part(labeled)
    if not unlabeled:
        return batch
    other = part(unlabeled)
    views = sorted({"weak", *model.needs.views})
    return dict(labeled=batch, unlabeled=other | dict(inputs=dict.fromkeys(views, other["inputs"])))


class Step:
    """A training step of a config on random images, with the seconds of its stages.

    The optimizer is SGD. Labels come from a teacher, which is updated, where the method has one. ``unlabeled`` counts
    where the config is semi-supervised; ``args`` has ``crop`` and ``dtype``.
    """

    STAGES = ("preprocess", "label and forward", "backward", "update")

    def __init__(self, cfg: Config, labeled: int, unlabeled: int, args: argparse.Namespace) -> None:
        init_default_scope(cfg.default_scope)
        cfg.model.pop("pretrained", None)
        cfg.model.backbone.pop("init_cfg", None)
        torch.manual_seed(0)
        self.model = revert_sync_batchnorm(MODELS.build(cfg.model)).to(DEVICE).train()
        semi, self.dtype = is_semi_supervised(cfg), args.dtype
        has_teacher = any(hook["type"] == "MeanTeacherHook" for hook in configured_hooks(cfg))
        self.teacher = TeacherAverage(self.model) if has_teacher else None
        self.labels_from = cfg.train_cfg.get("pseudo_labels_from", "model") if semi else None
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-4)
        self.data = draw_batch(self.model, args.crop, labeled, unlabeled if semi else 0)
        self.seconds: dict[str, list[list[float]]] = defaultdict(list)

    def run(self, name: str = "", update: bool = True) -> dict[str, float]:
        """Label, forward, backward, update; returns the losses and notes the seconds under a name."""
        marks = [timer()]
        batch = self.model.data_preprocessor(self.data, training=True)
        marks.append(timer())
        with autocast(self.dtype):
            if self.labels_from is not None:
                batch["step"].labels_from = self.labels_from
            if self.labels_from == "ema":
                batch["step"].labelers = (self.teacher.module,)
            total, losses = self.model.parse_losses(self.model(**batch, mode="loss"))
        marks.append(timer())
        total.backward()
        marks.append(timer())
        if update:
            self.optimizer.step()
            if self.teacher is not None:
                self.teacher.update_parameters(self.model)
        self.optimizer.zero_grad(set_to_none=True)
        marks.append(timer())
        self.seconds[name].append([end - begin for begin, end in zip(marks, marks[1:], strict=False)])
        return {key: value.item() for key, value in losses.items()}


def make_parser(doc: str, *, rounds: int, warmup: int = 2) -> argparse.ArgumentParser:
    """Arguments that all benchmarks have."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help="rounds that count (default: %(default)s)")
    parser.add_argument("--warmup", type=int, default=warmup, help="rounds before (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="CPU threads of torch (default: torch's choice)")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32", help="autocast to")
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    return parser


def start(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the command line and apply ``--threads``; call it before any work."""
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    args.load_before = os.getloadavg()[0]
    return args


def autocast(dtype: str) -> torch.autocast:
    """Return the context of ``--dtype``; float32 changes nothing."""
    return torch.autocast(DEVICE, dtype=getattr(torch, dtype), enabled=dtype != "float32")


def save(args: argparse.Namespace, rows: list[dict]) -> None:
    """Write the machine, the options and the rows, if a file was asked for."""
    if args.out is None:
        return
    date, command = datetime.now(timezone.utc).isoformat(timespec="seconds"), " ".join(["python", *sys.argv])
    machine = dict(date=date, command=command, load_before=args.load_before, **collect_facts())
    args.out.parent.mkdir(parents=True, exist_ok=True)
    content = dict(machine=machine, options=vars(args), rows=rows)
    args.out.write_text(json.dumps(content, indent=1, default=str) + "\n")
    say(f"written: {args.out}")
