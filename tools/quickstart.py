"""Train supervised-only and AllSpark side by side on the synthetic data set and compare them.

Both runs use tools/train.py, the standard runner, with their config under configs/; this script only starts
them at the same time, and puts what they measured into a table and a picture.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
# what is made stays in the checkout; an installed package is no place for it
OUTPUT = ROOT if (ROOT / "setup.py").is_file() else Path.cwd()
sys.path.insert(0, str(ROOT))

import mmseg_allspark  # noqa: F401

# isort: split
import numpy as np
from _schedule import steps_options, to_arguments
from mmengine.config import Config
from mmseg.apis import inference_model, init_model
from PIL import Image

from mmseg_allspark.datasets import SyntheticDataset
from mmseg_allspark.environment import usable_cpus
from mmseg_allspark.report.label_pictures import colour_labels, fit, join_panels
from mmseg_allspark.report.run_record import read_run

CONFIGS = {
    "supervised only": "configs/supervised/resnet18-tiny_synthetic.py",
    "AllSpark": "configs/allspark/resnet18-tiny_synthetic.py",
}
NUM_PICTURES = 4


def launch(config: Path, work_dir: Path, args: argparse.Namespace, threads: int, log: IO | None) -> subprocess.Popen:
    """Start tools/train.py; what it says goes to the console, or to a log."""
    cfg = Config.fromfile(config)
    options = [f"randomness.seed={args.seed}", f"train_cfg.max_iters={args.steps}"]
    options += to_arguments(steps_options(cfg, args.steps)[1])
    # relative to the working directory: --cfg-options drop the spaces that a checkout's path may have
    root = os.path.relpath(args.data_root, OUTPUT)
    options += [f"{key}.dataset.data_root={root}" for key in cfg if key.endswith("_dataloader") and cfg[key]]
    command = [sys.executable, ROOT / "tools/train.py", config, "--work-dir", work_dir, "--cfg-options", *options]
    variables = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    streams = dict(stdout=log, stderr=log and subprocess.STDOUT)
    return subprocess.Popen([*map(str, command)], cwd=OUTPUT, env=variables, **streams)


def train(work_dirs: dict[str, Path], args: argparse.Namespace) -> None:
    """Run the trainings at the same time; the last one, which takes longer, on the console."""
    threads, processes = max(1, usable_cpus() // len(work_dirs)), {}
    print(f"Training {' and '.join(work_dirs)} at the same time, {threads} thread(s) each; --steps N makes it shorter.")
    print("Progress of the second is below. Open after the first validation:")
    for work_dir in work_dirs.values():
        print(f"  {work_dir / 'report.html'}")
        work_dir.mkdir(parents=True)
    first, last = work_dirs
    try:
        with (work_dirs[first] / "train.log").open("w") as log:
            for name in (first, last):
                output = log if name == first else None
                processes[name] = launch(ROOT / CONFIGS[name], work_dirs[name], args, threads, output)
        while None in (codes := [process.poll() for process in processes.values()]) and not any(codes):
            time.sleep(0.5)
        if failed := [name for name in (last, first) if processes[name].poll()]:
            raise SystemExit(f"'{failed[0]}' failed, see above or {work_dirs[first] / 'train.log'}")
    except KeyboardInterrupt:
        again = f"bash tools/quickstart.sh --seed {args.seed}"
        raise SystemExit(f"\nstopped; finished runs are in {args.work_dir}; {again} starts anew") from None
    finally:
        for process in processes.values():
            process.terminate()


def read_miou(work_dir: Path) -> float:
    """The last validation's mIoU in percent."""
    curve = read_run(work_dir).metrics["mIoU"]
    return curve[max(curve)]


def picture(work_dirs: dict[str, Path], args: argparse.Namespace, path: Path) -> None:
    """Draw image, ground truth and each run's prediction for some validation images."""
    names = (args.data_root / "val.txt").read_text().split()[:NUM_PICTURES]
    images = [args.data_root / "images" / f"{name}.png" for name in names]
    label_maps = {"ground truth": [np.asarray(Image.open(args.data_root / "masks" / f"{name}.png")) for name in names]}
    for name, work_dir in work_dirs.items():
        model = init_model(str(ROOT / CONFIGS[name]), str(work_dir / f"iter_{args.steps}.pth"), device="cpu")
        predictions = [inference_model(model, str(image)).pred_sem_seg.data[0].numpy() for image in images]
        label_maps[f"{name}: {read_miou(work_dir):.1f} mIoU"] = predictions
    meta, side = SyntheticDataset.METAINFO, 224
    columns = {"image": [fit(np.asarray(Image.open(image).convert("RGB")), side, smooth=True) for image in images]}
    for title, maps in label_maps.items():
        columns[title] = [fit(colour_labels(labels, meta["palette"]), side, smooth=False) for labels in maps]
    legend = dict(zip(meta["classes"], meta["palette"], strict=True))
    Image.fromarray(join_panels(columns, legend)).save(path)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    steps = Config.fromfile(ROOT / CONFIGS["AllSpark"]).train_cfg.max_iters
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="seed of the training (default: 0)")
    parser.add_argument("--steps", type=int, default=steps, help=f"training steps of each run (default: {steps})")
    parser.add_argument("--work-dir", type=Path, default=OUTPUT / "work_dirs/quickstart")
    parser.add_argument("--data-root", type=Path, default=OUTPUT / "data/synthetic")
    args = parser.parse_args()
    args.data_root = args.data_root.resolve()
    if args.steps < 2:
        parser.error(f"--steps {args.steps}: at least 2")
    if " " in os.path.relpath(args.data_root, OUTPUT):
        parser.error(f"--data-root {args.data_root}: mmengine's --cfg-options drop spaces; choose a path without")
    return args


def main() -> None:
    """Make data, train, compare."""
    args, start = parse_args(), time.monotonic()
    prepare = [sys.executable, ROOT / "tools/prepare/synthetic.py", "--out", args.data_root]
    subprocess.run([*map(str, prepare)], check=True)
    work_dir = args.work_dir.resolve() / f"{time.strftime('%Y%m%d_%H%M%S')}_seed{args.seed}"
    work_dirs = {name: work_dir / Path(path).parts[1] for name, path in CONFIGS.items()}
    train(work_dirs, args)
    labeled, unlabeled, val = (
        len((args.data_root / f"{part}.txt").read_text().split()) for part in ("labeled", "unlabeled", "val")
    )
    print(f"\nMeasured in this run (seed {args.seed}, {args.steps} steps, mIoU % on {val} validation images):")
    figures = [f"{name:16s} {read_miou(work_dir):6.2f}" for name, work_dir in work_dirs.items()]
    print(f"  {figures[0]}   {labeled} labeled images")
    print(f"  {figures[1]}   the same {labeled} labeled + {unlabeled} unlabeled images")
    path = work_dir / "comparison.png"
    picture(work_dirs, args, path)
    print(f"Finished in {(time.monotonic() - start) / 60:.1f} minutes. Picture: image, ground truth, both predictions:")
    print(path)


if __name__ == "__main__":
    main()
