"""Figures of feature maps beside images: channels of two sources, and the rows of a memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .style import new_figure

COLOUR_MAP = "viridis"  # reads the same in grey and for the colour-blind
SHADE = "#ebebeb"
INCHES = 1.25  # width of a map


@dataclass(frozen=True)
class ChannelBlock:
    """One image's channels from several sources, a row each.

    Attributes:
        pictures: (H, W, 3) uint8 at the left of each row: image, ground truth; None leaves the place empty.
        maps: Of each row, (k, h, w) floats; sizes may differ between rows.
        captions: Of each row, k short texts under the maps.
    """

    pictures: Sequence[np.ndarray | None]
    maps: Sequence[np.ndarray]
    captions: Sequence[Sequence[str]]


@dataclass(frozen=True)
class MemoryEntry:
    """One row of a memory.

    Attributes:
        values: (h, w) floats, or None for a row that was never written.
        source: (H, W, 3) uint8, the image that it comes from, or None if unknown.
    """

    values: np.ndarray | None
    source: np.ndarray | None = None


def draw_channels(
    blocks: Sequence[ChannelBlock],
    row_names: Sequence[str],
    columns: Sequence[str],
    *,
    title: str,
    same_scale: bool,
    legend: Mapping[str, Sequence[int]] | None = None,
) -> Figure:
    """Draw channels at equal indexes, one source under the other.

    Args:
        blocks: One per image.
        row_names: Of the sources.
        columns: A title for each channel.
        title: Of the figure.
        same_scale: One colour scale for a channel's maps of one image (sources in the same units); otherwise each
            map has its own.
        legend: Name to RGB (0 to 255) of the classes in the pictures. Default None.

    Returns:
        The figure.

    Raises:
        ValueError: If a block does not have a map for each row and column.
    """
    _check_blocks(blocks, row_names, columns)
    height, width = next(p for block in blocks for p in block.pictures if p is not None).shape[:2]
    ratio = height / width
    rows = len(blocks) * len(row_names)
    figure = new_figure((INCHES * (len(columns) + 1) + 0.2, (INCHES * ratio + 0.2) * rows + 0.5 + 0.25 * bool(legend)))
    axes = figure.subplots(rows, len(columns) + 1, squeeze=False)
    for row, (block, number) in zip(axes, product(blocks, range(len(row_names))), strict=True):
        _show_picture(row[0], block.pictures[number])
        row[0].set_ylabel(row_names[number], fontsize=8)
        for column, axis in enumerate(row[1:]):
            scale = block.maps if same_scale else [block.maps[number]]
            _show_map(axis, block.maps[number][column], _limits([maps[column] for maps in scale]), ratio)
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

    Returns:
        The figure.

    Raises:
        ValueError: If the classes differ in number of rows or names are missing.
    """
    counts = {len(row) for row in entries}
    if len(counts) != 1 or len(entries) != len(classes):
        raise ValueError(
            f"{len(classes)} classes need as many lists of rows of one length, got {len(entries)} lists "
            f"of lengths {sorted(counts)}."
        )
    number = counts.pop()
    known = any(entry.source is not None for row in entries for entry in row)
    blocks = min(blocks, len(classes))
    lines = math.ceil(len(classes) / blocks)
    tall = 2 if known else 1
    side = 0.7 * INCHES
    size = ((side * number + 0.4) * blocks, (side * tall + 0.1) * lines + 0.3)
    figure = new_figure(size)
    cells = figure.subfigures(lines, blocks, squeeze=False)
    for place, (name, row) in enumerate(zip(classes, entries, strict=True)):
        cell = cells[place // blocks][place % blocks]  # along the rows, in the order of the classes
        shaded = (place // blocks + place % blocks) % 2 == 0
        cell.set_facecolor(SHADE if shaded else "white")  # what belongs to one class is seen at once
        axes = cell.subplots(tall, number, squeeze=False)
        for column, entry in enumerate(row):
            _show_entry(axes[:, column], entry)
        axes[0][0].set_ylabel(name, fontsize=8)
    figure.suptitle(title, fontsize=10)
    return figure


def _check_blocks(blocks: Sequence[ChannelBlock], row_names: Sequence[str], columns: Sequence[str]) -> None:
    """Raise unless every block has a map for each row and column."""
    for number, block in enumerate(blocks):
        shapes = [len(maps) for maps in block.maps]
        if shapes != [len(columns)] * len(row_names):
            raise ValueError(
                f"Block {number} has {shapes} maps per row; the figure has rows {list(row_names)} of {len(columns)}."
            )


def _show_entry(axes: Sequence[Axes], entry: MemoryEntry) -> None:
    """Draw a memory row, and below it, where there is a second axis, its source."""
    if entry.values is None:
        _show_picture(axes[0], None)
        axes[0].text(0.5, 0.5, "not written", ha="center", va="center", fontsize=6, transform=axes[0].transAxes)
    else:
        _show_map(axes[0], entry.values, _limits([entry.values]), None)
    if len(axes) > 1:
        _show_picture(axes[1], entry.source)


def _show_map(axis: Axes, values: np.ndarray, limits: tuple[float, float], ratio: float | None) -> None:
    """Draw one map; ``ratio`` height / width of the image it covers, None as its own shape says."""
    aspect = None if ratio is None else ratio * values.shape[1] / values.shape[0]
    axis.imshow(values, cmap=COLOUR_MAP, vmin=limits[0], vmax=limits[1], interpolation="nearest", aspect=aspect)
    _strip(axis)


def _show_picture(axis: Axes, picture: np.ndarray | None) -> None:
    if picture is not None:
        axis.imshow(picture)
    _strip(axis)


def _strip(axis: Axes) -> None:
    """Hide ticks and frame but not the labels, which ``axis('off')`` would."""
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def _limits(maps: Sequence[np.ndarray]) -> tuple[float, float]:
    """2nd and 98th percentile over all maps: single cells do not take the whole colour scale."""
    values = np.concatenate([values.ravel() for values in maps])
    low, high = np.percentile(values, [2, 98])
    return float(low), float(high)
