"""Rows of pictures side by side: image, ground truth, predictions."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

BACKGROUND = "#ffffff"
INCHES_PER_PANEL = 1.9


def colour_labels(labels: np.ndarray, palette: Sequence[Sequence[int]], ignore_index: int | None = 255) -> np.ndarray:
    """Colour a label map.

    Args:
        labels: (H, W) integers.
        palette: RGB of each class, 0 to 255.
        ignore_index: Label drawn white, also where a class has that number; None: no label, as in predictions. Labels
            without a colour are white, too. Default 255.

    Returns:
        (H, W, 3) uint8.
    """
    colours = np.full((max(256, len(palette), (ignore_index or 0) + 1), 3), 255, np.uint8)
    colours[: len(palette)] = np.asarray(palette, np.uint8)
    if ignore_index is not None:
        colours[ignore_index] = 255
    return colours[labels]


def class_palette(meta: Mapping, num_classes: int) -> list[list[int]]:
    """Colours of the classes.

    Args:
        meta: A data set's ``metainfo``.
        num_classes: Classes K.

    Returns:
        K times RGB: its ``palette``, or without one, colours that are the same in every run.
    """
    if meta.get("palette"):
        return [list(map(int, colour)) for colour in meta["palette"]]
    return np.random.default_rng(0).integers(30, 230, (num_classes, 3)).tolist()


def save_panels(
    rows: Sequence[Sequence[np.ndarray]],
    titles: Sequence[str],
    path: Path,
    *,
    classes: Sequence[str] = (),
    palette: Sequence[Sequence[int]] = (),
) -> None:
    """Save rows of RGB pictures as one PNG with a title over each column and a legend of the classes.

    Args:
        rows: Each row holds one (H, W, 3) uint8 picture per title.
        titles: One per column.
        path: PNG to write; its folder is made.
        classes: Names for the legend. Default none, no legend.
        palette: RGB of each class, 0 to 255.

    Raises:
        ValueError: If a row does not have one picture per title.
    """
    for index, row in enumerate(rows):
        if len(row) != len(titles):
            raise ValueError(f"Row {index} has {len(row)} pictures for {len(titles)} titles {list(titles)}.")
    legend = 0.45 if classes else 0.0
    height, width = rows[0][0].shape[:2]
    size = (INCHES_PER_PANEL * len(titles), INCHES_PER_PANEL * height / width * len(rows) + 0.35 + legend)
    figure = Figure(figsize=size, dpi=150, facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), len(titles), squeeze=False)
    for axes_row, row in zip(axes, rows, strict=True):
        for axis, picture in zip(axes_row, row, strict=True):
            axis.imshow(picture)
            axis.axis("off")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=9)
    if classes:
        handles = [
            Patch(color=np.asarray(colour) / 255, label=name) for name, colour in zip(classes, palette, strict=True)
        ]
        figure.legend(handles=handles, loc="lower center", ncol=len(classes), fontsize=7, frameon=False)
    figure.subplots_adjust(
        left=0.01, right=0.99, top=1 - 0.33 / size[1], bottom=(legend + 0.02) / size[1], wspace=0.03, hspace=0.03
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
