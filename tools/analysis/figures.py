"""The figures of the paper from a checkpoint and the data of its config, and of comparisons. See docs/figures.md.

    python tools/analysis/figures.py channels  CONFIG CHECKPOINT --out FILE    channels before and after the neck
    python tools/analysis/figures.py grouping  CONFIG CHECKPOINT --out FILE    channels per class, chosen by grouping
    python tools/analysis/figures.py memory    CONFIG CHECKPOINT --out FILE    rows of the semantic memory as maps
    python tools/analysis/figures.py dominance CONFIG CHECKPOINT [--other CONFIG CHECKPOINT] --out FILE
    python tools/analysis/figures.py gain COMPARISON.json [...] --out FILE     gain against training time

The suffix of FILE decides (.png, .pdf, .svg). Images are those of CONFIG. FIGURE --help says more.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

# a checkout needs no installation of the plugin
sys.path[:0] = [str(Path(__file__).resolve().parents[level]) for level in (2, 1)]

import mmseg_allspark  # noqa: F401

# isort: split
import numpy as np
from _errors import Parser, errors_in_one_line, say
from _figure_gain import add_gain, draw_gains
from _figure_inputs import (
    IGNORE,
    LOADERS,
    build_dataset,
    choose_channels,
    choose_classes,
    group_image,
    measure_rates,
    neck_channels,
    read_memory,
    refill_memory,
    require_allspark,
    spread_rows,
)
from _samples import Sample, draw_samples, load_model
from matplotlib.figure import Figure
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope

from mmseg_allspark.inference.models import WEIGHTS
from mmseg_allspark.models import SemanticMemory
from mmseg_allspark.report.label_pictures import class_legend, colour_labels
from mmseg_allspark.report.paper_figures import (
    ChannelBlock,
    MemoryEntry,
    class_shares,
    draw_bars,
    draw_channels,
    draw_memory,
    match_classes,
    save_figure,
)
from mmseg_allspark.utils.config_files import read_config
from mmseg_allspark.utils.images import to_picture


def figure_channels(args: argparse.Namespace, cfg: Config) -> Figure:
    """Channels at equal indexes before and after the neck (fig. 5).

    Both are normalised inputs: what the attention gets, and what leaves it after the residual sum, at inference. Under
    each map stands the class whose ground truth it correlates with most, where masks exist.
    """
    model = load_model(cfg, args.checkpoint, args.device, args.weights)
    require_allspark(model)
    dataset = build_dataset(cfg, args.split)
    meta, samples = dataset.metainfo, draw_samples(dataset, args.images, args.seed)
    maps = [neck_channels(model, sample.views["weak"]) for sample in samples]
    indexes, names = choose_channels(args, maps), ("before", "after")
    blocks, matches = [], {name: [] for name in names}
    for sample, sources in zip(samples, maps, strict=True):
        image, captions = to_picture(sample.views["weak"]), []
        truth = None if sample.mask is None else colour_labels(sample.mask.numpy(), meta["palette"], IGNORE)
        for name, channels in zip(names, sources, strict=True):
            captions.append([""] * len(indexes))
            if sample.mask is not None:
                shares = class_shares(sample.mask.numpy(), len(meta["classes"]), channels.shape[1:])
                best, correlation = match_classes(channels, shares)
                if best[0] >= 0:  # the mask has more than one class
                    captions[-1] = [f"{meta['classes'][best[i]]} {correlation[i]:.2f}" for i in indexes]
                    matches[name].append(correlation.mean())
        blocks.append(ChannelBlock([image, truth], [channels[indexes] for channels in sources], captions))
    title = "Channels at equal indexes"
    if all(matches.values()):
        means = ", ".join(f"{name} {np.mean(values):.2f}" for name, values in matches.items())
        title += f"; mean correlation of all channels with their best class: {means}"
        say(f"{len(samples)} images, mean correlation of all channels with their best class: {means}")
    columns = [f"channel {index}" for index in indexes]
    legend = class_legend([sample.mask.numpy() for sample in samples if sample.mask is not None], meta, IGNORE)
    return draw_channels(blocks, names, columns, title=title, legend=legend)


def figure_grouping(args: argparse.Namespace, cfg: Config) -> Figure:
    """Share of the channels that grouping gives to each class, beside the class's share of pseudo labels (fig. 6).

    Unlabeled images with their training pipeline (weak view), labeled by the model in eval mode.
    """
    model = load_model(cfg, args.checkpoint, args.device, args.weights)
    neck = require_allspark(model, memory=True, grouping=True)
    samples = draw_samples(build_dataset(cfg, "unlabeled", augmented=True), args.images, args.seed)
    channels, pixels = np.zeros((2, neck.num_classes))
    for sample in samples:
        grouped = group_image(model, sample.views["weak"])
        channels += np.bincount(grouped.classes.flatten(), minlength=neck.num_classes)
        pixels += np.bincount(grouped.label.flatten(), minlength=neck.num_classes)
    shares = {"channels given by grouping": channels / channels.sum(), "pixels of pseudo labels": pixels / pixels.sum()}
    classes = class_names(cfg)
    for name, row in zip(classes, zip(*shares.values(), strict=True), strict=True):
        say(f"{name:16} channels {100 * row[0]:5.1f} %   pixels {100 * row[1]:5.1f} %")
    title = f"Channels per class, {len(samples)} unlabeled images"
    return draw_bars(shares, classes, label="share (%)", title=title, horizontal=True)


def figure_memory(args: argparse.Namespace, cfg: Config) -> Figure:
    """Rows of the semantic memory as maps (fig. 7), from newest to oldest, spread over all that was written.

    A checkpoint's memory does not know its images. --refill N writes an empty memory with the channels of N unlabeled
    images instead, and shows the image under each map.
    """
    model = load_model(cfg, args.checkpoint, args.device, args.weights)
    neck = require_allspark(model, memory=True, grouping=bool(args.refill))
    if args.refill:
        samples = draw_samples(build_dataset(cfg, "unlabeled", augmented=True), args.refill, args.seed)
        memory, sources = refill_memory(model, [sample.views["weak"] for sample in samples])
        title = f"Memory, refilled with the channels of {len(samples)} unlabeled images"
    else:
        memory, sources, samples = read_memory(args.checkpoint, neck), None, []
        title = "Memory of the checkpoint"
    names = class_names(cfg) if neck.grouping else [f"block {block}" for block in range(memory.num_classes)]
    chosen = choose_classes(args, names)
    entries = [memory_entries(memory, sources, samples, block, args.count) for block in chosen]
    for block in chosen:
        say(f"{names[block]:16} {int(memory.enqueued[block]):7d} channels written, {memory.num_slots} rows")
    return draw_memory(entries, [names[block] for block in chosen], title=title + ": newest row left, oldest right")


def memory_entries(
    memory: SemanticMemory, sources: SemanticMemory | None, samples: Sequence[Sample], block: int, count: int
) -> list[MemoryEntry]:
    """``count`` rows of one class; those never written are empty."""
    entries = []
    for slot in spread_rows(memory, block, count):
        picture = None if sources is None else to_picture(samples[int(sources.queue[block, slot, 0])].views["weak"])
        entries.append(MemoryEntry(memory.queue[block, slot].view(memory.size).numpy(), picture))
    return entries + [MemoryEntry(None)] * (count - len(entries))


def figure_dominance(args: argparse.Namespace, cfg: Config) -> Figure:
    """Error rate on labeled, unlabeled and validation images, for one or several models (fig. 1c).

    All models see the images of CONFIG, whole and without augmentation. Masks of unlabeled images, where there are
    any, are used for this evaluation only. A small error on labeled images beside a large one elsewhere is the
    dominance of labeled data.
    """
    datasets = {split: build_dataset(cfg, split) for split in LOADERS}
    rates = {}
    for name, (config, checkpoint) in zip(model_names(args), [(None, args.checkpoint), *args.other], strict=True):
        model = load_model(cfg if config is None else read_config(config), checkpoint, args.device, args.weights)
        classes = len(datasets["labeled"].metainfo["classes"])
        if model.decode_head.num_classes != classes:
            raise ValueError(
                f"{checkpoint} has {model.decode_head.num_classes} classes, the data of {args.config} have "
                f"{classes}: the models of one figure need the same classes."
            )
        rates[name] = {split: measure_rates(model, data, args.images, args.seed) for split, data in datasets.items()}
        for split, found in rates[name].items():
            say(f"{name}: {split}: {found or 'no masks'}")
    # unlabeled images are drawn like the labeled ones; validation images may come from elsewhere
    other = "val" if any(row["unlabeled"] is None for row in rates.values()) else "unlabeled"
    errors = {}
    for name, row in rates.items():
        if row["labeled"] is not None and row[other] is not None:
            name += f" ({other} \u2212 labeled: {100 * (row[other].error - row['labeled'].error):+.1f})"
        errors[name] = [found and found.error for found in row.values()]
    title = "Error on labeled, unlabeled and validation images"
    return draw_bars(errors, list(datasets), label="wrong pixels (%)", title=title, missing="no masks")


def class_names(cfg: Config) -> list[str]:
    """Names of the classes of the labeled data."""
    return list(build_dataset(cfg, "labeled", augmented=True).metainfo["classes"])


def model_names(args: argparse.Namespace) -> list[str]:
    """``--names``, else the names of the configs."""
    names = args.names or [Path(path).stem for path in (args.config, *(path for path, _ in args.other))]
    if len(names) != len(args.other) + 1 or len(set(names)) < len(names):
        raise ValueError(f"--names {' '.join(names)}: give {len(args.other) + 1} different names, one per model.")
    return names


def positive(text: str) -> int:
    """Read a number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 1")
    return int(text)


