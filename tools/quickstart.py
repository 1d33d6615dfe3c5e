"""Train supervised-only and AllSpark side by side on the embedded data set and compare them.

Both runs use tools/train.py, the standard runner, with their config under configs/; this script only starts
them at the same time, shows how far they are, and puts what they measured into a table and a picture.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# what is made stays in the checkout; an installed package is no place for it
OUTPUT = ROOT if (ROOT / "setup.py").is_file() else Path.cwd()
sys.path.insert(0, str(ROOT))

CONFIGS = {
    "supervised only": "configs/supervised/resnet18-tiny_synthetic.py",
    "AllSpark": "configs/allspark/resnet18-tiny_synthetic.py",
}
NUM_PICTURES = 4
POLL_SECONDS = 2.0
REPORT_SECONDS = 10.0


def schedule(config: Path, steps: int) -> list[str]:
    """Options that stretch a config's schedule to another number of steps."""
    from _schedule import steps_options, to_arguments
    from mmengine.config import Config

    return to_arguments(steps_options(Config.fromfile(config), steps)[1])


@dataclass
class Run:
    """One training process and what it has reported so far."""

    name: str
    config: Path
    work_dir: Path
    steps: int
    process: subprocess.Popen = field(init=False)
    log: Path = field(init=False)

    def start(self, *, seed: int, data_root: Path, threads: int) -> None:
        """Start tools/train.py; its output goes to ``train.log`` in the work directory."""
        self.work_dir.mkdir(parents=True, exist_ok=True)
        self.log = self.work_dir / "train.log"
        options = [f"randomness.seed={seed}", f"train_cfg.max_iters={self.steps}"]
        options += schedule(self.config, self.steps)
        loaders = ["train_dataloader", "val_dataloader", "test_dataloader"]
        loaders += ["unlabeled_dataloader"] if self.config.parent.name == "allspark" else []
        # relative to the working directory: --cfg-options drop the spaces that a checkout's path may have
        root = os.path.relpath(data_root, OUTPUT)
        options += [f"{loader}.dataset.data_root={root}" for loader in loaders]
        command = [sys.executable, ROOT / "tools/train.py", self.config, "--work-dir", self.work_dir]
        threads_env = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*map(str, command), "--cfg-options", *options],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=OUTPUT,
                env=os.environ | threads_env,
            )

    def scalars(self) -> list[dict]:
        """Everything the visualizer of this run has written."""
        files = sorted(self.work_dir.glob("*/vis_data/scalars.json"))
        lines = files[-1].read_text().splitlines() if files else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def step(self) -> int:
        """Steps done."""
        return max((int(entry["step"]) for entry in self.scalars() if "loss" in entry), default=0)

    def miou(self) -> float | None:
        """The last validation's mIoU in percent."""
        values = [entry["mIoU"] for entry in self.scalars() if "mIoU" in entry]
        return values[-1] if values else None


def watch(runs: list[Run]) -> None:
    """Report progress and remaining time until all runs end.

    Raises:
        RuntimeError: If a run fails; the end of its log is part of the message.
    """
    start = last = time.monotonic()
    first: dict[str, tuple[float, int]] = {}  # when each run was first seen to have done some steps, and how many
    while any(run.process.poll() is None for run in runs):
        time.sleep(POLL_SECONDS)
        for run in runs:
            if run.process.poll() not in (None, 0):
                tail = "\n".join(run.log.read_text().splitlines()[-15:])
                raise RuntimeError(f"'{run.name}' failed, see {run.log}:\n{tail}")
        now = time.monotonic()
        if now - last < REPORT_SECONDS:
            continue
        last = now
        steps = {run.name: run.step() for run in runs}
        for run in runs:
            if steps[run.name]:
                first.setdefault(run.name, (now, steps[run.name]))
        parts = [f"{run.name} {steps[run.name]}/{run.steps}" for run in runs]
        print(f"[{now - start:4.0f} s] {', '.join(parts)} - {remaining(runs, steps, first, now)}")


def remaining(runs: list[Run], steps: dict[str, int], first: dict[str, tuple[float, int]], now: float) -> str:
    """Say how long the slowest run will still take, at its speed since its first steps."""
    left = 0.0
    for run in runs:
        since, done = first.get(run.name, (now, 0))
        if steps[run.name] == done:
            return "measuring the speed ..."
        left = max(left, (now - since) / (steps[run.name] - done) * (run.steps - steps[run.name]))
    return f"about {left / 60:.1f} min left"


