"""The configs of a user's data: those of ``configs/*/segformer_b0_own-data.py`` with everything filled in."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from pprint import pformat

import numpy as np
from _files import PrepareError
from mmengine.config import Config

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIGS = REPOSITORY / "configs"
TEMPLATE = "segformer_b0_own-data.py"
BACKBONES = CONFIGS / "_base_/own_data"
DEFAULT_BACKBONE = "mit-b0"


def list_backbones() -> list[str]:
    """Names of the backbones that own data can have."""
    return sorted(path.stem for path in BACKBONES.glob("*.py"))


def list_methods() -> list[str]:
    """Folders of configs that have one for own data; AllSpark's, which the others build on, comes first."""
    return sorted(
        (path.parent.name for path in CONFIGS.glob(f"*/{TEMPLATE}")), key=lambda name: (name != "allspark", name)
    )


def name_config(data: str, method: str, backbone: str) -> str:
    """File name without suffix; the work directory and the report have it too."""
    return f"{data}_{method}" + ("" if backbone == DEFAULT_BACKBONE else f"_{backbone}")


def read_backbone(backbone: str) -> Config:
    """The part of configs that chooses one of ``list_backbones``, with its stride and crop."""
    return Config.fromfile(BACKBONES / f"{backbone}.py", import_custom_modules=False)


def choose_crop(sizes: Sequence[tuple[int, int]], parts: Config) -> int:
    """Side of training crops that a backbone can have, about three quarters of the images' short side, 129 to 513."""
    short = float(np.median([min(size) for size in sizes]))
    return int(min(max(0.75 * short, 129), 513)) // parts.stride * parts.stride + parts.crop_size[0] % parts.stride


def choose_iterations(num_unlabeled: int) -> int:
    """Length of a training: 10 passes over the unlabeled images, 4 a step, but 2000 to 40 000."""
    return min(max(round(num_unlabeled / 40) * 100, 2000), 40000)


def make_configs(name: str, values: Mapping[str, object], folder: Path, backbone: str) -> dict[str, str]:
    """Return the text of each config by file name.

    Args:
        name: Of the data; configs, work directories and reports are named after it.
        values: Of the variables of AllSpark's config for own data.
        folder: Where the configs will be.
        backbone: One of ``list_backbones``.
    """
    texts = {}
    for method in list_methods():
        template = (CONFIGS / method / TEMPLATE).read_text(encoding="utf-8")
        title = re.search(r"^# (.*?),? on your own data", template).group(1)
        tool = re.search(r"^# python (\S+) configs", template, re.MULTILINE).group(1)
        body = template[template.index("_base_ = ") :]
        file = f"{name_config(name, method, backbone)}.py"
        if method == "allspark":
            parent = _locate(BACKBONES / f"{backbone}.py", folder)
            for key, value in values.items():
                body = _set(body, key, value)
        else:
            parent = f"{name_config(name, 'allspark', backbone)}.py"
        command = f"python {tool} {shlex.quote(str(folder / file))}"
        head = f"# {title} on {name}, written by tools/prepare/own_data.py.\n# {command}\n"
        texts[file] = head + f'_base_ = "{parent}"\n' + body.partition("\n")[2]
    return texts


def _locate(base: Path, folder: Path) -> str:
    """Path of a base: relative inside the checkout, which may move."""
    folder = folder.resolve()
    inside = folder.is_relative_to(REPOSITORY)
    return Path(os.path.relpath(base, folder) if inside else base).as_posix()


def _set(text: str, key: str, value: object) -> str:
    """Give a variable of a config another value."""
    written = pformat(value, width=110, compact=True)
    text, count = re.subn(rf"^{key} = .*", lambda _: f"{key} = {written}", text, flags=re.MULTILINE)
    if count != 1:
        raise PrepareError(f"{CONFIGS}/allspark/{TEMPLATE} has no variable {key}: take it from the repository again.")
    return text
