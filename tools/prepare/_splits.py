"""What the preparation tools share: whole-or-nothing files, links, and seeded labeled/unlabeled lists."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np


class PrepareError(Exception):
    """Something the user has to correct; the message says what."""


def say(text: str) -> None:
    """Tells the user about progress.

    Args:
        text: One line.
    """
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def make_progress(what: str, file: TextIO | None = None) -> Callable[[int, int], None]:
    """Returns a callback that writes items done and time left, every two seconds and at the end.

    Args:
        what: Begin of the line.
        file: Where to. Default: stderr.
    """
    start = last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done < total and now - last < 2:
            return
        last = now
        left = (now - start) / done * (total - done)
        print(f"{what} {done} of {total}, {left:.0f} s left", file=file or sys.stderr, flush=True)

    return show


def walk_files(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Finds files below a folder, through linked folders too, in the order of their names.

    Args:
        folder: The folder.
        suffixes: Endings wanted, in lower case.

    Yields:
        Paths below ``folder``, hidden files and folders left out.
    """
    seen = set()  # a link may lead back to where it came from
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


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes a file so that it is either whole or not there.

    Args:
        path: Where to; its folder is made if needed.
        write: Called with a binary file to write into.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as stream:
        temporary = Path(stream.name)
        try:
            write(stream)
        except BaseException:
            temporary.unlink()
            raise
    temporary.chmod(0o644)  # a temporary file is private, a data file should not be
    temporary.replace(path)


def link(target: Path, path: Path) -> None:
    """Makes ``path`` a link to ``target``.

    Args:
        target: Existing folder.
        path: The link.

    Raises:
        PrepareError: If something else is there already.
    """
    target = target.resolve()
    if path.exists() and path.resolve() == target:
        return
    if path.is_symlink() or path.exists():
        raise PrepareError(f"{path} exists and is not a link to {target}. Remove it, or choose another --out.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target, target_is_directory=True)


def _count_labeled(total: int, fraction: Fraction) -> int:
    count = round(total * fraction)
    if not 0 < count < total:
        raise PrepareError(f"The fraction {fraction} of {total} images makes {count} labeled: choose another.")
    return count


def draw_labeled(ids: Sequence[str], fraction: Fraction, seed: int) -> tuple[list[str], list[str]]:
    """Shares ids out into labeled and unlabeled ones.

    Labeled are the first round(N * fraction) of ``numpy.random.default_rng(seed).permutation`` over the
    sorted ids; both lists keep the order of the ids.

    Args:
        ids: Training ids.
        fraction: Share of labeled images.
        seed: Of the permutation.

    Returns:
        Labeled ids, unlabeled ids.

    Raises:
        PrepareError: If no image or every image would be labeled.
    """
    ids = sorted(ids)
    count = _count_labeled(len(ids), fraction)
    chosen = set(np.random.default_rng(seed).permutation(len(ids))[:count].tolist())
    labeled = [name for index, name in enumerate(ids) if index in chosen]
    return labeled, [name for index, name in enumerate(ids) if index not in chosen]


def draw_balanced(classes: Mapping[str, Set[int]], fraction: Fraction, seed: int) -> tuple[list[str], list[str]]:
    """Shares ids out so that every class gets labeled images, rare ones first.

    The sorted ids are permuted as in ``draw_labeled``. Then, round(N * fraction) times, the class with the fewest
    labeled images so far (of equals the one that occurs in fewer images, then the lower number) gets the next
    image of the permutation that shows it; a class without further images is out. Images without any class come
    last. While a class is uncovered every draw covers one, so min(labeled images, classes that occur) classes or
    more are covered.

    Args:
        classes: Training id to the classes that its mask shows.
        fraction: Share of labeled images.
        seed: Of the permutation.

    Returns:
        Labeled ids, unlabeled ids, both sorted.

    Raises:
        PrepareError: If no image or every image would be labeled.
    """
    ids = sorted(classes)
    count = _count_labeled(len(ids), fraction)
    order = [ids[index] for index in np.random.default_rng(seed).permutation(len(ids))]
    queues = {c: [i for i in reversed(order) if c in classes[i]] for c in set().union(*classes.values())}
    rarity = {c: len(queue) for c, queue in queues.items()}
    labeled_with = dict.fromkeys(queues, 0)
    chosen: set[str] = set()
    while len(chosen) < count and queues:
        needy = min(queues, key=lambda c: (labeled_with[c], rarity[c], c))
        while queues[needy] and queues[needy][-1] in chosen:
            queues[needy].pop()
        if not queues[needy]:
            del queues[needy]
            continue
        name = queues[needy].pop()
        chosen.add(name)
        for c in classes[name]:
            labeled_with[c] += 1
    chosen.update([i for i in order if i not in chosen][: count - len(chosen)])
    return [i for i in ids if i in chosen], [i for i in ids if i not in chosen]


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


def find_changes(folder: Path, files: Mapping[str, str], force: bool) -> list[str]:
    """Finds the text files that are not there or hold other content.

    Args:
        folder: Where they belong.
        files: Name to content.
        force: Whether other content that is there may be replaced.

    Returns:
        Their names.

    Raises:
        PrepareError: If other content is there and ``force`` is not set.
    """
    different = [name for name, text in files.items() if not _holds(folder / name, text)]
    replaced = [name for name in different if (folder / name).exists()]
    if replaced and not force:
        raise PrepareError(
            f"{folder / replaced[0]} exists with other content (other seed or images). Replace it with --force, or "
            "move it away."
        )
    return different


def write_texts(folder: Path, files: Mapping[str, str], force: bool) -> None:
    """Writes text files; equal ones are left alone.

    Args:
        folder: Where to.
        files: Name to content.
        force: Whether other content that is there may be replaced.

    Raises:
        PrepareError: If other content is there and ``force`` is not set; then nothing is written.
    """
    for name in find_changes(folder, files, force):
        write_atomically(folder / name, lambda stream, name=name: stream.write(files[name].encode()))


def join_lines(ids: Sequence[str]) -> str:
    """Returns ids as the text of a list file, one a line."""
    return "".join(f"{name}\n" for name in ids)


def write_lists(folder: Path, labeled: Sequence[str], unlabeled: Sequence[str], info: dict, force: bool) -> None:
    """Writes labeled.txt, unlabeled.txt (one id a line) and info.json; equal files are left alone.

    Args:
        folder: Where to.
        labeled: Ids.
        unlabeled: Ids.
        info: How the lists were made, for info.json.
        force: Whether other lists that are there may be replaced.

    Raises:
        PrepareError: If other lists are there and ``force`` is not set.
    """
    files = {
        "labeled.txt": join_lines(labeled),
        "unlabeled.txt": join_lines(unlabeled),
        "info.json": json.dumps(info, indent=1) + "\n",
    }
    write_texts(folder, files, force)


def parse_fraction(text: str) -> Fraction:
    """Reads a share of labeled images from the command line.

    Args:
        text: '1/16' or '0.0625'.

    Returns:
        The fraction, between 0 and 1.

    Raises:
        argparse.ArgumentTypeError: If it is not one.
    """
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a fraction like 1/16") from error
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value
