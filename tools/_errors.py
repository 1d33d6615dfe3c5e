"""Messages of tools; errors of users in one line, ``infer.py: error: ...``, exit code 2, without a traceback."""

from __future__ import annotations

import argparse
import functools
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
EXPECTED = (ArithmeticError, ImportError, RuntimeError, TypeError, ValueError)  # where our own lines raise them
TRACEBACK = "--traceback"
_WORKER = re.compile(r'(?s)Original Traceback.*\n *File "(?P<file>[^"]+)"[^\n]*\n.*?\n\w[\w.]*: (?P<message>.*)')


def say(text: str) -> None:
    """Tell the user something."""
    print(text, flush=True)


class Parser(argparse.ArgumentParser):
    """Says what is wrong without repeating all options; every command takes ``--traceback``."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.add_argument(TRACEBACK, action="store_true", help="show where in the code an error was raised")

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and one line."""
        self.exit(2, f"{self.prog}: error: {message} (options: --help)\n")


def errors_in_one_line(main: Callable) -> Callable:
    """Decorate a tool's ``main``; errors that are not the user's keep their traceback, with ``--traceback`` all."""
    name = Path(inspect.unwrap(main).__code__.co_filename).name

    @functools.wraps(main)
    def run(*args: object) -> object:
        try:
            return main(*args)
        except Exception as error:
            words = args[0] if args and args[0] is not None else sys.argv
            problem = _users_problem(error)
            if problem is None or TRACEBACK in words:
                raise
        rank = f", rank {os.environ['RANK']}" if "RANK" in os.environ else ""
        sys.stderr.write(f"{name}{rank}: error: {problem} ({TRACEBACK} shows where)\n")
        raise SystemExit(2)

    return run


def _users_problem(error: Exception) -> str | None:
    """The message of an error that a user can do something about, in one line; None for any other."""
    text = str(error)
    where = traceback.extract_tb(error.__traceback__)[-1].filename
    if inside := _WORKER.search(text):  # raised by a process that loads data, which hands over its traceback as text
        where, text = inside["file"], inside["message"]
    if isinstance(error, KeyError) and "registry. Please" in text:  # of mmengine, which quotes a KeyError's text
        return text.strip("'\"").partition(" More details")[0]
    is_misspelled = isinstance(error, SyntaxError) and "syntax errors in config" in text
    if is_misspelled or isinstance(error, FileNotFoundError) or (isinstance(error, EXPECTED) and _is_ours(where)):
        return " ".join(text.split())
    return None


def _is_ours(file: str) -> bool:
    """Whether a file belongs to this project, and not to a library below."""
    path = Path(file).resolve()
    return any(path.is_relative_to(ROOT / folder) for folder in ("mmseg_allspark", "tools")) or (
        path.is_relative_to(ROOT.parent) and ROOT.name == ".mim"  # installed: mmseg_allspark/.mim/tools
    )
