"""What ``compare.py`` tells of finished and unfinished runs, read from their work directories alone."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from _compare_runs import RECORD
from mmengine.config import Config

from mmseg_allspark.datasets.data_report import is_semi_supervised
from mmseg_allspark.report.run_record import Curve, Run, read_run
from mmseg_allspark.utils.config_types import name_types
from mmseg_allspark.utils.metric_names import find_metric


@dataclass
class Result:
    """One run.

    Attributes:
        seed: Of the training; '?1', '?2', ... where it is not known.
        work_dir: Where it was read.
        curve: Metric of its validations by iteration.
        metric: Its name in this run.
        total: Iterations it was to train; None if nothing says.
        problem: Why it does not count; empty for a finished run.
        cfg: Its config, None if it cannot be read.
        seconds: Median time of an iteration, None if not logged.
        memory: Peak in MiB and what it is of; None if not known.
        facts: Commit, versions, hardware.
        starts: What compare.py recorded of each start.
    """

    seed: int | str
    work_dir: Path
    curve: Curve = field(default_factory=dict)
    total: int | None = None
    problem: str = ""
    metric: str = ""
    cfg: Config | None = None
    seconds: float | None = None
    memory: tuple[float, str] | None = None
    facts: dict[str, str] = field(default_factory=dict)
    starts: list[dict] = field(default_factory=list)

    @property
    def last(self) -> float:
        """The last validation's figure."""
        return self.curve[max(self.curve)]

    @property
    def best(self) -> float:
        """The best of all validations, chosen with the images it is measured on."""
        return max(self.curve.values())

    @property
    def ranks(self) -> int:
        """Processes that trained together."""
        found = re.match(r"(\d+) process", self.facts.get("hardware") or "")
        return int(found[1]) if found else 1


@dataclass
class Row:
    """All runs of a method."""

    name: str
    results: list[Result]
    cfg: Config | None = None

    @property
    def finished(self) -> list[Result]:
        """The runs that count."""
        return [result for result in self.results if not result.problem]


def has_begun(work_dir: Path) -> bool:
    """Whether ``tools/train.py`` has written there, or ``compare.py`` has started it there."""
    logs = (path for path in work_dir.glob("*/*.log") if path.name.startswith(path.parent.name))  # as mmengine names it
    return (work_dir / RECORD).is_file() or any(work_dir.glob("*/vis_data")) or any(logs)


def runs_below(folder: Path) -> list[Path]:
    """Work directories one or two levels below a folder."""
    return sorted({path.parents[1] for depth in ("*/*", "*/*/*") for path in folder.glob(f"{depth}/vis_data")})


def read_result(work_dir: Path, key: str, seed: int | str | None = None, why: str = "") -> Result:
    """Read a run.

    Args:
        work_dir: Of ``tools/train.py``.
        key: Metric.
        seed: Default None: the config's.
        why: Why the training failed just now. Default: it did not.
    """
    try:
        run = read_run(work_dir)
    except FileNotFoundError:
        return Result("?" if seed is None else seed, work_dir, problem=why or "not trained yet")
    cfg = run.config and name_types(run.config)
    randomness = (cfg.get("randomness") or {}) if cfg else {}
    seed = randomness.get("seed", run.facts.get("seed")) if seed is None else seed
    seed = int(seed) if str(seed).isdigit() else "?"
    total = (cfg.get("train_cfg") or {}).get("max_iters") if cfg else None
    total = total or run.facts.get("max_iters")
    metric = find_metric(run.metrics, key)
    curve = dict(sorted(run.metrics[metric].items())) if metric else {}
    result = Result(seed, work_dir, curve, total, metric=metric or key, cfg=cfg)
    record = work_dir / RECORD
    result.starts = json.loads(record.read_text())["starts"] if record.is_file() else []
    result.facts = {name: str(run.facts.get(name) or "") for name in ("commit", "versions", "hardware")}
    if times := run.scalars.get("time"):
        result.seconds = statistics.median(times.values())
    result.memory = _memory(run.scalars.get("memory", {}), result.starts)
    result.problem = why or _unfinished(run, total, result)
    return result


def _unfinished(run: Run, total: int | None, result: Result) -> str:
    curve, key = result.curve, result.metric
    if not curve:
        others = f", only {', '.join(run.metrics)} (--key)" if run.metrics else ""
        return f"no validation has written {key} yet{others}, iteration {run.last_iter} of {total or 'unknown'}"
    # a part that was cut off may hold iterations beyond the last validation
    if total is not None and max(curve) < total:
        return f"not finished: last validation at iteration {max(curve)} of {total}, {key} {curve[max(curve)]:.2f}"
    return ""


def _memory(logged: Curve, starts: Sequence[dict]) -> tuple[float, str] | None:
    if logged:
        return max(logged.values()), "GPU"
    peaks = [start["peak_rss_mib"] for start in starts if "peak_rss_mib" in start]
    return (max(peaks), "RSS") if peaks else None


@dataclass
class Budget:
    """What a method may look at."""

    iterations: int | None
    labeled: int
    unlabeled: int

    @property
    def labeled_seen(self) -> int | None:
        """Labeled images of all iterations."""
        return None if self.iterations is None else self.labeled * self.iterations

    @property
    def unlabeled_seen(self) -> int | None:
        """Unlabeled images of all iterations, each once however many views are made of it."""
        return None if self.iterations is None else self.unlabeled * self.iterations


