"""What the tools for published data sets share: masks, checked and written, in several processes."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import struct
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from io import BytesIO
from multiprocessing import connection
from pathlib import Path

import numpy as np
from _archives import Progress
from _splits import PrepareError, write_atomically
from PIL import Image

from mmseg_allspark.datasets.transforms.decoding import DataFileError, read_bytes
from mmseg_allspark.datasets.transforms.mask_decoding import decode_mask

_LEFTOVER = re.compile(r"\..+\.png\.[a-z0-9_]{8}")  # as write_atomically names its temporary files


def read_labels(path: Path, size: tuple[int, int], allowed: Collection[int]) -> np.ndarray:
    """Reads and checks a mask.

    Args:
        path: PNG with label numbers, grayscale or palette.
        size: Width and height of its image.
        allowed: The labels that may occur.

    Returns:
        (H, W) uint8.

    Raises:
        PrepareError: If it cannot be read, has another size or other labels.
    """
    labels = decode_labels(path)
    check_labels(labels, path, size, allowed)
    return labels.astype(np.uint8)


def decode_labels(path: Path) -> np.ndarray:
    """Decodes a mask as training does.

    Args:
        path: Mask of label numbers.

    Returns:
        (H, W), of the type stored.

    Raises:
        PrepareError: If it is missing, cannot be decoded or is no mask of label numbers.
    """
    try:
        return decode_mask(read_bytes(str(path), "mask", "names and folders", None), str(path))
    except DataFileError as error:
        raise PrepareError(str(error)) from error


def check_labels(labels: np.ndarray, path: Path, size: tuple[int, int], allowed: Collection[int]) -> None:
    """Checks a mask.

    Args:
        labels: (H, W).
        path: Where they come from, for messages.
        size: Width and height of the image.
        allowed: The labels that may occur.

    Raises:
        PrepareError: If the size or a label is wrong.
    """
    if labels.shape != (size[1], size[0]):
        raise PrepareError(
            f"The mask {path} is {labels.shape[1]}x{labels.shape[0]} but its image is {size[0]}x{size[1]}."
        )
    bad = sorted(set(np.unique(labels).tolist()) - set(allowed))
    if bad:
        raise PrepareError(f"The mask {path} holds the labels {bad}, which this data set does not have.")


def read_size(path: Path) -> tuple[int, int]:
    """Reads the size of an image from its header.

    Args:
        path: Image.

    Returns:
        Width, height.

    Raises:
        PrepareError: If it cannot be read.
    """
    try:
        with Image.open(path) as image:
            return image.size
    except Exception as error:  # every format of Pillow raises its own kind of exception
        raise PrepareError(f"The image {path} is missing or cannot be read: {error}.") from error


def write_png(labels: np.ndarray, path: Path) -> None:
    """Writes a mask whole or not at all.

    Args:
        labels: (H, W) uint8.
        path: Where to.
    """
    buffer = BytesIO()
    Image.fromarray(labels).save(buffer, format="PNG")
    write_atomically(path, lambda stream: stream.write(buffer.getvalue()))


def is_whole_png(path: Path, size: tuple[int, int]) -> bool:
    """Says, without decoding it, whether a file is a complete PNG of this width and height."""
    try:
        with path.open("rb") as stream:
            head = stream.read(24)
            stream.seek(-8, os.SEEK_END)
            end = stream.read(4)
    except OSError:
        return False
    return head[:8] == b"\x89PNG\r\n\x1a\n" and end == b"IEND" and struct.unpack(">II", head[16:]) == size


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary files of a run that was killed, below a folder of ours."""
    for path in [path for path in folder.rglob(".*") if _LEFTOVER.fullmatch(path.name)]:
        path.unlink(missing_ok=True)


def default_workers() -> int:
    """Returns the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _obey_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle

    # the workers of a killed parent would wait for work for ever
    def watch() -> None:
        connection.wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def run_parallel(work: Callable[[tuple], object], jobs: Sequence[tuple], workers: int, what: str) -> None:
    """Calls ``work`` for every job, in several processes.

    Args:
        work: Function of a module (it is pickled).
        jobs: Its arguments.
        workers: Number of processes; 1: this one.
        what: For the progress.

    Raises:
        PrepareError: From a job, or if a worker was killed.
    """
    progress = Progress(what, len(jobs))
    if workers <= 1 or len(jobs) < 2:
        for job in jobs:
            work(job)
            progress.step()
        return
    chunk = max(1, min(32, len(jobs) // (4 * workers)))
    with ProcessPoolExecutor(workers, initializer=_obey_parent) as pool:
        try:
            for _ in pool.map(work, jobs, chunksize=chunk):
                progress.step()
        except BrokenProcessPool as error:
            raise PrepareError("A worker was killed, maybe for memory: run it again with fewer --workers.") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
