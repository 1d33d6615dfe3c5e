"""Table, file and picture of ``compare.py``."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

from _compare_rows import Row, budget, differences, evaluated

from mmseg_allspark.report.paper_figures import COLOURS, new_figure, save_figure

NOTE = (
    "{key} in %, mean ± sample standard deviation over seeds. *last*: the last validation. *best*: the highest of "
    "{validations} validations, chosen with the images it is measured on. Δ: mean ± standard deviation of the "
    "differences between runs of the same seed. Images seen: batch × iterations, an image of several views counts "
    "once, so methods with more forward passes compute more. s/iteration and minutes: of the training, without "
    "validations, medians over the logged times and over the seeds. Peak memory, the largest of the seeds: GPU as torch "
    "counts it; RSS: of the training process, on the CPU."
)


def spread(values: Sequence[float]) -> str:
    """Mean ± sample standard deviation, the latter from two values on."""
    deviation = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{deviation}" if values else "–"


def extent(values: Sequence[int]) -> str:
    """Lowest and highest, once if they are the same."""
    return "–".join(map(str, sorted({min(values), max(values)})))


def paired(row: Row, first: Row) -> dict[int | str, float]:
    """Last figure of a row minus that of the first row, seed by seed."""
    reference = {run.seed: run.last for run in first.finished if isinstance(run.seed, int)}
    return {run.seed: run.last - reference[run.seed] for run in row.finished if run.seed in reference}


def training_seconds(row: Row) -> float | None:
    """Median over the seeds, as one of them may have been paused or slowed down by other processes."""
    found = [run.training_seconds for run in row.finished if run.training_seconds is not None]
    return statistics.median(found) if found else None


def markdown(rows: Sequence[Row], key: str) -> str:
    """The table with everything that should be known beside it."""
    table = [_cells(row, rows[0], key) for row in rows]
    lines = [f"| {' | '.join(cells)} |" for cells in (table[0], *(cells.values() for cells in table))]
    lines.insert(1, "|---" * len(table[0]) + "|")
    numbers = [len(run.validations) for row in rows for run in row.finished]
    notes = [NOTE.format(key=key, validations=extent(numbers) if numbers else "no")]
    notes += [f"**Warning, the rows differ in** {line}" for line in differences(rows)]
    for row in rows:
        for run in row.results:
            if run.problem:
                notes.append(f"**Not counted: {row.name}, seed {run.seed}**: {run.problem}")
            elif run.iterations is None:
                notes.append(f"{row.name}, seed {run.seed}: nothing says how long it was to train.")
            commits = list(dict.fromkeys(start["commit"] for start in run.starts))
            if len(commits) > 1:
                notes.append(f"{row.name}, seed {run.seed}: resumed with other code, commits {', '.join(commits)}.")
    return "\n".join(lines) + "\n\n" + "\n\n".join(notes)


def _cells(row: Row, first: Row, key: str) -> dict[str, str]:
    """What a row says in each column."""
    runs, found = row.finished, budget(row) or {}
    common = paired(row, first) if row is not first else {}
    of_seeds = f" (seeds {', '.join(map(str, sorted(common)))})" if common and len(common) < len(runs) else ""
    times = [run.seconds_per_iteration for run in runs if run.seconds_per_iteration is not None]
    total = training_seconds(row)
    peak = max((run.peak_memory_mib for run in runs if run.peak_memory_mib), key=lambda peak: peak["value"], default={})
    cells = {
        "method": row.name,
        f"{key}, last": spread([run.last for run in runs]),
        f"Δ to {first.name}, same seeds": "" if row is first else spread(list(common.values())) + of_seeds,
        f"{key}, best (optimistic)": spread([max(run.validations.values()) for run in runs]),
        "seeds": ", ".join(str(run.seed) for run in runs) or "none",
        "iterations": str(found.get("iterations") or "?"),
    }
    for kind in ("labeled", "unlabeled"):
        seen = f"{found[f'{kind}_seen'] or '?'} ({found[kind]})" if found.get(kind) else "0" if found else "?"
        cells[f"{kind} images seen (a step)"] = seen
    return cells | {
        "evaluated": evaluated(row.cfg),
        "s/iteration": f"{statistics.median(times):.3g}" if times else "–",
        "minutes": "–" if total is None else f"{total / 60:.1f}",
        "peak memory": "{value:.0f} MiB {of}".format(**peak) if peak else "–",
    }


def to_json(rows: Sequence[Row], key: str) -> list[dict]:
    """All that is known of each row and run."""

    def summary(values: Sequence[float]) -> dict:
        several = len(values) > 1
        mean, std = statistics.mean(values) if values else None, statistics.stdev(values) if several else None
        return dict(n=len(values), mean=mean, std=std)

    return [
        {
            "name": row.name,
            "metric": key,
            "last": summary([run.last for run in row.finished]),
            "best": summary([max(run.validations.values()) for run in row.finished]),
            "difference_to_first_row": summary([*paired(row, rows[0]).values()]) if row is not rows[0] else None,
            "training_seconds": training_seconds(row),
            "evaluated": evaluated(row.cfg),
            "budget": budget(row),
            "runs": [vars(run) | {"config": run.config and run.config.to_dict()} for run in row.results],
        }
        for row in rows
    ]


def title(rows: Sequence[Row]) -> str:
    """Data set and budget in a line."""
    parts, cfg = [], rows[0].cfg
    if cfg and cfg.get("val_dataloader"):
        dataset = cfg.val_dataloader.dataset
        name = dataset.type.removesuffix("Dataset")
        parts.append(Path(dataset.get("data_root") or name).name if name in ("BaseSeg", "Custom") else name)
    steps = [found["iterations"] for row in rows if (found := budget(row)) and found["iterations"]]
    parts += [f"{extent(steps)} iterations"] if steps else []
    return ", ".join([*parts, f"{extent([len(row.finished) for row in rows])} seeds"])


def plot(rows: Sequence[Row], key: str, path: Path) -> None:
    """Dots of the seeds with their mean, and the curves over the iterations, unfinished ones dotted."""
    figure = new_figure((11, max(3.2, 1.8 + 0.45 * len(rows))))
    figure.suptitle(title(rows), fontsize=11)
    left, right = figure.subplots(1, 2)
    for index, row, colour, marker in zip(range(len(rows)), rows, cycle(COLOURS), cycle("osD^vP*X"), strict=False):
        last, curves = [run.last for run in row.finished], [run.validations for run in row.finished]
        if last:
            left.plot(last, [index] * len(last), marker, color=colour, alpha=0.7)
            left.plot([statistics.mean(last)] * 2, [index - 0.3, index + 0.3], color=colour, linewidth=3)
            steps = sorted(set.intersection(*map(set, curves)))
            values = [[curve[step] for curve in curves] for step in steps]
            right.plot(steps, list(map(statistics.mean, values)), f"{marker}-", color=colour, label=row.name)
            right.fill_between(
                steps, list(map(min, values)), list(map(max, values)), color=colour, alpha=0.15, linewidth=0
            )
        for run in (run for run in row.results if run.problem and run.validations):
            label = f"{row.name}, seed {run.seed}, not finished"
            right.plot(*zip(*run.validations.items(), strict=True), f"{marker}:", color=colour, label=label)
    left.set_yticks(range(len(rows)), [row.name for row in rows])
    left.set_ylim(len(rows) - 0.5, -0.5)
    left.set_xlabel(f"{key} (%), last validation: seeds and their mean")
    right.set_xlabel("iteration; line: mean of the seeds, band: lowest to highest")
    right.set_ylabel(f"{key} (%) on the validation images")
    for axis in (left, right):
        axis.grid(alpha=0.3)
    if right.get_legend_handles_labels()[0]:
        right.legend(frameon=False, fontsize=8)
    save_figure(figure, path)
