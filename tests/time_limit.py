"""A case that hangs is a failed case, whatever catches exceptions on the way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 60  # per case, not counting time in which the process is stopped
TICK = 0.2


class HangError(BaseException):
    """No ``Exception``: the code under test turns these into errors that name a file."""


@contextmanager
def time_limit(seconds: float = SECONDS) -> Iterator[None]:
    """Raise in the main thread when a case takes too long; ticks stand still while the process is stopped."""
    done = threading.Event()

    def watch() -> None:
        for _ in range(int(seconds / TICK)):
            if done.wait(TICK):
                return
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

    def stop(*_: object) -> None:
        raise HangError(f"a case took more than {seconds} s")

    before = signal.signal(signal.SIGUSR1, stop)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        signal.signal(signal.SIGUSR1, before)
