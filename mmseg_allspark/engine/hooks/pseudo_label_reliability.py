"""PseudoLabelReliabilityHook: how right the labels are that the run gives to images it does not learn from."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import Compose
from mmengine.dist import all_reduce, get_rank, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import HOOKS
from prettytable import PrettyTable
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mmseg_allspark.datasets.checks import list_files
from mmseg_allspark.datasets.parts import iter_leaves
from mmseg_allspark.engine.hooks.log_steps import class_names
from mmseg_allspark.engine.randomness import RandomStream
from mmseg_allspark.labels import count_right_labels, mean_prediction
from mmseg_allspark.utils.checks import Between, Count, PositiveInt, check_types
from mmseg_allspark.utils.wrappers import bare_model, eval_mode

RECORD = "reliability.json"  # in the run's time-stamped folder: one JSON object a line
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_LOADING = (LoadImageFromFile, LoadAnnotations)


@HOOKS.register_module()
class PseudoLabelReliabilityHook(Hook):
    """Holds labeled images out of the training, and says at each validation how right their pseudo labels are.

    The images go through the unlabeled pipeline, with the same random crops each time, and are labeled in eval mode by
    the run's labelers, with the alignment and the confidence rule in force. The log has for each class the share of
    the pixels of this label that is kept and the share of those that is right, in force and for some thresholds;
    the visualizer has those in force, and the report has all. Of two networks the first one labels. Use it with
    ``PseudoLabelLoop``; supervised trainings keep all images.

    Args:
        share: Of the labeled images that is held out, rounded to whole images. Default 0.1.
        seed: Of the choice. It is not the run's, so that runs with other seeds hold out the same images. Default 0.
        min_images: Fewer are refused: their figures mean little. Default 5.

    Raises:
        TypeError: If the labeled data set is none of mmengine's ``BaseDataset``, which can be divided.
        ValueError: If too few images would be held out or left, if a held-out image is also an unlabeled one, or if
            labels come from files.
    """

    priority = "HIGH"

    @check_types
    def __init__(
        self, share: Annotated[float, Between(0.001, 0.9)] = 0.1, seed: Count = 0, min_images: PositiveInt = 5
    ) -> None:
        self.share, self.seed, self.min_images = share, seed, min_images
        self.held_out: Dataset | None = None

    def hold_out(self, dataset: Dataset) -> None:
        """Take the held-out images out of the labeled data set; ``PseudoLabelLoop`` asks before it builds the loader.

        Args:
            dataset: The labeled images, which become fewer.
        """
        if not hasattr(dataset, "get_subset_") or hasattr(dataset, "datasets") or hasattr(dataset, "dataset"):
            raise TypeError(
                f"train_dataloader.dataset.type={type(dataset).__name__} cannot be divided: list all labeled images in "
                "one data set, or leave PseudoLabelReliabilityHook out."
            )
        total = len(dataset)
        number = round(self.share * total)
        if number < self.min_images or number >= total:
            raise ValueError(
                f"PseudoLabelReliabilityHook.share={self.share} of {total} labeled images holds out {number}, but at "
                f"least min_images={self.min_images} are needed and one has to stay: change share, or leave the hook "
                "out."
            )
        order = np.random.default_rng(self.seed).permutation(total).tolist()
        self.held_out = dataset.get_subset(sorted(order[:number]))
        dataset.get_subset_(sorted(order[number:]))

    def before_train(self, runner: Runner) -> None:
        """Give the held-out images the unlabeled pipeline."""
        if self.held_out is None:
            runner.logger.warning(
                "PseudoLabelReliabilityHook does nothing without PseudoLabelLoop: no image is held out."
            )
            return
        loop = runner.train_loop
        if loop.pseudo_labels_from == "data":
            raise ValueError(
                "PseudoLabelReliabilityHook looks at labels of models, but train_cfg.pseudo_labels_from='data': leave "
                "the hook out."
            )
        names, unlabeled = (
            {os.path.realpath(entry.image) for entry in list_files(part)}
            for part in (self.held_out, loop.dataloader.dataset)
        )
        if shared := sorted(names & unlabeled):
            raise ValueError(
                f"PseudoLabelReliabilityHook: {len(shared)} of {len(names)} held-out images are unlabeled ones, too, "
                f"first: {shared[0]}. Take the labeled images off the list of unlabeled_dataloader."
            )
        labeled, geometry = self.held_out.pipeline.transforms, next(iter_leaves(loop.dataloader.dataset)).pipeline
        loading = [step for step in labeled if isinstance(step, _LOADING)]
        self.held_out.pipeline = Compose(
            loading + [step for step in geometry.transforms if not isinstance(step, _LOADING)]
        )
        runner.logger.info(f"PseudoLabelReliabilityHook holds {len(names)} labeled images out of the training.")

    @torch.no_grad()
    def before_val(self, runner: Runner) -> None:
        """Label the held-out images and report; an ``EMAHook`` exchanges the weights only afterwards."""
        if self.held_out is None:
            return
        model, loop = bare_model(runner.model), runner.train_loop
        shape = (2 + len(THRESHOLDS), 2, model.num_classes)
        counts = torch.zeros(shape, dtype=torch.float64, device=next(model.parameters()).device)
        with eval_mode(model):
            labelers = loop.find_labelers(model)
            for batch in self._batches(loop.dataloader):
                counts += _count(model, labelers, batch)
        all_reduce(counts)
        if is_main_process():
            self._report(runner, counts.cpu())

    def _batches(self, loader: DataLoader) -> Iterator[dict]:
        """This rank's part of the images, in batches as the unlabeled loader's."""
        stream, size = RandomStream("unlabeled", self.seed, 0), loader.batch_sampler.batch_size
        own = range(get_rank(), len(self.held_out), get_world_size())
        for start in range(0, len(own), size):
            samples = []
            for index in own[start : start + size]:
                with stream.seeded_sample(index):
                    samples.append(self.held_out[index])
            yield loader.collate_fn(samples)

    def _report(self, runner: Runner, counts: Tensor) -> None:
        """Write the shares into log, visualizer and record; the first row is for all classes."""
        names = class_names(runner, counts.shape[2])
        counts = torch.cat([counts.sum(dim=2, keepdim=True), counts], dim=2)
        pixels, right = counts.unbind(dim=1)
        shares = dict(kept=pixels[1:] / pixels[0], right=right[1:] / pixels[1:])  # (1 + T, 1 + K), NaN without pixels
        rows = {
            kind: dict(zip(["all classes", *names], values.T.tolist(), strict=True)) for kind, values in shares.items()
        }
        table = PrettyTable(["class", "in force", *THRESHOLDS])
        for name in rows["kept"]:
            pairs = zip(rows["kept"][name], rows["right"][name], strict=True)
            table.add_row([name, *(f"{100 * kept:.0f} / {100 * right:.0f}" for kept, right in pairs)])
        runner.logger.info(
            f"Reliability of the pseudo labels, {len(self.held_out)} held-out images: % of the pixels of a label that are "
            f"kept / % of these that are right, in force and by threshold of confidence\n{table}"
        )
        scalars = {f"reliability/{kind}_{name}": row[0] for kind in rows for name, row in rows[kind].items()}
        scalars = {name.removesuffix("_all classes"): value for name, value in scalars.items() if value == value}
        runner.visualizer.add_scalars(scalars, step=runner.iter)
        columns = ["in force", *map(str, THRESHOLDS)]
        with (Path(runner.log_dir) / RECORD).open("a") as file:
            file.write(json.dumps(dict(step=runner.iter, columns=columns, **rows)) + "\n")


def _count(model: nn.Module, labelers: Sequence[nn.Module], batch: dict) -> Tensor:
    """Counts (2 + T, 2, K) of a batch, see :func:`count_right_labels`."""
    views = batch["inputs"]
    images = views["weak"] if isinstance(views, dict) else views
    data = model.data_preprocessor(dict(inputs=images, data_samples=batch["data_samples"]), training=True)
    samples = data["data_samples"]
    logits = mean_prediction([labeler.label_unlabeled(dict(weak=data["inputs"])) for labeler in labelers])
    pseudo = model.make_pseudo_label(logits, model.valid_pixels(samples))
    truth = torch.cat([sample.gt_sem_seg.data for sample in samples])
    return count_right_labels(pseudo, truth, model.num_classes, THRESHOLDS)
