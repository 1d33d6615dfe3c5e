"""Make a checkpoint fit to be handed on: ``python tools/publish.py CHECKPOINT OUT.pth [--weights ema|model]``.

Keeps weights, names and colours of the classes, iteration and config; writes OUT-<hash>.pth, the hash being the first 8
digits of the file's SHA-256. Optimizer, schedules, logs and the second set of weights that an EMAHook adds are left
out, and so is what the config says about folders, accounts and machines; the tool says what it removed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import mmseg_allspark  # noqa: F401

# isort: split
from _common import add_weights, require_file
from _errors import Parser, errors_in_one_line

from mmseg_allspark.inference import publish_checkpoint


@errors_in_one_line
def main(argv: Sequence[str] | None = None) -> None:
    """Publish the checkpoint of the command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="checkpoint of training")
    parser.add_argument("out", metavar="OUT.pth", type=Path, help="file to write; its hash is added to the name")
    add_weights(parser)
    args = parser.parse_args(argv)
    require_file(parser, args.checkpoint, "checkpoint")
    if args.out.suffix != ".pth":
        parser.error(f"OUT.pth: {args.out} does not end in .pth")
    done = publish_checkpoint(args.checkpoint, args.out, args.weights)
    before, after = (Path(path).stat().st_size / 2**20 for path in (args.checkpoint, done.path))
    lines = [f"{done.path}: {after:.1f} MiB (was {before:.1f} MiB), weights: {done.weights}"]
    lines += [f"left out: {', '.join(done.dropped)}"] if done.dropped else []
    lines += [f"config: {key} {'' if what == 'removed' else '-> '}{what}" for key, what in done.changed.items()]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
