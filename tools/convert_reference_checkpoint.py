"""Convert a checkpoint of the AllSpark or UniMatch release, or weights of their backbones in the original naming.

    python tools/convert_reference_checkpoint.py best.pth allspark.pth
    python tools/convert_reference_checkpoint.py mit_b5.pth mit_b5_mmseg.pth --backbone-only
    python tools/convert_reference_checkpoint.py resnet101.pth weights/resnet101_deep-stem.pth --backbone-only

The first form gives a checkpoint for tools/test.py and load_from; the second one for
model.backbone.init_cfg.checkpoint, without the prefix ``backbone.``.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import mmseg_allspark  # noqa: F401

# isort: split
import torch
from torch import Tensor

from mmseg_allspark.convert import convert_reference_checkpoint
from mmseg_allspark.utils.files import replacing
from mmseg_allspark.utils.safe_checkpoints import UnsafeCheckpointError, load_checkpoint

CONTAINERS = ("model", "state_dict", "model_state")


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the state dict of a checkpoint without executing what a pickle may contain.

    Raises:
        ValueError: If the file holds no state dict.
        UnsafeCheckpointError: If the file holds more than weights and plain values.
    """
    checkpoint = load_checkpoint(path, map_location="cpu")
    for key in CONTAINERS:
        if isinstance(checkpoint, dict) and isinstance(checkpoint.get(key), dict):
            checkpoint = checkpoint[key]
            break
    if not isinstance(checkpoint, dict) or not all(isinstance(value, Tensor) for value in checkpoint.values()):
        raise ValueError(f"{path} holds no state dict: neither tensors by name nor one of the keys {CONTAINERS}.")
    return checkpoint


def main() -> None:
    """Convert the file of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="checkpoint of the release")
    parser.add_argument("target", type=Path, help="file to write")
    parser.add_argument("--backbone-only", action="store_true", help="write the encoder alone, without its prefix")
    args = parser.parse_args()
    if not args.source.is_file():
        parser.error(f"checkpoint not found: {args.source}")
    try:
        state_dict = read_state_dict(args.source)
    except (UnsafeCheckpointError, ValueError) as error:
        parser.exit(1, f"error: {error}\n")
    converted = convert_reference_checkpoint(state_dict)
    if args.backbone_only:
        prefix = "backbone."
        converted = {name.removeprefix(prefix): v for name, v in converted.items() if name.startswith(prefix)}
        if not converted:
            parser.error(f"{args.source} has no encoder weights")
    with replacing(args.target) as partial:
        torch.save(dict(state_dict=converted, meta=dict(converted_from=args.source.name)), partial)
    parts = sorted({name.split(".")[0] for name in converted})
    print(f"{args.target}: {len(converted)} tensors ({', '.join(parts)})")


if __name__ == "__main__":
    main()
