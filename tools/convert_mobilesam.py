"""Make start weights for DenseTinyViT from MobileSAM's checkpoint (github:ChaoningZhang/MobileSAM, mobile_sam.pt).

    python tools/convert_mobilesam.py mobile_sam.pt weights/tiny_vit_5m_mobilesam.pth

The image encoder is written by mmpretrain's names; its neck, head and classifier norm are left out.
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import mmseg_allspark  # noqa: F401

# isort: split
from convert_reference_checkpoint import make_parser, run
from torch import Tensor

ENCODER = "image_encoder."
LEFT_OUT = ("norm_head.", "head.", "neck.")


def convert_mobilesam(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map a MobileSAM checkpoint to the names of mmpretrain's TinyViT."""
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
    parser = make_parser(__doc__)
    run(parser, parser.parse_args(), convert_mobilesam)


if __name__ == "__main__":
    main()
