"""One training at a time in a work directory: two would overwrite each other's checkpoints."""

import fcntl
import os
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.dist import is_main_process

LOCK = "training.lock"


@contextmanager
def only_training_in(work_dir: str | os.PathLike) -> Iterator[None]:
    """Keep other trainings out of a work directory while a ``with`` block runs.

    Rank 0 writes host and process to ``training.lock`` and locks that file. The system unlocks it when the process
    ends, however that ends, so nothing is left to tidy up after a crash. The file stays, empty after a training that
    ended.

    Args:
        work_dir: The folder; it is made.

    Raises:
        RuntimeError: On rank 0, if another process holds the lock; names it.
    """
    if not is_main_process():
        yield
        return
    path, host = Path(work_dir, LOCK), socket.gethostname()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        file.seek(0)
        before = file.read().strip()
        try:
            # not flock: the workers of a data loader would inherit it and hold it for a while after a crash
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise RuntimeError(
                f"{work_dir} is in use by another training: {before or 'a process that is starting'}. Give another "
                f"--work-dir, or end that process first. If its machine is gone, delete {path}."
            ) from None
        except OSError as error:
            text = f"{path} cannot be locked ({error}): nothing keeps a second training out of this folder."
            warnings.warn(text, stacklevel=3)
        if before and not before.startswith(f"{host},"):
            text = f"{path} names {before}, which does not hold it any more; its training was killed."
            warnings.warn(text, stacklevel=3)
        file.truncate(0)
        file.write(f"{host}, process {os.getpid()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)  # not removed: another process may have opened it and wait for nothing else
