"""Whether this installation can train, and the command that mends what does not fit; what both stacks need to run.

``python -m mmseg_allspark.doctor`` or ``python tools/doctor.py`` prints versions and hardware, then each problem. With
``--import MODULE ...`` it is silent unless the Python, the families of mm* packages or an import is wrong. Exit code 1
if something prevents training. Needs only the standard library at its import, so that it can speak for an environment
that is not fit: tools/doctor.py loads this file by its path, and imports what may be broken in another process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module, metadata, util
from pathlib import Path
from typing import NamedTuple

LOWEST, TOO_HIGH = (3, 10), (3, 14)
FORK = ("onedl-mmengine", "onedl-mmcv", "onedl-mmsegmentation", "onedl-mmpretrain")
UPSTREAM = ("mmengine", "mmengine-lite", "mmcv", "mmcv-lite", "mmcv-full", "mmsegmentation", "mmpretrain")
OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
OTHERS = ("torch", "torchvision", "numpy", "pillow", "setuptools", "ftfy", "regex", "tensorboard", "mmseg-allspark")
# lowest version, first version that is too high; those of requirements.txt and requirements/upstream.txt
RANGES = {
    "torch": ("2.6", "2.14"),
    "onedl-mmengine": ("0.10.12", "0.11"),
    "onedl-mmcv": ("2.3.6", "2.4"),
    "onedl-mmsegmentation": ("1.4.2", "1.5"),
    "mmengine": ("0.10.7", "0.11"),
    "mmsegmentation": ("1.2.2", "1.3"),
    "mmcv": ("2.0.0", "2.2"),  # mmsegmentation 1.2.2 asserts that at its import
    "mmcv-lite": ("2.0.0", "2.2"),
}
INSTALL = {"fork": "pip install -r requirements.txt", "upstream": "pip install -r requirements/upstream.txt"}
IMPORTS = ("numpy", "torch", "cv2", "mmengine", "mmcv", "mmseg", "mmseg.models", "mmseg_allspark")
SMALLEST_SHM = 2**30  # bytes
PROBE_SECONDS = 600
PROBE = """
import importlib, json, sys, warnings
warnings.simplefilter("ignore")
found = dict(failed={})
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except BaseException as error:
        found["failed"][name] = f"{type(error).__name__}: {error}".strip().splitlines()[0]
