"""What an installation is made of, and what does not fit together, judged from package metadata alone.

Needs only the standard library of Python 3.8+ and nothing of this package, so that it can speak for an environment
that is not fit: ``tools/check_env.py`` loads this file by its path.
"""

from __future__ import annotations

import re
import sys
from importlib import metadata
from typing import NamedTuple

LOWEST, TOO_HIGH = (3, 10), (3, 13)
FORK = ("onedl-mmengine", "onedl-mmcv", "onedl-mmsegmentation", "onedl-mmpretrain")
UPSTREAM = ("mmengine", "mmengine-lite", "mmcv", "mmcv-lite", "mmcv-full", "mmsegmentation", "mmpretrain")
OPENCV = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
OTHERS = ("torch", "torchvision", "numpy", "pillow", "setuptools", "ftfy", "regex", "tensorboard", "mmseg-allspark")
# lowest version, first version that is too high; those of requirements.txt and requirements/upstream.txt
RANGES = {
    "onedl-mmengine": ("0.10.12", "0.11"),
    "onedl-mmcv": ("2.3.6", "2.4"),
    "onedl-mmsegmentation": ("1.4.2", "1.5"),
    "mmengine": ("0.10.7", "0.11"),
    "mmsegmentation": ("1.2.2", "1.3"),
    "mmcv": ("2.0.0", "2.2"),  # mmsegmentation 1.2.2 asserts that at its import
    "mmcv-lite": ("2.0.0", "2.2"),
}
TORCH = ("2.6", "2.14")
INSTALL = {"fork": "pip install -r requirements.txt", "upstream": "pip install -r requirements/upstream.txt"}


class Problem(NamedTuple):
    """Something that does not fit.

    Attributes:
        fatal: Whether training cannot work.
        text: What it is.
        remedy: A command, or what to do.
    """

    fatal: bool
    text: str
    remedy: str


def version_of(name: str) -> str | None:
    """Version of an installed distribution, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def installed(names: tuple[str, ...]) -> list[str]:
    """Return those of ``names`` that are installed as distributions, with their versions."""
    return [f"{name} {version_of(name)}" for name in names if version_of(name)]


def number(version: str) -> tuple[int, ...]:
    """The release part of a version, to be compared: '2.13.0+cpu' -> (2, 13, 0)."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def _same(first: str, second: str) -> bool:
    return (*number(first), 0, 0)[:3] == (*number(second), 0, 0)[:3]


def family() -> str:
    """'fork' or 'upstream', whichever is installed; the fork, which is the default, where there is neither."""
    return "upstream" if installed(UPSTREAM) and not installed(FORK) else "fork"


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


def _families() -> list[Problem]:
    fork, upstream = installed(FORK), installed(UPSTREAM)
    if fork and upstream:
        names = " ".join(entry.split()[0] for entry in (*fork, *upstream))
        return [Problem(True, family_problem(), f"pip uninstall -y {names}; {INSTALL['fork']}")]
    needed = FORK[:3] if family() == "fork" else ("mmengine", "mmcv", "mmsegmentation")
    missing = [name for name in needed if not installed((name, f"{name}-lite", f"{name}-full"))]
    if missing:
        text = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed"
        return [Problem(True, text, INSTALL[family()])]
    return []


def _ranges() -> list[Problem]:
    problems = []
    ranges = dict(RANGES, torch=TORCH)
    for name, (lowest, too_high) in ranges.items():
        version = version_of(name)
        if version is None or number(lowest) <= number(version) < number(too_high):
            continue
        wanted = f"{name}>={lowest},<{too_high}"
        # mmsegmentation asserts the range of mmcv, and what is too old lacks what we use
        fatal = "mmcv" in name or number(version) < number(lowest)
        problems.append(Problem(fatal, f"{name} {version} is outside {wanted}", f"pip install '{wanted}'"))
    return problems


def _torchvision() -> list[Problem]:
    torch, torchvision = version_of("torch"), version_of("torchvision")
    if torch is None:
        remedy = "pip install 'torch>={},<{}'".format(*TORCH)
        return [Problem(True, "torch is not installed", remedy)]
    for requirement in (metadata.requires("torchvision") or ()) if torchvision else ():
        wanted = re.match(r"torch\s*\(?==\s*([\d.]+)", requirement)
        if wanted and not _same(wanted[1], torch):
            text = (
                f"torchvision {torchvision} belongs to torch {wanted[1]}, not to {torch}: mmengine fails at the start"
            )
            return [Problem(True, text, "pip uninstall -y torchvision   (or install the one made for your torch)")]
    return []


def _opencv() -> list[Problem]:
    found = installed(OPENCV)
    if not found:
        return [Problem(True, "OpenCV is not installed", "pip install opencv-python-headless")]
    if len(found) > 1:
        names = " ".join(entry.split()[0] for entry in found)
        text = f"{' and '.join(found)} are installed and own the same files"
        return [Problem(False, text, f"pip uninstall -y {names}; pip install opencv-python-headless")]
    return []


def _small_needs() -> list[Problem]:
    problems = []
    missing = [name for name in ("ftfy", "regex") if not version_of(name)]
    if missing:
        text = f"{' and '.join(missing)}, which mmseg's text encoders import, not installed"
        problems.append(Problem(family() == "upstream", text, f"pip install {' '.join(missing)}"))
    setuptools = version_of("setuptools")
    if family() == "upstream" and (setuptools is None or number(setuptools) >= (82,)):
        text = f"setuptools {setuptools} has no pkg_resources, which _base_ = 'mmseg::...' and mim need"
        problems.append(Problem(False, text, "pip install 'setuptools<82'"))
    return problems


def metadata_problems() -> list[Problem]:
    """All that package metadata tell, worst first."""
    python = version_problem()
    problems = (
        [Problem(True, python, "tools/setup_env.sh makes an environment with a fitting Python")] if python else []
    )
    for check in (_families, _ranges, _torchvision, _opencv, _small_needs):
        problems += check()
    return sorted(problems, key=lambda problem: not problem.fatal)
