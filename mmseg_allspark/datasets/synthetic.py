"""The embedded ``synthetic`` data set: written to disk from a seed, read like any other data set."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from mmseg.registry import DATASETS
from PIL import Image

from mmseg_allspark.utils.checks import check_types

from .base import CheckedSegDataset
from .synthetic_scenes import CLASSES, PALETTE, make_scene

MANIFEST = "synthetic.json"
_FORMAT = 1  # raise it when the generator draws other scenes from the same seed
_TRAIN, _VAL = 0, 1
_MIN_PIXELS = 50  # a class is present in the labeled images if it has that many pixels there
_MAX_DRAWS = 1000
Progress = Callable[[int, int], None]


@DATASETS.register_module()
class SyntheticDataset(CheckedSegDataset):
    """Little scenes of toys on a table top, 8 classes with the table, 255 = blurred outline.

    Files are made by ``python tools/prepare/synthetic.py`` (:func:`write_synthetic`).

    Args:
        img_suffix: Suffix of the images. Default: '.png'.
        seg_map_suffix: Suffix of the masks. Default: '.png'.
        **kwargs: As in ``BaseSegDataset``; ``ann_file`` is labeled.txt, unlabeled.txt or val.txt, always with
            ``data_prefix=dict(img_path='images', seg_map_path='masks')``.
    """

    _name, _tool = "synthetic", "tools/prepare/synthetic.py"
    METAINFO = dict(classes=CLASSES, palette=[list(colour) for colour in PALETTE])

    @check_types
    def __init__(self, img_suffix: str = ".png", seg_map_suffix: str = ".png", **kwargs: object) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)


@dataclass(frozen=True)
class SyntheticSpec:
    """What determines every byte of the data set; validation images do not depend on the other numbers."""

    num_labeled: int = 8
    num_unlabeled: int = 400
    num_val: int = 100
    size: int = 96  # height and width in pixels
    seed: int = 0

    def __post_init__(self) -> None:
        least = dict(num_labeled=1, num_unlabeled=0, num_val=1, size=32, seed=0)
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ValueError(f"{name} is {getattr(self, name)}, but has to be at least {low}.")


def write_synthetic(
    out: Path | str, spec: SyntheticSpec, *, overwrite: bool = False, progress: Progress | None = None
) -> bool:
    """Write the data set into a folder: images/, masks/, labeled.txt, unlabeled.txt, val.txt and a manifest.

    The folder appears whole or not at all. If it is there already, by the same ``spec``, nothing happens.

    Args:
        out: folder; its parents are made if needed. Something else than a data set is never replaced.
        spec: what to draw. Labeled images that cannot hold every class are a ``ValueError``.
        overwrite: whether a data set of another ``spec`` in ``out`` may be replaced. Default: False.
        progress: called with (scenes written, scenes in all) after each scene.

    Returns:
        True if files were written, False if they were there.
    """
    out = Path(out).absolute()
    manifest = dict(data="synthetic", format=_FORMAT, **asdict(spec))
    if _is_written(out, manifest, overwrite):
        return False
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        fresh, old = Path(scratch) / "new", Path(scratch) / "old"
        present = _write_scenes(fresh, spec, progress)
        labeled = _draw_labeled(present, spec)
        names = [_name("train", index) for index in range(len(present))]
        _write_list(fresh / "labeled.txt", [n for i, n in enumerate(names) if i in labeled])
        _write_list(fresh / "unlabeled.txt", [n for i, n in enumerate(names) if i not in labeled])
        _write_list(fresh / "val.txt", [_name("val", index) for index in range(spec.num_val)])
        (fresh / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        if out.exists():
            out.rename(old)
        fresh.rename(out)
    return True


def _is_written(out: Path, manifest: dict, overwrite: bool) -> bool:
    """Whether ``out`` holds this data set already; raises where something else may not be replaced."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        found = json.loads((out / MANIFEST).read_text())
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or found.get("data") != "synthetic":
        raise FileExistsError(
            f"{out} exists and is no synthetic data set (it has no {MANIFEST}): nothing was changed. Choose "
            "another folder with --out."
        )
    differing = {key: (found.get(key), value) for key, value in manifest.items() if found.get(key) != value}
    if differing and not overwrite:
        listed = ", ".join(f"{key} {old} there, {new} asked for" for key, (old, new) in differing.items())
        raise FileExistsError(
            f"{out} holds another synthetic data set ({listed}). Choose another folder with --out, or "
            "replace it with --overwrite."
        )
    return not differing


def _name(split: str, index: int) -> str:
    return f"{split}_{index:04d}"


def _write_scenes(out: Path, spec: SyntheticSpec, progress: Progress | None) -> np.ndarray:
    """Write every scene; return the pixels of each class in each training scene, (scenes, classes)."""
    for folder in ("images", "masks"):
        (out / folder).mkdir(parents=True)
    train = spec.num_labeled + spec.num_unlabeled
    scenes = [("train", _TRAIN, i) for i in range(train)] + [("val", _VAL, i) for i in range(spec.num_val)]
    pixels = np.zeros((train, len(CLASSES)), int)
    palette = np.full((256, 3), 255, np.uint8)
    palette[: len(PALETTE)] = PALETTE
    for done, (split, stream, index) in enumerate(scenes, start=1):
        # One generator a scene: a scene does not depend on how many others there are.
        image, labels = make_scene(np.random.default_rng([spec.seed, stream, index]), spec.size)
        Image.fromarray(image).save(out / "images" / f"{_name(split, index)}.png")
        picture = Image.fromarray(labels)
        picture.putpalette(palette.ravel().tolist())
        picture.save(out / "masks" / f"{_name(split, index)}.png")
        if stream == _TRAIN:
            pixels[index] = np.bincount(labels.ravel(), minlength=256)[: len(CLASSES)]
        if progress is not None:
            progress(done, len(scenes))
    return pixels


def _draw_labeled(pixels: np.ndarray, spec: SyntheticSpec) -> set[int]:
    """Return the indices of the labeled scenes: the first random draw that holds every class."""
    rng = np.random.default_rng(spec.seed)
    for _ in range(_MAX_DRAWS):
        chosen = rng.permutation(len(pixels))[: spec.num_labeled]
        if (pixels[chosen].sum(axis=0) >= _MIN_PIXELS).all():
            return set(chosen.tolist())
    raise ValueError(
        f"No {spec.num_labeled} of the {len(pixels)} training scenes hold all {len(CLASSES)} classes: raise "
        "num_labeled (--num-labeled), 8 or more is safe, or num_unlabeled (--num-unlabeled)."
    )


def _write_list(path: Path, names: Sequence[str]) -> None:
    path.write_text("".join(f"{name}\n" for name in names))
