"""Checks the data of a config before training: leaks, missing or damaged files, wrong masks, class frequencies.

    python tools/prepare/check_data.py CONFIG [--cfg-options KEY=VALUE ...] [--workers N] [--json FILE]

Works with any mmseg config (train_dataloader, val_dataloader) and looks at unlabeled_dataloader too. Every
image and mask is read once, with the loading settings of the config. Images count as the same if they are the same
file, have equal bytes or equal pixels. What training refuses about its data is an error here. Exit code: 0 fine
(perhaps with warnings), 1 errors found, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from _files import make_progress  # first: it finds the checkout

# isort: split
import mmseg_allspark  # noqa: F401

# isort: split
from _common import require_file
from _config_checks import check_component_keys, check_palettes
from _errors import Parser, errors_in_one_line, say
from mmengine.config import DictAction
from mmengine.registry import init_default_scope

from mmseg_allspark.datasets.data_report import report_data
from mmseg_allspark.utils.config_files import check_variables, read_config
from mmseg_allspark.utils.files import write_whole


@errors_in_one_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; the exit code is 1 with errors in the data."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", metavar="CONFIG", help="config file")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="change settings: nested.key=value ...")
    parser.add_argument("--workers", type=int, help="processes (default: the CPUs there are)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the whole report there")
    options = parser.parse_args(arguments)
    require_file(parser, options.config, "config")
    check_variables(options.config)
    cfg = read_config(options.config, options.cfg_options)
    check_component_keys(cfg)
    check_palettes(cfg)
    if not (cfg.get("train_dataloader") or {}).get("dataset"):
        parser.error(f"{options.config} has no train_dataloader.dataset: give a config that trains.")
    init_default_scope(cfg.default_scope)
    report = report_data(cfg, options.workers, make_progress("read sample"))
    say(report.to_text())
    if options.json is not None:
        write_whole(json.dumps(report.to_dict(), indent=1) + "\n", options.json)
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
