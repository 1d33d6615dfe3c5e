"""The trainings of ``compare.py``: what was asked for, whether it is there already, and training what is not."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from _config_checks import LOADERS, walk
from mmengine.config import Config

from mmseg_allspark.engine.resume_point import find_resume_point
from mmseg_allspark.report.run_record import read_run
from mmseg_allspark.utils.files import write_whole

ROOT = Path(__file__).resolve().parents[2]
RECORD, LOG, LOCK = "compare.json", "train.log", "compare.lock"  # in the run's folder
REPORT_SECONDS = 30.0
MOST_SHOWN = 4
BY_VAL_INTERVAL = {"train_cfg.val_interval", "default_hooks.checkpoint.interval"}  # what the option alone sets


class Terminated(KeyboardInterrupt):
    """SIGTERM came while trainings ran; they are stopped as after Ctrl-C."""


@dataclass
class Job:
    """A training that the table needs.

    Args:
        name: Of its row.
        config: File.
        seed: Of the training.
        work_dir: Its folder.
        options: Words of ``--cfg-options``, the seed among them.
        cfg: The config with these options.
        commit: Of the present code.
    """

    name: str
    config: Path
    seed: int
    work_dir: Path
    options: list[str]
    cfg: Config
    commit: str

    def __str__(self) -> str:
        return f"{self.name}, seed {self.seed}"

    def command(self) -> list[str]:
        """What trains it, or goes on with it."""
        words = [sys.executable, ROOT / "tools/train.py", self.config, "--work-dir", self.work_dir]
        return [*map(str, words), "--resume", "--cfg-options", *self.options]

    def record(self) -> dict:
        """What this tool wrote about earlier starts; empty before the first."""
        path = self.work_dir / RECORD
        return json.loads(path.read_text()) if path.is_file() else {}

    def has_trained(self) -> bool:
        """Whether there is something that a start would go on from."""
        return find_resume_point(self.work_dir).checkpoint is not None or _validated(self.work_dir)

    def changes(self) -> dict[str, tuple[str, str]]:
        """Settings that are not those the folder was trained with, before and now."""
        then, now = self.record()["settings"], settings(self.cfg)
        keys = sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key))
        return {key: (then.get(key, "not set"), now.get(key, "not set")) for key in keys}


def conflicts(jobs: Sequence[Job]) -> list[str]:
    """Why what the folders hold is not these trainings, once for all seeds of a row that differ alike."""
    foreign, groups = [], {}
    for job in jobs:
        if not job.has_trained():
            continue
        if not job.record():
            foreign.append(
                f"{job.work_dir} holds a run that compare.py did not start. Give it as {job.name}={job.work_dir}, "
                "or choose another --out."
            )
        elif changes := job.changes():
            groups.setdefault((job.name, *changes.items()), []).append(job)
    return foreign + [_describe(group) for group in groups.values()]


def _describe(group: Sequence[Job]) -> str:
    """How the config of these seeds of a row differs from the one that their folders were trained with."""
    first, several = group[0], len(group) > 1
    changes = first.changes()
    lines = [f"{key}: {then} -> {now}" for key, (then, now) in changes.items()][:MOST_SHOWN]
    lines += [f"and {len(changes) - MOST_SHOWN} more"] if len(changes) > MOST_SHOWN else []
    seeds, folders = (", ".join(str(getattr(job, what)) for job in group) for what in ("seed", "work_dir"))
    intervals = {then for then, _ in changes.values()}
    by_steps = any(word.startswith("train_cfg.max_iters=") for word in first.options)
    kept = changes.keys() == BY_VAL_INTERVAL and len(intervals) == 1 and by_steps
    return (
        f"{first.name}, seed{'s' * several} {seeds}: the config is not the one that {folders} "
        f"{'were' if several else 'was'} trained with:\n    "
        + "\n    ".join(lines)
        + (f"\n  With --val-interval {intervals.pop()}, as before, what is trained is kept." if kept else "")
        + f"\n  Choose another --out, or delete {'these folders' if several else folders} to train anew."
    )


def _validated(work_dir: Path) -> bool:
    try:
        return bool(read_run(work_dir).metrics)
    except FileNotFoundError:
        return False


def settings(cfg: Config) -> dict[str, str]:
    """Every setting that training depends on, as text by its key, and what the data sets' lists contain."""
    found: dict[str, str] = {}
    content = cfg._cfg_dict.to_dict()
    for key in ("work_dir", "launcher"):
        content.pop(key, None)
    for path, part in walk(content):
        for key, value in part.items():
            if not isinstance(value, (dict, list, tuple)) or not any(True for _ in walk(value)):
                found[f"{path}.{key}" if path else str(key)] = repr(value)
    for loader in LOADERS:
        for path, part in walk(cfg.get(loader) or {}, loader):
            if isinstance(name := part.get("ann_file"), str) and name:
                file = Path(part.get("data_root") or "") / name
                if file.is_file():
                    found[f"{path}.ann_file (content)"] = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    return found


