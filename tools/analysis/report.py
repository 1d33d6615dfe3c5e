"""Write the report of a run: curves, IoU of each class, confusion matrix, predictions and pseudo labels over time.

    python tools/analysis/report.py work_dirs/mine_allspark [--out report.html]

One HTML file that needs nothing else, from what is in the work directory: of a running, a finished, a resumed or a
supervised training. ReportHook writes the same page after every validation.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

# a checkout needs no installation of the plugin
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mmseg_allspark.report import write_report


def main(argv: Sequence[str] | None = None) -> None:
    """Write the report that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work_dir", type=Path, metavar="WORK_DIR", help="work directory of tools/train.py")
    parser.add_argument("--out", type=Path, help="file to write (default: WORK_DIR/report.html)")
    args = parser.parse_args(argv)
    try:
        out = write_report(args.work_dir, args.out)
    except FileNotFoundError as error:
        parser.error(str(error))
    sys.stdout.write(f"{out}\n")


if __name__ == "__main__":
    main()
