"""One rank's failure ends all ranks, and each of them says which one failed first and why.

Without this the others wait for the failed rank: until the launcher kills them, until their connection to it closes
(gloo), or until ``env_cfg.dist_cfg.timeout`` has passed (NCCL without a launcher that watches its processes).
"""

from __future__ import annotations

import faulthandler
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mmengine.logging import print_log
from torch import distributed as dist
from torch.distributed.distributed_c10d import _get_default_store  # torch offers no other way to it

POLL = 1.0  # seconds between two looks at whether another rank has failed
PATIENCE = 10.0  # seconds that a failed rank waits until the others know
GRACE = 10.0  # seconds until a rank follows: a launcher that kills it meanwhile names the one that failed first
EXIT = 30.0  # seconds for ending in good order, which open connections and workers may prevent
WITHOUT_A_WORD = (
    "another rank has ended without a word: killed (for example for want of memory), or its machine is gone."
)
_FAILURE, _INFORMED = "mmseg_allspark/failure", "mmseg_allspark/informed"


class RankFailedError(RuntimeError):
    """Another rank failed; the message names it and its error."""


@contextmanager
def failing_together() -> Iterator[None]:
    """Run what all ranks run together. Without a process group of several ranks, nothing is added to it.

    A rank that raises puts its error into the process group's store, where a thread of every other rank looks for it
    each second; they log it and end within seconds, whatever they are waiting for. So does a rank that finds the store
    gone. The end of the block waits for all ranks. After an error the process has to end: 30 seconds later it is ended.

    Raises:
        RankFailedError: In place of the error of a lost connection, if another rank has failed before.
    """
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        yield
        return
    watch = _Watch()
    try:
        yield
        dist.barrier()
    except BaseException as error:
        faulthandler.dump_traceback_later(EXIT, exit=True, file=sys.__stderr__)
        first = watch.report(error)
        if first is not None:
            raise RankFailedError(first) from None
        raise
    finally:
        watch.stop()


class _Watch:
    """The thread that looks for failures of other ranks, and the place where this rank tells its own."""

    def __init__(self) -> None:
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()
        self.store = _get_default_store()
        # A connection of its own where torch can: on a shared one a waiting call keeps others waiting.
        own = self.store.clone() if hasattr(self.store, "clone") else self.store
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._told: str | None = None  # another rank's failure, once it is known and logged
        threading.Thread(target=self._look, args=(own,), name="failing_together", daemon=True).start()

    def stop(self) -> None:
        """Let the thread end."""
        self._stopped.set()

    def report(self, error: BaseException) -> str | None:
        """Tell the others of this rank's error, unless one of them failed before.

        Returns:
            The other rank's failure; None if this rank is the first.
        """
        self.stop()
        with self._lock:
            told = self._told
        if told is not None:
            time.sleep(GRACE)
            return told
        place = f"{socket.gethostname()}, process {os.getpid()}"
        own = f"Rank {self.rank} ({place}) failed: {_summarise(error)}"
        if _is_lost_connection(error):
            own += f"\n{WITHOUT_A_WORD}"
        try:
            first = self.store.compare_set(_FAILURE, "", own).decode()
        except Exception as lost:  # any: whatever torch raises without its server
            print_log(f"{own}\nNor can it be told to the others: {lost}", "current", logging.ERROR)
            return None
        if first != own:
            self._tell(self.store, first)
            time.sleep(GRACE)
            return first
        print_log(f"{own}\nAll {self.world_size} ranks end.", "current", logging.ERROR)
        self._await_others()
        return None

    def _await_others(self) -> None:
        """Rank 0 often holds the store: it must not go before the others have read."""
        end = time.monotonic() + PATIENCE
        with suppress(Exception):
            while self.store.add(_INFORMED, 0) < self.world_size - 1 and time.monotonic() < end:
                time.sleep(0.1)

    def _look(self, store: dist.Store) -> None:
        while not self._stopped.wait(POLL):
            try:
                first = store.get(_FAILURE).decode() if store.check([_FAILURE]) else None
            except Exception as error:  # any: whatever torch raises without its server
                if self._stopped.wait(GRACE):
                    return  # the end of the run, or this rank has noticed itself
                first = f"The process group's store does not answer, rank 0 or its launcher has ended: {error}"
                print_log(f"{first}\nRank {self.rank} ends too.", "current", logging.ERROR)
                _leave()
            if first is not None:
                self._tell(store, first)
                if not self._stopped.wait(GRACE):
                    _leave()
                return

    def _tell(self, store: dist.Store, first: str) -> None:
        """Log another rank's failure, once, and let it know that this rank has heard."""
        with self._lock:
            if self._told is None:
                self._told = first
                print_log(f"{first}\nRank {self.rank} ends too.", "current", logging.ERROR)
                with suppress(Exception):
                    store.add(_INFORMED, 1)


def _summarise(error: BaseException) -> str:
    """Kind and message of an error; of one in a worker of a data loader the last line, where these are."""
    text = f"{type(error).__name__}: {error}".strip()
    return text.splitlines()[-1].strip() if "Original Traceback" in text else text


def _is_lost_connection(error: BaseException) -> bool:
    text = str(error).lower()
    return any(sign in text for sign in ("connection closed by peer", "connection reset by peer", "broken pipe"))


def _leave() -> None:
    """End this process although its main thread waits for another rank, where no exception reaches it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(1)
