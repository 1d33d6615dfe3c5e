"""Compare training runs: one table and one plot of a metric over the iterations.

    python tools/analysis/compare_runs.py supervised=work_dirs/a AllSpark=work_dirs/b --out docs/figures/camvid.png

Each run is NAME=WORK_DIR of tools/train.py; a resumed run's parts are joined. The table is printed as Markdown.
"""

import argparse
import json
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Curve = dict[int, float]


def read_curve(work_dir: Path, key: str) -> Curve:
    """Read iteration -> metric from the visualizer's files of a run.

    Raises:
        FileNotFoundError: If the run has written no such metric.
    """
    curve: Curve = {}
    for path in sorted(work_dir.glob("*/vis_data/scalars.json")):
        entries = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
        curve |= {int(entry["step"]): entry[key] for entry in entries if key in entry}
    if not curve:
        raise FileNotFoundError(f"No {key!r} in {work_dir}/*/vis_data/scalars.json; has the run validated yet?")
    return dict(sorted(curve.items()))


def table(curves: dict[str, Curve], key: str) -> str:
    """Markdown table of each run's last and best value."""
    lines = [f"| run | {key}, last | at | {key}, best | at |", "|---|---|---|---|---|"]
    for name, curve in curves.items():
        last, best = max(curve), max(curve, key=curve.__getitem__)
        lines.append(f"| {name} | {curve[last]:.2f} | {last} | {curve[best]:.2f} | {best} |")
    return "\n".join(lines)


def plot(curves: dict[str, Curve], key: str, path: Path) -> None:
    """Draw the curves with their names at the right ends."""
    figure = Figure(figsize=(7.2, 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    for name, curve in curves.items():
        axis.plot(list(curve), list(curve.values()), marker="o", markersize=3, linewidth=1.5, label=name)
    axis.set_xlabel("iteration")
    axis.set_ylabel(f"{key} (%) on the validation images")
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> None:
    """Compare the runs of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="NAME=WORK_DIR")
    parser.add_argument("--out", type=Path, help="PNG to write")
    parser.add_argument("--key", default="mIoU", help="metric (default: mIoU)")
    args = parser.parse_args()
    curves = {}
    for run in args.runs:
        name, separator, work_dir = run.partition("=")
        if not separator or not Path(work_dir).is_dir():
            parser.error(f"{run!r} is not NAME=WORK_DIR with an existing folder")
        curves[name] = read_curve(Path(work_dir), args.key)
    print(table(curves, args.key))
    if args.out:
        plot(curves, args.key, args.out)
        print(args.out)


if __name__ == "__main__":
    main()
