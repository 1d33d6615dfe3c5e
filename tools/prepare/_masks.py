"""What the tools for published data sets share: their command line, and masks checked and written in processes."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import signal
import struct
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from io import BytesIO
from multiprocessing import connection
from pathlib import Path
from typing import TypeVar

import numpy as np
from _files import PrepareError, make_progress
from PIL import Image

from mmseg_allspark.datasets.transforms.decoding import DataFileError, read_bytes
from mmseg_allspark.datasets.transforms.mask_decoding import decode_mask
from mmseg_allspark.utils.files import write_whole

Result = TypeVar("Result")
_LEFTOVER = re.compile(r"\..+\.\d+\.png")  # as write_whole names what it has not finished


def make_parser(doc: str, out: str) -> argparse.ArgumentParser:
    """Return the command line that the tools for published data sets have in common."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="SRC", type=Path)
    parser.add_argument("--out", type=Path, default=Path(out))
    parser.add_argument("--workers", type=int, default=cores, help="processes (default: all cores)")
    return parser


def decode_labels(path: Path) -> np.ndarray:
    """Decode a mask as training does: (H, W), of the type stored.

    Raises:
        PrepareError: If it is missing, cannot be decoded or is no mask of label numbers.
    """
    try:
        return decode_mask(read_bytes(str(path), "mask", "names and folders", None), str(path))
    except DataFileError as error:
        raise PrepareError(str(error)) from error


def read_labels(path: Path, size: tuple[int, int], allowed: Collection[int]) -> np.ndarray:
    """Read and check a mask; see ``check_labels``."""
    return check_labels(decode_labels(path), path, size, allowed)


def check_labels(labels: np.ndarray, path: Path, size: tuple[int, int], allowed: Collection[int]) -> np.ndarray:
    """Check a mask.

    Args:
        labels: (H, W).
        path: Where they come from, for messages.
        size: Width and height of the image.
        allowed: The labels that may occur.

    Returns:
        The labels as uint8.

    Raises:
        PrepareError: If the size or a label is wrong.
    """
    if labels.shape != (size[1], size[0]):
        raise PrepareError(
            f"The mask {path} is {labels.shape[1]}x{labels.shape[0]} but its image is {size[0]}x{size[1]}."
        )
    if bad := sorted(set(np.unique(labels).tolist()) - set(allowed)):
        raise PrepareError(f"The mask {path} holds the labels {bad}, which this data set does not have.")
    return labels.astype(np.uint8)


def read_size(path: Path, decode: bool = False) -> tuple[int, int]:
    """Read width and height of an image from its header; with ``decode`` the rest has to be readable too.

    Raises:
        PrepareError: If it cannot be read.
    """
    try:
        with Image.open(path) as image:
            if decode:
                image.load()
            return image.size
    except Exception as error:  # every format of Pillow raises its own kind of exception
        raise PrepareError(f"The image {path} is missing or cannot be read: {error}.") from error


def write_png(labels: np.ndarray, path: Path) -> None:
    """Write a mask (H, W) uint8 whole or not at all."""
    buffer = BytesIO()
    Image.fromarray(labels).save(buffer, format="PNG")
    write_whole(buffer.getvalue(), path)


def is_whole_png(path: Path, size: tuple[int, int]) -> bool:
    """Say, without decoding it, whether a file is a complete PNG of this width and height, and no link."""
    try:
        with path.open("rb") as stream:
            head = stream.read(24)
            stream.seek(-8, os.SEEK_END)
            end = stream.read(4)
    except OSError:
        return False
    is_png = head[:8] == b"\x89PNG\r\n\x1a\n" and end == b"IEND" and struct.unpack(">II", head[16:]) == size
    return is_png and not path.is_symlink()


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of a run that was killed, below a folder of ours."""
    for path in [path for path in folder.rglob(".*") if _LEFTOVER.fullmatch(path.name)]:
        path.unlink(missing_ok=True)


def _obey_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle

    # the workers of a killed parent would wait for work for ever
    def watch() -> None:
        connection.wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run_parallel(work: Callable[[tuple], Result], jobs: Sequence[tuple], workers: int, what: str) -> list[Result]:
    """Return what ``work``, a function of a module, gives for every job, in several processes (1: in this one).

    Raises:
        PrepareError: From a job, or if a worker was killed.
    """
    show, results = make_progress(what, sys.stdout), []
    if workers <= 1 or len(jobs) < 2:
        for done, job in enumerate(jobs, 1):
            results.append(work(job))
            show(done, len(jobs))
        return results
    chunk = max(1, min(32, len(jobs) // (4 * workers)))
    with ProcessPoolExecutor(workers, initializer=_obey_parent) as pool:
        try:
            for done, result in enumerate(pool.map(work, jobs, chunksize=chunk), 1):
                results.append(result)
                show(done, len(jobs))
        except BrokenProcessPool as error:
            raise PrepareError("A worker was killed, maybe for memory: run it again with fewer --workers.") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return results
