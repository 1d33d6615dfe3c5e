"""Say whether a Python environment can run this project: version, one family of mm* packages, imports.

``python tools/check_env.py [--import MODULE …]`` is silent and exits 0 when all is well; otherwise it prints
one line per problem, with its remedy, and exits 1. It needs only the standard library of Python 3.8+,
so that it can speak for an environment that is not fit. ``tools/doctor.py`` says much more.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def _load_environment() -> ModuleType:
    """Load the checks by their path: importing the package would import torch and mmseg."""
    top = Path(__file__).resolve().parents[1]
    folder = top.parent if top.name == ".mim" else top / "mmseg_allspark"  # tools of a wheel, or of a checkout
    path = folder / "environment.py"
    spec = importlib.util.spec_from_file_location("mmseg_allspark_environment", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


environment = _load_environment()


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
    problem = environment.version_problem() or environment.family_problem()
    problems = [problem] if problem else import_problems(args.modules)
    for line in problems:
        print(f"error: {line}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
