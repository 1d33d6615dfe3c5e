"""Convert a checkpoint of the AllSpark, UniMatch or UniMatch V2 release, or weights of a backbone in its own naming.

    python tools/convert_reference_checkpoint.py best.pth allspark.pth
    python tools/convert_reference_checkpoint.py unimatch_v2.pth teacher.pth --key model_ema
    python tools/convert_reference_checkpoint.py mit_b5.pth mit_b5_mmseg.pth --backbone-only
    python tools/convert_reference_checkpoint.py resnet101.pth weights/resnet101_deep-stem.pth --backbone-only

The first two forms give a checkpoint for tools/test.py and load_from; the others one for
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


def read_state_dict(path: Path, key: str | None = None) -> dict[str, Tensor]:
    """Read the state dict of a checkpoint without executing what a pickle may contain.

    Args:
        path: The checkpoint.
        key: What it is called in there. Default None: one of the usual names.

    Raises:
        ValueError: If the file holds no state dict.
        UnsafeCheckpointError: If the file holds more than weights and plain values.
    """
    checkpoint = load_checkpoint(path, map_location="cpu")
    names = (key,) if key else CONTAINERS
    held = checkpoint if isinstance(checkpoint, dict) else {}
    found = next((held[name] for name in names if isinstance(held.get(name), dict)), {} if key else checkpoint)
    if not isinstance(found, dict) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(f"{path} holds no state dict: neither tensors by name nor one of the keys {names}.")
    return found


def main() -> None:
    """Convert the file of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="checkpoint of the release")
    parser.add_argument("target", type=Path, help="file to write")
    parser.add_argument("--backbone-only", action="store_true", help="write the encoder alone, without its prefix")
    parser.add_argument("--key", help="key of the weights in the file, such as model_ema (default: model or the like)")
    args = parser.parse_args()
    if not args.source.is_file():
        parser.error(f"checkpoint not found: {args.source}")
    try:
        state_dict = read_state_dict(args.source, args.key)
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
