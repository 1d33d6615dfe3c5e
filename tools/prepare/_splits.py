"""What the preparation tools share: whole-or-nothing files, links, and seeded labeled/unlabeled lists."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np


class PrepareError(Exception):
    """Something the user has to correct; the message says what."""


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
    count = round(len(ids) * fraction)
    if not 0 < count < len(ids):
        raise PrepareError(f"The fraction {fraction} of {len(ids)} images makes {count} labeled: choose another.")
    chosen = set(np.random.default_rng(seed).permutation(len(ids))[:count].tolist())
    labeled = [name for index, name in enumerate(ids) if index in chosen]
    return labeled, [name for index, name in enumerate(ids) if index not in chosen]


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


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
        "labeled.txt": "".join(f"{name}\n" for name in labeled),
        "unlabeled.txt": "".join(f"{name}\n" for name in unlabeled),
        "info.json": json.dumps(info, indent=1) + "\n",
    }
    different = [name for name, text in files.items() if not _holds(folder / name, text)]
    replaced = [name for name in different if (folder / name).exists()]
    if replaced and not force:
        raise PrepareError(
            f"{folder / replaced[0]} exists with other content (other seed or images): choose another "
            "--out, or replace it with --force."
        )
    for name in different:
        write_atomically(folder / name, lambda stream, name=name: stream.write(files[name].encode()))


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
