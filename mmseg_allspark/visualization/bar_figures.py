"""Figures of bars: channels and pixels per class, error rates on several sets of images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from .style import COLOURS, new_figure


def draw_class_shares(shares: Mapping[str, np.ndarray], classes: Sequence[str], *, title: str) -> Figure:
    """Draw for each class the shares of several quantities, side by side.

    Args:
        shares: Name of a quantity to (K,) shares in [0, 1].
        classes: Names of the K classes.
        title: Of the figure.

    Returns:
        The figure.

    Raises:
        ValueError: If there is not one share for each class.
    """
    for name, values in shares.items():
        if len(values) != len(classes):
            raise ValueError(f"{name!r} has {len(values)} shares for {len(classes)} classes.")
    figure = new_figure((7.0, max(2.6, 0.36 * len(classes) + 1.1)))
    axis = figure.subplots()
    place, thick = np.arange(len(classes)), 0.8 / len(shares)
    for number, (name, values) in enumerate(shares.items()):
        offset = (number - (len(shares) - 1) / 2) * thick
        bars = axis.barh(place + offset, 100 * np.asarray(values), thick, label=name, color=COLOURS[number])
        axis.bar_label(bars, fmt="%.1f", fontsize=7, padding=2)
    axis.set(yticks=place, yticklabels=list(classes), xlabel="share (%)")
    axis.invert_yaxis()
    axis.spines[["top", "right"]].set_visible(False)
    axis.margins(x=0.08, y=0.02)
    axis.legend(frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10)
    return figure


def draw_rates(
    rates: Mapping[str, Mapping[str, float | None]], *, ylabel: str, title: str, gap: tuple[str, str] | None = None
) -> Figure:
    """Draw a rate of several models on several sets of images.

    Args:
        rates: Model to set to rate in [0, 1]; None where it is not known, which is written instead of a bar.
        ylabel: What the rate is.
        title: Of the figure.
        gap: Two sets: the legend gives the second's rate minus the first's for each model. Default None.

    Returns:
        The figure.
    """
    sets = list(dict.fromkeys(name for row in rates.values() for name in row))
    figure = new_figure((1.6 + 1.5 * len(sets), 3.6))
    axis = figure.subplots()
    place, thick = np.arange(len(sets)), 0.8 / len(rates)
    for number, (model, row) in enumerate(rates.items()):
        values = [math.nan if row.get(name) is None else 100 * row[name] for name in sets]
        label = model
        if gap is not None and None not in (row.get(gap[0]), row.get(gap[1])):
            label += f" ({gap[1]} \u2212 {gap[0]}: {100 * (row[gap[1]] - row[gap[0]]):+.1f})"
        offset = (number - (len(rates) - 1) / 2) * thick
        bars = axis.bar(place + offset, values, thick, label=label, color=COLOURS[number % len(COLOURS)])
        texts = ["no masks" if math.isnan(value) else f"{value:.1f}" for value in values]
        for bar, value, text in zip(bars, values, texts, strict=True):
            height = 0 if math.isnan(value) else value
            axis.annotate(
                text,
                (bar.get_x() + bar.get_width() / 2, height),
                (0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
    axis.set(xticks=place, xticklabels=sets, ylabel=ylabel)
    axis.spines[["top", "right"]].set_visible(False)
    axis.margins(y=0.3)
    axis.legend(frameon=False, fontsize=8, loc="upper left")
    figure.suptitle(title, fontsize=10)
    return figure
