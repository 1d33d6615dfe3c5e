"""Messages of tools; errors of users in one line, ``infer.py: error: ...``, exit code 2, without a traceback."""

from __future__ import annotations

import argparse
import functools
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
EXPECTED = (ImportError, RuntimeError, TypeError, ValueError)  # where our own lines raise them


def say(text: str) -> None:
    """Tell the user something."""
    print(text, flush=True)


class Parser(argparse.ArgumentParser):
    """Says what is wrong without repeating all options."""

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and one line."""
        self.exit(2, f"{self.prog}: error: {message} (options: --help)\n")


def errors_in_one_line(main: Callable) -> Callable:
    """Decorate a tool's ``main``; errors that are not the user's keep their traceback."""
    name = Path(main.__code__.co_filename).name

    @functools.wraps(main)
    def run(*args: object) -> object:
        try:
            return main(*args)
        except FileNotFoundError as error:
            problem = error
        except EXPECTED as error:
            if not _is_ours(error):
                raise
            problem = error
        sys.stderr.write(f"{name}: error: {' '.join(str(problem).split())}\n")
        raise SystemExit(2)

    return run


def _is_ours(error: Exception) -> bool:
    """Whether a line of this project raised it, and not a library below."""
    last = Path(traceback.extract_tb(error.__traceback__)[-1].filename).resolve()
    return any(last.is_relative_to(ROOT / folder) for folder in ("mmseg_allspark", "tools")) or (
        last.is_relative_to(ROOT.parent) and ROOT.name == ".mim"  # installed: mmseg_allspark/.mim/tools
    )
