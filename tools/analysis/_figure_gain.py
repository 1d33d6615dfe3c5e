"""Gain over the first row against training time, one panel for each comparison that ``compare.py`` wrote."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _samples import say
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmseg_allspark.report.paper_figures import COLOURS, new_figure

WIDTH = 3.8  # inches: letters stay readable on a phone
DPI = 220
MARKER, LETTERS = 7, 8.5  # this and the next in points
DISTANCES = (6, 14, 26, 40, 60)  # of a name from its point
STEPS = (0, 1, -1, 0.5, -0.5)
WAYS = [way for way in product(STEPS, STEPS) if 1 in map(abs, way)]  # from a point to the middle of its name


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
    figure.draw_without_rendering()  # names are placed beside points, whose places are known after the layout
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
    axis.set_xlim(0, 1.2 * max(point.time for point in points))
    axis.margins(y=0.25)
    axis.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axis.xaxis.set_major_formatter("{x:g}×")
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def _name_points(axis: Axes, points: Sequence[Point], texts: Sequence[str], colours: dict[str, str]) -> None:
    """Write each name beside its point; a line leads to one that had to stand apart."""
    transform, pixels = axis.transData.transform, axis.figure.dpi / 72
    places = transform([(point.time, point.gain) for point in points])
    labels = [axis.figure.text(0, 0, text, fontsize=LETTERS) for text in texts]
    sizes = [label.get_window_extent().size for label in labels]
    deviations = np.array([(0, point.deviation or 0) for point in points])
    bars = [transform(np.array([point[1:3] for point in points]) + sign * deviations) for sign in (-1, 1)]
    around = (MARKER / 2 + 1) * pixels
    window = axis.get_window_extent()
    zero = transform((0, 0))[1]
    taken = np.vstack([np.hstack([bars[0] - around, bars[1] + around]), [window.x0, zero - 2, window.x1, zero + 2]])
    found = choose_places(places, sizes, taken, np.array([window.extents]), pixels)
    for label, text, point, (distance, offset) in zip(labels, texts, points, found, strict=True):
        label.remove()
        line = dict(arrowstyle="-", color=colours[point.name], linewidth=0.8, shrinkB=MARKER / 2, relpos=(0.5, 0.5))
        style = dict(ha="center", va="center", fontsize=LETTERS, textcoords="offset points")
        style["arrowprops"] = line if distance > DISTANCES[0] else None
        axis.annotate(text, (point.time, point.gain), offset / pixels, **style)


def choose_places(
    places: np.ndarray, sizes: Sequence[np.ndarray], taken: np.ndarray, window: np.ndarray, pixels: float
) -> list[tuple[int, np.ndarray]]:
    """Distance in points, and offset in pixels, of the middle of each name from its point.

    A name and the line to it should cover little of what is drawn and of other names, and lie in the window; of equal
    places the nearest counts. Names move three times, as a later one may leave no room beside an earlier one.

    Args:
        places: (N, 2) points.
        sizes: Width and height of each name.
        taken: (M, 4) boxes of what is drawn: left, low, right, high.
        window: (1, 4) box of the panel.
        pixels: Of a point.
    """
    chosen: dict[int, tuple[float, int, np.ndarray, np.ndarray]] = {}
    for number in [*range(len(places))] * 3:
        others = np.vstack([taken, *(choice[3] for other, choice in chosen.items() if other != number)])
        place, size, choices = places[number], sizes[number], []
        for distance, way in product(DISTANCES, np.array(WAYS)):
            offset = way * (distance * pixels + size / 2)
            name = np.hstack([place + offset - size / 2, place + offset + size / 2])
            line = place + np.outer(np.linspace(0.1, 1, 12 if distance > DISTANCES[0] else 0), offset)
            boxes = np.vstack([name, np.hstack([line - pixels, line + pixels])])
            hidden = overlap(boxes, others) + 10 * (size.prod() - overlap(name[None], window))
            choices.append((round(3 * hidden / size.prod(), 2) + distance / 400, distance, offset, boxes))
        chosen[number] = min(choices, key=lambda choice: choice[0])
    return [chosen[number][1:3] for number in range(len(places))]


def overlap(boxes: np.ndarray, others: np.ndarray) -> float:
    """Area that (N, 4) boxes have in common with (M, 4) others, summed over all pairs."""
    low, high = np.maximum(boxes[:, None, :2], others[:, :2]), np.minimum(boxes[:, None, 2:], others[:, 2:])
    return float((high - low).clip(0).prod(axis=-1).sum())
