"""Reading the published split lists, in whatever layout a repository keeps them, and telling them by their hashes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from _splits import PrepareError, walk_files

from mmseg_allspark.datasets.published_splits import PUBLISHED, Fingerprint

ALIASES = dict(
    voc={"voc", "pascal", "pascal_voc", "pascal_u2pl", "pascalvoc", "voc2012"},
    cityscapes={"cityscapes", "cityscape"},
    coco={"coco", "coco2017", "mscoco"},
)
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
    """What a folder holds of the published lists of a data set.

    Attributes:
        labeled: Split to the file of its labeled ids.
        val: File of the validation ids.
        train: File of all training ids.
        others: Lists at count-named paths (U2PL's 662 and the like) that are not published ones, in words.
    """

    labeled: dict[str, Path] = field(default_factory=dict)
    val: Path | None = None
    train: Path | None = None
    others: list[str] = field(default_factory=list)


def read_ids(path: Path, dataset: str) -> tuple[list[str], str]:
    """Reads a list: ids, image paths, or an image path and a mask path a line.

    Args:
        path: The list.
        dataset: 'voc', 'cityscapes' or 'coco'.

    Returns:
        The ids up to the first line that holds none, and that line in words ('' if there is none).
    """
    ids = []
    with path.open(errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            if words := line.split():
                match = IDS[dataset].fullmatch(words[0].replace("\\", "/"))
                if not match:
                    return ids, f"line {number} is no {dataset} image: {line.strip()[:80]!r}"
                ids.append(match[1])
    return ids, ""


def _describe(ids: Sequence[str], bad: str, name: str, want: Fingerprint) -> str:
    """Says how a list differs from the one expected."""
    text = f"{len(ids)} ids, expected {want.count} ({name})"
    if bad:
        return f"{text}, and {bad}"
    if len(set(ids)) < len(ids):
        return f"{text}, and {len(ids) - len(set(ids))} of them are repetitions"
    return f"{text}, the right number but not the published ids" if len(ids) == want.count else text


def expect(ids: Sequence[str], want: Fingerprint, what: str, name: str, bad: str = "") -> None:
    """Checks a list against the table.

    Args:
        ids: The list.
        want: The entry of the table.
        what: Where the list comes from.
        name: What the entry is called.
        bad: As from ``read_ids``.

    Raises:
        PrepareError: If it is another list.
    """
    if bad or len(set(ids)) < len(ids) or not want.fits(Fingerprint.of(ids)):
        raise PrepareError(
            f"{what} holds {_describe(ids, bad, name, want)}. Take the list again from where it was published, or "
            "remove it."
        )


def _claims(path: Path, source: Path, dataset: str) -> tuple[str, bool] | None:
    """What a path says its list is: a name, and whether that name is only a number of ids. None: nothing."""
    table = PUBLISHED[dataset]
    is_split = path.name == "labeled.txt"
    home = path.parent.parent if is_split else path.parent
    if home.name.lower() not in ALIASES[dataset] and home != source:
        return None
    if not is_split:
        return (path.stem, False) if path.name in ("val.txt", "train_aug.txt") else None
    name = path.parent.name
    if name in table.labeled:
        return name, False
    return (name, True) if name in {str(want.count) for want in table.labeled.values()} else None


def _refuse_wrong_claim(path: Path, source: Path, dataset: str, found: Survey, wanted: Sequence[str]) -> None:
    claim = _claims(path, source, dataset)
    if claim is None:
        return
    (name, counted), table = claim, PUBLISHED[dataset]
    ids, bad = read_ids(path, dataset)
    if not counted:
        entries = {"val": table.val, "train_aug": table.train, **table.labeled}
        if name in wanted or name not in table.labeled:
            expect(ids, entries[name], str(path), f"{dataset} {name}", bad)
        return
    meant = [split for split, want in table.labeled.items() if want.count == int(name)]
    if set(meant) & set(wanted):
        title = f"{dataset} {' or '.join(meant)}"
        if bad or len(ids) != int(name):
            expect(ids, table.labeled[meant[0]], str(path), title, bad)
        # U2PL's own Cityscapes lists, for one, are called after their size and are not UniMatch's
        found.others.append(f"{path} holds {len(ids)} ids, but they are not those of {title}: left out")


def survey(source: Path, dataset: str, wanted: Sequence[str]) -> Survey:
    """Finds the published lists below a folder.

    Args:
        source: The folder, for example a clone of UniMatch, AllSpark, AugSeg or U2PL.
        dataset: 'voc', 'cityscapes' or 'coco'.
        wanted: Splits whose damaged lists are an error.

    Returns:
        What there is. Of several copies of a list the first by path counts.

    Raises:
        PrepareError: If a path names a published list but its file is not that list.
    """
    if not source.is_dir():
        raise PrepareError(f"SRC {source} is not a folder.")
    source = source.absolute()
    found, table = Survey(), PUBLISHED[dataset]
    for path in walk_files(source, (".txt",)):
        ids, bad = read_ids(path, dataset)
        mark = None if bad else Fingerprint.of(ids)
        names = [name for name, want in table.labeled.items() if want == mark]
        if names:
            found.labeled.setdefault(names[0], path)
        elif mark == table.val:
            found.val = found.val or path
        elif mark and table.train.fits(mark):
            found.train = found.train or path
        else:
            _refuse_wrong_claim(path, source, dataset, found, wanted)
    return found


def read_image_ids(path: Path, dataset: str) -> list[str]:
    """Reads training ids from a list, or from the names of the images in a folder.

    Args:
        path: List or folder.
        dataset: 'voc', 'cityscapes' or 'coco'.

    Returns:
        Ids, sorted.

    Raises:
        PrepareError: If there is nothing to read or a line holds no id.
    """
    if path.is_dir():
        # absolute, as the id of a Cityscapes image begins with the name of its split folder
        images = (p.as_posix() for p in walk_files(path.absolute(), IMAGE_SUFFIXES))
        return sorted({match[1] for match in map(IDS[dataset].fullmatch, images) if match})
    if not path.is_file():
        raise PrepareError(f"{path} is neither a list of training ids nor a folder of images.")
    ids, bad = read_ids(path, dataset)
    if bad:
        raise PrepareError(f"{path} is not a list of training ids: {bad}.")
    return sorted(ids)


def find_training_ids(found: Survey, dataset: str, out: Path, image_ids: Path | None) -> list[str]:
    """Finds all training ids of a data set.

    In this order: ``image_ids``; a published list of all; the labeled and unlabeled list of a published split
    together; the prepared data in ``out``.

    Args:
        found: The published lists.
        dataset: 'voc', 'cityscapes' or 'coco'.
        out: data_root.
        image_ids: List or image folder given by the user.

    Returns:
        Ids, sorted; as many as the table says, and with its hash where it has one.

    Raises:
        PrepareError: If no source has them.
    """
    want, name = PUBLISHED[dataset].train, f"{dataset} training images"
    seen = []
    given = image_ids or found.train
    for path in found.labeled.values() if given is None else ():
        rest = path.with_name("unlabeled.txt")
        if path.name == "labeled.txt" and rest.is_file():
            ids = sorted({*read_ids(path, dataset)[0], *read_ids(rest, dataset)[0]})
            if want.fits(Fingerprint.of(ids)):
                return ids
            seen.append(f"{rest} with {path.name} makes {len(ids)}")
    given = given or next((out / place for place in PREPARED[dataset] if (out / place).exists()), None)
    if given is not None:
        ids = read_image_ids(given, dataset)
        expect(ids, want, str(given), name)
        return ids
    raise PrepareError(
        f"The unlabeled lists need the ids of all {want.count} {name}"
        + (f"; {', '.join(seen)}. " if seen else ", and SRC has no unlabeled list. ")
        + f"Prepare the data in --out first ({' or '.join(PREPARED[dataset])}), or give --image-ids: a list, or the "
        "folder of the training images."
    )


def read_split(found: Survey, dataset: str, name: str, train: Sequence[str]) -> tuple[list[str], list[str]]:
    """Reads a published split.

    Args:
        found: The published lists.
        dataset: 'voc', 'cityscapes' or 'coco'.
        name: Split.
        train: All training ids, sorted.

    Returns:
        Labeled ids in the published order; unlabeled ids in the published order if there is such a list, else
        sorted.

    Raises:
        PrepareError: If labeled ids are no training ids, or the published unlabeled list is not the rest of them.
    """
    path = found.labeled[name]
    labeled, _ = read_ids(path, dataset)
    chosen = set(labeled)
    rest = [i for i in train if i not in chosen]
    if len(rest) != len(train) - len(labeled):
        lost = sorted(chosen.difference(train))
        raise PrepareError(f"{len(lost)} labeled ids of {path} are no training images, such as {lost[:3]}.")
    published = path.with_name("unlabeled.txt")
    if path.name != "labeled.txt" or not published.is_file():
        return labeled, rest
    ids, bad = read_ids(published, dataset)
    if len(ids) == len(train):  # some list the labeled images here as well
        ids = [i for i in ids if i not in chosen]
    expect(ids, Fingerprint.of(rest), str(published), f"{dataset} {name}, the rest of {len(train)}", bad)
    return labeled, ids
