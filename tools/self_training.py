"""Self-training in stages, as ST++: train, rank the unlabeled images, label the reliable ones, retrain, and so on.

    python tools/self_training.py CONFIG [--work-dir DIR] [--steps N] [--gpus N] [--device DEVICE]
        [--cfg-options KEY=VALUE ...]

CONFIG trains on labels from files (LoadPseudoLabel); its top-level dict self_training says how the stages differ, see
mmseg_allspark.engine.SelfTraining. Each training is a run of tools/train.py, or of tools/dist_train.sh with --gpus 2
or more, in a folder of its own below DIR: supervised, retrain_reliable, retrain_all. Images are ranked and labeled on
one device. DIR/labels has the labels, DIR/reliability.csv each image's reliability, DIR/reliable.txt and
DIR/unreliable.txt the two halves. The last training's best or last checkpoint is the result.

Unlabeled images that cannot be read are left out, with a warning, and listed in DIR/unreadable.txt; LoadImage's
unreadable='stop' in the unlabeled pipeline stops at the first.

After an interruption the same command goes on: finished stages are left alone, a training resumes from its last
checkpoint, and images that have labels are not labeled again. The result is that of an undisturbed run, on the CPU bit
by bit.
"""

from __future__ import annotations

import argparse
import csv
import gc
import io
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# a checkout needs no installation of the plugin
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import mmseg_allspark  # noqa: F401

# isort: split
import cv2
import numpy as np
import torch
from _common import load_config, require_file
from _errors import ROOT, Parser, errors_in_one_line, say
from _schedule import steps_options
from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope
from rich.progress import track

from mmseg_allspark.engine import SelfTraining, Stage
from mmseg_allspark.engine.checkpoint.resume_point import best_checkpoint, find_resume_point
from mmseg_allspark.engine.self_training import label_path, list_unlabeled, on_unreadable
from mmseg_allspark.inference import MultiScale, SegInferencer
from mmseg_allspark.inference.inferencer import Prediction
from mmseg_allspark.labels import image_reliability, split_by_reliability
from mmseg_allspark.utils.files import write_whole


