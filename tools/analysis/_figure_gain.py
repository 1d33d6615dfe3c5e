"""Gain over the first row against training time, one panel for each comparison that ``compare.py`` wrote."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _errors import say
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmseg_allspark.report.paper_figures import COLOURS, new_figure

WIDTH = 3.8  # inches: letters stay readable on a phone
DPI = 220
MARKER, LETTERS = 7, 8.5  # points


class Point(NamedTuple):
    """A row of a comparison; the first one lies at time 1 and gain 0."""

    name: str
    time: float  # times that of the first row
    gain: float  # mean of the differences to the first row, seed by seed
    deviation: float | None  # of these differences, None with one seed
    is_above_noise: bool


def add_gain(figures: argparse._SubParsersAction) -> None:
    """Add the command line of this figure to those of ``figures.py``."""
    what = "Gain over the first row against training time, with the deviation over the seeds."
    sub = figures.add_parser("gain", help=what, description=what)
    sub.add_argument("comparisons", nargs="+", type=Path, metavar="COMPARISON.json", help="of compare.py, a panel each")
    sub.add_argument("--out", type=Path, required=True, metavar="FILE", help="picture to write")
    sub.add_argument("--names", nargs="+", help="of the panels (default: file, or folder of a comparison.json)")


def read_points(path: Path) -> tuple[list[Point], dict]:
    """Points of a file that compare.py wrote, and its first row; a row without a common seed is said and left out.

    Raises:
        ValueError: If it is another file, or a row has no training time.
    """
    remedy = "write it with tools/analysis/compare.py, which reads the folders of runs as NAME=WORK_DIR"
    try:
        rows = json.loads(path.read_text())["rows"]
        missing = [row["name"] for row in rows if row["last"]["n"] and not row.get("training_seconds")]
        first, points = rows[0], []
        if not first["last"]["n"]:
            raise ValueError(f"{path}: no run of the first row, {first['name']}, is finished")
        if missing:
            raise ValueError(f"{path}: no training_seconds of {', '.join(missing)}: {remedy}")
        for row in rows:
            found = row["difference_to_first_row"] or dict(n=1, mean=0.0, std=None, verdict="")
            if not found["n"]:
                say(f"{path}: {row['name']} has no seed in common with {first['name']} and is left out")
                continue
            time = row["training_seconds"] / first["training_seconds"]
            above = found["verdict"] == "above noise"
            points.append(Point(row["name"], time, found["mean"], found["std"], above))
    except (json.JSONDecodeError, KeyError, IndexError, TypeError) as error:
        raise ValueError(f"{path} is no comparison.json ({type(error).__name__}: {error}): {remedy}") from None
    return points, first


def draw_gains(paths: Sequence[Path], titles: Sequence[str] | None = None) -> Figure:
    """Draw one panel for each file, the same colour for the same method; see :func:`read_points`.

    Raises:
        ValueError: If there are not as many titles as files.
    """
    titles = titles or [path.resolve().parent.name if path.stem == "comparison" else path.stem for path in paths]
    if len(titles) != len(paths):
        raise ValueError(f"--names {' '.join(titles)}: give {len(paths)}, one for each file")
    panels = [read_points(path) for path in paths]
    names = list(dict.fromkeys(point.name for points, _ in panels for point in points))
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    heights = [2.2 + 0.15 * len(points) for points, _ in panels]
    figure = new_figure((WIDTH, sum(heights) + 0.2), DPI)
    axes = figure.subplots(len(paths), squeeze=False, height_ratios=heights)[:, 0]
    for axis, title, (points, first) in zip(axes, titles, panels, strict=True):
        axis.set_title(title, fontsize=10)
        _draw_points(axis, points, colours)
        metric = first["metric"].rpartition("/")[2]
        axis.set_xlabel(f"training time, times {first['name']}", fontsize=9)
        axis.set_ylabel(f"gain in {metric} (points)", fontsize=9)
    figure.supxlabel("filled: above noise; hollow: within noise or one seed; bar: ± deviation", fontsize=7.5)
    figure.align_ylabels(axes)
    figure.get_layout_engine().set(h_pad=0.06)
    figure.draw_without_rendering()  # the room for the names is known after the layout
    figure.set_layout_engine("none")
    for axis, (points, first) in zip(axes, panels, strict=True):
        texts = [point.name + f" {point.gain:+.1f}".replace("-", "\u2212") for point in points]
        texts[0] = f"{first['name']}: {first['last']['mean']:.1f}"
        _name_points(axis, points, texts, colours)
    return figure


def _draw_points(axis: Axes, points: Sequence[Point], colours: dict[str, str]) -> None:
    axis.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    for number, point in enumerate(points):
        colour = colours[point.name]
        inside = colour if point.is_above_noise or not number else "white"  # the first row is what the noise is around
        style = dict(color=colour, markerfacecolor=inside, markersize=MARKER, capsize=3, linewidth=1.5)
        axis.errorbar(point.time, point.gain, point.deviation, fmt="o" if number else "D", **style)
    axis.margins(y=0.25)
    axis.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axis.xaxis.set_major_formatter("{x:g}×")
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def _name_points(axis: Axes, points: Sequence[Point], texts: Sequence[str], colours: dict[str, str]) -> None:
    """Write the names in a column right of all points, by their gain, each with a line to its point."""
    window, column = axis.get_window_extent(), 1.1 * max(point.time for point in points)
    labels = [axis.text(column, 0, text, fontsize=LETTERS) for text in texts]
    extents = [label.get_window_extent() for label in labels]
    for label in labels:
        label.remove()
    axis.set_xlim(0, column / (0.97 - max(extent.width for extent in extents) / window.width))
    axis.set_xticks([tick for tick in axis.get_xticks() if tick < column])
    low, high = axis.get_ylim()
    line = 1.15 * max(extent.height for extent in extents) / window.height * (high - low)
    order = np.argsort([point.gain for point in points])
    heights = spread([points[number].gain for number in order], line, low + line / 2, high - line / 2)
    for number, height in sorted(zip(order, heights, strict=True)):
        point = points[number]
        arrow = dict(arrowstyle="-", color=colours[point.name], linewidth=0.8, shrinkA=0, shrinkB=MARKER / 2)
        style = dict(va="center", fontsize=LETTERS, arrowprops=arrow | dict(relpos=(0, 0.5)))
        style["bbox"] = dict(facecolor="white", edgecolor="none", pad=0)  # over the line of gain 0
        axis.annotate(texts[number], (point.time, point.gain), (column, height), **style)


def spread(values: Sequence[float], distance: float, low: float, high: float) -> list[float]:
    """Move ascending values as far up, and then down from ``high``, as they have to be for this distance."""
    moved = []
    for value in values:
        moved.append(max([value, low, *(last + distance for last in moved[-1:])]))
    for number in reversed(range(len(moved))):
        moved[number] = min([moved[number], high, *(above - distance for above in moved[number + 1 : number + 2])])
    return moved
