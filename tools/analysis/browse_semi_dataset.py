"""Draw what a semi-supervised config trains on: labeled images with masks, views of unlabeled ones, pseudo labels.

    python tools/analysis/browse_semi_dataset.py CONFIG [--out DIR] [--num N] [--seed S] [--checkpoint CKPT]

Each row is a labeled image after its pipeline, its mask, and every view of an unlabeled image. With --checkpoint the
model's pseudo label of the weak view follows, pixels without weight in white; without one the ground truth, if there
is any. Of a method with plain CutMix, the mixed images and labels follow. White is 'ignored' or 'unknown'. Writes
DIR/page_00.png, page_01.png, ...
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# a checkout needs no installation of the plugin
sys.path[:0] = [str(Path(__file__).resolve().parents[level]) for level in (2, 1)]

import mmseg_allspark  # noqa: F401

# isort: split
import numpy as np
import torch
from _common import require_file
from _config_checks import check_palettes
from _errors import Parser, errors_in_one_line, say
from _samples import Sample, draw_samples, load_model
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed
from mmengine.utils import mkdir_or_exist
from mmseg.registry import DATASETS, MODELS
from PIL import Image
from torch import Tensor, nn

from mmseg_allspark.datasets.data_report import is_semi_supervised
from mmseg_allspark.labels import CutMix
from mmseg_allspark.report.label_pictures import class_legend, colour_labels, fit, join_panels
from mmseg_allspark.utils.config_files import read_config
from mmseg_allspark.utils.images import to_picture

IGNORE = 255
SIDE = 224  # pixels of a panel
ROWS = 4  # of a page


@torch.no_grad()
def label(model: nn.Module, samples: Sequence[Sample]) -> Tensor:
    """Pseudo labels (B, H, W) int64 of the weak views, ``IGNORE`` where a pixel has no weight in the loss.

    A SemiSegmentor labels as in training; another segmentor predicts.
    """
    weak = [sample.views["weak"] for sample in samples]
    if len({image.shape for image in weak}) > 1:
        raise ValueError("The unlabeled images differ in size: let the pipeline crop them, as training needs it too.")
    height, width = weak[0].shape[1:]
    images = model.data_preprocessor(dict(inputs=weak), False)["inputs"]
    if not hasattr(model, "label_unlabeled"):
        metas = [dict(img_shape=tuple(images.shape[2:])) for _ in weak]
        return model.encode_decode(images, metas).argmax(dim=1)[:, :height, :width]
    pseudo = model.make_pseudo_label(model.label_unlabeled(dict(weak=images)))
    return torch.where(pseudo.weight > 0, pseudo.label, IGNORE)[:, :height, :width]


def known_masks(samples: Sequence[Sample]) -> list[Tensor]:
    """(H, W) ground truth of each, ``IGNORE`` where an image has none; empty if no image has one."""
    if all(sample.mask is None for sample in samples):
        return []
    unknown = (torch.full(sample.views["weak"].shape[1:], IGNORE) for sample in samples)
    return [u if s.mask is None else s.mask for s, u in zip(samples, unknown, strict=True)]


def make_columns(
    method: nn.Module, labeled: Sequence[Sample], unlabeled: Sequence[Sample], *, trained: bool
) -> dict[str, list[Tensor]]:
    """Images (3, H, W) or labels (H, W) of each column, by its title; see the top of this file.

    A ``trained`` method labels the unlabeled images; otherwise their ground truth is shown.
    """
    columns = {"labeled": [sample.views["weak"] for sample in labeled], "mask": known_masks(labeled)}
    if unlabeled:
        for view in sorted(unlabeled[0].views, key=lambda name: name != "weak"):
            columns[f"unlabeled: {view}"] = [sample.views[view] for sample in unlabeled]
        labels = list(label(method, unlabeled)) if trained else known_masks(unlabeled)
        columns["pseudo label" if trained else "ground truth"] = labels
        if type(getattr(method, "cutmix", None)) is CutMix:  # AEL and AugSeg choose what they paste by their labels
            columns |= mix(method, unlabeled, labels)
    return {title: entries for title, entries in columns.items() if entries}


def mix(method: nn.Module, unlabeled: Sequence[Sample], labels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
    """What CutMix makes of the first trained view and its labels, as the rows' images are one batch."""
    view, given = next((name for name in method.needs.views if name != "weak"), "weak"), sorted(unlabeled[0].views)
    if view not in given:
        raise KeyError(
            f"{type(method).__name__} trains on the view {view!r} (model.unlabeled_view), but the unlabeled data give "
            f"{given}; add it to the pipeline's MultiView."
        )
    images = [sample.views[view] for sample in unlabeled]
    if len(images) < 2 or len({image.shape for image in images}) > 1:
        return {}
    mixed = method.cutmix([torch.stack(images), *([torch.stack(list(labels))] if labels else [])])
    return dict(zip((f"CutMix: {view}", "CutMix: label"), map(list, mixed), strict=False))


