"""Curves as inline SVG and numbers as coloured tables; colours come from the page's style, light or dark."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

from matplotlib.ticker import MaxNLocator

WIDTH, HEIGHT = 480, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 40
MOST_POINTS = 600
STYLES = 6  # lines that the style tells apart
Curve = Mapping[int, float]


def thin(keys: Sequence[int], most: int) -> list[int]:
    """At most ``most`` of some sorted numbers, evenly chosen, with the first and the last."""
    if len(keys) <= most:
        return list(keys)
    return [keys[round(index * (len(keys) - 1) / (most - 1))] for index in range(most)]


def short(value: float) -> str:
    """A number for the eye: four digits, no zeros behind."""
    return f"{value:.4g}"


def line_chart(
    title: str,
    curves: Mapping[str, Curve],
    *,
    last: int,
    most: float = -math.inf,
    marks: Sequence[int] = (),
    note: str = "",
) -> str:
    """Draw curves over the iterations.

    Args:
        title: What is drawn, with its unit.
        curves: At most ``STYLES`` of them by name; NaN and infinities leave gaps.
        last: Right end of the axis, an iteration.
        most: The axis goes from 0 to this at least. Default: it fits the values.
        marks: Iterations with a dashed line (resume points).
        note: A sentence below. Default none.

    Returns:
        HTML ``<figure>``; empty without a finite value.
    """
    finite = {name: [value for value in curve.values() if math.isfinite(value)] for name, curve in curves.items()}
    values = [value for found in finite.values() for value in found]
    if not values:
        return ""
    low, high = min(values), max(*values, most)
    low = min(low, 0.0) if math.isfinite(most) else low
    y_ticks = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high if high > low else low + (abs(low) or 1))
    x_ticks = [tick for tick in MaxNLocator(5, integer=True).tick_values(0, max(last, 1)) if 0 <= tick <= max(last, 1)]
    bottom, top = y_ticks[0], y_ticks[-1]

    def place_x(step: float) -> float:
        return LEFT + step / max(last, 1) * (WIDTH - LEFT - RIGHT)

    def place_y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - bottom) / (top - bottom) * (HEIGHT - TOP - BOTTOM)

    parts = _axes(x_ticks, y_ticks, place_x, place_y)
    for mark in marks:
        x = f"{place_x(mark):.1f}"
        parts.append(f'<line class="mark" x1="{x}" x2="{x}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
    for index, (name, curve) in enumerate(curves.items()):
        parts.append(_line(index, name, curve, place_x, place_y))
    return _figure(title, parts, {name: curve for name, curve in curves.items() if finite[name]}, note)


def _axes(x_ticks: list, y_ticks: list, place_x: Callable, place_y: Callable) -> list[str]:
    """Grid and numbers."""
    parts = []
    for tick in y_ticks:
        y = place_y(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{short(round(tick, 10))}</text>')
    for tick in x_ticks:
        x = place_x(tick)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{_steps(tick)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 5}" text-anchor="middle">iteration</text>')
    return parts


def _steps(tick: float) -> str:
    return f"{tick / 1000:g}k" if tick >= 10000 else f"{tick:g}"


def _line(index: int, name: str, curve: Curve, place_x: Callable, place_y: Callable) -> str:
    """One curve; a gap where it is not finite, dots where there are few points."""
    steps = thin(sorted(curve), MOST_POINTS)
    runs: list[list[str]] = [[]]
    for step in steps:
        if math.isfinite(curve[step]):
            runs[-1].append(f"{place_x(step):.1f},{place_y(curve[step]):.1f}")
        else:
            runs.append([])
    style = f"s{index % STYLES}"
    dots = [point for run in runs for point in run] if len(steps) <= 30 else []
    return (
        f'<g class="{style}"><title>{escape(name)}</title>'
        + "".join(f'<polyline points="{" ".join(run)}"/>' for run in runs if run)
        + "".join('<circle cx="{}" cy="{}" r="2.5"/>'.format(*point.split(",")) for point in dots)
        + "</g>"
    )


def _figure(title: str, parts: list[str], curves: Mapping[str, Curve], note: str) -> str:
    """Chart, legend with the last values, and the same in words for who does not see it."""
    words, legend = [], []
    for index, (name, curve) in enumerate(curves.items()):
        steps = [step for step in sorted(curve) if math.isfinite(curve[step])]
        ends = [f"{short(curve[step])} at iteration {step}" for step in (steps[0], steps[-1])]
        words.append(f"{name}: from {ends[0]} to {ends[1]}")
        swatch = f'<svg class="swatch" viewBox="0 0 26 8" aria-hidden="true"><g class="s{index % STYLES}">'
        swatch += '<polyline points="0,4 26,4"/></g></svg>'
        legend.append(f"<li>{swatch} {escape(name)} <b>{short(curve[steps[-1]])}</b></li>")
    label = escape(f"{title}. {'; '.join(words)}.")
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
        f'<ul class="legend">{"".join(legend)}</ul>{f"<p>{escape(note)}</p>" if note else ""}</figure>'
    )


def heat_map(
    label: str,
    corner: str,
    columns: Sequence[str],
    rows: Mapping[str, Sequence[float | None]],
    *,
    most: float,
    form: Callable[[float], str],
) -> str:
    """Draw a table of numbers, darker for larger ones.

    Args:
        label: What it is, for who does not see it.
        corner: Heading of the rows.
        columns: Headings.
        rows: Values by heading; None leaves a cell empty.
        most: Value of the full colour.
        form: Text of a value.

    Returns:
        HTML, scrolling sideways where it does not fit.
    """
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = []
    for name, values in rows.items():
        cells = "".join(_cell(value, most, form) for value in values)
        body.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}"><table class="heat">'
        f'<thead><tr><th scope="col">{escape(corner)}</th>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _cell(value: float | None, most: float, form: Callable[[float], str]) -> str:
    if value is None or not math.isfinite(value):
        return "<td>–</td>"
    strength = round(100 * min(max(value / most, 0.0), 1.0))
    kind = "hi" if strength >= 74 else "mid" if strength >= 53 else "lo"  # contrast of the text stays above 4.5
    return f'<td class="{kind}" style="--v:{strength}%">{form(value)}</td>'