def budget(row: Row) -> Budget | None:
    """The budget of a row's runs; None without a config."""
    cfg = row.cfg
    if cfg is None or "train_dataloader" not in cfg:
        return None
    first = (row.finished or row.results)[0]
    labeled = cfg.train_dataloader.batch_size * first.ranks
    unlabeled = cfg.unlabeled_dataloader.batch_size * first.ranks if is_semi_supervised(cfg) else 0
    return Budget(first.total or cfg.train_cfg.get("max_iters"), labeled, unlabeled)


def evaluated(cfg: Config | None) -> str:
    """Which weights the validations measured."""
    for hook in (cfg.get("custom_hooks") or []) if cfg else []:
        if hook["type"] == "MeanTeacherHook":
            return hook.get("evaluated", "teacher")
        if hook["type"] == "EMAHook":
            return "average"
    return "model" if cfg else "?"


def _data(loader: str) -> Callable[[Config], str]:
    def find(cfg: Config) -> str:
        dataset = (cfg.get(loader) or {}).get("dataset") or {}
        parts = (dataset.get(key) for key in ("data_root", "ann_file", "source"))
        return " ".join(str(part) for part in parts if part)

    return find


def _part(*keys: str) -> Callable[[Config], str]:
    def find(cfg: Config) -> str:
        part = cfg
        for key in keys:
            part = (part or {}).get(key)
        return json.dumps(part, sort_keys=True, default=str)

    return find


def _start_weights(cfg: Config) -> str:
    """``load_from``; nothing for a resumed run, where it is the checkpoint that the run went on from."""
    return "" if cfg.get("resume") else json.dumps(cfg.get("load_from"))


def _pipeline(loader: str) -> Callable[[Config], str]:
    """Steps of a data set, of several views the part that all of them share."""

    def find(cfg: Config) -> str:
        steps = ((cfg.get(loader) or {}).get("dataset") or {}).get("pipeline") or []
        shared = [step for step in steps if step["type"] not in ("MultiView", "PackSemiInputs", "PackSegInputs")]
        return json.dumps(shared, default=str) if shared else ""

    return find


def _head(cfg: Config) -> str:
    """The decode head; one that a method can take apart is the same."""
    head = dict((cfg.get("model") or {}).get("decode_head") or {})
    head["type"] = str(head.get("type")).removeprefix("Split")
    return json.dumps(head, sort_keys=True, default=str)


# an empty value has no say, as a supervised run's of unlabeled data
SHOULD_AGREE: dict[str, Callable[[Config], str]] = {
    "labeled data": _data("train_dataloader"),
    "labeled pipeline": _pipeline("train_dataloader"),
    "unlabeled data": lambda cfg: _data("unlabeled_dataloader")(cfg) if is_semi_supervised(cfg) else "",
    "unlabeled pipeline": lambda cfg: _pipeline("unlabeled_dataloader")(cfg) if is_semi_supervised(cfg) else "",
    "validation data": _data("val_dataloader"),
    "validation pipeline": _pipeline("val_dataloader"),
    # a teacher is a moving average too
    "evaluated weights": lambda cfg: "as trained" if evaluated(cfg) in ("model", "student") else "moving average",
    "model.backbone": _part("model", "backbone"),
    "model.decode_head": _head,
    "optim_wrapper": _part("optim_wrapper"),
    "param_scheduler": _part("param_scheduler"),
    "model.test_cfg": _part("model", "test_cfg"),
    "load_from": _start_weights,
}
LONGEST = 60  # characters of a value that is still shown


def differences(rows: Sequence[Row]) -> list[str]:
    """One sentence for each thing in which the rows differ besides their method."""
    known = [row for row in rows if row.cfg is not None]
    budgets = {row.name: found for row in known if (found := budget(row))}
    lines = [
        _differing("iterations", {name: str(found.iterations) for name, found in budgets.items()}),
        _differing("labeled images a step", {name: str(found.labeled) for name, found in budgets.items()}),
        _differing(
            "unlabeled images a step",
            {name: str(found.unlabeled) for name, found in budgets.items() if found.unlabeled},
        ),
    ]
    lines += [_differing(what, {row.name: find(row.cfg) for row in known}) for what, find in SHOULD_AGREE.items()]
    for what in ("commit", "versions", "hardware"):
        values = {row.name: " and ".join(sorted({run.facts.get(what, "") for run in row.finished})) for row in rows}
        lines.append(_differing(what, values))
    return [line for line in lines if line]


def _differing(what: str, values: Mapping[str, str]) -> str:
    groups: dict[str, list[str]] = {}
    for name, value in values.items():
        if value:
            groups.setdefault(value, []).append(name)
    if len(groups) < 2:
        return ""
    if max(map(len, groups)) > LONGEST:
        return f"{what}: " + " | ".join(", ".join(names) for names in groups.values()) + " (see the configs)"
    return f"{what}: " + "; ".join(f"{value} ({', '.join(names)})" for value, names in groups.items())
