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

# a checkout needs no installation of the plugin
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))  # _config_checks

import mmseg_allspark  # noqa: F401

# isort: split
from _config_checks import check_component_keys, check_palettes
from _files import make_progress, say
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope

from mmseg_allspark.datasets.data_report import report_data
from mmseg_allspark.utils.config_files import check_variables, read_config
from mmseg_allspark.utils.files import write_whole


def parse_args(arguments: Sequence[str] | None = None) -> tuple[argparse.Namespace, Config]:
    """Reads the command line and the config; what is wrong there is a usage error (exit code 2)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", metavar="CONFIG", help="config file")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="change settings: nested.key=value ...")
    parser.add_argument("--workers", type=int, help="processes (default: the CPUs there are)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the whole report there")
    options = parser.parse_args(arguments)
    if not Path(options.config).is_file():
        parser.error(f"config not found: {options.config} (looked in {Path.cwd()})")
    if options.workers is not None and options.workers < 1:
        parser.error(f"--workers {options.workers}: at least 1")
    try:
        check_variables(options.config)
        cfg = read_config(options.config, options.cfg_options)
    except Exception as error:  # a config is code: anything can happen in it
        parser.error(f"{options.config} cannot be read with these --cfg-options: {type(error).__name__}: {error}")
    try:
        check_component_keys(cfg)
        check_palettes(cfg)
    except (TypeError, ValueError) as error:
        parser.error(str(error))
    if not (cfg.get("train_dataloader") or {}).get("dataset"):
        parser.error(f"{options.config} has no train_dataloader.dataset: give a config that trains.")
    return options, cfg


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; the exit code is 1 with errors in the data."""
    options, cfg = parse_args(arguments)
    init_default_scope(cfg.default_scope)
    report = report_data(cfg, options.workers, make_progress("read sample"))
    say(report.to_text())
    if options.json is not None:
        write_whole(json.dumps(report.to_dict(), indent=1) + "\n", options.json)
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
