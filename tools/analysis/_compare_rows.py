"""What ``compare.py`` tells of finished and unfinished runs, read from their work directories alone."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from _compare_runs import RECORD
from mmengine.config import Config

from mmseg_allspark.datasets.data_report import is_semi_supervised
from mmseg_allspark.report.run_record import read_run
from mmseg_allspark.utils.config_files import configured_hooks
from mmseg_allspark.utils.config_types import name_types
from mmseg_allspark.utils.metric_names import find_metric

LONGEST = 60  # characters of a value that is still shown


@dataclass
class Result:
    """One run, as comparison.json has it."""

    seed: int | str  # '?1', '?2', ... where it is not known
    work_dir: Path
    problem: str = ""  # why it does not count
    metric: str = ""  # its name in this run
    validations: dict[int, float] = field(default_factory=dict)  # by iteration
    iterations: int | None = None  # that it was to train, if anything says
    seconds_per_iteration: float | None = None  # median of those logged
    training_seconds: float | None = None  # of all steps, without validations
    peak_memory_mib: dict | None = None  # value, and what it is of
    commit: str = ""
    versions: str = ""
    hardware: str = ""
    starts: list[dict] = field(default_factory=list)  # what compare.py recorded of each
    config: Config | None = None

    @property
    def last(self) -> float:
        """The last validation's figure."""
        return self.validations[max(self.validations)]


@dataclass
class Row:
    """All runs of a method; the config is that of a finished run if there is one."""

    name: str
    results: list[Result]
    cfg: Config | None = None

    @property
    def finished(self) -> list[Result]:
        """The runs that count."""
        return [result for result in self.results if not result.problem]


def read_result(work_dir: Path, key: str, seed: int | str = "?", why: str = "") -> Result:
    """Read a run; a seed that is text gives way to the config's, and ``why`` says how the training failed just now."""
    result = Result(seed, work_dir, why or "not trained yet", key)
    try:
        run = read_run(work_dir)
    except FileNotFoundError:
        return result
    cfg = result.config = run.config and name_types(run.config)
    found = str(((cfg and cfg.get("randomness")) or {}).get("seed", run.facts.get("seed")))
    result.seed = int(found) if isinstance(seed, str) and found.isdigit() else seed
    total = result.iterations = ((cfg and cfg.get("train_cfg")) or {}).get("max_iters") or run.facts.get("max_iters")
    result.metric = find_metric(run.metrics, key) or key
    curve = result.validations = dict(sorted(run.metrics.get(result.metric, {}).items()))
    result.starts = json.loads(path.read_text())["starts"] if (path := work_dir / RECORD).is_file() else []
    vars(result).update({name: str(run.facts.get(name) or "") for name in ("commit", "versions", "hardware")})
    if times := run.scalars.get("time"):
        result.seconds_per_iteration = statistics.median(times.values())
        steps = sorted(times)  # a logged time stands for all steps since the one logged before
        result.training_seconds = sum(times[step] * (step - last) for last, step in pairwise([0, *steps]))
    rss = [start["peak_rss_mib"] for start in result.starts if "peak_rss_mib" in start]
    if peaks := list(run.scalars.get("memory", {}).values()) or rss:
        result.peak_memory_mib = dict(value=max(peaks), of="GPU" if "memory" in run.scalars else "RSS")
    result.problem = why
    if not why and not curve:
        others = f", only {', '.join(run.metrics)} (--key)" if run.metrics else ""
        so_far = f"iteration {run.last_iter} of {total or 'unknown'}"
        result.problem = f"no validation has written {key} yet{others}, {so_far}"
    elif not why and total and max(curve) < run.facts.get("ended_at", total):
        # a part that was cut off may hold iterations beyond, and a training may end early
        last = f"at iteration {max(curve)} of {total}, {result.metric} {result.last:.2f}"
        result.problem = f"not finished: last validation {last}"
    return result