class Stages:
    """Does the stages of one self-training.

    Args:
        cfg: The config.
        work_dir: Folder of the whole.
        gpus: Processes of a training.
        device: That ranks and labels; None: a GPU if there is one.
        steps: Iterations of each training; None: as the config says.
    """

    def __init__(self, cfg: Config, work_dir: Path, gpus: int, device: str | None, steps: int | None = None) -> None:
        if not cfg.get("self_training"):
            raise ValueError(
                "The config has no self_training: add self_training=dict(supervised=dict(train_cfg=...)), see "
                "configs/stpp."
            )
        self.cfg, self.work_dir, self.gpus, self.device, self.steps = cfg, work_dir.resolve(), gpus, device, steps
        self.plan = SelfTraining(**cfg.self_training)
        self.labels, self.unreadable = self.work_dir / "labels", on_unreadable(cfg)

    def run(self) -> Path:
        """Do what is left to do.

        Returns:
            The checkpoint of the last training.

        Raises:
            ValueError: If the folder has stages of another config.
        """
        self.require_same_config()
        init_default_scope(self.cfg.get("default_scope", "mmseg"))
        if not (self.work_dir / "all.txt").is_file():
            self.write_list("all", list_unlabeled(self.cfg))
        for number, stage in enumerate(self.plan.stages, start=1):
            done = self.work_dir / "done" / stage.name
            where = f"stage {number} of {len(self.plan.stages)}, {stage.name}"
            if done.is_file():
                say(f"{where}: done before")
                continue
            say(where)
            getattr(self, stage.kind)(stage)
            write_whole("", done)
        return self.checkpoint(self.plan.stages[-1].name)

    def require_same_config(self) -> None:
        """Keep the config beside the stages, and refuse another one."""
        path, text = self.work_dir / "config.py", self.cfg.pretty_text
        if self.steps:
            text += f"\n# --steps {self.steps}\n"
        if path.is_file() and path.read_text(encoding="utf-8") != text:
            raise ValueError(
                f"{self.work_dir} has stages of another config, see {path}: give another --work-dir, or delete the "
                "folder to start anew."
            )
        write_whole(text, path)

    def supervised(self, stage: Stage) -> None:
        """Train on the labeled images."""
        self.train(stage, self.plan.supervised_config(self.cfg))

    def retrain(self, stage: Stage) -> None:
        """Train on labeled and pseudo-labeled images, from the config's start weights."""
        images = self.write_list(stage.name, self.read_list(stage.images))
        self.train(stage, self.plan.retraining_config(self.cfg, images, self.labels))

    def select(self, stage: Stage) -> None:
        """Rank the images by the agreement of the snapshots with the last checkpoint."""
        folder = self.work_dir / stage.labeler
        snapshots = [folder / f"snapshot_{number}.pth" for number in range(1, len(self.plan.snapshots) + 1)]
        models = [self.load(stage.labeler, path) for path in (*snapshots, find_resume_point(folder).checkpoint)]
        num_classes, images = len(models[0].model.dataset_meta["classes"]), self.read_list(stage.images)
        values, ranked, streams = [], [], [model.stream(images, unreadable=self.unreadable) for model in models]
        for predictions in track(zip(*streams, strict=True), description="ranking", total=len(images)):
            if self.leaves_out(predictions[0]):
                continue
            *earlier, last = (torch.from_numpy(prediction.labels) for prediction in predictions)
            values.append(image_reliability(earlier, last, num_classes))
            ranked.append(predictions[0].source)
        reliable, unreliable = split_by_reliability(values, self.plan.reliable_share)
        if not reliable:
            raise ValueError(
                f"self_training.reliable_share={self.plan.reliable_share} of {len(ranked)} unlabeled images is none: "
                "raise it, or set self_training.select='none'."
            )
        table = io.StringIO(newline="")
        rows = [(ranked[index], values[index]) for index in reliable + unreliable]
        csv.writer(table).writerows([("image", "reliability"), *rows])
        write_whole(table.getvalue(), self.work_dir / "reliability.csv")
        self.write_list("reliable", [ranked[index] for index in reliable])
        self.write_list("unreliable", [ranked[index] for index in unreliable])
        say(f"mean reliability {np.mean(values):.3f}; {len(reliable)} reliable images, {len(unreliable)} others")

    def label(self, stage: Stage) -> None:
        """Write the labels of images that have none yet."""
        targets = {image: label_path(self.labels, image) for image in self.read_list(stage.images)}
        missing = [image for image, target in targets.items() if not target.is_file()]
        labeler = self.load(stage.labeler, self.checkpoint(stage.labeler))
        if len(labeler.model.dataset_meta["classes"]) > 255:
            raise ValueError("Labels are files of 8 bits, so self-training needs at most 255 classes.")
        labeler.model.inference = MultiScale(labeler.model.inference, self.plan.scales, self.plan.flip)
        stream = labeler.stream(missing, unreadable=self.unreadable)
        for prediction in track(stream, description="labeling", total=len(missing)):
            if self.leaves_out(prediction):
                continue
            picture = cv2.imencode(".png", prediction.labels.astype(np.uint8))[1]
            write_whole(picture.tobytes(), targets[prediction.source])

    def train(self, stage: Stage, cfg: Config) -> None:
        """Run a training, or the rest of it.

        Raises:
            RuntimeError: If it fails.
        """
        gc.collect()  # the models that ranked and labeled, and below their GPU's memory
        torch.cuda.empty_cache()
        path, folder = self.work_dir / f"{stage.name}.py", self.work_dir / stage.name
        if self.steps:
            length, phases = steps_options(cfg, self.steps)
            cfg.merge_from_dict(length | phases)
        write_whole(cfg.pretty_text, path)
        code = run_training(path, folder, self.gpus)
        if code:
            raise RuntimeError(
                f"The training {stage.name} ended with exit code {code}, see above and {folder}. The same command goes "
                "on from there."
            )

    def load(self, training: str, checkpoint: str | Path) -> SegInferencer:
        """A model of one of the trainings."""
        return SegInferencer(self.work_dir / f"{training}.py", checkpoint, device=self.device)

    def checkpoint(self, training: str) -> str | Path:
        """The checkpoint that labels: the best where there is one and the config asks for it, else the last."""
        folder = self.work_dir / training
        best = best_checkpoint(folder) if self.plan.labeler == "best" else None
        return best or find_resume_point(folder).checkpoint

    def leaves_out(self, prediction: Prediction) -> bool:
        """Whether an image could not be read; it is named, and belongs to no list from now on.

        Raises:
            ValueError: If this holds for most images.
        """
        if prediction.error is None:
            return False
        left_out = [*self.left_out(), prediction.source]
        number = len(self.read_list("all")) + len(left_out) - 1
        if 2 * len(left_out) > number:
            raise ValueError(
                f"{len(left_out)} of {number} unlabeled images cannot be read, the last: {prediction.error} Look "
                "at all with tools/prepare/check_data.py CONFIG."
            )
        self.write_list("unreadable", left_out)
        say(f"Left out: {prediction.error} To stop instead: LoadImage(unreadable='stop').")
        return True

    def left_out(self) -> list[str]:
        """Paths of the images that could not be read."""
        path = self.work_dir / "unreadable.txt"
        return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []

    def read_list(self, name: str) -> list[str]:
        """Paths of one of the lists of images, without those that could not be read."""
        images, left_out = (self.work_dir / f"{name}.txt").read_text(encoding="utf-8"), set(self.left_out())
        return [image for image in images.splitlines() if image not in left_out]

    def write_list(self, name: str, images: Sequence[str]) -> Path:
        """Write a list of images, refusing two whose labels would be one file; return its path.

        Raises:
            ValueError: Naming the file.
        """
        seen: dict[Path, str] = {}
        for image in images:
            target = label_path(self.labels, image)
            if target in seen:
                raise ValueError(
                    f"{image} and {seen[target]} would share the labels {target}: rename one of them, or a folder."
                )
            seen[target] = image
        path = self.work_dir / f"{name}.txt"
        write_whole("\n".join(images) + "\n", path)
        return path


