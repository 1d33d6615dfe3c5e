"""Say whether this environment can train: ``python -m mmseg_allspark.doctor`` (or ``python tools/doctor.py``).

Prints versions and hardware, then each problem with the command that mends it. Exit code 1 if something prevents
training, else 0, warnings or not. Works where mmseg, torch or this package cannot be imported: it imports them in a
process of its own.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from importlib import util
from pathlib import Path

from mmseg_allspark.environment import FORK, OPENCV, OTHERS, UPSTREAM, Problem, family, installed, metadata_problems

IMPORTS = ("numpy", "torch", "cv2", "mmengine", "mmcv", "mmseg", "mmseg.models", "mmseg_allspark")
NEED_OPS = "ccnet, psanet, mask2former, maskformer, vpd"  # folders of mmseg's zoo
SMALLEST_SHM = 2**30  # bytes
_PROBE_SECONDS = 600
_PROBE = """
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


def probe() -> dict:
    """Import everything in another process, which may die of it.

    Returns:
        ``failed``: message by module; with torch also ``cuda_build``, ``cuda``, ``gpus``, ``nccl``, ``threads``.
    """
    root = str(Path(__file__).resolve().parents[1])  # a checkout needs no installation of the plugin
    path = os.pathsep.join(part for part in (os.environ.get("PYTHONPATH"), root) if part)
    command = [sys.executable, "-c", _PROBE, *IMPORTS]
    try:
        done = subprocess.run(
            command, env=dict(os.environ, PYTHONPATH=path), capture_output=True, text=True, timeout=_PROBE_SECONDS
        )
    except subprocess.TimeoutExpired:
        return dict(failed={"the packages": f"no end after {_PROBE_SECONDS} s"})
    report = done.stdout.rpartition("\n@")[2]
    if done.returncode or not report.startswith("{"):
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        return dict(failed={"the packages": f"the process died with code {done.returncode}: {last}"})
    return json.loads(report)


def import_problems(failed: dict[str, str]) -> list[Problem]:
    """What failed imports mean.

    Args:
        failed: Message by module.

    Returns:
        A problem for each, those with a known cause with its remedy.
    """
    problems, seen = [], set()
    for module, message in failed.items():
        if message in seen:
            continue  # mmcv fails where cv2 fails
        seen.add(message)
        remedy = "see the problems above first; else install it again with the command of the README"
        if "libGL" in message or "cannot open shared object" in message and module == "cv2":
            names = " ".join(entry.split()[0] for entry in installed(OPENCV))
            remedy = f"pip uninstall -y {names}; pip install opencv-python-headless"
        elif message.startswith("ModuleNotFoundError"):
            remedy = f"pip install {message.split(chr(39))[1]}" if "'" in message else remedy
            remedy = remedy if "mm" not in remedy.split()[-1] else "pip install -r requirements.txt"
        problems.append(Problem(True, f"{module} cannot be imported ({message})", remedy))
    return problems


def driver() -> str:
    """What nvidia-smi says: 'name, driver version' a line, or an empty string."""
    if shutil.which("nvidia-smi") is None:
        return ""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def gpu_problems(found: dict, seen_by_driver: str) -> list[Problem]:
    """Whether torch can use the GPUs there are.

    Args:
        found: As from ``probe``.
        seen_by_driver: As from ``driver``.

    Returns:
        Warnings; training works on the CPU, too.
    """
    problems = []
    if "cuda" in found and seen_by_driver and not found["cuda"]:
        if found["cuda_build"] is None:
            text = "there is a GPU, but this torch is a build for the CPU"
            remedy = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu126"
        else:
            text = f"there is a GPU, but torch (for CUDA {found['cuda_build']}) cannot use it ({seen_by_driver})"
            remedy = "update the NVIDIA driver, or install a torch for an older CUDA; check CUDA_VISIBLE_DEVICES"
        problems.append(Problem(False, text, remedy))
    if len(found.get("gpus", ())) > 1 and not found["nccl"]:
        text = f"{len(found['gpus'])} GPUs, but this torch has no NCCL: tools/dist_train.sh will not work"
        problems.append(Problem(False, text, "install torch from PyTorch's own index"))
    return problems


def host_problems(cpus: int, omp: str | None, shm: int | None) -> list[Problem]:
    """Whether threads and shared memory are set up for data loaders.

    Args:
        cpus: CPUs that this process may use.
        omp: OMP_NUM_THREADS, if set.
        shm: Bytes of /dev/shm; None where there is none.

    Returns:
        Warnings.
    """
    problems = []
    if omp and omp.isdigit() and int(omp) > cpus:
        text = f"OMP_NUM_THREADS={omp}, but only {cpus} CPUs may be used: every step waits for threads"
        problems.append(Problem(False, text, f"export OMP_NUM_THREADS={cpus}"))
    if shm is not None and shm < SMALLEST_SHM:
        text = f"/dev/shm has {shm / 2**20:.0f} MiB: workers of data loaders hand images over there and die (Bus error)"
        problems.append(Problem(False, text, "docker run --shm-size=8g ..., or num_workers=0 in every dataloader"))
    return problems


def _host() -> tuple[int, str | None, int | None]:
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shm = shutil.disk_usage("/dev/shm").total if os.path.isdir("/dev/shm") else None
    return cpus, os.environ.get("OMP_NUM_THREADS"), shm


def _has_ops() -> bool:
    spec = util.find_spec("mmcv")  # of a top-level module: nothing is imported
    folders = spec.submodule_search_locations if spec is not None else None
    return any(True for folder in folders or () for _ in Path(folder).glob("_ext.*"))


def describe(found: dict, seen_by_driver: str, host: tuple) -> list[str]:
    """Lines about versions and hardware."""
    cpus, omp, shm = host
    ops = "compiled" if _has_ops() else f"not compiled (only {NEED_OPS} of mmseg's zoo need them)"
    gpus = ", ".join(found.get("gpus", ())) or "none that torch can use"
    lines = [
        f"python        {platform.python_version()} ({sys.executable}), {platform.platform()}",
        f"mm* packages  {', '.join(installed((*FORK, *UPSTREAM))) or 'none'} ({family()})",
        f"others        {', '.join(installed((*OTHERS, *OPENCV)))}",
        f"mmcv.ops      {ops}",
        f"GPU           {gpus}; torch for CUDA {found.get('cuda_build')}, NCCL {'yes' if found.get('nccl') else 'no'}",
        f"driver        {seen_by_driver.replace(chr(10), '; ') or 'nvidia-smi finds none'}",
        f"CPU           {cpus} may be used, OMP_NUM_THREADS {omp or 'not set'}, torch threads {found.get('threads')}",
        f"/dev/shm      {'none' if shm is None else f'{shm / 2**20:.0f} MiB'}",
    ]
    return lines


def main() -> int:
    """Print the report.

    Returns:
        Exit code: 1 if something prevents training, else 0.
    """
    found, seen_by_driver, host = probe(), driver(), _host()
    problems = metadata_problems() + import_problems(found["failed"])
    problems += gpu_problems(found, seen_by_driver) + host_problems(*host)
    lines = describe(found, seen_by_driver, host)
    for problem in problems:
        lines += [f"{'PROBLEM' if problem.fatal else 'warning'}: {problem.text}", f"    mend it: {problem.remedy}"]
    fatal = sum(problem.fatal for problem in problems)
    lines.append('"Could not import OneDL" and "Fail to import MultiScaleDeformableAttention" at a start are harmless.')
    lines.append(f"{fatal} problems, {len(problems) - fatal} warnings." if problems else "All is well.")
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if fatal else 0


if __name__ == "__main__":
    sys.exit(main())
