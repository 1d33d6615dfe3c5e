"""What the data sets of this package have in common."""

from __future__ import annotations

from typing import Any

from mmengine import fileio
from mmseg.datasets import BaseSegDataset

from .transforms.decoding import DataFileError


class CheckedSegDataset(BaseSegDataset):
    """mmseg's ``BaseSegDataset`` with errors that name the file.

    Samples have ``num_classes`` where the data set names its classes: ``LoadSegMask`` checks labels against it.
    """

    _name = ""  # of data that a tool of ours prepares, and that tool
    _tool = ""

    def load_data_list(self) -> list[dict]:
        """As in ``BaseSegDataset``, with an error that names what is not there: folder, list or any image."""
        folder = self.data_prefix["img_path"]
        for what, path in (("image folder", folder), ("list", self.ann_file or ".")):
            if not fileio.exists(path, self.backend_args):
                raise FileNotFoundError(
                    f"The {self._name} {what} {path} does not exist. Make it with `python {self._tool}`, or correct "
                    "`data_root`, `data_prefix` or `ann_file` of the dataset."
                )
        data_list = super().load_data_list()
        if not data_list:  # mmengine would say "need at least one array to concatenate"
            why = f"the list {self.ann_file} is empty"
            why = why if self.ann_file else f"{folder} holds no file ending in {self.img_suffix}"
            raise ValueError(f"The {self._name} data set has no image: {why}.")
        return data_list

    def get_data_info(self, idx: int) -> dict:
        """As in ``BaseDataset``, with ``num_classes``."""
        info, classes = super().get_data_info(idx), self._metainfo.get("classes")
        return dict(info, num_classes=len(classes)) if classes else info

    def prepare_data(self, idx: int) -> Any:
        """Return what the pipeline gives for a sample, None to have it replaced; errors gain the image's name."""
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