def run_training(config: Path, folder: Path, gpus: int) -> int:
    """Train in processes of their own, so that nothing of one training is left in the next; return the exit code."""
    options = ["--work-dir", str(folder), "--resume"]
    if gpus == 1:
        command = [sys.executable, str(ROOT / "tools/train.py"), str(config), *options]
    else:
        command = ["bash", str(ROOT / "tools/dist_train.sh"), str(config), str(gpus), *options]
    return subprocess.run(command, env=os.environ | dict(PYTHON=sys.executable), check=False).returncode


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", metavar="CONFIG", help="config file with self_training")
    parser.add_argument("--work-dir", help="folder of all stages (default: work_dirs/<config name>)")
    parser.add_argument("--steps", type=int, help="iterations of each training, with its schedule in proportion")
    parser.add_argument("--gpus", type=int, default=1, help="processes of each training (default: 1)")
    parser.add_argument("--device", help="that ranks and labels: cpu, cuda:0 ... (default: a GPU if there is one)")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="change settings: nested.key=value ...")
    args = parser.parse_args(argv, argparse.Namespace(launcher="none", local_rank=0))
    require_file(parser, args.config, "config")
    for name, least in (("gpus", 1), ("steps", 2)):
        if getattr(args, name) is not None and getattr(args, name) < least:
            parser.error(f"--{name} {getattr(args, name)}: at least {least}")
    if lengths := {"train_cfg.max_iters", "train_cfg.max_epochs"} & set(args.cfg_options or ()):
        parser.error(f"--cfg-options {min(lengths)}: the first training has its own. Set the length of all by --steps.")
    return args


@errors_in_one_line
def main(argv: Sequence[str] | None = None) -> int:
    """Do all stages that are left; return the exit code."""
    args = parse_args(argv)
    cfg = load_config(args)
    work_dir = Path(cfg.work_dir)
    for key in ("work_dir", "experiment_name", "launcher"):  # each training has its own
        cfg.pop(key, None)
    say(f"result: {Stages(cfg, work_dir, args.gpus, args.device, args.steps).run()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
