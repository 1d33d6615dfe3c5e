"""Make start weights for DenseTinyViT from MobileSAM's checkpoint (github:ChaoningZhang/MobileSAM, mobile_sam.pt).

    python tools/convert_mobilesam.py mobile_sam.pt weights/tiny_vit_5m_mobilesam.pth

The image encoder is written by mmpretrain's names; its neck, head and classifier norm are left out.
"""

import argparse
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import mmseg_allspark  # noqa: F401

# isort: split
import torch
from convert_reference_checkpoint import read_state_dict
from torch import Tensor

from mmseg_allspark.utils.files import replacing
from mmseg_allspark.utils.safe_checkpoints import UnsafeCheckpointError

ENCODER = "image_encoder."
LEFT_OUT = ("norm_head.", "head.", "neck.")


def convert_mobilesam(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map a MobileSAM checkpoint to the names of mmpretrain's TinyViT.

    Raises:
        KeyError: If there is no image encoder with TinyViT's names.
    """
    encoder = {name.removeprefix(ENCODER): value for name, value in state_dict.items() if name.startswith(ENCODER)}
    if not any(name.startswith("layers.") for name in encoder):
        raise KeyError(
            f"No name begins with {ENCODER}layers.: this is no checkpoint of MobileSAM (its file is mobile_sam.pt)."
        )
    converted = {}
    for name, value in encoder.items():
        if name.startswith(LEFT_OUT) or name.endswith("attention_bias_idxs"):
            continue
        name = re.sub(r"^layers\.", "stages.", name)
        converted[re.sub(r"\.bn\.", ".bn2d.", re.sub(r"\.c\.", ".conv2d.", name))] = value
    return converted


def main() -> None:
    """Convert the file of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="mobile_sam.pt")
    parser.add_argument("target", type=Path, help="file to write")
    args = parser.parse_args()
    if not args.source.is_file():
        parser.error(f"checkpoint not found: {args.source}")
    try:
        converted = convert_mobilesam(read_state_dict(args.source))
    except (UnsafeCheckpointError, ValueError, KeyError) as error:
        parser.exit(1, f"error: {error.args[0]}\n")
    with replacing(args.target) as partial:
        torch.save(dict(state_dict=converted, meta=dict(converted_from=args.source.name)), partial)
    print(f"{args.target}: {len(converted)} tensors")


if __name__ == "__main__":
    main()
