"""Which image takes the place of one that cannot be read, and which file an error of the pipeline is about."""

from __future__ import annotations

from typing import Any

import numpy as np

from .transforms.decoding import DataFileError


class RefetchMixin:
    """What replaces a skipped image depends on the skipped one alone; list it before the base class.

    mmengine draws the replacement from numpy's global generator, so that it depends on workers and on what was drawn
    before. Errors of the pipeline gain the name of the image.
    """

    def __getitem__(self, idx: int) -> Any:
        """As in ``BaseDataset``.

        Args:
            idx: Index of the sample.

        Returns:
            What the pipeline gives for it, or for its replacement.

        Raises:
            DataFileError: If ``max_refetch`` replacements could not be read either.
        """
        if self.test_mode:
            return super().__getitem__(idx)
        if not self._fully_initialized:
            self.full_init()
        chance = np.random.default_rng(idx % len(self))
        for place in (idx, *chance.integers(len(self), size=self.max_refetch)):
            sample = self.prepare_data(int(place))
            if sample is not None:
                return sample
        raise DataFileError(
            f"{type(self).__name__} found no readable image after {self.max_refetch} others, the first was "
            f"{self.get_data_info(idx)['img_path']}. Look at all with tools/prepare/check_data.py CONFIG."
        )

    def prepare_data(self, idx: int) -> Any:
        """As in ``BaseDataset``.

        Args:
            idx: Index of the sample.

        Returns:
            What the pipeline gives for it; None to have it replaced.

        Raises:
            DataFileError: If a step of the pipeline fails.
        """
        info = self.get_data_info(idx)
        path = str(info["img_path"])
        try:
            return self.pipeline(info)
        except DataFileError:
            raise
        except Exception as error:  # steps of others say nothing about the file
            raise DataFileError(
                f"The pipeline of {type(self).__name__} fails on {path}: {type(error).__name__}: {error}"
            ) from error
