"""Compare methods: train configs with several seeds under one budget, and write a table and a picture.

    python tools/analysis/compare.py supervised=CONFIG AllSpark=CONFIG --seeds 0 1 2 --steps 800 --out work_dirs/compare
    python tools/analysis/compare.py supervised=WORK_DIR AllSpark=WORK_DIR --out work_dirs/compare

A config is trained with each seed, in OUT/<name>/seed<n>; a folder is a run of tools/train.py and only read, and a name
may have several. The first row is what the others are compared with. Interrupted, the same command goes on where it
was: finished runs are kept, begun ones resumed. Another config in the same folder is refused. A run that fails
stops no other; it is named below the table, and the exit code is 1. Written are comparison.md, .json and .png.
See docs/compare_methods.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# a checkout needs no installation of the plugin
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

import mmseg_allspark  # noqa: F401

# isort: split
import torch
from _common import check_options
from _compare_results import Row, has_begun, read_result, runs_below
from _compare_runs import Job, Terminated, Trainer, conflicts
from _compare_table import markdown, plot, title, to_json
from _schedule import Options, steps_options, to_arguments
from mmengine.config import DictAction

from mmseg_allspark.engine.report_hook import collect_facts
from mmseg_allspark.utils.config_files import read_config
from mmseg_allspark.utils.metric_names import choose_metric, metric_names


def say(text: str) -> None:
    """A line for the user, at once."""
    print(text, flush=True)


def parse_args(argv: Sequence[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "methods",
        nargs="+",
        metavar="[NAME=]CONFIG or NAME=WORK_DIR",
        help="a config to train or the folder of a run; without NAME a config has its folder's and file's name",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--out", type=Path, default=Path("work_dirs/compare"), help="default: work_dirs/compare")
    parser.add_argument("--steps", type=int, help="iterations of every config (default: as the config says)")
    parser.add_argument("--val-interval", type=int, help="iterations between validations (default: STEPS / 8)")
    parser.add_argument("--jobs", type=int, help="trainings at a time (default: 1 a GPU, 1 on the CPU)")
    parser.add_argument("--threads", type=int, help="CPU threads of each (default: cores / jobs)")
    parser.add_argument("--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="for every config")
    parser.add_argument("--collect-only", action="store_true", help="train nothing: the table of what is there")
    parser.add_argument("--key", default="mIoU", help="metric, the larger the better (default: mIoU, else mDice)")
    args = parser.parse_args(argv)
    if args.steps is not None and args.steps < 2:
        parser.error(f"--steps {args.steps}: at least 2")
    if args.val_interval is not None and (args.steps is None or not 1 <= args.val_interval <= args.steps):
        parser.error(f"--val-interval {args.val_interval}: needs --steps, and lies between 1 and these")
    if repeated := [seed for seed, number in Counter(args.seeds).items() if number > 1]:
        parser.error(f"--seeds: {repeated[0]} is given twice")
    keys = {option.partition("=")[0] for option in args.cfg_options}
    if clash := keys & {"randomness.seed", *(["train_cfg.max_iters", "train_cfg.max_epochs"] if args.steps else [])}:
        parser.error(f"--cfg-options {sorted(clash)[0]}: --seeds and --steps say this")
    return parser, args


def parse_method(text: str) -> tuple[str, Path]:
    """Name and path of a row.

    Raises:
        ValueError: If there is no such file or folder, no run in the folder, or the name cannot be a folder's.
    """
    name, separator, path = text.partition("=")
    if not separator or Path(text).exists():
        path = text
        name = f"{Path(path).resolve().parent.name}/{Path(path).stem}"
    if not Path(path).exists():
        raise ValueError(f"{text!r}: there is neither a config nor a folder {path} (looked in {Path.cwd()})")
    if Path(path).is_dir() and path == text:
        raise ValueError(f"{text!r} is a folder: give it a name, NAME={text}")
    if not re.fullmatch(r"[^/|\\]+(/[^/|\\]+)?", name) or ".." in name:
        raise ValueError(f"{name!r} cannot be a row's name: no '|', '\\' or '..', and '/' once at most")
    if Path(path).is_dir() and not has_begun(Path(path)):
        below = ", ".join(map(str, runs_below(Path(path))))
        raise ValueError(
            f"{text!r}: no run of tools/train.py in {path} (no config, no log). Give the --work-dir of a training, the "
            f"folder with <time>/vis_data.{below and f' Runs below it: {below}.'}"
        )
    return name, Path(path)


def parse_options(words: list[str]) -> dict[str, object]:
    """What ``--cfg-options`` of these words does in tools/train.py."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--cfg-options", nargs="+", action=DictAction)
    return parser.parse_args(["--cfg-options", *words]).cfg_options if words else {}


