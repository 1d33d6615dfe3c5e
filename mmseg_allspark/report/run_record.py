"""What a run has left in its work directory, read without the model, the data or a running process.

The parts of a resumed run are joined: what an earlier part wrote after the point where a later one took up counts no
more. Files may be cut off, damaged or not there yet.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

Curve = dict[int, float]  # iteration -> value
# the rest without "iter" is what LoggerHook writes of a validation
HOOK_SCALARS = ("memory/", "pseudo/", "reliability/", "IoU/")
_ENTRY = re.compile(r"^(?P<time>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) - \S+ - (?P<level>[A-Z]+) - ", re.MULTILINE)
_RESUMED = re.compile(r"resumed epoch: \d+, iter: (\d+)")
_PICTURE = re.compile(r"(?P<name>.+)_(?P<step>\d+)\.png")
_LONGEST_WARNING = 2000


class Warned(NamedTuple):
    """A warning or error of the log; ``in_training``: the first iteration had been logged before."""

    time: str
    text: str
    in_training: bool


@dataclass
class Run:
    """A run, all parts of it joined; curves by iteration, also where mmengine counts epochs."""

    work_dir: Path
    config: Config | None = None  # of the last part; None if it cannot be read
    config_text: str = ""
    facts: dict = field(default_factory=dict)  # what ReportHook wrote at the start, or what the log says of it
    starts: list[tuple[str, int]] = field(default_factory=list)  # folder of each part, iteration at which it took up
    times: list[tuple[datetime, datetime]] = field(default_factory=list)  # first and last in the log of each part
    scalars: dict[str, Curve] = field(default_factory=dict)  # figures of the training by name, IoU/<class> too
    metrics: dict[str, Curve] = field(default_factory=dict)  # figures of the validations by name
    validations: dict[int, dict] = field(default_factory=dict)  # lines of ValidationRecordHook by iteration
    reliability: dict[int, dict] = field(default_factory=dict)  # of PseudoLabelReliabilityHook, likewise
    pictures: dict[str, dict[int, Path]] = field(default_factory=dict)  # of add_image by name and iteration
    warnings: list[Warned] = field(default_factory=list)  # in the order of the log
    damaged_lines: list[str] = field(default_factory=list)  # file and number of each that could not be read
    left_out: list[str] = field(default_factory=list)  # folders of trainings that the last one does not go on from

    @property
    def last_iter(self) -> int:
        """The last iteration of which anything is known."""
        return max((step for curve in self.scalars.values() for step in curve), default=0)


def read_run(work_dir: Path) -> Run:
    """Read the work directory of ``tools/train.py``; one without a run is a ``FileNotFoundError``."""
    folders = sorted(path for path in work_dir.glob("*") if (path / "vis_data").is_dir())
    if not folders:
        below = {path.parents[1] for depth in ("*/*", "*/*/*") for path in work_dir.glob(f"{depth}/vis_data")}
        listed = f" Runs below it: {', '.join(map(str, sorted(below)))}." if below else ""
        raise FileNotFoundError(
            f"{work_dir} holds no run: there is no {work_dir}/<time>/vis_data.{listed} Give the work directory of "
            "tools/train.py, with LocalVisBackend among visualizer.vis_backends."
        )
    trained = [folder for folder in folders if _has_trained(folder)]  # the others: tests, and starts that failed
    run = Run(work_dir)
    for folder in trained or folders[-1:]:
        _add_part(run, folder)
    return run


def _has_trained(folder: Path) -> bool:
    """Whether a part is one of the training: it logged an iteration, or it validated what it resumed."""
    scalars = folder / "vis_data" / "scalars.json"
    text = scalars.read_text(errors="replace") if scalars.is_file() else ""
    return '"iter": ' in text or bool(text and any(_RESUMED.search(body) for _, _, body in _log_entries(folder)))


def _add_part(run: Run, folder: Path) -> None:
    """Join one part to what was read before."""
    entries = list(_log_entries(folder))
    text = "".join(body for _, _, body in entries)
    resumed = _RESUMED.search(text)
    start = int(resumed[1]) if resumed else 0
    if resumed is None and run.starts:  # a new training in an old folder: nothing of the old one is its own
        left_out = [*run.left_out, *(name for name, _ in run.starts)]
        vars(run).update(vars(Run(run.work_dir, left_out=left_out)))
    run.starts.append((folder.name, start))
    for curves in (run.scalars, run.metrics, run.pictures):
        for curve in curves.values():
            _cut(curve, start)
    _cut(run.validations, start)
    _cut(run.reliability, start)
    _read_scalars(run, folder / "vis_data" / "scalars.json", start)
    for entry in _json_lines(run, folder / "validations.json"):
        run.validations[int(entry["step"])] = entry
    for entry in _json_lines(run, folder / "reliability.json"):
        run.reliability[int(entry["step"])] = entry
    for path in sorted((folder / "vis_data" / "vis_image").glob("*.png")):
        if found := _PICTURE.fullmatch(path.name):
            run.pictures.setdefault(found["name"], {})[int(found["step"])] = path
    in_training = False
    for time, level, body in entries:
        in_training = in_training or "(train)" in body
        if level in ("WARNING", "ERROR", "CRITICAL"):
            run.warnings.append(Warned(time, body.strip()[:_LONGEST_WARNING], in_training))
    if entries:
        run.times.append(tuple(datetime.strptime(entries[i][0], "%Y/%m/%d %H:%M:%S") for i in (0, -1)))
    run.facts = _read_facts(folder, text)
    _read_config(run, folder / "vis_data" / "config.py")


def _cut(curve: dict, start: int) -> None:
    """Leave out what a later part did again."""
    for step in [step for step in curve if step > start]:
        del curve[step]


def _log_entries(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Time, level and text, perhaps of several lines, of each entry of the log."""
    for path in sorted(folder.glob("*.log")):
        text = path.read_text(errors="replace")
        marks = list(_ENTRY.finditer(text))
        ends = [mark.start() for mark in marks[1:]] + [len(text)]
        for mark, end in zip(marks, ends, strict=True):
            yield mark["time"], mark["level"], text[mark.end() : end]


