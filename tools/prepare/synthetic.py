"""Makes the synthetic data set: little scenes drawn from a seed, as ordinary image and mask files.

    python tools/prepare/synthetic.py --out data/synthetic

Writes OUT/images, OUT/masks (.png), labeled.txt, unlabeled.txt and val.txt. The masks of the unlabeled images
serve the agreement statistic in the log only; training does not need them. Running it again with the same
arguments changes nothing; other arguments need --overwrite or another OUT.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from _files import make_progress, say

from mmseg_allspark.datasets.synthetic import SyntheticSpec, write_synthetic


def main(arguments: list[str] | None = None) -> int:
    """Run the tool; the exit code is 1 after an error that has been explained on stderr."""
    default = SyntheticSpec()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("data/synthetic"))
    parser.add_argument("--num-labeled", type=int, default=default.num_labeled, metavar="N")
    parser.add_argument("--num-unlabeled", type=int, default=default.num_unlabeled, metavar="N")
    parser.add_argument("--num-val", type=int, default=default.num_val, metavar="N")
    parser.add_argument("--size", type=int, default=default.size, help="height and width in pixels")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--overwrite", action="store_true", help="replace a data set of other arguments")
    options = vars(parser.parse_args(arguments))
    out, overwrite = options.pop("out"), options.pop("overwrite")
    try:
        spec = SyntheticSpec(**options)
        written = write_synthetic(out, spec, overwrite=overwrite, progress=make_progress("scene", sys.stdout))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    say(f"{out} {'written' if written else 'is there already, made with the same arguments: nothing to do'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
