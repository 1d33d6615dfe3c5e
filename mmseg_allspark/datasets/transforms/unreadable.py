"""How many images had to be skipped, and when that is too many."""

from __future__ import annotations

import logging

from mmengine.dist import is_main_process
from mmengine.logging import print_log

from .decoding import DataFileError

_FIRST_VERDICT = 20  # images read before their share of unreadable ones means anything


class UnreadableCount:
    """Counts the unreadable images of one data set in one process, and says each file once."""

    def __init__(self) -> None:
        self.read = self.unreadable = 0
        self._named: set[str] = set()

    def add_readable(self) -> None:
        """Counts an image that could be used."""
        self.read += 1

    def add_unreadable(self, path: str, error: DataFileError) -> None:
        """Counts an image that could not be used.

        Args:
            path: The file.
            error: Why.

        Raises:
            DataFileError: If that makes more than half of at least 20.
        """
        self.read += 1
        self.unreadable += 1
        if self.read >= _FIRST_VERDICT and 2 * self.unreadable > self.read:
            raise DataFileError(
                f"{self.unreadable} of the {self.read} unlabeled images read by this process could not be used, the "
                f"last: {error} Look at all with tools/prepare/check_data.py CONFIG."
            ) from error
        if path not in self._named:
            self._named.add(path)
            print_log(
                f"Skipped, another image takes its place ({self.unreadable} of {self.read} read by this process): "
                f"{error} To stop instead: unreadable='stop'.",
                logger="current",
                level=logging.WARNING if is_main_process() else logging.ERROR,  # other ranks log nothing less
            )
