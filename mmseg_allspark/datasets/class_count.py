"""The number of classes, put into every sample for the check of its mask."""

from __future__ import annotations


class ClassCountMixin:
    """Adds ``num_classes`` to what a ``BaseSegDataset`` hands to its pipeline; list it before the base class.

    ``LoadSegMask`` then checks labels against the dataset's own classes. Where the dataset names no classes
    nothing is added.
    """

    def get_data_info(self, idx: int) -> dict:
        """As in ``BaseDataset``, with ``num_classes``.

        Args:
            idx: Index of the sample.

        Returns:
            The sample's record.
        """
        info = super().get_data_info(idx)
        classes = self._metainfo.get("classes")
        if classes:
            info["num_classes"] = len(classes)
        return info
