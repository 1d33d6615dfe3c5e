"""A small data set with its config, for the tests of check_data.py."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("a", "b", "c")
CONFIG = """
train_dataloader = {labeled}
train_cfg = dict(type='PseudoLabelLoop', max_iters=1)
unlabeled_dataloader = {unlabeled}
val_dataloader = {validation}
"""


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def write_tree(root: Path, **counts: int) -> Path:
    """JPEG images img/<split><i>.jpg with masks of all three classes; returns the config."""
    rng = np.random.default_rng(0)
    mask = np.zeros((12, 16), np.uint8)
    mask[4:, 8:], mask[8:, :4], mask[0] = 1, 2, 255
    mask_file = png(mask)
    (root / "img").mkdir(parents=True)
    (root / "mask").mkdir()
    for split, count in counts.items():
        names = [f"{split}{index}" for index in range(count)]
        (root / f"{split}.txt").write_text("\n".join(names))
        for name in names:
            Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).save(root / "img" / f"{name}.jpg")
            (root / "mask" / f"{name}.png").write_bytes(mask_file)
    loaders = {
        split: dict(
            dataset=dict(
                type="BaseSegDataset",
                metainfo=dict(classes=CLASSES),
                data_root=str(root),
                ann_file=f"{split}.txt",
                data_prefix=dict(img_path="img", seg_map_path="mask"),
                pipeline=[dict(type="LoadImage"), dict(type="LoadSegMask", optional=split == "unlabeled")],
            )
        )
        for split in ("labeled", "unlabeled", "validation")
    }
    config = root / "config.py"
    config.write_text(CONFIG.format(**loaders))
    return config


def run(tool, config: Path, *more: str) -> tuple[int, dict]:
    out = config.parent / "report.json"
    code = tool.main([str(config), "--workers", "2", "--json", str(out), *more])
    return code, json.loads(out.read_text())
