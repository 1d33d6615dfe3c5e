"""Reading the published split lists, in whatever layout a repository keeps them, and telling them by their hashes."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from _files import PrepareError, walk_files

from mmseg_allspark.datasets.published_splits import PUBLISHED, Fingerprint
from mmseg_allspark.utils.files import write_whole

# UniMatch at the state of its CVPR 2023 release; AllSpark uses the same lists
URL = "https://raw.githubusercontent.com/LiheYoung/UniMatch/818609d195fa1079fbb67589299d9aec07acac46/splits"
FOLDERS = dict(voc="pascal", cityscapes="cityscapes", coco="coco")
ALIASES = dict(  # folders that are named after a data set
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


def download(dataset: str, names: Sequence[str], base: str, folder: Path, with_unlabeled: bool) -> None:
    """Download published lists into a folder, from the address ``base`` that holds pascal, cityscapes and coco.

    Args:
        dataset: 'voc', 'cityscapes' or 'coco'.
        names: Splits.
        base: Address.
        folder: Where to.
        with_unlabeled: Whether to get the unlabeled lists too (COCO: of the first split, 6 MB each).

    Raises:
        PrepareError: If a file cannot be had.
    """
    files = ["val.txt", *(f"{name}/labeled.txt" for name in names)]
    if with_unlabeled:
        files += [f"{name}/unlabeled.txt" for name in (names[:1] if dataset == "coco" else names)]
    for file in files:
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


def read_ids(path: Path, dataset: str) -> tuple[list[str], str]:
    """Read a list of ids, image paths, or image and mask paths, one a line.

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


def expect(ids: Sequence[str], want: Fingerprint, what: str, name: str, bad: str = "") -> None:
    """Check a list, from the file ``what``, against the entry ``name`` of the table; ``bad`` is as from ``read_ids``.

    Raises:
        PrepareError: If it is another list.
    """
    repeated = len(ids) - len(set(ids))
    if not bad and not repeated and want.fits(Fingerprint.of(ids)):
        return
    text = f"{len(ids)} ids, expected {want.count} ({name})"
    if bad or repeated:
        text += f", and {bad or f'{repeated} of them are repetitions'}"
    elif len(ids) == want.count:
        text += ", the right number but not the published ids"
    raise PrepareError(f"{what} holds {text}. Take the list again from where it was published, or remove it.")


def _refuse_wrong_claim(path: Path, source: Path, dataset: str, found: Survey, wanted: Sequence[str]) -> None:
    """Refuse a list whose path names a published one that it is not; the name may be the split's number of ids."""
    home = path.parent.parent if path.name == "labeled.txt" else path.parent
    if home.name.lower() not in ALIASES[dataset] and home != source:
        return
    table, (ids, bad) = PUBLISHED[dataset], read_ids(path, dataset)
    entries = {"val.txt": (table.val, "val"), "train_aug.txt": (table.train, "train_aug")}
    if path.name == "labeled.txt":
        entries = {name: (table.labeled[name], name) for name in wanted}
    name = path.parent.name if path.name == "labeled.txt" else path.name
    if name in entries:
        want, title = entries[name]
        expect(ids, want, str(path), f"{dataset} {title}", bad)
    elif meant := [split for split, (want, _) in entries.items() if str(want.count) == name]:
        # U2PL's own Cityscapes lists, for one, are called after their size and are not UniMatch's
        others = f"{path} holds {len(ids)} ids, but they are not those of {dataset} {' or '.join(meant)}: left out"
        found.others.append(others)


def survey(source: Path, dataset: str, wanted: Sequence[str]) -> Survey:
    """Find the published lists below a folder, such as a clone of UniMatch or U2PL; of several copies the first counts.

    Args:
        source: The folder.
        dataset: 'voc', 'cityscapes' or 'coco'.
        wanted: Splits whose damaged lists are an error.

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
    """Read training ids from a list, or from the names of the images in a folder, sorted.

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
    """Find all training ids of a data set, sorted; as many as the table says, and with its hash where it has one.

    In this order: the user's ``image_ids``; a published list of all; the labeled and unlabeled list of a published
    split together; the prepared data in ``out``.

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
    """Read a published split: labeled and unlabeled ids, each in the published order, or sorted without such a list.

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