def save_page(columns: Mapping[str, Sequence[Tensor]], meta: Mapping, path: Path) -> None:
    """Write a page with a legend of the classes on it; ``meta`` has the ``classes`` and ``palette`` of the data."""

    def panel(entry: Tensor) -> np.ndarray:
        if entry.ndim == 3:
            return fit(to_picture(entry), SIDE, smooth=True)
        return fit(colour_labels(entry.cpu().numpy(), meta["palette"], IGNORE), SIDE, smooth=False)

    labels = [entry.cpu().numpy() for entries in columns.values() for entry in entries if entry.ndim == 2]
    panels = {title: [panel(entry) for entry in entries] for title, entries in columns.items()}
    Image.fromarray(join_panels(panels, class_legend(labels, meta, IGNORE))).save(path)


def parse_args(arguments: Sequence[str] | None = None) -> tuple[argparse.Namespace, Config]:
    """Read the command line and the config."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", metavar="CONFIG", help="config file")
    parser.add_argument("--out", type=Path, help="folder (default: work_dirs/<config name>/browse)")
    parser.add_argument("--num", type=int, default=8, help="labeled and unlabeled images to draw (default: 8)")
    parser.add_argument("--seed", type=int, default=0, help="of choice and transforms (default: 0)")
    parser.add_argument("--checkpoint", metavar="CKPT", help="draw the pseudo labels of this model")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="change settings: nested.key=value ...")
    args = parser.parse_args(arguments)
    require_file(parser, args.config, "config")
    if args.checkpoint:
        require_file(parser, args.checkpoint, "checkpoint")
    if args.num < 1:
        parser.error(f"--num {args.num}: at least 1")
    cfg = read_config(args.config, args.cfg_options)
    check_palettes(cfg)
    args.out = args.out or Path("work_dirs") / Path(args.config).stem / "browse"
    return args, cfg


@errors_in_one_line
def main(arguments: Sequence[str] | None = None) -> None:
    """Draw what the command line asks for."""
    args, cfg = parse_args(arguments)
    init_default_scope(cfg.default_scope)
    loader = cfg.get("unlabeled_dataloader") if is_semi_supervised(cfg) else None
    labeled_set = DATASETS.build(cfg.train_dataloader.dataset)
    meta = labeled_set.metainfo
    labeled = draw_samples(labeled_set, args.num, args.seed)
    unlabeled = draw_samples(DATASETS.build(loader.dataset), args.num, args.seed + 1) if loader else []
    method = load_model(cfg, args.checkpoint) if args.checkpoint else MODELS.build(cfg.model)
    mkdir_or_exist(args.out)
    set_random_seed(args.seed)
    for number, first in enumerate(range(0, max(len(labeled), len(unlabeled)), ROWS)):
        rows = slice(first, first + ROWS)
        path = args.out / f"page_{number:02d}.png"
        save_page(make_columns(method, labeled[rows], unlabeled[rows], trained=bool(args.checkpoint)), meta, path)
        names = [" ".join(sample.name for sample in samples[rows]) for samples in (labeled, unlabeled)]
        say(f"{path}: labeled {names[0]} | unlabeled {names[1]}")


if __name__ == "__main__":
    main()
