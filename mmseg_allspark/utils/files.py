"""Files that are written whole or not at all, and the files that a folder or a glob stands for."""

import glob
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Write beside a file and take its place at the end; after an exception the file is what it was before.

    Args:
        path: The file; its folder is made.

    Yields:
        Where to write: the same folder and suffix, another name.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(content: bytes | str, path: str | os.PathLike) -> None:
    """Write a file whole or not at all, making its folder; a reader sees the old one or the new one.

    Args:
        content: Bytes, or text, which is written as UTF-8.
        path: The file.
    """
    with replacing(path) as partial, open(partial, "wb") as stream:
        stream.write(content.encode() if isinstance(content, str) else content)
        stream.flush()
        os.fsync(stream.fileno())


def expand_glob(pattern: str) -> Iterator[str]:
    """Yield the paths that fit a glob; ``**`` stands for any folders.

    Args:
        pattern: The glob. Its leading folders that exist are taken by their names: brackets in them are no pattern.
    """
    folder = os.path.dirname(pattern)
    while folder and not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return glob.iglob(glob.escape(folder) + pattern[len(folder) :], recursive=True)


def walk_files(folder: str | os.PathLike, suffixes: Sequence[str]) -> Iterator[Path]:
    """Yield files below a folder by their lower-case suffixes, in order, through links, but not hidden ones."""
    seen, suffixes = set(), tuple(suffixes)  # a link may lead back to where it came from
    for root, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        for name in sorted(files):
            if name.lower().endswith(suffixes) and not name.startswith("."):
                yield Path(root) / name
