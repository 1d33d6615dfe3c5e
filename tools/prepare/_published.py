"""Reading the published split lists, in whatever layout a repository keeps them, and telling them by their hashes."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from _files import PrepareError

from mmseg_allspark.datasets.published_splits import PUBLISHED, Fingerprint
from mmseg_allspark.utils.files import walk_files, write_whole

# UniMatch at the state of its CVPR 2023 release; AllSpark uses the same lists
URL = "https://raw.githubusercontent.com/LiheYoung/UniMatch/818609d195fa1079fbb67589299d9aec07acac46/splits"
FOLDERS = dict(voc="pascal", cityscapes="cityscapes", coco="coco")
# an id, or the path of its image (the first word of a line; the second one is the mask)
IDS = dict(
    voc=re.compile(r"(?:.*/)?(\d{4}_\d{6})(?:\.\w+)?"),
    cityscapes=re.compile(r"(?:.*/)?((?:train|val|test)/[\w-]+/[\w-]+_\d{6}_\d{6})(?:_leftImg8bit\.\w+)?"),
    coco=re.compile(r"(?:.*/)?(\d{12})(?:\.\w+)?"),
)
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
# where a prepared data_root has its training ids
PREPARED = dict(
    voc=["ImageSets/Segmentation/train_aug.txt"],
    cityscapes=["leftImg8bit/train"],
    coco=["train2017.txt", "train2017"],
)


@dataclass
class Survey:
    """What a folder holds of the published lists of a data set: their files, the labeled ones by split."""

    labeled: dict[str, Path] = field(default_factory=dict)
    val: Path | None = None
    train: Path | None = None


def download(dataset: str, names: Sequence[str], base: str, folder: Path, with_unlabeled: bool) -> None:
    """Download published lists of some splits from an address into a folder.

    Of the unlabeled lists the first split's is enough to know all training ids.
    """
    files = ["val.txt", *(f"{name}/labeled.txt" for name in names)]
    for file in [*files, f"{names[0]}/unlabeled.txt"] if with_unlabeled else files:
        place = f"{FOLDERS[dataset]}/{file}"
        url = f"{base.rstrip('/')}/{place}"
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                write_whole(answer.read(), folder / place)
        except (OSError, ValueError) as error:
            raise PrepareError(
                f"{url} cannot be downloaded: {error}. Where there is no network, copy the folder `splits` of "
                "https://github.com/LiheYoung/UniMatch or https://github.com/xmed-lab/AllSpark here and give its "
                "path as SRC."
            ) from error


def read_ids(path: Path, dataset: str) -> list[str]:
    """Read ids from a list of ids or image paths, one a line, or from the names of a folder's images.

    A list stays in its order and is empty if a line holds no id.
    """
    if path.is_dir():
        # absolute, as the id of a Cityscapes image begins with the name of its split folder
        names = [file.as_posix() for file in walk_files(path.absolute(), IMAGE_SUFFIXES)]
        return sorted({match[1] for match in map(IDS[dataset].fullmatch, names) if match})
    words = [
        line.split()[0].replace("\\", "/") for line in path.read_text(errors="replace").splitlines() if line.strip()
    ]
    found = [IDS[dataset].fullmatch(word) for word in words]
    return [match[1] for match in found] if all(found) else []


def survey(source: Path, dataset: str) -> Survey:
    """Find the published lists below a folder, such as a clone of UniMatch or U2PL; of several copies the first counts.

    A list is known by its ids, whatever its name and folder are.
    """
    if not source.is_dir():
        raise PrepareError(f"SRC {source} is not a folder.")
    found, table = Survey(), PUBLISHED[dataset]
    names = {want: name for name, want in table.labeled.items()}
    for path in walk_files(source.absolute(), (".txt",)):
        mark = Fingerprint.of(read_ids(path, dataset))
        if mark in names:
            found.labeled.setdefault(names[mark], path)
        elif mark == table.val:
            found.val = found.val or path
        elif table.train.fits(mark):
            found.train = found.train or path
    return found


def find_training_ids(found: Survey, dataset: str, out: Path, image_ids: Path | None) -> list[str]:
    """Find all training ids of a data set, sorted; as many as the table says, and with its hash where it has one.

    They are in the user's ``image_ids``, else in a published list of all, the labeled and unlabeled list of a published
    split together, or the prepared data in ``out``.
    """
    want = PUBLISHED[dataset].train

    def candidates() -> Iterator[list[str]]:
        for path in [image_ids] if image_ids else [found.train, *(out / place for place in PREPARED[dataset])]:
            if path is not None and path.exists():
                yield read_ids(path, dataset)
        for path in found.labeled.values() if image_ids is None else ():
            if path.name == "labeled.txt" and (rest := path.with_name("unlabeled.txt")).is_file():
                yield list({*read_ids(path, dataset), *read_ids(rest, dataset)})

    ids = next((ids for ids in candidates() if want.fits(Fingerprint.of(ids))), None)
    if ids is None:
        where = str(image_ids) if image_ids else f"neither SRC nor {' or '.join(PREPARED[dataset])} of --out"
        raise PrepareError(
            f"The unlabeled lists need the ids of all {want.count} {dataset} training images, which {where} has not. "
            "Prepare the data in --out first, or give --image-ids: a list, or the folder of the training images."
        )
    return sorted(ids)


def read_split(path: Path, dataset: str, train: Sequence[str]) -> tuple[list[str], list[str]]:
    """Read a published split: its labeled ids in the published order, and the rest of all training ids."""
    labeled = read_ids(path, dataset)
    if lost := sorted(set(labeled).difference(train)):
        raise PrepareError(f"{len(lost)} labeled ids of {path} are no training images, such as {lost[:3]}.")
    chosen = set(labeled)
    return labeled, [name for name in train if name not in chosen]
