"""Figures of a paper, as matplotlib draws them: feature maps beside images, memory rows, bars per class or set."""

import math
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

# Okabe and Ito's palette without yellow, which vanishes on white: told apart with any kind of colour vision
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
COLOUR_MAP = "viridis"  # reads the same in grey and for the colour-blind
SHADE = "#ebebeb"
INCHES = 1.25  # width of a map


class ChannelBlock(NamedTuple):
    """One image's channels from several sources, a row each."""

    pictures: Sequence[np.ndarray | None]  # (H, W, 3) uint8 at the left of each row: image, ground truth; or nothing
    maps: Sequence[np.ndarray]  # of each row, (k, h, w) floats; sizes may differ between rows
    captions: Sequence[Sequence[str]]  # of each row, k short texts under the maps


class MemoryEntry(NamedTuple):
    """One row of a memory: (h, w) floats, None if never written, and the (H, W, 3) uint8 image it is of, if known."""

    values: np.ndarray | None
    source: np.ndarray | None = None


def new_figure(size: tuple[float, float], dpi: int = 110) -> Figure:
    """Return an empty figure of (width, height) inches that needs no display and belongs to nobody else."""
    figure = Figure(figsize=size, dpi=dpi, layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as the suffix of ``path`` says; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def class_shares(labels: np.ndarray, num_classes: int, size: tuple[int, int], ignore_index: int = 255) -> np.ndarray:
    """Share of each class in each cell of a coarse grid of ``size`` (H, W): (K, H, W) float32 in [0, 1]."""
    known = torch.from_numpy(np.where(labels == ignore_index, num_classes, labels).astype(np.int64))
    one_hot = F.one_hot(known, num_classes + 1)[..., :num_classes].permute(2, 0, 1).float()
    return F.adaptive_avg_pool2d(one_hot, size).numpy()


def match_classes(channels: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the class whose map, of ``shares`` (K, H, W), each channel of ``channels`` (C, H, W) correlates with most.

    Returns (C,) int64 best class (-1 if none varies), and (C,) its Pearson correlation in [-1, 1] (NaN if none varies).
    A class that is nowhere, or everywhere alike, matches nothing.
    """
    present = np.flatnonzero(np.ptp(shares, axis=(1, 2)) > 0)
    if not len(present):
        return np.full(len(channels), -1), np.full(len(channels), np.nan)
    rows = np.concatenate([channels, shares[present]]).reshape(len(channels) + len(present), -1)
    with np.errstate(invalid="ignore", divide="ignore"):  # a constant channel correlates with nothing
        correlation = np.nan_to_num(np.corrcoef(rows)[: len(channels), len(channels) :])
    return present[correlation.argmax(axis=1)], correlation.max(axis=1)


def draw_channels(
    blocks: Sequence[ChannelBlock],
    row_names: Sequence[str],
    columns: Sequence[str],
    *,
    title: str,
    legend: Mapping[str, Sequence[int]] | None = None,
) -> Figure:
    """Draw channels at equal indexes, one source under the other.

    Args:
        blocks: One per image.
        row_names: Of the sources.
        columns: A title for each channel.
        title: Of the figure.
        legend: Name to RGB (0 to 255) of the classes in the pictures. Default None.
    """
    height, width = next(p for block in blocks for p in block.pictures if p is not None).shape[:2]
    ratio = height / width
    rows = len(blocks) * len(row_names)
    figure = new_figure((INCHES * (len(columns) + 1) + 0.2, (INCHES * ratio + 0.2) * rows + 0.5 + 0.25 * bool(legend)))
    axes = figure.subplots(rows, len(columns) + 1, squeeze=False)
    for row, (block, number) in zip(axes, product(blocks, range(len(row_names))), strict=True):
        _show(row[0], block.pictures[number])
        row[0].set_ylabel(row_names[number], fontsize=8)
        for column, axis in enumerate(row[1:]):
            values = block.maps[number][column]
            scale = [maps[column] for maps in block.maps]  # all sources of an image have the same units
            _show_map(axis, values, scale, aspect=ratio * values.shape[1] / values.shape[0])
            axis.set_xlabel(block.captions[number][column], fontsize=7, labelpad=2)
    for axis, text in zip(axes[0][1:], columns, strict=True):
        axis.set_title(text, fontsize=8)
    figure.suptitle(title, fontsize=10)
    if legend:
        handles = [Patch(color=np.asarray(colour) / 255, label=name) for name, colour in legend.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=12, fontsize=7, frameon=False, handlelength=1)
    return figure


def draw_memory(
    entries: Sequence[Sequence[MemoryEntry]], classes: Sequence[str], *, title: str, blocks: int = 2
) -> Figure:
    """Draw rows of a memory as maps, for each class, with the images that they come from where these are known.

    Args:
        entries: Of each class, the same number of rows.
        classes: Their names.
        title: Of the figure.
        blocks: Classes side by side. Default 2.
    """
    tall = 2 if any(entry.source is not None for row in entries for entry in row) else 1
    blocks = min(blocks, len(classes))
    lines = math.ceil(len(classes) / blocks)
    side = 0.7 * INCHES
    figure = new_figure(((side * len(entries[0]) + 0.4) * blocks, (side * tall + 0.1) * lines + 0.3))
    cells = figure.subfigures(lines, blocks, squeeze=False)
    for place, (name, row) in enumerate(zip(classes, entries, strict=True)):
        line, block = divmod(place, blocks)  # along the rows, in the order of the classes
        cells[line][block].set_facecolor("white" if (line + block) % 2 else SHADE)  # a class is seen at once
        axes = cells[line][block].subplots(tall, len(row), squeeze=False)
        for column, entry in enumerate(row):
            if entry.values is None:
                _show(axes[0, column], None)
                where = dict(ha="center", va="center", transform=axes[0, column].transAxes)
                axes[0, column].text(0.5, 0.5, "not written", fontsize=6, **where)
            else:
                _show_map(axes[0, column], entry.values, [entry.values])
            if tall == 2:
                _show(axes[1, column], entry.source)
        axes[0, 0].set_ylabel(name, fontsize=8)
    figure.suptitle(title, fontsize=10)
    return figure


def _show_map(axis: Axes, values: np.ndarray, scale: Sequence[np.ndarray], **options: float) -> None:
    """Draw one map; its colours go from the 2nd to the 98th percentile of ``scale``: single cells do not take all."""
    low, high = np.percentile(np.concatenate([maps.ravel() for maps in scale]), [2, 98])
    _show(axis, values, cmap=COLOUR_MAP, vmin=low, vmax=high, interpolation="nearest", **options)


def _show(axis: Axes, picture: np.ndarray | None, **options: object) -> None:
    """Draw a picture, or nothing, without ticks and frame but with labels, which ``axis('off')`` would hide."""
    if picture is not None:
        axis.imshow(picture, **options)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def draw_bars(
    shares: Mapping[str, Sequence[float | None]],
    names: Sequence[str],
    *,
    label: str,
    title: str,
    horizontal: bool = False,
    missing: str = "",
) -> Figure:
    """Draw several quantities of classes, or of sets of images, side by side.

    Args:
        shares: Name of a quantity to its share in [0, 1] for each of ``names``; None where it is not known.
        names: Of the classes or sets.
        label: What the shares are.
        title: Of the figure.
        horizontal: Bars from left to right, for many names. Default False.
        missing: Stands in place of a bar that is not known. Default nothing.
    """
    figure = new_figure((7.0, max(2.6, 0.36 * len(names) + 1.1)) if horizontal else (1.6 + 1.5 * len(names), 3.6))
    figure.suptitle(title, fontsize=10)
    axis = figure.subplots()
    thick = 0.8 / len(shares)
    for number, (name, row) in enumerate(shares.items()):
        places = np.arange(len(names)) + (number - (len(shares) - 1) / 2) * thick
        percents = [0 if share is None else 100 * share for share in row]
        style = dict(label=name, color=COLOURS[number % len(COLOURS)])
        bars = (axis.barh if horizontal else axis.bar)(places, percents, thick, **style)
        texts = [missing if share is None else f"{100 * share:.1f}" for share in row]
        axis.bar_label(bars, texts, fontsize=7, padding=2)
    if horizontal:
        axis.set(yticks=range(len(names)), yticklabels=names, xlabel=label)
        axis.invert_yaxis()
        axis.margins(x=0.08, y=0.02)
    else:
        axis.set(xticks=range(len(names)), xticklabels=names, ylabel=label)
        axis.margins(y=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="best" if horizontal else "upper left")
    return figure
