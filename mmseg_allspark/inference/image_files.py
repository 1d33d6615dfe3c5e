"""Which files are meant, and what their results are called."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmseg_allspark.datasets.transforms.pseudo_labels import label_names
from mmseg_allspark.datasets.unlabeled import IMAGE_SUFFIXES
from mmseg_allspark.utils.files import expand_glob, walk_files

VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")


def is_video(path: str | os.PathLike) -> bool:
    """Whether a file's name is that of a video."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def find_images(
    source: str | os.PathLike, *, recursive: bool = False, suffixes: Sequence[str] = IMAGE_SUFFIXES + VIDEO_SUFFIXES
) -> dict[str, str]:
    """List the files that a source stands for.

    Args:
        source: A file of any name, a folder, or a glob (``'frames/**/*.jpg'``).
        recursive: Whether a folder's subfolders are searched. Default False.
        suffixes: Which files of a folder or glob count. Default: images and videos.

    Returns:
        Path -> name without suffix, sorted; names of a folder's files are relative to the folder.

    Raises:
        FileNotFoundError: If there is no such file, or no image in the folder or among the files of the glob.
    """
    source = os.path.expanduser(source)
    if os.path.isfile(source):  # also a file whose name holds a bracket or a star
        return {source: Path(source).stem}
    if os.path.isdir(source):
        root = Path(source)
        found = walk_files(root, suffixes) if recursive else (p for p in root.iterdir() if p.name[0] != ".")
    else:
        root, found = None, map(Path, expand_glob(source))
    paths = sorted(path for path in found if path.suffix.lower() in suffixes and path.is_file())
    if not paths:
        what = "holds no image or video" if root else "does not exist, and is no glob that any image or video fits"
        hint = " itself; --recursive (recursive=True) searches its subfolders" if root and not recursive else ""
        raise FileNotFoundError(f"{source} {what}{hint} ({', '.join(suffixes)}).")
    return {str(path): str((path.relative_to(root) if root else Path(path.name)).with_suffix("")) for path in paths}


def name_outputs(files: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Give every file's result a name of its own.

    Args:
        files: (path, wished name) of each; a path that comes again is left out.

    Returns:
        Path -> name. Where names are equal (or differ in case only, which some file systems do not see), the suffix is
        added, ``a`` -> ``a.jpg``; where they still are, a number, ``a.jpg_2``.
    """
    wished = dict(files)
    count = Counter(name.lower() for name in wished.values())
    names: dict[str, str] = {}
    taken: set[str] = set()
    # those that keep their name come first, so that no other one takes it
    for path, name in sorted(wished.items(), key=lambda item: count[item[1].lower()] > 1):
        base = name + Path(path).suffix if count[name.lower()] > 1 else name
        final, number = base, 1
        while final.lower() in taken:
            number += 1
            final = f"{base}_{number}"
        taken.add(final.lower())
        names[path] = final
    return {path: names[path] for path in wished}


def check_label_names(names: dict[str, str]) -> None:
    """Raise if ``LoadPseudoLabel`` would not find the labels of each image below the names of their results.

    Args:
        names: Of :func:`name_outputs`; videos have no label file of their own.

    Raises:
        ValueError: Naming the image.
    """
    written = {f"{name}.png" for name in names.values()}
    for path, name in names.items():
        found = next((end for end in label_names(path) if end in written), None)
        if found != f"{name}.png" and not is_video(path):
            other = "no file" if found is None else f"{found}, another image's"
            raise ValueError(
                f"The labels of {path} would be {name}.png, but in training LoadPseudoLabel would find {other}. Give "
                "one folder that holds all images, and --recursive if they are in subfolders."
            )
