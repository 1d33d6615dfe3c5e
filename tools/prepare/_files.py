"""What the preparation tools share: messages, finding and unpacking sources, links, and seeded lists.

Functions of this folder raise ``PrepareError`` where the user has to correct something.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TextIO

import numpy as np

# a checkout needs no installation of the plugin
sys.path[1:1] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])]

from _errors import say

from mmseg_allspark.utils.files import write_whole


class PrepareError(Exception):
    """Something the user has to correct; the message says what."""


def run_tool(prepare: Callable[..., None], *arguments: object) -> int:
    """Run a tool and explain its errors on stderr; returns 0, 1 after an error, 130 after Ctrl-C."""
    try:
        prepare(*arguments)
    except (PrepareError, OSError, UnicodeDecodeError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: run it again to go on\n")
        return 130
    return 0


def make_progress(what: str, file: TextIO | None = None) -> Callable[[int, int], None]:
    """Return a callback that writes items done and time left, every two seconds and at the end, to stderr or a file."""
    start = last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done < total and (done == 1 or now - last < 2):  # the first waits for processes to start
            return
        last = now
        left = (now - start) / done * (total - done)
        print(f"{what} {done} of {total}, {left:.0f} s left", file=file or sys.stderr, flush=True)

    return show


@dataclass(frozen=True)
class Part:
    """A part of a data set and where it may come from.

    Attributes:
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
        """Return where the part is in a folder or an archive, unpacking into ``unpacked`` what is packed, or None."""
        archives = [source] if source.is_file() else [source / name for name in self.archives]
        found = [source / place for place in self.places if (source / place).exists()]
        for archive in archives if not found else []:
            if archive.is_file():
                folder = unpack(archive, unpacked)
                found += [folder / place for place in self.places if (folder / place).exists()]
        return found[0] if found else None

    def require(self, source: Path, unpacked: Path) -> Path:
        """As ``find``, but the part has to be there; else what is missing and where to get it is named."""
        found = self.find(source, unpacked)
        if found is None:
            looked = ", ".join((*self.places, *self.archives))
            raise PrepareError(f"Missing: {self.what}. Looked in {source} for {looked}. Get it at {self.url}")
        return found


def require_all(what: str, wanted: Sequence[str], held: Container[str], remedy: str) -> None:
    """Refuse to go on while some of the wanted names are not there."""
    if missing := [name for name in wanted if name not in held]:
        raise PrepareError(f"{len(missing)} of {len(wanted)} {what} are missing, first: {missing[:3]}. {remedy}")


def _only_files(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
    # links can lead outside
    return tarfile.data_filter(member, folder) if member.isfile() or member.isdir() else None


def unpack(archive: Path, into: Path) -> Path:
    """Unpack an archive into a folder of its name, or find it unpacked; the folder appears when it is complete."""
    is_zip = archive.suffix.lower() == ".zip"
    if not is_zip and not tarfile.is_tarfile(archive):
        raise PrepareError(f"{archive} is neither a folder, a tar nor a zip archive, or it is damaged.")
    folder = into / Path(archive.name.removesuffix(".gz")).stem
    if folder.is_dir():
        return folder
    if not hasattr(tarfile, "data_filter"):
        raise PrepareError(f"{archive}: this Python cannot unpack safely. Unpack it yourself, or take Python 3.10.12.")
    partial = into / f".{folder.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
    partial.mkdir(parents=True)
    say(f"unpacking {archive} into {folder}")
    try:
        if is_zip:
            with zipfile.ZipFile(archive) as file:
                file.extractall(partial)
        else:
            with tarfile.open(archive) as file:
                file.extractall(partial, filter=_only_files)
        partial.rename(folder)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise PrepareError(f"{archive} is damaged or unsafe ({error}): download it again.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def link(target: Path, path: Path) -> None:
    """Make ``path`` a link to ``target``, unless something else is there already."""
    target = target.resolve()
    if path.exists() and path.resolve() == target:
        return
    if path.is_symlink() or path.exists():
        raise PrepareError(f"{path} exists and is not a link to {target}. Remove it, or choose another --out.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target, target_is_directory=True)


def refuse_link(path: Path) -> None:
    """Refuse to write below a link, which would change somebody's original files."""
    if path.is_symlink():
        raise PrepareError(f"{path} is a link from another preparation. Remove it, or choose another --out.")


def join_lines(ids: Iterable[str]) -> str:
    """Return ids as the text of a list file, one a line."""
    return "".join(f"{name}\n" for name in ids)


def write_ids(path: Path, ids: Sequence[str], published: int) -> None:
    """Write a list of ids unless it is there; one of other ids stays, another number than published is warned of."""
    if not path.exists():
        write_whole(join_lines(ids), path)
    elif sorted(path.read_text().split()) != sorted(ids):
        raise PrepareError(f"{path} exists with other ids. Remove it, or choose another --out.")
    if len(ids) != published:  # a subset is legitimate
        say(f"warning: {len(ids)} images in {path.stem}, the published set has {published}")


def write_texts(folder: Path, files: Mapping[str, str], force: bool) -> None:
    """Write text files (name to content), or none of them if one holds something else and ``force`` is not set."""
    different = [name for name, text in files.items() if not (p := folder / name).exists() or p.read_text() != text]
    replaced = [name for name in different if (folder / name).exists()]
    if replaced and not force:
        raise PrepareError(
            f"{folder / replaced[0]} exists with other content (other seed or images). Replace it with --force, or "
            "move it away."
        )
    for name in different:
        write_whole(files[name], folder / name)


def parse_fraction(text: str) -> Fraction:
    """Read a share of labeled images, such as '1/16' or '0.0625', from the command line."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a fraction like 1/16") from error
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def draw_labeled(ids: Sequence[str], fraction: Fraction, seed: int) -> tuple[list[str], list[str]]:
    """Share ids out into labeled and unlabeled ones, both sorted.

    Labeled are the first round(N * fraction) of ``numpy.random.default_rng(seed).permutation`` over the sorted ids.
    """
    ids, count = sorted(ids), round(len(ids) * fraction)
    if not 0 < count < len(ids):
        raise PrepareError(f"The fraction {fraction} of {len(ids)} images makes {count} labeled: choose another.")
    chosen = set(np.random.default_rng(seed).permutation(len(ids))[:count].tolist())
    parts = [[name for place, name in enumerate(ids) if (place in chosen) == labeled] for labeled in (True, False)]
    return parts[0], parts[1]


def write_lists(folder: Path, labeled: Sequence[str], unlabeled: Sequence[str], info: dict, force: bool) -> None:
    """Write labeled.txt, unlabeled.txt (one id a line) and info.json, which says how they were made."""
    texts = dict(labeled=join_lines(labeled), unlabeled=join_lines(unlabeled))
    files = {f"{name}.txt": text for name, text in texts.items()} | {"info.json": json.dumps(info, indent=1) + "\n"}
    write_texts(folder, files, force)