OPTIONS = {
    "images": dict(type=positive, help="images, of each set (default: %(default)s)"),
    "split": dict(choices=list(LOADERS), default="val", help="images of which set (default: val)"),
    "channels": dict(type=int, nargs="+", metavar="INDEX", help="which (default: --count)"),
    "count": dict(type=positive, default=6, help="maps, spread evenly (default: 6)"),
    "refill": dict(type=positive, default=0, metavar="N", help="unlabeled images to write"),
    "classes": dict(nargs="+", metavar="NAME", help="which (default: the first 12)"),
    "other": dict(nargs=2, action="append", metavar=("CONFIG", "CHECKPOINT"), help="another model; may be repeated"),
    "names": dict(nargs="+", help="of the models (default: the names of the configs)"),
}
FIGURES = {  # what draws it, number of images, further options
    "channels": (figure_channels, 2, "split channels count"),
    "grouping": (figure_grouping, 100, ""),
    "memory": (figure_memory, None, "count refill classes"),
    "dominance": (figure_dominance, 100, "other names"),
}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; missing files are usage errors."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    figures = parser.add_subparsers(dest="figure", required=True, metavar="FIGURE")
    for name, (draw, images, options) in FIGURES.items():
        sub = figures.add_parser(name, help=draw.__doc__.splitlines()[0], description=draw.__doc__)
        sub.add_argument("config", metavar="CONFIG", help="config file")
        sub.add_argument("checkpoint", metavar="CHECKPOINT", help="checkpoint of that config")
        sub.add_argument("--out", type=Path, required=True, metavar="FILE", help="picture to write")
        sub.add_argument("--seed", type=int, default=0, help="of the choice of images (default: 0)")
        sub.add_argument("--device", default="cpu", help="cpu, cuda:0, ... (default: cpu)")
        sub.add_argument("--weights", choices=WEIGHTS, help="averaged (ema) or trained (default: those of evaluation)")
        sub.add_argument("--cfg-options", nargs="+", action=DictAction, help="change CONFIG: nested.key=value ...")
        for option in [*(["images"] if images else []), *options.split()]:
            sub.add_argument(f"--{option}", **OPTIONS[option])
        sub.set_defaults(draw=draw, **({"images": images} if images else {}))
    add_gain(figures)
    args = parser.parse_args(argv)
    args.other = getattr(args, "other", None) or []
    paths = args.comparisons if args.figure == "gain" else (args.config, args.checkpoint, *sum(args.other, []))
    for path in paths:
        if "://" not in str(path) and not Path(path).is_file():
            parser.error(f"file not found: {path} (looked in {Path.cwd()})")
    return args


@errors_in_one_line
def main(argv: Sequence[str] | None = None) -> None:
    """Draw what the command line asks for."""
    args = parse_args(argv)
    if args.figure == "gain":
        figure = draw_gains(args.comparisons, args.names)
    else:
        cfg = read_config(args.config, args.cfg_options)
        init_default_scope(cfg.default_scope)
        figure = args.draw(args, cfg)
    save_figure(figure, args.out)
    say(f"written: {args.out}")


if __name__ == "__main__":
    main()
