"""Print hashes of what checkpoints hold: ``python tools/analysis/hash_checkpoint.py CHECKPOINT [CHECKPOINT …]``.

Two runs went the same way if the hashes agree. Files do not tell: they also hold dates and times. Exit code 1 if the
checkpoints differ, 2 if one cannot be read.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[level]) for level in (2, 1)]

import mmseg_allspark  # noqa: F401 (what mmengine stores can then be read safely)

# isort: split
import torch
from _errors import Parser, errors_in_one_line

from mmseg_allspark.utils.safe_checkpoints import load_checkpoint

# what training goes on from, the memory in state_dict; the rest (meta, message_hub) is about time and machine, too
PARTS = ("state_dict", "ema_state_dict", "other_teachers", "optimizer", "param_schedulers", "rank_buffers")


def hash_parts(checkpoint: dict) -> dict[str, str]:
    """Return part -> SHA-256 of its names, types, shapes and values, for the parts that there are."""
    return {part: hash_value(checkpoint[part]) for part in PARTS if part in checkpoint}


def hash_value(value: Any) -> str:
    """Return the SHA-256 of nested dicts, sequences, tensors and plain values; the order of a dict does not matter."""
    if isinstance(value, torch.Tensor):
        content = value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        parts = [f"{value.dtype}{tuple(value.shape)}".encode(), content]
    elif isinstance(value, dict):
        parts = [b"dict", *(f"{key!r}{hash_value(value[key])}".encode() for key in sorted(value, key=repr))]
    elif isinstance(value, (list, tuple)):
        parts = [b"list", *(hash_value(item).encode() for item in value)]
    else:
        parts = [repr(value).encode()]
    return hashlib.sha256(b"".join(parts)).hexdigest()


@errors_in_one_line
def main(argv: Sequence[str] | None = None) -> int:
    """Print one line for each part of each checkpoint."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", help="checkpoint files of training")
    args = parser.parse_args(argv)
    found, lines = [], []
    for path in args.checkpoints:
        checkpoint = load_checkpoint(path, map_location="cpu")
        hashes = hash_parts(checkpoint) if isinstance(checkpoint, dict) else {}
        if not hashes:
            parser.error(f"{path} has none of {', '.join(PARTS)}; is it a checkpoint that mmengine wrote?")
        found.append(hashes)
        lines += [f"{path}  {part:16}  {value}" for part, value in hashes.items()]
    parts = {part for hashes in found for part in hashes}
    differing = sorted(part for part in parts if len({hashes.get(part) for hashes in found}) > 1)
    if len(found) > 1:
        lines.append(f"different: {', '.join(differing)}" if differing else f"equal: {', '.join(sorted(parts))}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
