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
import signal
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
from _compare_rows import Row, read_result
from _compare_runs import LOG, Job, train_all
from _compare_table import markdown, plot, title, to_json
from _schedule import steps_options, to_arguments
from mmengine.config import DictAction

from mmseg_allspark.engine.hooks.report import collect_facts
from mmseg_allspark.environment import usable_cpus
from mmseg_allspark.report.run_record import read_run
from mmseg_allspark.utils.config_files import read_config
from mmseg_allspark.utils.metric_names import choose_metric, metric_names


def parse_args(argv: Sequence[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    what = "a config to train or the folder of a run; without NAME a config has its folder's and file's name"
    add("methods", nargs="+", metavar="[NAME=]CONFIG or NAME=WORK_DIR", help=what)
    add("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    add("--out", type=Path, default=Path("work_dirs/compare"), help="default: work_dirs/compare")
    add("--steps", type=int, help="iterations of every config (default: as the config says)")
    add("--val-interval", type=int, help="iterations between validations (default: STEPS / 8)")
    add("--jobs", type=int, help="trainings at a time (default: 1 a GPU, 1 on the CPU)")
    add("--threads", type=int, help="CPU threads of each (default: cores / jobs)")
    add("--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="for every config")
    add("--collect-only", action="store_true", help="train nothing: the table of what is there")
    add("--key", default="mIoU", help="metric, the larger the better (default: mIoU, else mDice)")
    args = parser.parse_args(argv)
    if args.steps is not None and args.steps < 2:
        parser.error(f"--steps {args.steps}: at least 2")
    if args.val_interval is not None and (args.steps is None or not 1 <= args.val_interval <= args.steps):
        parser.error(f"--val-interval {args.val_interval}: needs --steps, and lies between 1 and these")
    for name in ("jobs", "threads"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f"--{name} {getattr(args, name)}: at least 1")
    if repeated := [seed for seed, number in Counter(args.seeds).items() if number > 1]:
        parser.error(f"--seeds: {repeated[0]} is given twice")
    own = {"randomness.seed", *(["train_cfg.max_iters", "train_cfg.max_epochs"] if args.steps else [])}
    if clash := own & {option.partition("=")[0] for option in args.cfg_options}:
        parser.error(f"--cfg-options {sorted(clash)[0]}: --seeds and --steps say this")
    return parser, args


def parse_method(text: str) -> tuple[str, Path]:
    """Name and path of a row.

    Raises:
        ValueError: If there is no such file or folder, no run in the folder, or the name cannot be a folder's.
    """
    name, separator, path = text.partition("=")
    if not separator or Path(text).exists():
        name, path = f"{Path(text).resolve().parent.name}/{Path(text).stem}", text
    if not Path(path).exists():
        raise ValueError(f"{text!r}: there is neither a config nor a folder {path} (looked in {Path.cwd()})")
    if Path(path).is_dir() and path == text:
        raise ValueError(f"{text!r} is a folder: give it a name, NAME={text}")
    if not re.fullmatch(r"[^/|\\]+(/[^/|\\]+)?", name) or ".." in name:
        raise ValueError(f"{name!r} cannot be a row's name: no '|', '\\' or '..', and '/' once at most")
    if Path(path).is_dir():
        try:
            read_run(Path(path))
        except FileNotFoundError as error:
            raise ValueError(f"{text!r}: {error}") from None
    return name, Path(path)


def parse_options(words: list[str]) -> dict[str, object]:
    """What ``--cfg-options`` of these words does in tools/train.py."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg-options", nargs="*", action=DictAction, default={})
    return parser.parse_args(["--cfg-options", *words]).cfg_options


def make_jobs(name: str, path: Path, args: argparse.Namespace) -> list[Job]:
    """The trainings of a config; says what ``--steps`` changes in it.

    Raises:
        ValueError: For options without effect, or a schedule that cannot be moved.
    """
    given = parse_options(args.cfg_options)
    check_options(read_config(path), given)
    words = list(args.cfg_options)
    if args.steps:
        length, phases = steps_options(read_config(path, given), args.steps, args.val_interval, given)
        words += to_arguments(length | phases)
        interval, moved = args.val_interval or max(1, args.steps // 8), ", ".join(to_arguments(phases)) or "none"
        print(f"{name}: {args.steps} iterations, validated every {interval}; phases in proportion: {moved}", flush=True)
    jobs = []
    for seed in args.seeds:
        options = [*words, f"randomness.seed={seed}"]
        folder = args.out / re.sub(r"[^\w.+/-]+", "_", name) / f"seed{seed}"
        jobs.append(Job(name, path, seed, folder, options, read_config(path, parse_options(options))))
    return jobs


def make_slots(args: argparse.Namespace) -> list[dict[str, str]]:
    """Environment of each training that runs at a time: one a GPU, or a share of the cores.

    Raises:
        ValueError: If ``--jobs`` is above the number of GPUs.
    """
    gpus = [str(gpu) for gpu in range(torch.cuda.device_count())]
    if gpus and (visible := os.environ.get("CUDA_VISIBLE_DEVICES")):
        gpus = [gpu.strip() for gpu in visible.split(",")][: len(gpus)]
    jobs = max(1, len(gpus)) if args.jobs is None else args.jobs
    if gpus and jobs > len(gpus):
        raise ValueError(f"--jobs {jobs}: one a GPU at most, of which there are {len(gpus)}")
    common = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(args.threads or max(1, usable_cpus() // jobs)))
    return [common | ({"CUDA_VISIBLE_DEVICES": gpus[slot]} if gpus else {}) for slot in range(jobs)]


def agree_on_metric(found: list[tuple[str, str]], key: str) -> str:
    """The metric of all rows, given each row and its name there, by that of the first: each may have its own prefix.

    Raises:
        ValueError: If they are different metrics.
    """
    if len({name.rpartition("/")[2] for _, name in found}) > 1:
        listed = ", ".join(f"{name} ({row})" for row, name in dict.fromkeys(found))
        raise ValueError(f"the validations give {listed}: choose one that all runs have with --key")
    return found[0][1] if found else key


def train(jobs: list[Job], args: argparse.Namespace) -> dict[Path, str]:
    """Train what is not finished; returns why trainings failed, by their folder."""
    todo, slots = [job for job in jobs if read_result(job.work_dir, args.key).problem], make_slots(args)
    threads = slots[0]["OMP_NUM_THREADS"]
    at_a_time = f"{len(slots)} at a time with {threads} thread(s) each, see {args.out}/<name>/seed<n>/{LOG}"
    print(f"{len(jobs) - len(todo)} finished, {len(todo)} to train, {at_a_time}", flush=True)
    return train_all(todo, slots)


def collect(methods: list[tuple[str, Path]], jobs: list[Job], failed: dict[Path, str], key: str) -> list[Row]:
    """Read all runs into rows, in the order of the command line.

    Raises:
        ValueError: If a row has a seed twice.
    """
    rows: dict[str, Row] = {}
    for name, path in methods:
        row = rows.setdefault(name, Row(name, []))
        asked = [job for job in jobs if job.name == name and path.is_file()]
        row.results += [read_result(job.work_dir, key, job.seed, failed.get(job.work_dir, "")) for job in asked]
        if path.is_dir():
            row.results.append(read_result(path, key, f"?{len(row.results) + 1}"))
        read = [run.config for run in (*row.finished, *row.results) if run.config is not None]
        row.cfg = next(iter([*read, *(job.cfg for job in asked)]), row.cfg)
    for row in rows.values():
        seeds = Counter(result.seed for result in row.results)
        if repeated := [seed for seed, number in seeds.items() if number > 1]:
            raise ValueError(f"{row.name} has seed {repeated[0]} twice: give each run once")
    return list(rows.values())


def write(rows: list[Row], args: argparse.Namespace, argv: Sequence[str], warnings: list[str]) -> None:
    """Write table, record and picture, and show the table."""
    args.out.mkdir(parents=True, exist_ok=True)
    command = ["python", "tools/analysis/compare.py", *argv]
    text = "\n\n".join([markdown(rows, args.key), *(f"**Warning**: {line}" for line in warnings)])
    (args.out / "comparison.md").write_text(f"{title(rows)}\n\n{text}\n\n`{' '.join(command)}`\n")
    created = time.strftime("%Y-%m-%d %H:%M:%S")
    record = dict(command=command, created=created, torch=torch.__version__, **collect_facts())
    content = dict(record, warnings=warnings, table=text, rows=to_json(rows, args.key))
    (args.out / "comparison.json").write_text(json.dumps(content, indent=1, default=str))
    plot(rows, args.key, args.out / "comparison.png")
    print(f"\n{text}\n\n" + "\n".join(str(args.out / f"comparison.{suffix}") for suffix in ("md", "json", "png")))


def main(argv: Sequence[str] | None = None) -> int:
    """Train and compare what the command line asks for.

    Returns:
        Exit code: 1 if a run does not count, unless ``--collect-only``; 130 after Ctrl-C, else 0.
    """
    parser, args = parse_args(argv)
    failed: dict[Path, str] = {}
    try:
        methods = [parse_method(text) for text in args.methods]
        jobs = [job for name, path in methods if path.is_file() for job in make_jobs(name, path, args)]
        if len({job.work_dir for job in jobs}) < len(jobs):
            raise ValueError("two configs have the same name: give each its own, NAME=CONFIG")
        if (differing := [why for job in jobs if (why := job.conflict())]) and not args.collect_only:
            raise ValueError("\n".join(differing))
        known = [(job.name, names) for job in jobs if (names := metric_names(job.cfg))]
        agree_on_metric([(name, choose_metric(names, args.key, "--key")) for name, names in known], args.key)
        if jobs and not args.collect_only:
            failed = train(jobs, args)
        rows = collect(methods, jobs, failed, args.key)
        results = [(row, run) for row in rows for run in row.results]
        args.key = agree_on_metric([(row.name, run.metric) for row, run in results if run.validations], args.key)
    except ValueError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        print("Stopped. The same command goes on; with --collect-only it makes the table of what is there.")
        return 130
    if not any(run.validations for _, run in results):
        print("\n".join(f"{row.name}, seed {run.seed}: {run.problem}" for row, run in results), file=sys.stderr)
        return 1
    write(rows, args, sys.argv[1:] if argv is None else argv, differing)
    return int(bool(failed) or (not args.collect_only and any(run.problem for _, run in results)))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the trainings, as Ctrl-C does
    sys.exit(main())
