"""What the tools for published data sets share: messages, lists of ids, finding and unpacking the sources."""

from __future__ import annotations

import re
import shutil
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from _splits import PrepareError, join_lines, say, write_atomically

ARCHIVE_SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")


class Progress:
    """Says every few seconds, and at the end, how far a long step is.

    Args:
        what: Begin of the line.
        total: Number of items; None where it is not known.
        every: Seconds between two lines.
    """

    def __init__(self, what: str, total: int | None = None, every: float = 5.0) -> None:
        self.what, self.total, self.every = what, total, every
        self.done, self._start = 0, time.monotonic()
        self._last = self._start

    def step(self) -> None:
        """Counts one item."""
        self.done += 1
        now = time.monotonic()
        if self.done != self.total and now - self._last < self.every:
            return
        self._last = now
        if self.total is None:
            say(f"{self.what}: {self.done}")
        else:
            left = (now - self._start) / self.done * (self.total - self.done)
            say(f"{self.what}: {self.done} of {self.total}, {left:.0f} s left")


@dataclass(frozen=True)
class Part:
    """A part of a data set and where it may come from.

    Args:
        what: Name for messages.
        places: Paths, relative to the source folder or to the unpacked archive, of which one has to be there.
        archives: File names of the official archives that hold it.
        url: Where to get it.
    """

    what: str
    places: tuple[str, ...]
    archives: tuple[str, ...]
    url: str

    def find(self, source: Path, unpacked: Path) -> Path | None:
        """Looks for the part, and unpacks its archive if that is what there is.

        Args:
            source: A folder that holds the part or its archive, or an archive.
            unpacked: Folder for what is unpacked.

        Returns:
            Where the part is, or None.
        """
        archives = [source] if source.is_file() else [source / name for name in self.archives]
        roots: list[Callable[[], Path]] = [] if source.is_file() else [lambda: source]
        roots += [lambda archive=archive: unpack(archive, unpacked) for archive in archives if archive.is_file()]
        for root in roots:
            folder = root()
            for place in self.places:
                if (folder / place).exists():
                    return folder / place
        return None

    def require(self, source: Path, unpacked: Path) -> Path:
        """As ``find``, but the part has to be there.

        Args:
            source: As in ``find``.
            unpacked: As in ``find``.

        Returns:
            Where the part is.

        Raises:
            PrepareError: If it is not; names what is missing and where to get it.
        """
        found = self.find(source, unpacked) if source.exists() else None
        if found is None:
            looked = ", ".join((*self.places, *self.archives))
            state = "" if source.exists() else " (which does not exist)"
            raise PrepareError(f"Missing: {self.what}. Looked in {source}{state} for {looked}. Get it at {self.url}")
        return found


def _check_member(name: str, archive: Path) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name):
        raise PrepareError(f"{archive} holds the member {name!r}, which points outside of its folder: not unpacked.")


def _unpack_tar(archive: Path, folder: Path) -> Iterator[None]:
    # our own checks come first: not every Python 3.10 has the filter
    safe = dict(filter="data") if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(archive) as tar:
        for member in tar:
            _check_member(member.name, archive)
            if member.isfile() or member.isdir():
                tar.extract(member, folder, **safe)
                yield
            else:  # no data set needs links or devices, and links can lead outside
                say(f"{archive}: left out {member.name}, which is neither a file nor a folder")


def _unpack_zip(archive: Path, folder: Path) -> Iterator[None]:
    with zipfile.ZipFile(archive) as file:
        for name in file.namelist():
            _check_member(name, archive)
        for name in file.namelist():
            file.extract(name, folder)
            yield


def unpack(archive: Path, into: Path) -> Path:
    """Unpacks an archive, or finds it unpacked already; the folder appears when it is complete.

    Args:
        archive: .tar, .tar.gz, .tgz or .zip.
        into: Folder for the new folder, which is named as the archive without suffix.

    Returns:
        The new folder.

    Raises:
        PrepareError: If the archive is of another kind or damaged, or a member points outside.
    """
    suffix = next((s for s in ARCHIVE_SUFFIXES if archive.name.lower().endswith(s)), None)
    if suffix is None:
        raise PrepareError(f"{archive} is neither a folder nor an archive ({', '.join(ARCHIVE_SUFFIXES)}).")
    folder = into / archive.name[: -len(suffix)]
    if folder.is_dir():
        return folder
    partial = into / f".{folder.name}.partial"
    if partial.exists():
        shutil.rmtree(partial)  # of a run that was killed
    partial.mkdir(parents=True)
    say(f"unpacking {archive} into {folder}")
    progress = Progress(f"{archive.name}: unpacked")
    try:
        for _ in (_unpack_zip if suffix == ".zip" else _unpack_tar)(archive, partial):
            progress.step()
        partial.rename(folder)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise PrepareError(f"{archive} is damaged ({error}): download it again.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def refuse_link(path: Path) -> None:
    """Refuses to write below a link, which would change somebody's original files.

    Raises:
        PrepareError: If ``path`` is a link.
    """
    if path.is_symlink():
        raise PrepareError(f"{path} is a link from another preparation. Remove it, or choose another --out.")


def read_ids(path: Path) -> list[str]:
    """Reads a list of ids, one a line."""
    return path.read_text().split()


def write_ids(path: Path, ids: Iterable[str]) -> None:
    """Writes a list of ids, one a line, unless it is there already.

    Args:
        path: Where to.
        ids: The ids.

    Raises:
        PrepareError: If a list of other ids is there.
    """
    ids = list(ids)
    if not path.exists():
        write_atomically(path, lambda stream: stream.write(join_lines(ids).encode()))
    elif sorted(read_ids(path)) != sorted(ids):
        raise PrepareError(f"{path} exists with other ids. Remove it, or choose another --out.")


def warn_count(what: str, count: int, expected: int) -> None:
    """Says so where a number of images is not the published one (a subset is legitimate)."""
    if count != expected:
        say(f"warning: {count} images in {what}, the published set has {expected}")


def run_tool(prepare: Callable[[], None]) -> int:
    """Runs a tool and explains its errors on stderr.

    Args:
        prepare: The tool.

    Returns:
        Exit status: 0, 1 after an error, 130 after Ctrl-C.
    """
    try:
        prepare()
    except (PrepareError, OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: run it again to go on\n")
        return 130
    return 0
