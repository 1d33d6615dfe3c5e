"""Train supervised-only and AllSpark side by side on the embedded data set and compare them.

Both runs use tools/train.py, the standard runner, with their config under configs/; this script only starts
them at the same time, shows how far they are, and puts what they measured into a table and a picture.
"""

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

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
from mmseg_allspark.report.run_record import Run, read_run

CONFIGS = {
    "supervised only": "configs/supervised/resnet18-tiny_synthetic.py",
    "AllSpark": "configs/allspark/resnet18-tiny_synthetic.py",
}
NUM_PICTURES = 4
REPORT_SECONDS = 10.0


@dataclass
class Training:
    """A process of tools/train.py; its output goes to ``train.log`` in the work directory."""

    name: str
    config: Path
    work_dir: Path
    process: subprocess.Popen | None = None

    def start(self, args: argparse.Namespace, threads: int) -> None:
        """Start it."""
        self.work_dir.mkdir(parents=True, exist_ok=True)
        cfg = Config.fromfile(self.config)
        options = [f"randomness.seed={args.seed}", f"train_cfg.max_iters={args.steps}"]
        options += to_arguments(steps_options(cfg, args.steps)[1])
        # relative to the working directory: --cfg-options drop the spaces that a checkout's path may have
        root = os.path.relpath(args.data_root, OUTPUT)
        options += [f"{key}.dataset.data_root={root}" for key in cfg if key.endswith("_dataloader") and cfg[key]]
        command = [sys.executable, ROOT / "tools/train.py", self.config, "--work-dir", self.work_dir]
        command = [*map(str, command), "--cfg-options", *options]
        variables = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        with (self.work_dir / "train.log").open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=OUTPUT, env=variables)

    def read(self) -> Run:
        """What it has written so far."""
        return read_run(self.work_dir) if list(self.work_dir.glob("*/vis_data")) else Run(self.work_dir)

    def miou(self) -> float:
        """The last validation's mIoU in percent."""
        curve = self.read().metrics["mIoU"]
        return curve[max(curve)]


def watch(trainings: list[Training], steps: int) -> None:
    """Report progress and remaining time until all end.

    Raises:
        RuntimeError: If one fails; the end of its log is part of the message.
    """
    start = last = time.monotonic()
    while any(training.process.poll() is None for training in trainings):
        time.sleep(1)
        for training in trainings:
            if training.process.poll():
                log = training.work_dir / "train.log"
                tail = "\n".join(log.read_text().splitlines()[-15:])
                raise RuntimeError(f"'{training.name}' failed, see {log}:\n{tail}")
        if time.monotonic() - last < REPORT_SECONDS:
            continue
        last = time.monotonic()
        done = {training.name: training.read().last_iter for training in trainings}
        parts = ", ".join(f"{name} {step}/{steps}" for name, step in done.items())
        print(f"[{last - start:4.0f} s] {parts} - {remaining(list(done.values()), steps, last - start)}")


def remaining(done: list[int], steps: int, seconds: float) -> str:
    """Say how long the slowest of the runs, which have done so many steps each, will still take."""
    slowest = min(done)
    return f"about {seconds * (steps - slowest) / slowest / 60:.1f} min left" if slowest else "measuring the speed ..."


def picture(trainings: list[Training], args: argparse.Namespace, path: Path) -> None:
    """Draw image, ground truth and each run's prediction for some validation images."""
    names = (args.data_root / "val.txt").read_text().split()[:NUM_PICTURES]
    images = [args.data_root / "images" / f"{name}.png" for name in names]
    label_maps = {"ground truth": [np.asarray(Image.open(args.data_root / "masks" / f"{name}.png")) for name in names]}
    for training in trainings:
        model = init_model(str(training.config), str(training.work_dir / f"iter_{args.steps}.pth"), device="cpu")
        predictions = [inference_model(model, str(image)).pred_sem_seg.data[0].numpy() for image in images]
        label_maps[f"{training.name}: {training.miou():.1f} mIoU"] = predictions
    meta, side = SyntheticDataset.METAINFO, 224
    columns = {"image": [fit(np.asarray(Image.open(image).convert("RGB")), side, smooth=True) for image in images]}
    for title, maps in label_maps.items():
        columns[title] = [fit(colour_labels(labels, meta["palette"]), side, smooth=False) for labels in maps]
    legend = dict(zip(meta["classes"], meta["palette"], strict=True))
    Image.fromarray(join_panels(columns, legend)).save(path)


