"""Images without masks, from wherever the user has them."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from mmseg.registry import DATASETS

from mmseg_allspark.utils.checks import check_types
from mmseg_allspark.utils.files import expand_glob, walk_files

from .base import CheckedSegDataset

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


@DATASETS.register_module()
class UnlabeledDataset(CheckedSegDataset):
    """Images without masks from a folder, a glob, a list file, or several of these.

    A source may be: a folder (searched with all its subfolders, but not hidden ones), a glob
    (``'frames/**/*.jpg'``), one image, or a text file (one path a line; empty lines and lines starting with # are
    skipped). Relative sources are taken from ``data_root`` if given; relative paths inside a list from ``data_root``
    if given, else from the list's folder. The result is sorted, and every file is there once.

    Args:
        source: One source or several.
        data_root: Where relative paths start. Default: None, the working directory.
        suffixes: Which files of a folder or glob are images. Default: ``IMAGE_SUFFIXES``.
        metainfo: May name ``classes`` and ``palette`` for visualisers. Default: None.
        **kwargs: As in ``BaseSegDataset`` (``pipeline``, ``indices``, ``serialize_data``, ...).

    Raises:
        FileNotFoundError: If a source, or a file named in a list, does not exist, or if no image is found.
        ValueError: If a source is a JSON file.
    """

    @check_types
    def __init__(
        self,
        source: str | os.PathLike | Sequence[str | os.PathLike],
        data_root: str | os.PathLike | None = None,
        suffixes: Sequence[str] = IMAGE_SUFFIXES,
        metainfo: dict | None = None,
        **kwargs: object,
    ) -> None:
        is_one = isinstance(source, str | os.PathLike)
        self.sources = [os.fspath(entry) for entry in ([source] if is_one else source)]
        if "" in self.sources:
            raise ValueError("UnlabeledDataset.source holds an empty path; '.' is the folder `data_root`.")
        self.suffixes = tuple(suffix.lower() for suffix in suffixes)
        super().__init__(
            metainfo=metainfo,
            data_root=None if data_root is None else os.fspath(data_root),
            data_prefix=dict(img_path=""),
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Find the images; one dict for each, sorted by path."""
        found: dict[str, str] = {}
        for source in self.sources:
            for path in self._expand(source):
                found.setdefault(os.path.realpath(path), path)
        if not found:
            raise FileNotFoundError(
                f"UnlabeledDataset found no image in {[self._from_root(s) for s in self.sources]} (suffixes "
                f"{', '.join(self.suffixes)}). Correct `source` or `data_root`, or give `suffixes`."
            )
        record = dict(label_map=self.label_map, reduce_zero_label=self.reduce_zero_label)
        return [dict(img_path=path, seg_fields=[], **record) for path in sorted(found.values())]

    def _from_root(self, path: str) -> str:
        return os.path.join(self.data_root or "", path)

    def _expand(self, source: str) -> Iterator[str]:
        path = self._from_root(source)
        if os.path.isdir(path):
            yield from map(str, walk_files(path, self.suffixes))
        elif os.path.isfile(path):
            if path.lower().endswith(".json"):
                raise ValueError(f"UnlabeledDataset.source: {path} is a JSON file. Write the paths to a .txt file.")
            yield from self._expand_list(path) if path.lower().endswith(".txt") else [path]
        elif glob.has_magic(source):
            yield from (match for match in expand_glob(path) if self._is_image(match) and os.path.isfile(match))
        else:
            raise FileNotFoundError(
                f"The source {path} of UnlabeledDataset does not exist. Give a folder, a glob, an image, or "
                "a .txt list in `source`; relative ones start at `data_root`."
            )

    def _is_image(self, name: str) -> bool:
        return name.lower().endswith(self.suffixes) and not os.path.basename(name).startswith(".")

    def _expand_list(self, list_file: str) -> Iterator[str]:
        start = self.data_root if self.data_root is not None else os.path.dirname(list_file)
        lines = map(str.strip, Path(list_file).read_text(encoding="utf-8").splitlines())
        paths = [os.path.join(start, line) for line in lines if line and line[0] != "#"]
        missing = [path for path in paths if not os.path.isfile(path)]
        if missing:
            raise FileNotFoundError(
                f"{len(missing)} of {len(paths)} images named in {list_file} do not exist, first: "
                f"{missing[:3]}. Relative paths start at `data_root` if given, else at the list's folder; "
                "suffixes have to be written."
            )
        yield from paths