class Trainer:
    """Trains jobs, some at a time.

    Args:
        slots: Environment variables of each of the jobs that run at the same time.
        say: Takes lines for the user.
    """

    def __init__(self, slots: Sequence[dict[str, str]], say: Callable[[str], None]) -> None:
        self.say, self.number = say, len(slots)
        self._slots: SimpleQueue[dict[str, str]] = SimpleQueue()
        for slot in slots:
            self._slots.put(slot)
        self._running: dict[int, Job] = {}  # by process
        self._stopping, self._lock = False, threading.Lock()

    def train(self, jobs: Sequence[Job]) -> dict[int, str]:
        """Train all; one that fails stops no other.

        Returns:
            Why jobs failed, by their position in ``jobs``.
        """
        failed: dict[int, str] = {}
        before = signal.signal(signal.SIGTERM, _interrupt)
        with ThreadPoolExecutor(self.number) as pool:
            futures = {pool.submit(self._train, job): index for index, job in enumerate(jobs)}
            try:
                self._watch(futures, jobs, failed)
            except BaseException:
                with self._lock:
                    self._stopping = True
                    for process in self._running:
                        os.kill(process, signal.SIGTERM)
                pool.shutdown(wait=True, cancel_futures=True)
                raise
            finally:
                signal.signal(signal.SIGTERM, before)
        return failed

    def _watch(self, futures: dict[Future, int], jobs: Sequence[Job], failed: dict[int, str]) -> None:
        open_jobs, done = set(futures), set()
        while open_jobs:
            finished, open_jobs = wait(open_jobs, REPORT_SECONDS, FIRST_COMPLETED)
            done |= finished
            for future in finished:
                index = futures[future]
                if why := future.result():
                    failed[index] = why
                self.say(f"[{len(done)}/{len(jobs)}] {jobs[index]}: {why or 'finished'}")
            if not finished:
                self.say("  " + "; ".join(f"{job}: iteration {_last_iter(job)}" for job in self._jobs()))

    def _jobs(self) -> list[Job]:
        with self._lock:
            return list(self._running.values())

    def _train(self, job: Job) -> str:
        """Train one; empty if it went well."""
        slot = self._slots.get()
        try:
            job.work_dir.mkdir(parents=True, exist_ok=True)
            with (job.work_dir / LOCK).open("w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return f"another process is training in {job.work_dir}: wait for it or stop it, then start again"
                return self._run(job, slot, lock.fileno())
        except OSError as error:
            return f"not started: {error}"
        finally:
            self._slots.put(slot)

    def _run(self, job: Job, slot: dict[str, str], lock: int) -> str:
        record = job.record() if job.has_trained() else {}
        command = job.command()
        start = dict(time=time.strftime("%Y-%m-%d %H:%M:%S"), commit=job.commit, command=command, environment=slot)
        record = dict(name=job.name, seed=job.seed, settings=settings(job.cfg), starts=record.get("starts", []))
        record["starts"].append(start)
        _write(job, record)
        with (job.work_dir / LOG).open("a") as log:
            with self._lock:
                if self._stopping:
                    return "stopped before it began"
                # the child holds the lock too: it keeps others out of the folder if this process is killed
                process = subprocess.Popen(
                    command, stdout=log, stderr=subprocess.STDOUT, env=os.environ | slot, pass_fds=[lock]
                )
                self._running[process.pid] = job
            _, status, usage = os.wait4(process.pid, 0)  # subprocess' own wait drops the peak memory
            with self._lock:
                del self._running[process.pid]
        process.returncode = os.waitstatus_to_exitcode(status)
        unit = 1024**2 if sys.platform == "darwin" else 1024
        start.update(exit_code=process.returncode, peak_rss_mib=round(usage.ru_maxrss / unit))
        _write(job, record)
        if process.returncode == 0:
            return ""
        return f"failed with exit code {process.returncode}: {last_line(job.work_dir / LOG)} (see {job.work_dir / LOG})"


def _interrupt(*_: object) -> None:
    raise Terminated


def _write(job: Job, record: dict) -> None:
    write_whole(json.dumps(record, indent=1), job.work_dir / RECORD)


def _last_iter(job: Job) -> int:
    try:
        return read_run(job.work_dir).last_iter
    except FileNotFoundError:
        return 0


def last_line(log: Path) -> str:
    """The last line of a log that says something, usually the exception."""
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "no output")
