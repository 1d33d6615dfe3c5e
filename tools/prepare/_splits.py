"""Seeded lists of labeled and unlabeled images."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence, Set
from fractions import Fraction
from pathlib import Path

import numpy as np
from _files import PrepareError, join_lines, write_texts


def parse_fraction(text: str) -> Fraction:
    """Read a share of labeled images, such as '1/16' or '0.0625', from the command line."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a fraction like 1/16") from error
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _permute(ids: Sequence[str], fraction: Fraction, seed: int) -> tuple[list[str], int]:
    """Return the permuted ids and how many of them are labeled."""
    ids, count = sorted(ids), round(len(ids) * fraction)
    if not 0 < count < len(ids):
        raise PrepareError(f"The fraction {fraction} of {len(ids)} images makes {count} labeled: choose another.")
    return [ids[index] for index in np.random.default_rng(seed).permutation(len(ids))], count


def _part(ids: Sequence[str], chosen: Set[str]) -> tuple[list[str], list[str]]:
    ids = sorted(ids)
    return [name for name in ids if name in chosen], [name for name in ids if name not in chosen]


def draw_labeled(ids: Sequence[str], fraction: Fraction, seed: int) -> tuple[list[str], list[str]]:
    """Share ids out into labeled and unlabeled ones, both sorted.

    Labeled are the first round(N * fraction) of ``numpy.random.default_rng(seed).permutation`` over the sorted ids.
    """
    order, count = _permute(ids, fraction, seed)
    return _part(ids, set(order[:count]))


def draw_balanced(classes: Mapping[str, Set[int]], fraction: Fraction, seed: int) -> tuple[list[str], list[str]]:
    """Share ids out so that every class gets labeled images, rare ones first; labeled and unlabeled ids, both sorted.

    The sorted ids are permuted as in ``draw_labeled``. Then, round(N * fraction) times, the class with the fewest
    labeled images so far (of equals the one that occurs in fewer images, then the lower number) gets the next
    image of the permutation that shows it; a class without further images is out. Images without any class come
    last. While a class is uncovered every draw covers one, so min(labeled images, classes that occur) classes or
    more are covered.

    Args:
        classes: Training id to the classes that its mask shows.
        fraction: Share of labeled images.
        seed: Of the permutation.
    """
    order, count = _permute(list(classes), fraction, seed)
    queues = {c: [i for i in reversed(order) if c in classes[i]] for c in set().union(*classes.values())}
    rarity = {c: len(queue) for c, queue in queues.items()}
    labeled_with = dict.fromkeys(queues, 0)
    chosen: set[str] = set()
    while len(chosen) < count and queues:
        needy = min(queues, key=lambda c: (labeled_with[c], rarity[c], c))
        while queues[needy] and queues[needy][-1] in chosen:
            queues[needy].pop()
        if not queues[needy]:
            del queues[needy]
            continue
        name = queues[needy].pop()
        chosen.add(name)
        for c in classes[name]:
            labeled_with[c] += 1
    chosen.update([i for i in order if i not in chosen][: count - len(chosen)])
    return _part(list(classes), chosen)


def write_lists(folder: Path, labeled: Sequence[str], unlabeled: Sequence[str], info: dict, force: bool) -> None:
    """Write labeled.txt, unlabeled.txt (one id a line) and info.json, which says how they were made."""
    texts = dict(labeled=join_lines(labeled), unlabeled=join_lines(unlabeled))
    files = {f"{name}.txt": text for name, text in texts.items()} | {"info.json": json.dumps(info, indent=1) + "\n"}
    write_texts(folder, files, force)
