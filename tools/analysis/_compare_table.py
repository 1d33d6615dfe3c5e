"""Table, file and picture of ``compare.py``."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

from _compare_results import Budget, Result, Row, budget, differences, evaluated
from matplotlib.axes import Axes

from mmseg_allspark.report.paper_figures import COLOURS, new_figure, save_figure

MARKERS = "osD^vP*X"
LINES = ("-", "--", "-.")  # one for each round of the colours


def spread(values: Sequence[float]) -> str:
    """Mean ± sample standard deviation, the latter from two values on."""
    if not values:
        return "–"
    mean = f"{statistics.mean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean


def paired(row: Row, first: Row) -> dict[int | str, float]:
    """Last figure of a row minus that of the first row, seed by seed."""
    reference = {run.seed: run.last for run in first.finished}
    return {
        run.seed: run.last - reference[run.seed]
        for run in row.finished
        if isinstance(run.seed, int) and run.seed in reference
    }


def markdown(rows: Sequence[Row], key: str) -> str:
    """The table with everything that should be known beside it."""
    first = rows[0]
    head = [
        "method",
        f"{key}, last",
        f"Δ to {first.name}, same seeds",
        f"{key}, best (optimistic)",
        "seeds",
        "iterations",
        "labeled images seen (a step)",
        "unlabeled images seen (a step)",
        "evaluated",
        "s/iteration",
        "peak memory",
    ]
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *(_cells(row, first) for row in rows))]
    lines.insert(1, "|---" * len(head) + "|")
    return "\n".join(lines) + "\n\n" + "\n".join(_notes(rows, key))


def _cells(row: Row, first: Row) -> list[str]:
    runs, found = row.finished, budget(row)
    differing = paired(row, first)
    gain = spread(list(differing.values()))
    if differing and len(differing) < len(runs):
        gain += f" (seeds {', '.join(map(str, sorted(differing)))})"
    times = [run.seconds for run in runs if run.seconds is not None]
    return [
        row.name,
        spread([run.last for run in runs]),
        "" if row is first else gain,
        spread([run.best for run in runs]),
        ", ".join(str(run.seed) for run in runs) or "none",
        _number(found and found.iterations),
        _seen(found, "labeled"),
        _seen(found, "unlabeled"),
        evaluated(row.cfg),
        f"{statistics.median(times):.3g}" if times else "–",
        _memory(runs),
    ]


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value}"


def _seen(found: Budget | None, kind: str) -> str:
    if found is None:
        return "?"
    batch = getattr(found, kind)
    return f"{_number(getattr(found, f'{kind}_seen'))} ({batch})" if batch else "0"


def _memory(runs: Sequence[Result]) -> str:
    peaks = [run.memory for run in runs if run.memory]
    return "{:.0f} MiB {}".format(*max(peaks)) if peaks else "–"


def _notes(rows: Sequence[Row], key: str) -> list[str]:
    numbers = {len(run.curve) for row in rows for run in row.finished}
    validations = "–".join(str(number) for number in sorted({min(numbers), max(numbers)})) if numbers else "no"
    lines = [
        f"{key} in %, mean ± sample standard deviation over seeds. *last*: the last validation. *best*: the highest of "
        f"{validations} validations, chosen with the images it is measured on. Δ: mean ± standard deviation of the "
        "differences between runs of the same seed. Images seen: batch × iterations, an image of several views counts "
        "once, so methods with more forward passes compute more. s/iteration: median of the logged times. Peak memory, "
        "the largest of the seeds: GPU as torch counts it; RSS: of the training process, on the CPU.",
    ]
    lines += [f"\n**Warning, the rows differ in** {line}" for line in differences(rows)]
    for row in rows:
        for run in row.results:
            if run.problem:
                lines.append(f"\n**Not counted: {row.name}, seed {run.seed}**: {run.problem}")
            elif run.total is None:
                lines.append(f"\n{row.name}, seed {run.seed}: nothing says how long it was to train.")
            commits = list(dict.fromkeys(start["commit"] for start in run.starts))
            if len(commits) > 1:
                lines.append(f"\n{row.name}, seed {run.seed}: resumed with other code, commits {', '.join(commits)}.")
    return lines


def to_json(rows: Sequence[Row], key: str) -> list[dict]:
    """All that is known of each row and run."""
    return [_row_json(row, rows[0], key) for row in rows]


def _row_json(row: Row, first: Row, key: str) -> dict:
    found = budget(row)
    last, best = [run.last for run in row.finished], [run.best for run in row.finished]
    differing = list(paired(row, first).values())
    return {
        "name": row.name,
        "metric": key,
        "last": _summary(last),
        "best": _summary(best),
        "difference_to_first_row": _summary(differing) if row is not first else None,
        "evaluated": evaluated(row.cfg),
        "budget": found and dict(vars(found), labeled_seen=found.labeled_seen, unlabeled_seen=found.unlabeled_seen),
        "runs": [
            {
                "seed": run.seed,
                "work_dir": str(run.work_dir),
                "problem": run.problem,
                "validations": run.curve,
                "iterations": run.total,
                "seconds_per_iteration": run.seconds,
                "peak_memory_mib": run.memory and dict(zip(("value", "of"), run.memory, strict=True)),
                **run.facts,
                "starts": run.starts,
                "config": run.cfg and run.cfg._cfg_dict.to_dict(),
            }
            for run in row.results
        ],
    }


def _summary(values: list[float]) -> dict:
    return dict(
        n=len(values),
        mean=statistics.mean(values) if values else None,
        std=statistics.stdev(values) if len(values) > 1 else None,
    )


def title(rows: Sequence[Row]) -> str:
    """Data set and budget in a line."""
    known = [row for row in rows if row.cfg is not None]
    parts = []
    if known and known[0].cfg.get("val_dataloader"):
        dataset = known[0].cfg.val_dataloader.dataset
        name = dataset.type.removesuffix("Dataset")
        parts.append(Path(dataset.get("data_root") or name).name if name in ("BaseSeg", "Custom") else name)
    for what in ("iterations", "labeled"):
        values = sorted({value for row in known if (found := budget(row)) and (value := getattr(found, what))})
        if values:
            text = "–".join(str(value) for value in dict.fromkeys((values[0], values[-1])))
            parts.append(f"{text} {'iterations' if what == 'iterations' else 'labeled images a step'}")
    numbers = sorted({len(row.finished) for row in rows})
    parts.append("–".join(map(str, dict.fromkeys((numbers[0], numbers[-1])))) + f" seed{'s' * (numbers != [1])}")
    return ", ".join(parts)


def plot(rows: Sequence[Row], key: str, path: Path) -> None:
    """Dots of the seeds with their mean, and the curves over the iterations."""
    figure = new_figure((11, max(3.2, 1.8 + 0.45 * len(rows))))
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.06)
    figure.suptitle(title(rows), fontsize=11)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1))
    few = len(rows) <= len(COLOURS)  # more bands would hide each other
    styles = list(zip(range(len(rows)), rows, cycle(COLOURS), cycle(MARKERS), strict=False))
    for index, row, colour, marker in styles:
        values = [run.last for run in row.finished]
        if values:
            mean = statistics.mean(values)
            left.plot([mean, mean], [index - 0.28, index + 0.28], color=colour, linewidth=3, solid_capstyle="butt")
            places = [index + 0.12 * (place - (len(values) - 1) / 2) for place in range(len(values))]
            left.plot(values, places, marker, color=colour, markersize=6, markeredgecolor="white", markeredgewidth=0.6)
            if index == 0:
                left.axvline(mean, color=colour, linewidth=1, linestyle="--", zorder=0)
        _curves(right, row, f"{marker}{LINES[index // len(COLOURS) % len(LINES)]}", colour, band=few)
    left.set_yticks(range(len(rows)), [row.name for row in rows])
    left.set_ylim(len(rows) - 0.5, -0.5)
    left.set_xlabel(f"{key} (%), last validation: seeds, mean; dashed: mean of {rows[0].name}", fontsize=8)
    right.set_xlabel("iteration; line: mean of the seeds" + (", band: lowest to highest" if few else ""), fontsize=8)
    right.set_ylabel(f"{key} (%) on the validation images", fontsize=8)
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    if right.get_legend_handles_labels()[0]:
        right.legend(frameon=False, fontsize=8)
    save_figure(figure, path)


def _curves(axis: Axes, row: Row, line: str, colour: str, band: bool) -> None:
    """Mean and range at the iterations that all finished runs validated at; unfinished runs as dotted lines."""
    curves = [run.curve for run in row.finished]
    if curves:
        steps = sorted(set.intersection(*map(set, curves)))
        values = [[curve[step] for curve in curves] for step in steps]
        means = [statistics.mean(group) for group in values]
        axis.plot(steps, means, line, markersize=4, linewidth=1.5, color=colour, label=row.name)
        if band and len(curves) > 1:
            lows, highs = list(map(min, values)), list(map(max, values))
            axis.fill_between(steps, lows, highs, color=colour, alpha=0.15, linewidth=0)
    open_runs = [run for run in row.results if run.problem and run.curve]
    for number, run in enumerate(open_runs):
        label = f"{row.name}, not finished" if number == 0 else None
        axis.plot(list(run.curve), list(run.curve.values()), f"{line[0]}:", markersize=3, color=colour, label=label)
