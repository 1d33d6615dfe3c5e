"""Table, file and picture of ``compare.py``."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import cycle, zip_longest
from pathlib import Path

from _compare_rows import Row, budget, differences, evaluated

from mmseg_allspark.report.paper_figures import COLOURS, new_figure, save_figure

NOTE = (
    "{key} in %, mean ± sample standard deviation over seeds. *last*: the last validation. *best*: the highest of "
    "{validations} validations, chosen with the images it is measured on. Δ: mean ± standard deviation of the "
    "differences between runs of the same seed, *above noise* when three seeds or more give a mean above twice the "
    "deviation. Images seen: batch × iterations, an image of several views counts once, so methods with more forward "
    "passes compute more. s/iteration and minutes: of the training, without validations, medians over the logged times "
    "and over the seeds. Peak memory, the largest of the seeds: GPU as torch counts it; RSS: of the training process, "
    "on the CPU."
)


def summary(values: Sequence[float]) -> dict:
    """Number, mean and sample standard deviation, the latter from two values on."""
    mean, std = statistics.mean(values) if values else None, statistics.stdev(values) if len(values) > 1 else None
    return dict(n=len(values), mean=mean, std=std)


def spread(found: dict) -> str:
    """Mean ± deviation of a summary."""
    deviation = "" if found["std"] is None else f" ± {found['std']:.2f}"
    return f"{found['mean']:.2f}{deviation}" if found["n"] else "–"


def extent(values: Sequence[int]) -> str:
    """Lowest and highest, once if they are the same."""
    return "–".join(map(str, sorted({min(values), max(values)})))


def difference(row: Row, other: Row | None) -> dict | None:
    """Last figures of a row minus those of another, seed by seed, and what they allow to say."""
    if other is None or other is row:
        return None
    reference = {run.seed: run.last for run in other.finished if isinstance(run.seed, int)}
    common = {run.seed: run.last - reference[run.seed] for run in row.finished if run.seed in reference}
    found = summary([*common.values()])
    return dict(to=other.name, seeds=sorted(common), **found, verdict=verdict(**found))


def verdict(n: int, mean: float | None, std: float | None) -> str:
    """Whether the mean of ``n`` differences is above the noise: twice their deviation, from three seeds on."""
    if n < 2:
        return "one seed" if n else "no common seed"
    return "above noise" if n > 2 and abs(mean) > 2 * std else "within noise"


def ranked(rows: Sequence[Row]) -> list[Row]:
    """Rows with a finished run, the highest mean of last figures first."""
    finished = [row for row in rows if row.finished]
    return sorted(finished, key=lambda row: statistics.mean(run.last for run in row.finished), reverse=True)


def training_seconds(row: Row) -> float | None:
    """Median over the seeds, as one of them may have been paused or slowed down by other processes."""
    found = [run.training_seconds for run in row.finished if run.training_seconds is not None]
    return statistics.median(found) if found else None


def to_table(rows: Sequence[dict[str, str]]) -> str:
    """A Markdown table of rows with the same columns."""
    lines = [f"| {' | '.join(cells)} |" for cells in (rows[0], *(cells.values() for cells in rows))]
    lines.insert(1, "|---" * len(rows[0]) + "|")
    return "\n".join(lines)


def markdown(rows: Sequence[Row], key: str) -> str:
    """Table and ranking, with everything that should be known beside them."""
    tables = [to_table([_cells(row, key) for row in rows])]
    if len(order := ranked(rows)) > 1:
        pairs = zip_longest(order, order[1:])
        tables.append(to_table([_ranking_cells(row, rows[0], below, key) for row, below in pairs]))
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
    return "\n\n".join([*tables, *notes])


def _ranking_cells(row: Row, first: Row, below: Row | None, key: str) -> dict[str, str]:
    """How far a row is from the first one, and from the one below it in the ranking."""

    def told(found: dict | None) -> str:
        if not found or not found["n"]:
            return found["verdict"] if found else ""
        seeds = f" (seed {', '.join(map(str, found['seeds']))})" if found["n"] < len(row.finished) else ""
        return f"{spread(found)}{seeds}, {found['verdict']}"

    return {
        "ranking": row.name,
        f"{key}, last": spread(summary([run.last for run in row.finished])),
        f"Δ to {first.name}, same seeds": told(difference(row, first)),
        "Δ to the next row, same seeds": told(difference(row, below)),
    }


def _cells(row: Row, key: str) -> dict[str, str]:
    """What a row says in each column."""
    runs, found = row.finished, budget(row) or {}
    times = [run.seconds_per_iteration for run in runs if run.seconds_per_iteration is not None]
    total = training_seconds(row)
    peak = max((run.peak_memory_mib for run in runs if run.peak_memory_mib), key=lambda peak: peak["value"], default={})
    cells = {
        "method": row.name,
        f"{key}, last": spread(summary([run.last for run in runs])),
        f"{key}, best (optimistic)": spread(summary([max(run.validations.values()) for run in runs])),
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
    order = ranked(rows)
    names = [row.name for row in order]
    below = dict(zip(names, order[1:], strict=False))

    return [
        {
            "name": row.name,
            "metric": key,
            "rank": names.index(row.name) + 1 if row.name in names else None,
            "last": summary([run.last for run in row.finished]),
            "best": summary([max(run.validations.values()) for run in row.finished]),
            "difference_to_first_row": difference(row, rows[0]),
            "difference_to_next_row": difference(row, below.get(row.name)),
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