if "torch" in sys.modules and "torch" not in found["failed"]:
    import torch
    found.update(cuda_build=torch.version.cuda, cuda=torch.cuda.is_available(), threads=torch.get_num_threads())
    found["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if found["cuda"] else []
    found["nccl"] = torch.distributed.is_available() and torch.distributed.is_nccl_available()
sys.stdout.write("\\n@" + json.dumps(found))
"""


class Problem(NamedTuple):
    """Something that does not fit: whether training cannot work, what it is, and a command or what to do."""

    fatal: bool
    text: str
    remedy: str


def version_of(name: str) -> str | None:
    """Version of an installed distribution, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def installed(names: tuple[str, ...]) -> dict[str, str]:
    """Versions of those distributions that are installed."""
    return {name: version for name in names if (version := version_of(name))}


def listed(packages: dict[str, str]) -> str:
    """Names with versions."""
    return ", ".join(f"{name} {version}" for name, version in packages.items())


def number(version: str) -> tuple[int, ...]:
    """The release part of a version, to be compared: '2.13.0+cpu' -> (2, 13, 0)."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def family() -> str:
    """'fork' or 'upstream', whichever is installed; the fork, which is the default, where there is neither."""
    return "upstream" if installed(UPSTREAM) and not installed(FORK) else "fork"


def base_problems() -> Iterator[Problem]:
    """Wrong Python, and both families at once."""
    if not LOWEST <= sys.version_info[:2] < TOO_HIGH:
        text = f"{sys.executable} is Python {platform.python_version()}; 3.10 to 3.13 is needed"
        yield Problem(True, text, "tools/setup_env.sh makes an environment with a fitting Python")
    fork, upstream = installed(FORK), installed(UPSTREAM)
    if fork and upstream:
        text = f"both families of mm* packages are installed in {sys.prefix}: the fork ({listed(fork)}) and upstream "
        text += f"({listed(upstream)}). They overwrite each other's files"
        yield Problem(True, text, f"pip uninstall -y {' '.join([*fork, *upstream])}; {INSTALL['fork']}")


def package_problems() -> Iterator[Problem]:
    """All that package metadata tell besides."""
    needed = FORK[:3] if family() == "fork" else ("mmengine", "mmcv", "mmsegmentation")
    if missing := [name for name in needed if not installed((name, f"{name}-lite", f"{name}-full"))]:
        yield Problem(True, f"not installed: {', '.join(missing)}", INSTALL[family()])
    for name, (lowest, too_high) in RANGES.items():
        version, wanted = version_of(name), f"{name}>={lowest},<{too_high}"
        if version and not number(lowest) <= number(version) < number(too_high):
            # mmsegmentation asserts the range of mmcv, and what is too old lacks what we use
            fatal = "mmcv" in name or number(version) < number(lowest)
            yield Problem(fatal, f"{name} {version} is outside {wanted}", f"pip install '{wanted}'")
    torch, torchvision = version_of("torch"), version_of("torchvision")
    if torch is None:
        yield Problem(True, "torch is not installed", "pip install 'torch>={},<{}'".format(*RANGES["torch"]))
    for requirement in (metadata.requires("torchvision") or ()) if torch and torchvision else ():
        wanted = re.match(r"torch\s*\(?==\s*([\d.]+)", requirement)
        if wanted and (*number(wanted[1]), 0, 0)[:3] != (*number(torch), 0, 0)[:3]:
            text = (
                f"torchvision {torchvision} belongs to torch {wanted[1]}, not to {torch}: mmengine fails at the start"
            )
            yield Problem(True, text, "pip uninstall -y torchvision   (or install the one made for your torch)")
    opencv = installed(OPENCV)
    if len(opencv) != 1:
        text = f"{listed(opencv)} own the same files" if opencv else "OpenCV is not installed"
        removal = f"pip uninstall -y {' '.join(opencv)}; " if opencv else ""
        yield Problem(not opencv, text, f"{removal}pip install opencv-python-headless")
    if missing := [name for name in ("ftfy", "regex") if not version_of(name)]:
        text = f"{' and '.join(missing)}, which mmseg's text encoders import, not installed"
        yield Problem(family() == "upstream", text, f"pip install {' '.join(missing)}")
    setuptools = version_of("setuptools")
    if family() == "upstream" and (setuptools is None or number(setuptools) >= (82,)):
        text = f"setuptools {setuptools} has no pkg_resources, which _base_ = 'mmseg::...' and mim need"
        yield Problem(False, text, "pip install 'setuptools<82'")


def probe(modules: tuple[str, ...] = IMPORTS) -> dict:
    """Import modules in another process, which may die of it.

    Returns:
        ``failed``: message by module; with torch also ``cuda_build``, ``cuda``, ``gpus``, ``nccl``, ``threads``.
    """
    root = str(Path(__file__).resolve().parents[1])  # a checkout needs no installation of the plugin
    path = os.pathsep.join(part for part in (os.environ.get("PYTHONPATH"), root) if part)
    command, variables = [sys.executable, "-c", PROBE, *modules], dict(os.environ, PYTHONPATH=path)
    try:
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        return dict(failed={"the packages": f"no end after {PROBE_SECONDS} s"})
    report = done.stdout.rpartition("\n@")[2]
    if done.returncode or not report.startswith("{"):
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        return dict(failed={"the packages": f"the process died with code {done.returncode}: {last}"})
    return json.loads(report)


def import_problems(failed: dict[str, str]) -> Iterator[Problem]:
    """What failed imports (message by module) mean, each cause once: mmcv fails where cv2 fails."""
    causes: dict[str, str] = {}
    for module, message in failed.items():
        causes.setdefault(message, module)
    for message, module in causes.items():
        remedy = "see the problems above first; else install it again with the command of the README"
        missing = re.search(r"ModuleNotFoundError: .*'(.+?)'", message)
        if "libGL" in message or "cannot open shared object" in message and module == "cv2":
            remedy = f"pip uninstall -y {' '.join(installed(OPENCV))}; pip install opencv-python-headless"
        elif missing:
            remedy = INSTALL[family()] if "mm" in missing[1] else f"pip install {missing[1]}"
        yield Problem(True, f"{module} cannot be imported ({message})", remedy)


def driver() -> str:
    """What nvidia-smi says: 'name, driver version' a line, or an empty string."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def gpu_problems(found: dict, seen_by_driver: str) -> Iterator[Problem]:
    """Whether torch (as ``probe`` found it) can use the GPUs that ``driver`` sees; training works on the CPU, too."""
    if seen_by_driver and found.get("cuda") is False:
        text = "there is a GPU, but this torch is a build for the CPU"
        remedy = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu126"
        if found["cuda_build"]:
            text = f"there is a GPU, but torch (for CUDA {found['cuda_build']}) cannot use it ({seen_by_driver})"
            remedy = "update the NVIDIA driver, or install a torch for an older CUDA; check CUDA_VISIBLE_DEVICES"
        yield Problem(False, text, remedy)
    if len(found.get("gpus", ())) > 1 and not found["nccl"]:
        text = f"{len(found['gpus'])} GPUs, but this torch has no NCCL: tools/dist_train.sh will not work"
        yield Problem(False, text, "install torch from PyTorch's own index")


def host_problems(cpus: int, omp: str | None, shm: int | None) -> Iterator[Problem]:
    """Whether threads and shared memory are set up for data loaders.

    Args:
        cpus: CPUs that this process may use.
        omp: OMP_NUM_THREADS, if set.
        shm: Bytes of /dev/shm; None where there is none.
    """
    if omp and omp.isdigit() and int(omp) > cpus:
        text = f"OMP_NUM_THREADS={omp}, but only {cpus} CPUs may be used: every step waits for threads"
        yield Problem(False, text, f"export OMP_NUM_THREADS={cpus}")
    if shm is not None and shm < SMALLEST_SHM:
        text = f"/dev/shm has {shm / 2**20:.0f} MiB: workers of data loaders hand images over there and die (Bus error)"
        yield Problem(False, text, "docker run --shm-size=8g ..., or num_workers=0 in every dataloader")


def prepare() -> None:
    """What the package does first, so that one code base runs on both stacks; twice changes nothing.

    Raises:
        ImportError: If distributions of one import name are installed for both.
    """
    for problem in base_problems():
        raise ImportError(f"{problem.text}. Remedy: {problem.remedy}")
    if version_of("mmsegmentation") is None:  # let _base_ = 'mmseg::...' find the fork, a distribution of another name
        import_module("mmengine.config.utils").MODULE2PACKAGE["mmseg"] = "mmseg"


def usable_cpus() -> int:
    """CPU cores that this process may use; a container or a scheduler may leave it fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def report() -> tuple[list[str], list[Problem]]:
    """Lines about versions and hardware, and all problems."""
    found, seen_by_driver = probe(), driver()
    cpus = usable_cpus()
    omp = os.environ.get("OMP_NUM_THREADS")
    shm = shutil.disk_usage("/dev/shm").total if os.path.isdir("/dev/shm") else None
    mmcv = util.find_spec("mmcv")  # of a top-level module: nothing is imported
    folders = (mmcv and mmcv.submodule_search_locations) or ()
    has_ops = any(True for folder in folders for _ in Path(folder).glob("_ext.*"))
    no_ops = "not compiled (only ccnet, psanet, mask2former, maskformer and vpd of mmseg's zoo need them)"
    gpus = ", ".join(found.get("gpus", ())) or "none that torch can use"
    lines = [
        f"python        {platform.python_version()} ({sys.executable}), {platform.platform()}",
        f"mm* packages  {listed(installed(FORK + UPSTREAM)) or 'none'} ({family()})",
        f"others        {listed(installed(OTHERS + OPENCV))}",
        f"mmcv.ops      {'compiled' if has_ops else no_ops}",
        f"GPU           {gpus}; torch for CUDA {found.get('cuda_build')}, NCCL {'yes' if found.get('nccl') else 'no'}",
        f"driver        {seen_by_driver.replace(chr(10), '; ') or 'nvidia-smi finds none'}",
        f"CPU           {cpus} may be used, OMP_NUM_THREADS {omp or 'not set'}, torch threads {found.get('threads')}",
        f"/dev/shm      {'none' if shm is None else f'{shm / 2**20:.0f} MiB'}",
    ]
    problems = sorted([*base_problems(), *package_problems()], key=lambda problem: not problem.fatal)
    problems += [*import_problems(found["failed"]), *gpu_problems(found, seen_by_driver)]
    return lines, [*problems, *host_problems(cpus, omp, shm)]


def main() -> int:
    """Print the report, or with ``--import`` what is wrong.

    Returns:
        Exit code: 1 if something prevents training, else 0.
    """
    parser = argparse.ArgumentParser(description="Say whether this environment can train, and how to mend it")
    parser.add_argument("--import", dest="modules", nargs="*", help="say only whether these can be imported")
    modules = parser.parse_args().modules
    if modules is not None:
        problems = list(base_problems()) or list(import_problems(probe(tuple(modules))["failed"]))
        sys.stderr.write("".join(f"error: {problem.text}. Mend it: {problem.remedy}\n" for problem in problems))
        return int(bool(problems))
    lines, problems = report()
    for problem in problems:
        lines += [f"{'PROBLEM' if problem.fatal else 'warning'}: {problem.text}", f"    mend it: {problem.remedy}"]
    fatal = sum(problem.fatal for problem in problems)
    lines.append(f"{fatal} problems, {len(problems) - fatal} warnings." if problems else "All is well.")
    sys.stdout.write("\n".join(lines) + "\n")
    return int(fatal > 0)


if __name__ == "__main__":
    sys.exit(main())
