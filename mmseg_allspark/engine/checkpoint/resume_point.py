"""The checkpoint a run goes on from: the newest that is whole."""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mmseg_allspark.utils.safe_checkpoints import load_checkpoint

NAMES = ("epoch_{}.pth", "iter_{}.pth")  # of mmengine's CheckpointHook


@dataclass
class ResumePoint:
    """What a work directory offers."""

    checkpoint: str | None = None  # path of the newest complete one, None if there is none
    named: str | None = None  # by ``last_checkpoint``, None without such a file
    skipped: dict[str, str] = field(default_factory=dict)  # path or name of what was passed over, with the reason

    def describe(self) -> str:
        """Say where a run that stops now can go on, for the message of an error."""
        return f"Last good checkpoint: {self.checkpoint}." if self.checkpoint else "There is no checkpoint yet."

    def describe_skipped(self) -> str:
        """List what was passed over, e.g. ``w/iter_4.pth (is cut off)``."""
        return ", ".join(f"{path} ({why})" for path, why in self.skipped.items())


def find_resume_point(work_dir: str | Path, names: tuple[str, ...] = NAMES) -> ResumePoint:
    """Find the newest complete checkpoint of a run.

    Looked at are the files in the work directory, or where ``last_checkpoint`` leads if there are none, whose names are
    those of ``names``, with ``{}`` for the number; best checkpoints have no optimizer state and are none of them. The
    one with the highest number is the newest. Those of an earlier run with higher numbers come last: they are older
    than ``last_checkpoint`` and not named by it. An address is taken as it is.
    """
    folder, point = Path(work_dir), ResumePoint()
    pointer = folder / "last_checkpoint"
    found, named = set(_list_checkpoints(folder, names)), None
    if pointer.is_file():
        point.named = pointer.read_text().strip()
        if "://" in point.named:
            point.checkpoint = point.named
            return point
        if not point.named:
            point.skipped[str(pointer)] = "is empty"
    if point.named:
        folder = folder if found else Path(point.named).parent  # in a copied folder the old one may still be there
        named = folder / Path(point.named).name
        found |= {*_list_checkpoints(folder, names), *([named] if named.exists() else ())}
        if named not in found:
            point.skipped[point.named] = f"does not exist in {folder}"

    def rank(path: Path) -> tuple[bool, int]:
        later = point.named and _number(path) > _number(named)
        return not (later and path.stat().st_mtime_ns <= pointer.stat().st_mtime_ns), _number(path)

    for path in sorted(found, key=rank, reverse=True):
        why = why_incomplete(path)
        if why is None:
            point.checkpoint = str(path)
            break
        point.skipped[str(path)] = why
    return point


def best_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the best validation in a work directory, None where its last training kept none."""
    best = max(folder.glob("best_*.pth"), key=lambda path: path.stat().st_mtime, default=None)
    last = find_resume_point(folder).checkpoint
    if best is None or last is None or "://" in last or best.stat().st_mtime >= Path(last).stat().st_mtime:
        return best
    # may be of an earlier training in the same folder, of which the last one then knows nothing
    hub = load_checkpoint(last, "cpu").get("message_hub") or {}
    return best if any(key.startswith("best_ckpt") for key in hub.get("runtime_info", {})) else None


def why_incomplete(path: str | Path) -> str | None:
    """Say what a checkpoint lacks, None if it is complete.

    torch's files are zip archives with the table of contents at the end, which a file that was cut off does not have.
    """
    path = Path(path)
    if path.is_dir() or zipfile.is_zipfile(path):  # a folder: of DeepSpeed
        return None
    return "is cut off" if path.stat().st_size else "is empty"


def _list_checkpoints(folder: Path, names: tuple[str, ...]) -> Iterator[Path]:
    forms = [re.escape(name).replace(r"\{\}", r"\d+") for name in names]
    for path in folder.iterdir() if folder.is_dir() else ():
        if any(re.fullmatch(form, path.name) for form in forms):
            yield path


def _number(path: Path) -> int:
    return int((re.findall(r"\d+", path.name) or ["0"])[-1])
