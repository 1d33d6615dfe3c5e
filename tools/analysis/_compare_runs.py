"""The trainings of ``compare.py``: what was asked for, whether it is there already, and training what is not."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from _config_checks import LOADERS, walk
from mmengine.config import Config

from mmseg_allspark.engine.checkpoint.resume_point import find_resume_point
from mmseg_allspark.engine.hooks.report import collect_facts
from mmseg_allspark.report.run_record import read_run
from mmseg_allspark.utils.files import write_whole

ROOT = Path(__file__).resolve().parents[2]
RECORD, LOG = "compare.json", "train.log"  # in the run's folder
MOST_SHOWN = 4
Slot = dict[str, str]  # environment variables of a training


@dataclass
class Job:
    """A training that the table needs."""

    name: str  # of its row
    config: Path
    seed: int
    work_dir: Path
    options: list[str]  # words of --cfg-options, the seed among them
    cfg: Config  # with these options

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

    def conflict(self) -> str:
        """Why what its folder holds is not this training; nothing if it is, or if there is nothing."""
        if not self.has_trained():
            return ""
        if not self.record():
            remedy = f"Give it as {self.name}={self.work_dir}, or choose another --out."
            return f"{self.work_dir} holds a run that compare.py did not start. {remedy}"
        then, now = self.record()["settings"], settings(self.cfg)
        keys = sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key))
        changes = [f"{key}: {then.get(key, 'not set')} -> {now.get(key, 'not set')}" for key in keys]
        changes[MOST_SHOWN:] = [f"and {len(changes) - MOST_SHOWN} more"] if len(changes) > MOST_SHOWN else []
        remedy = f"Set it as before, choose another --out, or delete {self.work_dir} to train anew."
        listed = "\n    ".join(changes)
        return f"{self}: the config is not the one trained before:\n    {listed}\n  {remedy}" if changes else ""

    def start(self, environment: Slot) -> subprocess.Popen:
        """Start to train it."""
        self.work_dir.mkdir(parents=True, exist_ok=True)
        start = dict(time=time.strftime("%Y-%m-%d %H:%M:%S"), commit=collect_facts()["commit"], command=self.command())
        starts = [*(self.record()["starts"] if self.has_trained() else []), start | dict(environment=environment)]
        record = dict(name=self.name, seed=self.seed, settings=settings(self.cfg), starts=starts)
        write_whole(json.dumps(record, indent=1), self.work_dir / RECORD)
        with (self.work_dir / LOG).open("a") as log:
            variables = os.environ | environment
            return subprocess.Popen(self.command(), stdout=log, stderr=subprocess.STDOUT, env=variables)

    def end(self, process: subprocess.Popen, status: int, usage: resource.struct_rusage) -> str:
        """Record the end, as ``os.wait4`` gave it; returns why the training failed, nothing if it went well."""
        code = process.returncode = os.waitstatus_to_exitcode(status)
        record = self.record()
        peak = usage.ru_maxrss >> (20 if sys.platform == "darwin" else 10)
        record["starts"][-1] |= dict(exit_code=code, peak_rss_mib=peak)
        write_whole(json.dumps(record, indent=1), self.work_dir / RECORD)
        path = self.work_dir / LOG
        lines = [line.strip() for line in path.read_text(errors="replace").splitlines() if line.strip()]
        said = lines[-1][:300] if lines else "no output"
        return f"failed with exit code {code}: {said} (see {path})" if code else ""


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
            source = part.get("source") or []  # of UnlabeledDataset: folders, globs, lists
            lists = dict(ann_file=[part.get("ann_file")], source=[source] if isinstance(source, str) else source)
            for key, names in lists.items():
                files = [Path(part.get("data_root") or "") / str(name) for name in names if name]
                if content := b"".join(file.read_bytes() for file in files if file.is_file()):
                    found[f"{path}.{key} (content)"] = hashlib.sha256(content).hexdigest()[:12]
    return found


def train_all(jobs: Sequence[Job], slots: Sequence[Slot]) -> dict[Path, str]:
    """Train jobs, as many at a time as there are slots; returns why trainings failed, by folder. None stops another."""
    waiting, free, failed = list(jobs), list(slots), {}
    running: dict[int, tuple[Job, Slot, subprocess.Popen]] = {}
    try:
        while waiting or running:
            while waiting and free:
                job, slot = waiting.pop(0), free.pop(0)
                process = job.start(slot)
                running[process.pid] = (job, slot, process)
            ended, *result = os.wait4(-1, 0)  # Popen.wait would drop the peak memory
            if ended not in running:  # a child of somebody else's
                continue
            job, slot, process = running.pop(ended)
            free.append(slot)
            why = job.end(process, *result)
            failed |= {job.work_dir: why} if why else {}
            done = len(jobs) - len(waiting) - len(running)
            print(f"[{done}/{len(jobs)}] {job}: {why or 'finished'}", flush=True)
    finally:  # after Ctrl-C some still run
        for _, _, process in running.values():
            process.terminate()
        for job, _, process in running.values():
            job.end(process, *os.wait4(process.pid, 0)[1:])
    return failed
