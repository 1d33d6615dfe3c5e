"""Whether the unlabeled images that are to have labels from files have them, without decoding one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .checks import list_files
from .parts import iter_leaves, iter_steps
from .transforms.pseudo_labels import LoadPseudoLabel, find_label, label_names

_ARGUMENTS = dict(pseudo_seg_map="folder", pseudo_confidence="confidence_folder")


def check_own_labels(dataset: Any) -> None:
    """Raise ``ValueError`` if ``LoadPseudoLabel`` would give two images the same file."""
    for argument, _, files in _find_files(dataset):
        owners: dict[Path, str] = {}
        for image, path in files.items():
            if path.is_file() and owners.setdefault(path, image) != image:
                raise ValueError(
                    f"{owners[path]} and {image} would have the same labels, {path} (LoadPseudoLabel.{argument}). "
                    "Put label files into folders as the images are, or give the images different names."
                )


def check_missing_labels(dataset: Any) -> None:
    """Raise ``FileNotFoundError`` unless ``LoadPseudoLabel`` finds a file for every image."""
    for argument, folder, files in _find_files(dataset):
        missing = [image for image, path in files.items() if not path.is_file()]
        if missing:
            names = label_names(missing[0])[-4:]
            raise FileNotFoundError(
                f"{len(missing)} of {len(files)} unlabeled images have no file in LoadPseudoLabel.{argument}={folder}, "
                f"first: {', '.join(missing[:3])}. For the first one there is "
                f"neither {' nor '.join(reversed(names))}. Write the files (tools/infer.py --labels --confidence), "
                f"correct {argument} in unlabeled_dataloader.dataset.pipeline, or take these images off the list."
            )


def _find_files(dataset: Any) -> Iterator[tuple[str, Path, dict[str, Path]]]:
    """For each folder of each ``LoadPseudoLabel``: its argument, itself, and image to file, which may not exist."""
    for leaf in iter_leaves(dataset):
        readers = [step for step in iter_steps(leaf) if isinstance(step, LoadPseudoLabel)]
        images = [entry.image for entry in list_files(leaf)] if readers else []
        for reader in readers:
            if not reader.has_folder:
                raise ValueError(
                    "unlabeled_dataloader.dataset.pipeline has LoadPseudoLabel(folder=''): train a self-training "
                    "config with tools/self_training.py CONFIG, or name the folder of your label files."
                )
            for key, (folder, _) in reader.sources.items():
                yield _ARGUMENTS[key], folder, {image: find_label(folder, image) for image in images}
