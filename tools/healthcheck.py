"""Train a few steps on the synthetic data set and label an image, to see that this installation can do both.

    python tools/healthcheck.py

Works in a checkout, from an installed package (``mmseg_allspark/.mim/tools``) and in a container; leaves nothing
behind. Exit code 0 if the training ended and infer.py could use its checkpoint, else 1, after the end of its output.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
CONFIG = TOOLS.parent / "configs/allspark/resnet18-tiny_synthetic.py"
LOADERS = ("train_dataloader", "unlabeled_dataloader", "val_dataloader", "test_dataloader")
SHOWN_LINES = 30
STEPS = 3  # of which the first fills the memory and the others read it


def commands() -> list[list[str]]:
    """Arguments for this Python, in an empty folder: make twenty images, train on them, label one."""
    options = [f"{loader}.dataset.data_root=data" for loader in LOADERS]
    # pseudo labels count from the first step and the memory is read at the last
    options += [f"train_cfg.max_iters={STEPS}", f"train_cfg.val_interval={STEPS}"]
    options += [
        "train_cfg.burn_in_iters=0",
        "train_cfg.ramp_up_iters=0",
        "default_hooks.semantic_memory.warmup_iters=1",
    ]
    images = "--out data --num-labeled 8 --num-unlabeled 8 --num-val 4"
    files = f"run/iter_{STEPS}.pth data/images/val_0000.png --out labeled"
    return [
        [str(TOOLS / "prepare/synthetic.py"), *images.split()],
        [str(TOOLS / "train.py"), str(CONFIG), "--work-dir", "run", "--cfg-options", *options],
        [str(TOOLS / "infer.py"), str(CONFIG), *files.split()],
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Check, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", action="store_true", help="leave GPUs alone, one thread, low priority")
    parser.add_argument("--stamp", type=Path, help="do nothing if this file exists; write it when the check has passed")
    args = parser.parse_args(argv)
    if args.stamp and args.stamp.is_file():
        return 0
    environment, start = dict(os.environ), time.monotonic()
    if args.cpu:
        environment.update(CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
        os.nice(10)
    with tempfile.TemporaryDirectory() as folder:
        for arguments in commands():
            command = [sys.executable, *arguments]
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
            if done.returncode:
                advice = "error: this installation cannot train and label images; python tools/doctor.py may say why."
                lines = (done.stdout + done.stderr).splitlines()[-SHOWN_LINES:]
                lines.append(f"{Path(arguments[0]).name} ended with exit code {done.returncode}")
                print("\n".join([advice, *lines]), file=sys.stderr)
                return 1
    if args.stamp:
        args.stamp.touch()
    print(f"ok: {STEPS} training steps, a validation and an image labeled in {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
