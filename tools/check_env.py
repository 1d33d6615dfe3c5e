"""Say whether a Python environment can run this project: version, one family of mm* packages, imports.

``python tools/check_env.py [--import MODULE …]`` is silent and exits 0 when all is well; otherwise it prints
one line per problem, with its remedy, and exits 1. It needs only the standard library of Python 3.8+,
so that it can speak for an environment that is not fit.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from importlib import metadata

LOWEST, TOO_HIGH = (3, 10), (3, 13)
FORK = ("onedl-mmengine", "onedl-mmcv", "onedl-mmsegmentation", "onedl-mmpretrain")
UPSTREAM = ("mmengine", "mmengine-lite", "mmcv", "mmcv-lite", "mmcv-full", "mmsegmentation", "mmpretrain")


def installed(names: tuple[str, ...]) -> list[str]:
    """Return those of ``names`` that are installed as distributions, with their versions."""
    found = []
    for name in names:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return found


def version_problem() -> str:
    """Return what is wrong with this Python's version, or an empty string."""
    if LOWEST <= sys.version_info[:2] < TOO_HIGH:
        return ""
    found = ".".join(str(part) for part in sys.version_info[:3])
    return f"{sys.executable} is Python {found}; 3.10, 3.11 or 3.12 is needed."


def family_problem() -> str:
    """Return a message when both families of mm* packages are installed, or an empty string."""
    fork, upstream = installed(FORK), installed(UPSTREAM)
    if not fork or not upstream:
        return ""
    return (
        f"both families of mm* packages are installed in {sys.prefix}: the fork ({', '.join(fork)}) and "
        f"upstream ({', '.join(upstream)}). They overwrite each other's files. "
        "Make a new environment, or uninstall all of them and install one family again."
    )


def import_problems(modules: list[str]) -> list[str]:
    """Return one message per module that cannot be imported."""
    problems = []
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # a broken package may raise anything at import
            problems.append(f"{sys.executable} cannot import {module} ({type(error).__name__}: {error}).")
    return problems


def main(argv: list[str] | None = None) -> int:
    """Print the problems of this environment; return 1 if there are any."""
    parser = argparse.ArgumentParser(description="Check this Python environment")
    parser.add_argument("--import", dest="modules", nargs="*", default=[], help="modules that must import")
    args = parser.parse_args(argv)
    problem = version_problem() or family_problem()
    problems = [problem] if problem else import_problems(args.modules)
    for line in problems:
        print(f"error: {line}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
