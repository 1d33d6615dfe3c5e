"""The trainings of ``compare.py``: what was asked for, whether it is there already, and training what is not."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from _config_checks import LOADERS, walk
from mmengine.config import Config

from mmseg_allspark.engine.checkpoint.resume_point import find_resume_point
from mmseg_allspark.report.run_record import read_run
from mmseg_allspark.utils.files import write_whole

ROOT = Path(__file__).resolve().parents[2]
RECORD, LOG = "compare.json", "train.log"  # in the run's folder
MOST_SHOWN = 4
RUNNING: set[int] = set()  # processes


@dataclass
class Job:
    """A training that the table needs."""

    name: str  # of its row
    config: Path
    seed: int
    work_dir: Path
    options: list[str]  # words of --cfg-options, the seed among them
    cfg: Config  # with these options
    commit: str  # of the present code

    def __str__(self) -> str:
        return f"{self.name}, seed {self.seed}"

    def command(self) -> list[str]:
        """What trains it, or goes on with it."""
        words = [sys.executable, ROOT / "tools/train.py", self.config, "--work-dir", self.work_dir]
        return [*map(str, words), "--resume", "--cfg-options", *self.options]

    def record(self) -> dict:
        """What was recorded of earlier starts; empty before the first."""
        path = self.work_dir / RECORD
        return json.loads(path.read_text()) if path.is_file() else {}

    def has_trained(self) -> bool:
        """Whether there is something that a start would go on from."""
        with contextlib.suppress(FileNotFoundError):
            if read_run(self.work_dir).metrics:
                return True
        return find_resume_point(self.work_dir).checkpoint is not None

    def changes(self) -> list[str]:
        """Settings that are not those its folder was trained with, as ``key: before -> now``."""
        then, now = self.record()["settings"], settings(self.cfg)
        keys = sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key))
        return [f"{key}: {then.get(key, 'not set')} -> {now.get(key, 'not set')}" for key in keys]

    def train(self, environment: dict[str, str]) -> str:
        """Train it; returns why that failed, nothing if it went well."""
        self.work_dir.mkdir(parents=True, exist_ok=True)
        path = self.work_dir / LOG
        start = dict(time=time.strftime("%Y-%m-%d %H:%M:%S"), commit=self.commit, command=self.command())
        starts = [*(self.record()["starts"] if self.has_trained() else []), start | {"environment": environment}]
        record = dict(name=self.name, seed=self.seed, settings=settings(self.cfg), starts=starts)
        write_whole(json.dumps(record, indent=1), self.work_dir / RECORD)
        with path.open("a") as log:
            variables = os.environ | environment
            process = subprocess.Popen(self.command(), stdout=log, stderr=subprocess.STDOUT, env=variables)
        RUNNING.add(process.pid)
        _, status, usage = os.wait4(process.pid, 0)  # subprocess.run would drop the peak memory
        RUNNING.discard(process.pid)
        code = process.returncode = os.waitstatus_to_exitcode(status)
        starts[-1] |= dict(exit_code=code, peak_rss_mib=usage.ru_maxrss >> (20 if sys.platform == "darwin" else 10))
        write_whole(json.dumps(record, indent=1), self.work_dir / RECORD)
        lines = path.read_text(errors="replace").split("\n")
        said = next((line.strip()[:300] for line in reversed(lines) if line.strip()), "no output")
        return f"failed with exit code {code}: {said} (see {path})" if code else ""


def conflicts(jobs: Sequence[Job]) -> list[str]:
    """Why what the folders hold is not these trainings, once for all seeds of a row that differ alike."""
    found, groups = [], {}
    for job in (job for job in jobs if job.has_trained()):
        if not job.record():
            remedy = f"Give it as {job.name}={job.work_dir}, or choose another --out."
            found.append(f"{job.work_dir} holds a run that compare.py did not start. {remedy}")
        elif changes := job.changes():
            groups.setdefault((job.name, *changes), []).append(job)
    for (name, *changes), group in groups.items():
        seeds, folders = (", ".join(str(getattr(job, what)) for job in group) for what in ("seed", "work_dir"))
        more = [f"and {len(changes) - MOST_SHOWN} more"] if len(changes) > MOST_SHOWN else []
        listed = "\n    ".join([*changes[:MOST_SHOWN], *more])
        remedy = f"Set it as before, choose another --out, or delete {folders} to train anew."
        found.append(f"{name}, seed {seeds}: the config is not the one trained before:\n    {listed}\n  {remedy}")
    return found


def settings(cfg: Config) -> dict[str, str]:
    """Every setting that training depends on, as text by its key, and what the data sets' lists contain."""
    found: dict[str, str] = {}
    content = {key: value for key, value in cfg._cfg_dict.to_dict().items() if key not in ("work_dir", "launcher")}
    for path, part in walk(content):
        for key, value in part.items():
            if not isinstance(value, (dict, list, tuple)) or not any(True for _ in walk(value)):
                found[f"{path}.{key}" if path else str(key)] = repr(value)
    for loader in LOADERS:
        for path, part in walk(cfg.get(loader) or {}, loader):
            file = Path(part.get("data_root") or "") / str(part.get("ann_file") or "")
            if file.is_file():
                found[f"{path}.ann_file (content)"] = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    return found


def train_all(jobs: Sequence[Job], slots: Sequence[dict[str, str]]) -> dict[Path, str]:
    """Train jobs, as many at a time as there are slots (environment variables); one that fails stops no other.

    Returns:
        Why trainings failed, by their folder.
    """
    free: SimpleQueue[dict[str, str]] = SimpleQueue()
    for slot in slots:
        free.put(slot)

    def train(job: Job) -> str:
        slot = free.get()
        try:
            return job.train(slot)
        except OSError as error:
            return f"not started: {error}"
        finally:
            free.put(slot)

    failed = {}
    with ThreadPoolExecutor(len(slots)) as pool:
        futures = {pool.submit(train, job): job for job in jobs}
        try:
            for number, future in enumerate(as_completed(futures), 1):
                job, why = futures[future], future.result()
                failed |= {job.work_dir: why} if why else {}
                print(f"[{number}/{len(jobs)}] {job}: {why or 'finished'}", flush=True)
        except BaseException:  # Ctrl-C
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(RUNNING):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGTERM)
            raise
    return failed
