"""Curves over the iterations as SVG for a page: colours are the page's, text is text."""

import io
import math
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

WIDTH, HEIGHT = 480, 250
_MOST_POINTS = 600
_DASHES = ("none", "7 3", "2 3", "9 3 2 3", "none", "4 4")  # one for each curve of a chart
# stand-ins, in the SVG, for variables of the page's style, which has values for light and for dark screens
_INKS = {f"#00000{index + 1}": f"var(--c{index})" for index in range(len(_DASHES))}
_TEXT, _GRID = "#0000a1", "#0000a2"
_SETTINGS = {
    "svg.fonttype": "none",
    "font.sans-serif": ["DejaVu Sans"],
    "axes.autolimit_mode": "round_numbers",
    "axes.xmargin": 0,
    "axes.ymargin": 0,
    "lines.scale_dashes": False,
    "lines.linewidth": 2,
    "lines.markersize": 5,
    "lines.markeredgewidth": 0,
}


class Chart(NamedTuple):
    """A chart: the inside of an ``<svg>`` of ``WIDTH`` x ``HEIGHT`` and what stands around it."""

    title: str
    svg: str
    words: str  # the same for who does not see it
    legend: list[tuple[str, str, str, str]]  # colour, dashes, name and last value of each curve
    note: str


def thin(keys: Sequence[int], most: int) -> list[int]:
    """At most ``most`` of some sorted numbers, evenly chosen, with the first and the last."""
    if len(keys) <= most:
        return list(keys)
    return [keys[round(index * (len(keys) - 1) / (most - 1))] for index in range(most)]


def draw_curves(
    title: str,
    curves: Mapping[str, Mapping[int, float]],
    *,
    last: int,
    most: float = 0,
    marks: Sequence[int] = (),
    note: str = "",
) -> Chart | None:
    """Draw curves over the iterations; None without a finite value.

    Args:
        title: What is drawn, with its unit.
        curves: By name, iteration to value; NaN and infinities leave gaps. Those after the sixth are left out.
        last: Right end of the axis, an iteration.
        most: The axis goes from 0 to this at least. Default 0.
        marks: Iterations with a dashed line (resume points).
        note: A sentence below. Default none.
    """
    legend, words = [], []
    with rc_context({**_SETTINGS, "svg.hashsalt": title}):  # names of markers differ between the charts of a page
        figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72))
        axis = figure.add_axes((52 / WIDTH, 40 / HEIGHT, 1 - 64 / WIDTH, 1 - 52 / HEIGHT))
        for (name, curve), dashes, ink in zip(islice(curves.items(), len(_DASHES)), _DASHES, _INKS, strict=False):
            known = [step for step in sorted(curve) if math.isfinite(curve[step])]
            if known:
                ends = [f"{curve[step]:.4g} at iteration {step}" for step in (known[0], known[-1])]
                words.append(f"{name}: from {' to '.join(ends)}")
                legend.append((_INKS[ink], dashes, name, f"{curve[known[-1]]:.4g}"))
                steps = thin(sorted(curve), _MOST_POINTS)
                values = [curve[step] if math.isfinite(curve[step]) else math.nan for step in steps]
                style = "-" if dashes == "none" else (0, tuple(map(float, dashes.split())))
                marker = "o" if len(steps) <= 30 else None
                axis.plot(steps, values, color=ink, linestyle=style, marker=marker)
        if not words:
            return None
        for mark in marks:
            axis.axvline(mark, color=_TEXT, linewidth=1, linestyle=(0, (2, 4)))
        _lay_out_axes(axis, max(last, 1), most)
        return Chart(title, _inside_of_svg(figure), f"{title}. {'; '.join(words)}.", legend, note)


def _lay_out_axes(axis: Axes, last: int, most: float) -> None:
    """Limits, numbers and grid."""
    axis.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.update_datalim([(0, 0), (last, most)])
    axis.autoscale_view()
    axis.set_xlim(0, last)
    axis.xaxis.set_major_formatter(EngFormatter(sep="") if last >= 10000 else "{x:.0f}")
    axis.yaxis.set_major_formatter("{x:.4g}")
    axis.set_xlabel("iteration", fontsize=12.5, color=_TEXT)
    axis.tick_params(length=0, pad=6, labelsize=12.5, labelcolor=_TEXT)
    axis.grid(axis="y", color=_GRID)
    axis.set_axisbelow(True)
    axis.set_frame_on(False)


def _inside_of_svg(figure: Figure) -> str:
    """A figure's SVG without frame, clipping and names that two figures share, its colours those of the page."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True)
    svg = file.getvalue()
    svg = svg[svg.index("<g id=") : svg.rindex("</svg>")]
    svg = re.sub(r' (id="(?!m[0-9a-f]{10}")|clip-path=")[^"]*"', "", svg)
    for ink, variable in _INKS.items() | {_TEXT: "var(--soft)", _GRID: "var(--line)"}.items():
        svg = svg.replace(ink, variable)
    return re.sub(r"\s*\n\s*", " ", svg)
