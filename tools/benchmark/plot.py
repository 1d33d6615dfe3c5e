"""Plots of the benchmarks' JSON files.

python tools/benchmark/plot.py docs/benchmarks/neck_classes.json docs/figures/benchmark_neck.png
python tools/benchmark/plot.py docs/benchmarks/train_step_mit-b5.json docs/figures/benchmark_train_step.png

A file of neck.py gives time and memory over the classes, one of train_step.py the stages of a step.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLOURS = dict(plain="#c44e52", exact="#4c72b0")


def plot_neck(figure: Figure, rows: list[dict]) -> None:
    """Time and extra memory over the number of classes, plain and exact."""
    time_axes, memory_axes = figure.subplots(1, 2)
    for name in ("plain", "exact"):
        known = [row for row in rows if name in row]
        classes = [row["classes"] for row in known]
        seconds = [statistics.median(row[name]["forward_backward"]) for row in known]
        time_axes.plot(classes, seconds, "o-", color=COLOURS[name], label=name)
        memory = [row[name]["extra_bytes"] / 2**30 for row in known]
        memory_axes.plot(classes, memory, "o-", color=COLOURS[name], label=name)
    time_axes.set(title="forward + backward", ylabel="seconds")
    memory_axes.set(title="extra memory at the peak", ylabel="GB")
    for axes in (time_axes, memory_axes):
        axes.set(xlabel="classes K", xlim=0, ylim=0)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)


def plot_stages(figure: Figure, rows: list[dict]) -> None:
    """Stacked stages of a training step, a bar per variant."""
    axes = figure.subplots()
    left = [0.0] * len(rows)
    for stage in rows[0]["stages"]:
        widths = [row["stages"][stage] for row in rows]
        axes.barh([row["name"] for row in rows], widths, left=left, label=stage)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for number, (row, end) in enumerate(zip(rows, left, strict=True)):
        axes.text(end, number, f"  {row['ratio']:.2f}x", va="center")
    axes.invert_yaxis()
    axes.set(xlabel="seconds of a training step", xlim=(0, 1.12 * max(left)))
    axes.legend(frameon=False, ncols=5, loc="upper center", bbox_to_anchor=(0.4, -0.18))


def main() -> None:
    """Draw the plot that fits the file."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("json", type=Path)
    arguments.add_argument("out", type=Path)
    args = arguments.parse_args()
    if not args.json.is_file():
        arguments.error(f"no such file: {args.json}; a benchmark writes it with --out")
    content = json.loads(args.json.read_text())
    rows, machine = content["rows"], content["machine"]
    if "stages" not in rows[0] and not {"plain", "exact"} & set(rows[0]):
        arguments.error(f"{args.json} is not from neck.py or train_step.py; there is no plot for it")
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    (plot_stages if "stages" in rows[0] else plot_neck)(figure, rows)
    hardware = machine["gpu"] or f"{machine['cpu']}, {machine['threads']} threads"
    figure.suptitle(f"{hardware}, torch {machine['torch']}, {machine['date'][:10]}", fontsize=9, color="gray")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure).print_png(args.out)
    print(f"written: {args.out}")


if __name__ == "__main__":
    main()