def budget(row: Row) -> dict[str, int | None] | None:
    """What a method may look at: iterations, images a step and images seen; None without a config."""
    cfg = row.cfg
    if cfg is None or "train_dataloader" not in cfg:
        return None
    run = (row.finished or row.results)[0]
    processes = int((re.match(r"(\d+) process", run.hardware) or [1, 1])[1])
    found = {"iterations": run.iterations or cfg.train_cfg.get("max_iters")}
    for kind, loader in (("labeled", "train_dataloader"), ("unlabeled", "unlabeled_dataloader")):
        is_read = kind == "labeled" or is_semi_supervised(cfg)
        found[kind] = cfg[loader].batch_size * processes if is_read else 0
        found[f"{kind}_seen"] = found["iterations"] and found[kind] * found["iterations"]
    return found


def evaluated(cfg: Config | None) -> str:
    """Which weights the validations measured."""
    for hook in configured_hooks(cfg) if cfg else []:
        if hook["type"] == "MeanTeacherHook":
            return hook.get("evaluated", "teacher")
        if hook["type"] == "EMAHook":
            return "average"
    return "model" if cfg else "?"


def should_agree(cfg: Config) -> dict[str, str]:
    """What rows should have in common; an empty value has no say, as a supervised run's of unlabeled data."""

    def text(part: object) -> str:
        return json.dumps(part, sort_keys=True, default=str)

    found = {}
    for kind, loader in dict(labeled="train", unlabeled="unlabeled", validation="val").items():
        is_read = kind != "unlabeled" or is_semi_supervised(cfg)
        data = ((cfg.get(f"{loader}_dataloader") or {}).get("dataset") or {}) if is_read else {}
        found[f"{kind} data"] = " ".join(str(data[key]) for key in ("data_root", "ann_file", "source") if data.get(key))
        own = ("MultiView", "PackSemiInputs", "PackSegInputs")  # the rest is what all views share
        steps = [step for step in data.get("pipeline") or [] if step["type"] not in own]
        found[f"{kind} pipeline"] = text(steps) if steps else ""
    model = cfg.get("model") or {}
    head = dict(model.get("decode_head") or {})
    head["type"] = str(head.get("type")).removeprefix("Split")  # one that a method can take apart is the same
    found |= {"model.decode_head": text(head)}
    backbone = dict(model.get("backbone") or {})
    start = [cfg.get("load_from"), backbone.pop("init_cfg", None), backbone.pop("pretrained", None)]
    found |= {"model.backbone": text(backbone), "model.test_cfg": text(model.get("test_cfg"))}
    found |= {key: text(cfg.get(key)) for key in ("optim_wrapper", "param_scheduler")}
    # a teacher is a moving average too
    found["evaluated weights"] = "as trained" if evaluated(cfg) in ("model", "student") else "moving average"
    # the config of a resumed run has the checkpoint that it went on from instead
    return found | {"start weights": "" if cfg.get("resume") else text(start)}


def differences(rows: Sequence[Row]) -> list[str]:
    """One sentence for each thing in which the rows differ besides their method."""
    groups: dict[str, dict[str, list[str]]] = {}  # what, value, names of rows
    for row in rows:
        seen = budget(row) or {}
        found = {"iterations": seen.get("iterations")}
        found |= {f"{kind} images a step": seen.get(kind) for kind in ("labeled", "unlabeled")}
        found |= should_agree(row.cfg) if row.cfg is not None else {}
        for what in ("commit", "versions", "hardware"):
            found[what] = " and ".join(sorted({getattr(run, what) for run in row.finished}))
        for what, value in found.items():
            if value:
                groups.setdefault(what, {}).setdefault(str(value), []).append(row.name)
    sentences = []
    for what, values in groups.items():
        shown = "; ".join(f"{value} ({', '.join(names)})" for value, names in values.items())
        if max(map(len, values)) > LONGEST:
            shown = " | ".join(", ".join(names) for names in values.values()) + " (see the configs)"
        sentences += [f"{what}: {shown}"] if len(values) > 1 else []
    return sentences
