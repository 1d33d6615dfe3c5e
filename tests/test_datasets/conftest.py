"""Small images and masks on disk."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from .check_tools import write_tree
from .prepare_tools import load_tool


@pytest.fixture(scope="module")
def tool(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """The tool of tools/prepare that the test file names in ``TOOL``."""
    with load_tool(request.module.TOOL) as module:
        yield module


def picture(height: int = 12, width: int = 16, seed: int = 0) -> np.ndarray:
    """Random uint8 image (H, W, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def save_image() -> Callable[..., Path]:
    """Writes a random image and returns its path."""

    def save(path: Path, height: int = 12, width: int = 16, seed: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(height, width, seed)).save(path)
        return path

    return save


@pytest.fixture
def save_mask() -> Callable[..., Path]:
    """Writes a mask (default: labels 0..4 and one void pixel) and returns its path."""

    def save(path: Path, labels: np.ndarray | None = None, height: int = 12, width: int = 16) -> Path:
        if labels is None:
            labels = (np.arange(height * width) % 5).astype(np.uint8).reshape(height, width)
            labels[0, 0] = 255
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(labels).save(path)
        return path

    return save


@pytest.fixture
def save_camvid(save_image: Callable, save_mask: Callable) -> Callable[..., Path]:
    """Writes a tiny CamVid in the 'labels' layout: ids t00, t01, ... and v00, v01, ..."""

    def save(root: Path, train: int = 4, val: int = 2, suffix: str = ".png") -> Path:
        for split, count in (("train", train), ("val", val)):
            for index in range(count):
                name = f"{split[0]}{index:02d}"
                seed = index + 100 * (split == "val")
                save_image(root / "leftImg" / split / f"{name}{suffix}", seed=seed)
                save_mask(root / "labels" / split / f"{name}.png")
        return root

    return save


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The config of three labeled, three unlabeled and three validation images beside it."""
    return write_tree(tmp_path, labeled=3, unlabeled=3, validation=3)