def parse_args() -> argparse.Namespace:
    """Read the command line; ``usual_steps`` are those of the AllSpark config."""
    steps = Config.fromfile(ROOT / CONFIGS["AllSpark"]).train_cfg.max_iters
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="seed of the training (default: 0)")
    parser.add_argument("--steps", type=int, default=steps, help=f"training steps of each run (default: {steps})")
    parser.add_argument("--work-dir", type=Path, default=OUTPUT / "work_dirs/quickstart")
    parser.add_argument("--data-root", type=Path, default=OUTPUT / "data/synthetic")
    parser.set_defaults(usual_steps=steps)
    args = parser.parse_args()
    args.data_root = args.data_root.resolve()
    if args.steps < 2:
        parser.error(f"--steps {args.steps}: at least 2")
    if " " in os.path.relpath(args.data_root, OUTPUT):
        parser.error(f"--data-root {args.data_root}: mmengine's --cfg-options drop spaces; choose a path without")
    return args


def train(trainings: list[Training], args: argparse.Namespace) -> None:
    """Run the trainings at the same time."""
    threads = max(1, usable_cpus() // len(trainings))
    print(f"Training {' and '.join(CONFIGS)} at the same time, {threads} thread(s) each.")
    print("The time left depends on what else the machine does; --steps N makes it shorter. Open at any time:")
    for training in trainings:
        print(f"  {training.work_dir / 'report.html'}   (after its first validation)")
    try:
        for training in trainings:
            training.start(args, threads)
        watch(trainings, args.steps)
    except KeyboardInterrupt:
        again = f"bash tools/quickstart.sh --seed {args.seed}"
        raise SystemExit(f"\nstopped; finished runs are in {args.work_dir}; {again} starts anew") from None
    finally:
        for training in trainings:
            if training.process and training.process.poll() is None:
                training.process.terminate()


def main() -> None:
    """Make data, train, compare."""
    args, start = parse_args(), time.monotonic()
    prepare = [sys.executable, ROOT / "tools/prepare/synthetic.py", "--out", args.data_root]
    subprocess.run([*map(str, prepare)], check=True)
    work_dir = args.work_dir.resolve() / f"{time.strftime('%Y%m%d_%H%M%S')}_seed{args.seed}"
    trainings = [Training(name, ROOT / path, work_dir / Path(path).parts[1]) for name, path in CONFIGS.items()]
    train(trainings, args)
    labeled, unlabeled, val = (
        len((args.data_root / f"{part}.txt").read_text().split()) for part in ("labeled", "unlabeled", "val")
    )
    print(f"\nMeasured in this run (seed {args.seed}, {args.steps} steps, mIoU % on {val} validation images):")
    print(f"  {'supervised only':16s} {trainings[0].miou():6.2f}   {labeled} labeled images")
    print(f"  {'AllSpark':16s} {trainings[1].miou():6.2f}   the same {labeled} labeled + {unlabeled} unlabeled images")
    if args.steps < args.usual_steps:
        print(f"  (fewer than the {args.usual_steps} steps of the README's table: too few to compare)")
    print("Open in a browser, curves, IoU of each class, predictions and pseudo labels over time:")
    for training in trainings:
        print(f"  {training.work_dir / 'report.html'}")
    path = work_dir / "comparison.png"
    picture(trainings, args, path)
    print(f"Finished in {(time.monotonic() - start) / 60:.1f} minutes. Picture: image, ground truth, both predictions:")
    print(path)


if __name__ == "__main__":
    main()
