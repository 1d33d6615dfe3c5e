"""What every benchmark shares: paired timing in one process, peak memory in a process of its own, JSON output.

A benchmark is a dict of name -> function without arguments; each does the same work in another way. They run in turn,
round after round, so that a machine that slows down slows down all of them, and ratios are taken within rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import torch
from torch.utils.benchmark import Measurement, TaskSpec, timer  # a clock that waits for the GPU

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
Cases = dict[str, Callable[[], object]]


def measurement(seconds: list[float]) -> Measurement:
    """Torch's median, interquartile range (``iqr``) and list (``times``) of the seconds of each round."""
    return Measurement(1, seconds, TaskSpec(stmt="", setup=""))


def speedup(ours: Measurement, theirs: Measurement) -> Measurement:
    """Their time over ours, round by round."""
    return measurement([their / our for our, their in zip(ours.times, theirs.times, strict=True)])


def time_cases(cases: Cases, *, rounds: int, warmup: int) -> dict[str, Measurement]:
    """Time the cases in turn, after ``warmup`` rounds that do not count."""
    seconds = [{name: time_once(case) for name, case in cases.items()} for _ in range(warmup + rounds)]
    return {name: measurement([times[name] for times in seconds[warmup:]]) for name in cases}


def time_once(case: Callable[[], object]) -> float:
    """Seconds of one call, the work it left to the GPU included."""
    start = timer()
    case()
    return timer() - start


def measure_extra_memory(case: Callable[[], object], warm: Callable[[], object]) -> int:
    """Bytes that a call needs on top of what is held before it, at its peak.

    On a GPU the CUDA allocator is asked. On the CPU it is the growth of the resident set, which is only meaningful
    in a process that has not run the case before: see :func:`in_own_process`.

    Args:
        case: What is measured.
        warm: Something small that loads the same libraries.
    """
    warm()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        case()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest mark so far
    case()
    return _resident("VmHWM") - before


def _resident(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(f"{key}:")))


def in_own_process(script: str, *arguments: str) -> dict:
    """Run a benchmark script in a fresh process and return the JSON object in its last line of output.

    Raises:
        RuntimeError: If it fails (out of memory, say); the message ends with what it printed.
    """
    done = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"{script} {' '.join(arguments)} exited with {done.returncode}: {done.stderr[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


def machine() -> dict:
    """What the figures were taken on."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    cpu = re.search(r"^model name\s*: (.*)", info, re.MULTILINE)
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=ROOT)
    return dict(
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        command=" ".join(["python", *sys.argv]),
        commit=commit.stdout.strip() or "unknown",
        cpu=cpu[1] if cpu else "unknown",
        cores=os.cpu_count(),
        threads=torch.get_num_threads(),
        load_before=os.getloadavg()[0],
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        torch=torch.__version__,
        python=platform.python_version(),
    )


def parser(description: str, *, rounds: int, warmup: int = 2) -> argparse.ArgumentParser:
    """Arguments that all benchmarks have."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--rounds", type=int, default=rounds, help="rounds that count (default: %(default)s)")
    arguments.add_argument("--warmup", type=int, default=warmup, help="rounds before (default: %(default)s)")
    arguments.add_argument("--threads", type=int, help="CPU threads of torch (default: torch's choice)")
    arguments.add_argument("--out", type=Path, help="write the figures to this JSON file")
    return arguments


def add_dtype(arguments: argparse.ArgumentParser) -> None:
    """Add ``--dtype``, the type that :func:`autocast` computes in."""
    arguments.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32", help="autocast to")


def autocast(dtype: str) -> torch.autocast:
    """Return the context of ``--dtype``; float32 changes nothing."""
    return torch.autocast(DEVICE, dtype=getattr(torch, dtype), enabled=dtype != "float32")


def start(args: argparse.Namespace) -> dict:
    """Apply the common arguments and describe the machine; call it before any work."""
    if args.threads:
        torch.set_num_threads(args.threads)
    return machine()


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def save(out: Path | None, about: dict, rows: list[dict]) -> None:
    """Write the machine and the rows, if a file was asked for."""
    if out is None:
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(dict(machine=about, rows=rows), indent=1) + "\n")
    say(f"written: {out}")