def _json_lines(run: Run, path: Path) -> Iterator[dict]:
    """The objects of a file with one a line; what is none or has no step is counted as damaged."""
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            int(entry["step"])
        except (ValueError, TypeError, KeyError):
            if line.strip():
                run.damaged_lines.append(f"{path.parent.name}/{path.name} line {number}")
            continue
        yield entry


def _read_scalars(run: Run, path: Path, start: int) -> None:
    """Sort the visualizer's figures into those of the training and those of validations."""
    last = start
    for entry in _json_lines(run, path):
        step = int(entry.pop("step"))
        is_training = "iter" in entry or any(name.startswith(HOOK_SCALARS) for name in entry)
        if is_training:
            last = step
        else:
            step = max(step, last)  # LoggerHook(log_metric_by_epoch=True) counts epochs, of which there are fewer
        curves = run.scalars if is_training else run.metrics
        for name, value in entry.items():
            if isinstance(value, (int, float)):
                curves.setdefault(name, {})[step] = float(value)


def _read_facts(folder: Path, log: str) -> dict:
    """Facts of ``ReportHook``; without it, what mmengine wrote about the environment."""
    found = re.findall(r"^    (Python|PyTorch|MMEngine|OpenCV|seed|GPU 0[,\d]*|GPU number): (.+)$", log, re.MULTILINE)
    environment = dict(found)
    facts = {
        "seed": environment.pop("seed", ""),
        "hardware": environment.pop("GPU 0", "") or ("CPU" if "CUDA available: False" in log else ""),
        "versions": ", ".join(f"{name} {value.split(' (')[0]}" for name, value in environment.items()),
    }
    try:
        return facts | dict(json.loads((folder / "facts.json").read_text()))
    except (OSError, ValueError):
        return facts


def _read_config(run: Run, path: Path) -> None:
    """The config as mmengine dumped it; one that cannot be read leaves its text."""
    if not path.is_file():
        return
    run.config_text = path.read_text(errors="replace")
    try:
        run.config = Config.fromfile(path, import_custom_modules=False)
    except Exception:  # it is Python that somebody may have edited or cut off: anything may happen
        run.config = None
