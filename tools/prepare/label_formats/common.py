"""What all label formats share: the images they belong to, what the user asked for, and what they give."""

from __future__ import annotations

import colorsys
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from _files import PrepareError

from mmseg_allspark.datasets.mask_checks import IGNORE
from mmseg_allspark.datasets.unlabeled import IMAGE_SUFFIXES
from mmseg_allspark.utils.files import walk_files

IGNORED = "ignore"  # as a class: its pixels count neither in training nor in evaluation
Colour = tuple[int, int, int]


class Images:
    """The images of a folder, found by whatever a label file calls them.

    Args:
        folder: Searched with its subfolders.
        without: Folders inside whose files are no images, such as that of the masks; those of images with labelme's
            JSON beside them stay.
        ending: Files whose name without suffix ends in this are no images; '' for none.
    """

    def __init__(self, folder: Path, without: Sequence[Path], ending: str) -> None:
        found = walk_files(folder, IMAGE_SUFFIXES) if folder.is_dir() else ()
        inside = [path for path in without if path != folder and path.is_relative_to(folder) and not _has_labelme(path)]
        self.folder = folder
        self.files = [
            path
            for path in found
            if not any(map(path.is_relative_to, inside)) and not (ending and path.stem.endswith(ending))
        ]
        if not self.files:
            raise PrepareError(f"{folder} does not exist or holds no image ({', '.join(IMAGE_SUFFIXES)}).")
        self._index: dict[str, set[Path]] = defaultdict(set)
        for path in self.files:
            inner = path.relative_to(folder)
            for key in (inner.as_posix(), inner.with_suffix("").as_posix(), path.name, path.stem):
                self._index[key].add(path)

    def find(self, reference: str, *, whole: bool = False) -> Path | None:
        """Return the image that a path, name or id means, None if there is none; ``whole``: with all of its ending."""
        parts = PurePosixPath(reference.replace("\\", "/")).parts
        tails = [PurePosixPath(*parts[place:]) for place in range(len(parts))]
        for key in (str(path) for tail in tails for path in (tail, tail.with_suffix(""))[: 1 if whole else 2]):
            near = (
                path for path in self._index.get(key, ()) if _agree(path.relative_to(self.folder).parent, parts[:-1])
            )
            if found := sorted(near):
                if len(found) > 1:
                    raise PrepareError(f"{reference} may be {found[0]} or {found[1]}: rename one of them.")
                return found[0]
        return None


def _has_labelme(folder: Path) -> bool:
    """Whether labelme's files of images are beside them, and not beside masks of the same names."""
    for path in walk_files(folder, IMAGE_SUFFIXES):
        file = path.with_suffix(".json")
        content = load_json(file) if file.is_file() else None
        if is_labelme(content):
            image = PurePosixPath(str(content.get("imagePath")).replace("\\", "/"))  # from the file's own folder on
            return image.parent == PurePosixPath() and image.suffix == path.suffix
    return False


def _agree(folder: Path, named: Sequence[str]) -> bool:
    """Whether an image's folder can be the one that a reference names: train/1.jpg is not val/1.jpg."""
    shared = min(len(folder.parts), len(named))
    return shared == 0 or folder.parts[-shared:] == tuple(named[-shared:])


class Labels(NamedTuple):
    """What was found."""

    classes: tuple[str, ...]  # names in the order of their numbers
    palette: tuple[Colour, ...]  # a colour for each
    draw: dict[Path, Callable[[], np.ndarray]]  # image to what gives its mask, (H, W) uint8, 255 = ignored; picklable
    notes: tuple[str, ...] = ()  # what the user should know


class NamesMissing(PrepareError):
    """Nothing is wrong: the user is asked for the names of classes before work goes on."""


def number_classes(found: Sequence[str], classes: Sequence[str], ignore: Sequence[str]) -> dict[str, int]:
    """Return the number of each class by name, 255 for those that are ignored.

    Args:
        found: Names in the labels, in the order that they have there.
        classes: Names that the user gives, in the order of their numbers; none for those found.
        ignore: Names of classes that do not count.
    """
    known, ignored = list(dict.fromkeys([*classes, *found])), {IGNORED, *ignore}
    if classes and (other := [name for name in known if name not in {*classes, *ignored}]):
        raise PrepareError(f"--classes does not name {other} of the labels: add or --ignore them.")
    if wrong := [name for name in ignore if name not in known]:
        raise PrepareError(f"--ignore {wrong[0]}: there is no such class. There are {', '.join(known)}.")
    kept = [name for name in known if name not in ignored]
    if not 2 <= len(kept) <= IGNORE:
        raise PrepareError(
            f"{len(kept)} classes count ({', '.join(kept[:5])}): at least 2 are needed, at most {IGNORE}."
        )
    return {name: kept.index(name) if name in kept else IGNORE for name in known}


def make_palette(names: Mapping[str, int], colours: Mapping[str, Colour]) -> tuple[Colour, ...]:
    """Return a colour for each class of ``number_classes``, its own where it has one."""
    chosen = {number: colours[name] for name, number in names.items() if name in colours}
    numbers = sorted(set(names.values()) - {IGNORE})
    # steps of the golden ratio: neighbours differ
    spread = (colorsys.hsv_to_rgb(0.618 * number % 1, 0.65, 0.9) for number in numbers)
    made = [tuple(round(255 * part) for part in colour) for colour in spread]
    return tuple(tuple(chosen.get(number, made[number])) for number in numbers)


def list_classes(names: Mapping[str, int]) -> tuple[str, ...]:
    """Return the classes of ``number_classes`` that count, in order."""
    return tuple(sorted((name for name, number in names.items() if number != IGNORE), key=names.__getitem__))


def is_labelme(content: object) -> bool:
    """Whether JSON is that of labelme."""
    return isinstance(content, dict) and "shapes" in content


def load_json(path: Path) -> object:
    """Read a JSON file."""
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise PrepareError(f"{path} is no whole JSON file: {error}.") from error
