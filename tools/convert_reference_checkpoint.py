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
from collections.abc import Callable
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
Weights = dict[str, Tensor]


def read_state_dict(path: Path, key: str | None = None) -> Weights:
    """Read the state dict of a checkpoint, called ``key`` or by one of the usual names, without running its pickle."""
    checkpoint = load_checkpoint(path, map_location="cpu")
    names = (key,) if key else CONTAINERS
    held = checkpoint if isinstance(checkpoint, dict) else {}
    found = next((held[name] for name in names if isinstance(held.get(name), dict)), {} if key else checkpoint)
    if not isinstance(found, dict) or not found or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(f"{path} holds no state dict: neither tensors by name nor one of the keys {names}.")
    return found


def make_parser(doc: str) -> argparse.ArgumentParser:
    """Return a command line of two files."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="checkpoint of the release")
    parser.add_argument("target", type=Path, help="file to write")
    return parser


def run(
    parser: argparse.ArgumentParser,
    args: argparse.Namespace,
    convert: Callable[[Weights], Weights],
    key: str | None = None,
) -> None:
    """Convert the file of the command line, whose weights are called ``key`` or by one of the usual names."""
    if not args.source.is_file():
        parser.error(f"checkpoint not found: {args.source}")
    try:
        converted = convert(read_state_dict(args.source, key))
    except (UnsafeCheckpointError, ValueError, KeyError) as error:
        parser.exit(1, f"error: {error.args[0]}\n")
    with replacing(args.target) as partial:
        torch.save(dict(state_dict=converted, meta=dict(converted_from=args.source.name)), partial)
    parts = sorted({name.split(".")[0] for name in converted})
    print(f"{args.target}: {len(converted)} tensors ({', '.join(parts)})")


def keep_backbone(weights: Weights) -> Weights:
    """The weights of the encoder without its prefix."""
    found = {name.removeprefix("backbone."): v for name, v in weights.items() if name.startswith("backbone.")}
    if not found:
        raise ValueError("the checkpoint has no encoder weights")
    return found


def main() -> None:
    """Convert the file of the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("--backbone-only", action="store_true", help="write the encoder alone, without its prefix")
    parser.add_argument("--key", help="key of the weights in the file, such as model_ema (default: model or the like)")
    args = parser.parse_args()

    def convert(weights: Weights) -> Weights:
        converted = convert_reference_checkpoint(weights)
        return keep_backbone(converted) if args.backbone_only else converted

    run(parser, args, convert, args.key)


if __name__ == "__main__":
    main()
