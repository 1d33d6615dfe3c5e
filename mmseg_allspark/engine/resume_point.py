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

    def describe_skipped(self) -> str:
        """List what was passed over, e.g. ``w/iter_4.pth (is cut off)``."""
        return ", ".join(f"{path} ({why})" for path, why in self.skipped.items())


def find_resume_point(work_dir: str | Path, names: tuple[str, ...] = NAMES) -> ResumePoint:
    """Find the newest complete checkpoint of a run.

    Looked at are the checkpoint that ``last_checkpoint`` names and the files beside it and in the work directory whose
    names are those of ``names``; best checkpoints have no optimizer state and are none of them. The newest is the
    one that was written last.

    Args:
        work_dir: The run's folder.
        names: File names with ``{}`` for the number.

    Returns:
        The checkpoint and what was skipped on the way to it.
    """
    work_dir, point = Path(work_dir), ResumePoint()
    pointer = work_dir / "last_checkpoint"
    found = {path.resolve(): str(path) for path in _list_checkpoints(work_dir, names)}
    if pointer.is_file():
        point.named = pointer.read_text().strip()
        if not point.named:
            point.skipped[str(pointer)] = "is empty"
        elif not Path(point.named).exists():
            point.skipped[point.named] = "named in last_checkpoint, does not exist"
        else:
            for path in (*_list_checkpoints(Path(point.named).parent, names), Path(point.named)):
                found[path.resolve()] = str(path)
    for path in sorted(found, key=_age, reverse=True):
        why = why_incomplete(path)
        if why is None:
            point.checkpoint = found[path]
            break
        point.skipped[found[path]] = why
    return point


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
    return path.stat().st_mtime_ns, int((re.findall(r"\d+", path.name) or ["0"])[-1])
