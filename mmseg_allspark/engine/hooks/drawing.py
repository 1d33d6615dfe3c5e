"""DrawingHook: what pictures and reports have in common."""

from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.hooks import Hook
from mmengine.runner import Runner


class DrawingHook(Hook):
    """A hook whose failures never stop a training."""

    _has_failed = False

    @contextmanager
    def drawing(self, runner: Runner) -> Iterator[None]:
        """Turn whatever goes wrong inside into a warning with the reason, the first time."""
        try:
            yield
        except Exception as error:  # whatever is wrong with a picture, the weights matter more
            if not self._has_failed:
                runner.logger.warning(
                    f"{type(self).__name__} could not draw; training goes on, and its later failures are not reported. "
                    f"{type(error).__name__}: {error}",
                    exc_info=True,
                )
            self._has_failed = True
