"""What the tools for published data sets share: their command line, and masks checked and written in processes."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from io import BytesIO
from multiprocessing import connection
from pathlib import Path
from typing import TypeVar

import numpy as np
from _files import PrepareError, link, make_progress, refuse_link
from PIL import Image

from mmseg_allspark.datasets.transforms.decoding import DataFileError, read_bytes
from mmseg_allspark.datasets.transforms.mask_decoding import decode_mask
from mmseg_allspark.environment import usable_cpus
from mmseg_allspark.utils.files import write_whole

Result = TypeVar("Result")
VOID = 255
_LEFTOVER = re.compile(r"\..+\.\d+\.png")  # as write_whole names what it has not finished


def make_parser(doc: str, out: str) -> argparse.ArgumentParser:
    """Return the command line that the tools for published data sets have in common."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", metavar="SRC", type=Path)
    parser.add_argument("--out", type=Path, default=Path(out))
    add_workers(parser)
    return parser


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add ``--workers``."""
    parser.add_argument("--workers", type=int, default=usable_cpus(), help="processes (default: all cores)")


def decode_labels(path: Path) -> np.ndarray:
    """Decode a mask as training does, or one of SBD (.mat): (H, W), of the type stored."""
    if path.suffix == ".mat":
        return _decode_sbd(path)
    try:
        return decode_mask(read_bytes(str(path), "mask", "names and folders", None), str(path))
    except DataFileError as error:
        raise PrepareError(str(error)) from error


def _decode_sbd(path: Path) -> np.ndarray:
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise PrepareError("scipy is not installed. Install it: pip install scipy") from error
    try:
        return np.asarray(loadmat(path)["GTcls"]["Segmentation"][0, 0])
    except Exception as error:  # scipy raises whatever the damaged bytes lead to
        raise PrepareError(f"{path} is not a mask of SBD: {error!r}. Get benchmark.tgz again.") from error


def read_size(path: Path) -> tuple[int, int]:
    """Read width and height of an image from its header."""
    try:
        with Image.open(path) as image:
            return image.size
    except Exception as error:  # every format of Pillow raises its own kind of exception
        raise PrepareError(f"The image {path} is missing or cannot be read: {error}.") from error


def convert(job: tuple[Path, Path, Path | None, Mapping[int, int]]) -> None:
    """Check the mask of an image and put it into OUT: image, mask, where to (None: only check) and the labels.

    The labels say which ones may occur and what each becomes. A PNG whose labels stay as they are becomes a link.
    """
    image, mask, path, labels = job
    size = read_size(image)
    is_linked = mask.suffix == ".png" and all(old == new for old, new in labels.items())
    if path is not None and not is_linked and is_whole_png(path, size):
        return
    pixels = decode_labels(mask)
    if pixels.shape != size[::-1]:
        raise PrepareError(
            f"The mask {mask} is {pixels.shape[1]}x{pixels.shape[0]} but its image is {size[0]}x{size[1]}."
        )
    if bad := sorted(set(np.unique(pixels).tolist()) - labels.keys()):
        raise PrepareError(f"The mask {mask} holds the labels {bad}, which this data set does not have.")
    if path is not None and is_linked:
        link(mask, path)
    elif path is not None:
        refuse_link(path)
        table = np.array([labels.get(label, VOID) for label in range(256)], np.uint8)
        write_png(table[pixels.astype(np.uint8)], path)


def write_png(labels: np.ndarray, path: Path) -> None:
    """Write a mask (H, W) uint8 whole or not at all."""
    buffer = BytesIO()
    Image.fromarray(labels).save(buffer, format="PNG")
    write_whole(buffer.getvalue(), path)


def is_whole_png(path: Path, size: tuple[int, int]) -> bool:
    """Say, without decoding it, whether a file is a complete PNG of this width and height, and no link."""
    try:
        with path.open("rb") as stream, Image.open(stream) as image:
            stream.seek(-8, os.SEEK_END)
            is_whole = image.format == "PNG" and image.size == size and stream.read(4) == b"IEND"
            return is_whole and not path.is_symlink()
    except (OSError, SyntaxError):  # the latter is Pillow's for some broken PNGs
        return False


def prepare_folder(folder: Path) -> None:
    """Refuse to write masks through a link of another preparation, and remove what a killed run left."""
    refuse_link(folder.parent)
    refuse_link(folder)
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
    """Return what ``work``, a function of a module, gives for every job, in several processes (1: in this one)."""
    show, results = make_progress(what, sys.stdout), []

    def collect(found: Iterable[Result]) -> list[Result]:
        for done, result in enumerate(found, 1):
            results.append(result)
            show(done, len(jobs))
        return results

    if workers <= 1 or len(jobs) < 2:
        return collect(map(work, jobs))
    with ProcessPoolExecutor(workers, initializer=_obey_parent) as pool:
        try:
            return collect(pool.map(work, jobs, chunksize=max(1, min(32, len(jobs) // (4 * workers)))))
        except BrokenProcessPool as error:
            raise PrepareError("A worker was killed, maybe for memory: run it again with fewer --workers.") from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