def make_jobs(name: str, path: Path, args: argparse.Namespace, commit: str) -> tuple[list[Job], Options]:
    """The trainings of a config, and the options that its phases get.

    Raises:
        ValueError: For options without effect, or a schedule that cannot be moved.
    """
    given = parse_options(args.cfg_options)
    check_options(read_config(path), given)
    cfg = read_config(path, given)
    length, phases = steps_options(cfg, args.steps, args.val_interval, given) if args.steps else ({}, {})
    words = [*args.cfg_options, *to_arguments(length | phases)]
    jobs = []
    for seed in args.seeds:
        options = [*words, f"randomness.seed={seed}"]
        own = read_config(path, parse_options(options))
        work_dir = args.out / re.sub(r"[^\w.+/-]+", "_", name) / f"seed{seed}"
        jobs.append(Job(name, path, seed, work_dir, options, own, commit))
    return jobs, phases


def make_slots(parser: argparse.ArgumentParser, args: argparse.Namespace) -> list[dict[str, str]]:
    """Environment of each training that runs at a time: one a GPU, or a share of the cores."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    number = torch.cuda.device_count()
    gpus = [gpu.strip() for gpu in visible.split(",")][:number] if visible else [str(gpu) for gpu in range(number)]
    jobs = args.jobs or max(1, len(gpus))
    if jobs < 1 or (gpus and jobs > len(gpus)):
        parser.error(f"--jobs {jobs}: 1 at least, and one a GPU at most, of which there are {len(gpus)}")
    threads = str(args.threads or max(1, (os.cpu_count() or 1) // jobs))
    common = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), threads)
    return [common | ({"CUDA_VISIBLE_DEVICES": gpus[slot]} if gpus else {}) for slot in range(jobs)]


def announce(name: str, phases: Options, args: argparse.Namespace) -> None:
    """Say what ``--steps`` changes in a config."""
    if args.steps:
        interval = args.val_interval or max(1, args.steps // 8)
        moved = ", ".join(to_arguments(phases)) or "none"
        say(f"{name}: {args.steps} iterations, validated every {interval}; phases in proportion: {moved}")


def agree_on_metric(found: list[tuple[str, str]], key: str) -> str:
    """The metric of all rows, by the name of the first: each may have its own prefix.

    Args:
        found: Row and name of the metric of each run, as far as it is known.
        key: What the command line says.

    Raises:
        ValueError: If they are different metrics.
    """
    if len({name.rpartition("/")[2] for _, name in found}) > 1:
        listed = ", ".join(f"{name} ({row})" for row, name in dict.fromkeys(found))
        raise ValueError(f"the validations give {listed}: choose one that all runs have with --key")
    return found[0][1] if found else key


def train(jobs: list[Job], slots: list[dict[str, str]], key: str) -> dict[Path, str]:
    """Train what is not finished.

    Returns:
        Why trainings failed, by their folder.
    """
    results = [(job, read_result(job.work_dir, key, job.seed)) for job in jobs]
    for job, result in results:
        commits = {start["commit"] for start in result.starts} - {job.commit}
        if commits:
            say(f"{job}: trained with commit {', '.join(sorted(commits))}, the code is now {job.commit}")
    todo = [job for job, result in results if result.problem]
    threads = slots[0]["OMP_NUM_THREADS"]
    say(f"{len(jobs) - len(todo)} finished, {len(todo)} to train, {len(slots)} at a time with {threads} thread(s) each")
    failed = Trainer(slots, say).train(todo) if todo else {}
    return {todo[index].work_dir: why for index, why in failed.items()}


def collect(methods: list[tuple[str, Path]], jobs: list[Job], failed: dict[Path, str], key: str) -> list[Row]:
    """Read all runs into rows, in the order of the command line."""
    rows: dict[str, Row] = {}
    for name, path in methods:
        own = [job for job in jobs if job.name == name]
        row = rows.setdefault(name, Row(name, [], own[0].cfg if own else None))
        if path.is_dir():
            row.results.append(read_result(path, key))
            if row.results[-1].seed == "?":
                row.results[-1].seed = f"?{len(row.results)}"
        else:
            row.results += [read_result(job.work_dir, key, job.seed, failed.get(job.work_dir, "")) for job in own]
    for row in rows.values():
        seeds = Counter(result.seed for result in row.results)
        if repeated := [seed for seed, number in seeds.items() if number > 1]:
            raise ValueError(f"{row.name} has seed {repeated[0]} twice: give each run once")
        row.cfg = next((run.cfg for run in (*row.finished, *row.results) if run.cfg is not None), row.cfg)
    return list(rows.values())


def write(rows: list[Row], args: argparse.Namespace, facts: dict, command: list[str], warnings: list[str]) -> None:
    """Write table, record and picture, and show the table."""
    args.out.mkdir(parents=True, exist_ok=True)
    text = markdown(rows, args.key) + "".join(f"\n\n**Warning**: {line}" for line in warnings)
    (args.out / "comparison.md").write_text(f"{title(rows)}\n\n{text}\n\n`{' '.join(command)}`\n")
    record = dict(command=command, created=time.strftime("%Y-%m-%d %H:%M:%S"), torch=torch.__version__, **facts)
    content = dict(record, warnings=warnings, table=text, rows=to_json(rows, args.key))
    (args.out / "comparison.json").write_text(json.dumps(content, indent=1, default=str))
    plot(rows, args.key, args.out / "comparison.png")
    say(f"\n{text}\n\n" + "\n".join(str(args.out / f"comparison.{suffix}") for suffix in ("md", "json", "png")))


def main(argv: Sequence[str] | None = None) -> int:
    """Train and compare what the command line asks for.

    Returns:
        Exit code: 1 if a training failed, 130 after Ctrl-C, 143 after SIGTERM, else 0.
    """
    parser, args = parse_args(argv)
    command = ["python", "tools/analysis/compare.py", *(sys.argv[1:] if argv is None else argv)]
    facts = collect_facts()
    jobs: list[Job] = []
    try:
        methods = [parse_method(text) for text in args.methods]
        for name, path in methods:
            if path.is_file():
                own, phases = make_jobs(name, path, args, str(facts["commit"]))
                announce(name, phases, args)
                jobs += own
        if len({job.work_dir for job in jobs}) < len(jobs):
            raise ValueError("two configs have the same name: give each its own, NAME=CONFIG")
        differing = conflicts(jobs)
        if differing and not args.collect_only:
            raise ValueError("\n".join(differing))
        known = [(job.name, names) for job in jobs if (names := metric_names(job.cfg))]
        agree_on_metric([(name, choose_metric(names, args.key, "--key")) for name, names in known], args.key)
        failed = {} if args.collect_only or not jobs else train(jobs, make_slots(parser, args), args.key)
        rows = collect(methods, jobs, failed, args.key)
        args.key = agree_on_metric(
            [(row.name, run.metric) for row in rows for run in row.results if run.curve], args.key
        )
    except ValueError as error:
        parser.error(str(error))
    except KeyboardInterrupt as stop:
        say("Stopped. The same command goes on; with --collect-only it makes the table of what is there.")
        return 143 if isinstance(stop, Terminated) else 130
    if not any(result.curve for row in rows for result in row.results):
        for line in (f"{row.name}, seed {run.seed}: {run.problem}" for row in rows for run in row.results):
            print(line, file=sys.stderr)
        return 1
    write(rows, args, facts, command, differing)
    return int(bool(failed) or (not args.collect_only and any(run.problem for row in rows for run in row.results)))


if __name__ == "__main__":
    sys.exit(main())
