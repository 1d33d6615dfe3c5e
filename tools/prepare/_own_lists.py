"""Which of a user's images are trained on with their labels, which validate, which count as unlabeled."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from fractions import Fraction
from pathlib import Path

from _files import PrepareError, draw_labeled, parse_fraction
from label_formats.common import Images

from mmseg_allspark.datasets.unlabeled import UnlabeledDataset

DEFAULT_VAL = Fraction(1, 5)
Choice = Fraction | Path | None  # a share, the user's list, or nothing said


def parse_choice(text: str) -> Choice:
    """Read a share or the path of a list from the command line."""
    if Path(text).is_file():
        return Path(text)
    try:
        return parse_fraction(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a list file nor a share like 1/5 ({error})") from error


def read_list(path: Path, images: Images, labeled: Collection[Path]) -> list[Path]:
    """Read a list of labeled images, an id, name or path a line; of lines "image mask" the first part counts."""
    found = []
    for line in filter(None, map(str.strip, path.read_text(encoding="utf-8").splitlines())):
        image = images.find(line) or images.find(line.split()[0])
        if image not in labeled:
            why = f"no image in {images.folder}" if image is None else f"{image}, which has no label"
            raise PrepareError(f"{path} names {line!r}: {why}. Take it off the list.")
        found.append(image)
    if not found:
        raise PrepareError(f"The list {path} is empty.")
    return list(dict.fromkeys(found))


def split_labeled(
    labeled: Sequence[Path], images: Images, train: Choice, val: Choice, seed: int
) -> tuple[list[Path], list[Path]]:
    """Share labeled images out into those to train on and those that validate.

    Args:
        labeled: All of them.
        images: Where lists find them.
        train: A list, or a share of those that do not validate. None: all of these.
        val: A list, or a share of those not in the list ``train``. None: a fifth, with a list ``train`` all others.
        seed: Of what is drawn.
    """
    if len(labeled) < 2:
        raise PrepareError(f"{len(labeled)} labeled images: one to train on and one to validate on at least.")
    chosen = read_list(train, images, labeled) if isinstance(train, Path) else None
    rest = [image for image in labeled if image not in set(chosen or ())]
    if isinstance(val, Path):
        validating = read_list(val, images, labeled)
        if both := set(validating) & set(chosen or ()):
            raise PrepareError(f"{min(both)} is in {train} and in {val}: validation images must not be trained on.")
    elif val is None and chosen is not None:
        validating = rest
    else:  # of a few images a fifth may round to none
        validating = _draw(rest, max(val or DEFAULT_VAL, Fraction(1, max(2, len(rest)))), seed)
    if chosen is None:
        chosen = [image for image in rest if image not in set(validating)]
        chosen = _draw(chosen, train, seed) if train is not None else chosen
    if not chosen or not validating:
        raise PrepareError(
            f"{len(chosen)} images to train on, {len(validating)} to validate on: change --train or --val."
        )
    return chosen, validating


def _draw(images: Sequence[Path], share: Fraction, seed: int) -> list[Path]:
    names = {str(image): image for image in images}
    return [names[name] for name in draw_labeled(list(names), share, seed)[0]]


def find_unlabeled(sources: Sequence[str], images: Images, used: Collection[Path]) -> list[Path]:
    """Return the images whose labels are not used, and those of further folders, globs or lists."""
    used = set(used)
    found = [image for image in images.files if image not in used]
    try:
        more = UnlabeledDataset(source=[str(Path(source).absolute()) for source in sources], pipeline=[])
        found += [Path(more.get_data_info(index)["img_path"]) for index in range(len(more))] if sources else []
    except (FileNotFoundError, ValueError) as error:
        if sources:
            raise PrepareError(f"--unlabeled: {error}") from error
    if not found:
        raise PrepareError(
            "There is no unlabeled image: give --unlabeled FOLDER, or use the labels of a part only, as --train 1/8."
        )
    return list(dict.fromkeys(path.absolute() for path in found))
