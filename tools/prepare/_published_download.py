"""Downloading the published split lists."""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from _splits import PrepareError, write_atomically

# UniMatch at the state of its CVPR 2023 release; AllSpark uses the same lists
URL = "https://raw.githubusercontent.com/LiheYoung/UniMatch/818609d195fa1079fbb67589299d9aec07acac46/splits"
FOLDERS = dict(voc="pascal", cityscapes="cityscapes", coco="coco")


def download(dataset: str, names: Sequence[str], base: str, folder: Path, with_unlabeled: bool) -> None:
    """Downloads published lists.

    Args:
        dataset: 'voc', 'cityscapes' or 'coco'.
        names: Splits.
        base: Address of the folder that holds pascal, cityscapes and coco.
        folder: Where to; gets the same layout.
        with_unlabeled: Whether to get the unlabeled lists too (COCO: of the first split, 6 MB each).

    Raises:
        PrepareError: If a file cannot be had.
    """
    files = ["val.txt", *(f"{name}/labeled.txt" for name in names)]
    if with_unlabeled:
        files += [f"{name}/unlabeled.txt" for name in (names[:1] if dataset == "coco" else names)]
    for file in files:
        url = f"{base.rstrip('/')}/{FOLDERS[dataset]}/{file}"
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                target = folder / FOLDERS[dataset] / file
                write_atomically(target, lambda stream, answer=answer: shutil.copyfileobj(answer, stream))
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise PrepareError(
                f"{url} cannot be downloaded: {error}. Where there is no network, copy the folder `splits` of "
                "https://github.com/LiheYoung/UniMatch or https://github.com/xmed-lab/AllSpark here and give its "
                "path as SRC."
            ) from error