def picture(runs: list[Run], data_root: Path, path: Path) -> None:
    """Draw image, ground truth and each run's prediction for some validation images."""
    import numpy as np
    from mmseg.apis import inference_model, init_model
    from PIL import Image

    from mmseg_allspark.datasets import SyntheticDataset
    from mmseg_allspark.report.label_pictures import colour_labels, fit, join_panels

    names = (data_root / "val.txt").read_text().split()[:NUM_PICTURES]
    images = [data_root / "images" / f"{name}.png" for name in names]
    masks = [np.asarray(Image.open(data_root / "masks" / f"{name}.png")) for name in names]
    label_maps = {"ground truth": masks}
    for run in runs:
        model = init_model(str(run.config), str(run.work_dir / f"iter_{run.steps}.pth"), device="cpu")
        predictions = [inference_model(model, str(image)).pred_sem_seg.data[0].numpy() for image in images]
        label_maps[f"{run.name}: {run.miou():.1f} mIoU"] = predictions
    meta, side = SyntheticDataset.METAINFO, 224
    columns = {"image": [fit(np.asarray(Image.open(image).convert("RGB")), side, smooth=True) for image in images]}
    for title, maps in label_maps.items():
        columns[title] = [fit(colour_labels(labels, meta["palette"]), side, smooth=False) for labels in maps]
    legend = dict(zip(meta["classes"], meta["palette"], strict=True))
    Image.fromarray(join_panels(columns, legend)).save(path)


def parse_args() -> argparse.Namespace:
    """Read the command line; ``usual_steps`` are those of the AllSpark config."""
    from mmengine.config import Config

    steps = Config.fromfile(ROOT / CONFIGS["AllSpark"]).train_cfg.max_iters
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="seed of the training (default: 0)")
    parser.add_argument("--steps", type=int, default=steps, help=f"training steps of each run (default: {steps})")
    parser.add_argument("--work-dir", type=Path, default=OUTPUT / "work_dirs/quickstart")
    parser.add_argument("--data-root", type=Path, default=OUTPUT / "data/synthetic")
    parser.set_defaults(usual_steps=steps)
    args = parser.parse_args()
    if args.steps < 2:
        parser.error(f"--steps {args.steps}: at least 2")
    if " " in os.path.relpath(args.data_root, OUTPUT):
        parser.error(f"--data-root {args.data_root}: mmengine's --cfg-options drop spaces; choose a path without")
    return args


def main() -> None:
    """Make data, train, compare."""
    import mmseg_allspark  # noqa: F401

    args = parse_args()
    start = time.monotonic()
    prepare = [sys.executable, ROOT / "tools/prepare/synthetic.py", "--out", args.data_root]
    subprocess.run([*map(str, prepare)], check=True)
    stamp = time.strftime("%Y%m%d_%H%M%S")
    work_dir = args.work_dir.resolve() / f"{stamp}_seed{args.seed}"
    runs = [Run(name, ROOT / config, work_dir / Path(config).parts[1], args.steps) for name, config in CONFIGS.items()]
    threads = max(1, (os.cpu_count() or 2) // len(runs))
    print(f"Training {' and '.join(run.name for run in runs)} at the same time, {threads} thread(s) each.")
    print("The time left depends on what else the machine does; --steps N makes it shorter. Open at any time:")
    for run in runs:
        print(f"  {run.work_dir / 'report.html'}   (after its first validation)")
    try:
        for run in runs:
            run.start(seed=args.seed, data_root=args.data_root.resolve(), threads=threads)
        watch(runs)
    except KeyboardInterrupt:
        again = f"bash tools/quickstart.sh --seed {args.seed}"
        raise SystemExit(
            f"\nstopped; finished runs are in {args.work_dir}; go on with {again} (it starts anew)"
        ) from None
    finally:
        for run in runs:
            if run.process.poll() is None:
                run.process.terminate()
    labeled, unlabeled, val = (
        len((args.data_root / f"{part}.txt").read_text().split()) for part in ("labeled", "unlabeled", "val")
    )
    print(f"\nMeasured in this run (seed {args.seed}, {args.steps} steps, mIoU % on {val} validation images):")
    print(f"  {'supervised only':16s} {runs[0].miou():6.2f}   {labeled} labeled images")
    print(f"  {'AllSpark':16s} {runs[1].miou():6.2f}   the same {labeled} labeled + {unlabeled} unlabeled images")
    if args.steps < args.usual_steps:
        print(f"  (fewer than the {args.usual_steps} steps of the README's table: too few to compare)")
    print("Open in a browser, curves, IoU of each class, predictions and pseudo labels over time:")
    for run in runs:
        print(f"  {run.work_dir / 'report.html'}")
    path = work_dir / "comparison.png"
    picture(runs, args.data_root, path)
    print(f"Finished in {(time.monotonic() - start) / 60:.1f} minutes. Picture: image, ground truth, both predictions:")
    print(path)


if __name__ == "__main__":
    main()
