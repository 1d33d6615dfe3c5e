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
    """What a work directory offers.

    Args:
        checkpoint: Path of the newest complete checkpoint, None if there is none.
        named: What ``last_checkpoint`` names, None without such a file.
        skipped: Path or name of what was passed over, with the reason.
    """

    checkpoint: str | None = None
    named: str | None = None
    skipped: dict[str, str] = field(default_factory=dict)

    def describe(self) -> str:
        """Say where a run that stops now can go on, for the message of an error."""
        return f"Last good checkpoint: {self.checkpoint}." if self.checkpoint else "There is no checkpoint yet."

    def describe_skipped(self) -> str:
        """List what was passed over, e.g. ``w/iter_4.pth (is cut off)``."""
        return ", ".join(f"{path} ({why})" for path, why in self.skipped.items())


def find_resume_point(work_dir: str | Path, names: tuple[str, ...] = NAMES) -> ResumePoint:
    """Find the newest complete checkpoint of a run.

    Looked at are the checkpoint that ``last_checkpoint`` names and the files beside it and in the work directory whose
    names are those of ``names``; best checkpoints have no optimizer state and are none of them. First come files that
    were written after ``last_checkpoint`` (a kill came between the two), then the one it names, then those of a lower
    number, highest first, then the rest: times of files alone would mislead after copying. In a copied or moved folder
    the named file is the one of the same name here. An address is taken as it is.

    Args:
        work_dir: The run's folder.
        names: File names with ``{}`` for the number.

    Returns:
        The checkpoint and what was skipped on the way to it.
    """
    work_dir, point = Path(work_dir), ResumePoint()
    pointer = work_dir / "last_checkpoint"
    found = {path.resolve(): str(path) for path in _list_checkpoints(work_dir, names)}
    named = None
    if pointer.is_file():
        point.named = pointer.read_text().strip()
        if "://" in point.named:
            point.checkpoint = point.named
            return point
        named = _follow_pointer(work_dir, point, found, names)
    for path in _order(found, named, pointer):
        why = why_incomplete(path)
        if why is None:
            point.checkpoint = found[path]
            break
        point.skipped[found[path]] = why
    return point


def _follow_pointer(work_dir: Path, point: ResumePoint, found: dict[Path, str], names: tuple[str, ...]) -> Path | None:
    """Add what ``last_checkpoint`` leads to; returns the file it means, None without one."""
    if not point.named:
        point.skipped[str(work_dir / "last_checkpoint")] = "is empty"
        return None
    named = Path(point.named)
    if found and named.parent.resolve() != work_dir.resolve():  # copied or moved: the old folder may still be there
        here = work_dir / named.name
        if here.resolve() not in found:
            point.skipped[point.named] = "named in last_checkpoint, is not in this folder"
        return here.resolve()
    if not named.exists():
        point.skipped[point.named] = "named in last_checkpoint, does not exist"
        return named.resolve()
    for path in (*_list_checkpoints(named.parent, names), named):
        found[path.resolve()] = str(path)
    return named.resolve()


def _order(found: dict[Path, str], named: Path | None, pointer: Path) -> list[Path]:
    """From the newest to the oldest."""
    order = sorted(found, key=_age, reverse=True)
    if named is None:
        return order
    written, number = pointer.stat().st_mtime_ns, _number(named)

    def rank(path: Path) -> tuple[int, int]:
        if path.stat().st_mtime_ns > written:
            return 0, 0
        if path == named:
            return 1, 0
        return (2, -_number(path)) if _number(path) < number else (3, 0)

    return sorted(order, key=rank)


def why_incomplete(path: str | Path) -> str | None:
    """Say what a checkpoint lacks, None if it is complete.

    torch's files are zip archives with the table of contents at the end, which a file that was cut off does not have;
    one of the old format is read.
    """
    path = Path(path)
    if path.is_dir():  # of DeepSpeed
        return None
    with open(path, "rb") as stream:
        start = stream.read(2)
    if not start:
        return "is empty"
    try:
        if start == b"PK":
            zipfile.ZipFile(path).close()
        else:
            load_checkpoint(path, map_location="cpu")
    except zipfile.BadZipFile:
        return "is cut off"
    except Exception as error:  # whatever unpickling garbage raises
        return f"cannot be read: {type(error).__name__}: {error}"
    return None


def _list_checkpoints(folder: Path, names: tuple[str, ...]) -> Iterator[Path]:
    forms = [re.escape(name).replace(r"\{\}", r"\d+") for name in names]
    for path in folder.iterdir() if folder.is_dir() else ():
        if any(re.fullmatch(form, path.name) for form in forms):
            yield path


def _age(path: Path) -> tuple[int, int]:
    """Time of writing; among equals, as after an unpacked archive, the number in the name."""
    return path.stat().st_mtime_ns, _number(path)


def _number(path: Path) -> int:
    return int((re.findall(r"\d+", path.name) or ["0"])[-1])
