"""PseudoLabelReliabilityHook: how right the labels are that a run gives to images it does not learn from."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import BaseDataset, Compose
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
from mmseg_allspark.methods.joint_pass import stack_masks
from mmseg_allspark.utils.checks import Between, Count, PositiveInt, check_types
from mmseg_allspark.utils.wrappers import bare_model, eval_mode

RECORD = "reliability.json"  # in the run's time-stamped folder: one JSON object a line
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
COLUMNS = ("in force", *map(str, THRESHOLDS))
_LOADING = (LoadImageFromFile, LoadAnnotations)


@HOOKS.register_module()
class PseudoLabelReliabilityHook(Hook):
    """Holds labeled images out of the training, and says at each validation how right their pseudo labels are.

    The images go through the unlabeled pipeline, with the same random crops each time. The run's labelers label them in
    eval mode, with the alignment and the confidence rule in force; of two networks the first one does. By class of the
    label the hook gives the share of the pixels that is kept, and the share of these that is right: in force, and for
    thresholds from 0.5 to 0.99. The log and the report have all, the visualizer has those in force. It needs
    ``PseudoLabelLoop``; without it no image is held out.

    Args:
        share: Of the labeled images that is held out, rounded to whole images. Default 0.1.
        seed: Of the choice. It is not the run's, so that runs with other seeds hold out the same images. Default 0.
        min_images: Fewer are refused, as their figures mean little. Default 5.

    Raises:
        TypeError: If the labeled data set is a wrapper of others.
        ValueError: If too few images would be held out or left, if one of them is an unlabeled image, too, or if labels
            come from files.
    """

    priority = "HIGH"

    @check_types
    def __init__(
        self, share: Annotated[float, Between(0.001, 0.9)] = 0.1, seed: Count = 0, min_images: PositiveInt = 5
    ) -> None:
        self.share, self.seed, self.min_images = share, seed, min_images
        self.held_out: BaseDataset | None = None

    def hold_out(self, dataset: Dataset) -> None:
        """Take images out of the labeled data set; ``PseudoLabelLoop`` asks for it before it builds the loader."""
        if not isinstance(dataset, BaseDataset):
            raise TypeError(
                f"PseudoLabelReliabilityHook cannot divide train_dataloader.dataset.type={type(dataset).__name__}: "
                "list all labeled images in one data set, or leave the hook out."
            )
        total, number = len(dataset), round(self.share * len(dataset))
        if not self.min_images <= number < total:
            raise ValueError(
                f"PseudoLabelReliabilityHook.share={self.share} of {total} labeled images is {number}, but at least "
                f"min_images={self.min_images} have to be held out and one has to stay: change share, or leave the "
                "hook out."
            )
        order = np.random.default_rng(self.seed).permutation(total).tolist()
        self.held_out = dataset.get_subset(sorted(order[:number]))
        dataset.get_subset_(sorted(order[number:]))

    def before_train(self, runner: Runner) -> None:
        """Give the held-out images the unlabeled pipeline."""
        if self.held_out is None:
            runner.logger.warning("PseudoLabelReliabilityHook needs PseudoLabelLoop: it holds out no image here.")
            return
        loop = runner.train_loop
        if loop.pseudo_labels_from == "data":
            raise ValueError(
                "PseudoLabelReliabilityHook looks at the labels of models, but train_cfg.pseudo_labels_from='data': "
                "leave the hook out."
            )
        parts = (self.held_out, loop.dataloader.dataset)
        own, unlabeled = ({os.path.realpath(entry.image) for entry in list_files(part)} for part in parts)
        if shared := sorted(own & unlabeled):
            raise ValueError(
                f"PseudoLabelReliabilityHook: {len(shared)} of the {len(own)} held-out images are unlabeled images, "
                f"too, first: {shared[0]}. Take the labeled images off the list of unlabeled_dataloader."
            )
        unlabeled_steps = next(iter_leaves(loop.dataloader.dataset)).pipeline.transforms
        loading = [step for step in self.held_out.pipeline.transforms if isinstance(step, _LOADING)]
        self.held_out.pipeline = Compose(loading + [step for step in unlabeled_steps if not isinstance(step, _LOADING)])
        runner.logger.info(f"PseudoLabelReliabilityHook holds {len(own)} labeled images out of the training.")

    @torch.no_grad()
    def before_val(self, runner: Runner) -> None:
        """Label the held-out images and report; an ``EMAHook`` exchanges the weights only after this."""
        if self.held_out is None:
            return
        model, loop = bare_model(runner.model), runner.train_loop
        shape = (2 + len(THRESHOLDS), 2, model.num_classes)
        counts = torch.zeros(shape, dtype=torch.float64, device=next(model.parameters()).device)
        labelers = loop.find_labelers(model)
        with ExitStack() as modes:  # a teacher in train mode would change its batch-norm statistics
            for network in (model, *labelers):
                modes.enter_context(eval_mode(network))
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
        names = ["all classes", *class_names(runner, counts.shape[2])]
        pixels, right = torch.cat([counts.sum(dim=2, keepdim=True), counts], dim=2).unbind(dim=1)
        rows = {}  # by kind and class: a share for each column, None without pixels
        for kind, shares in dict(kept=pixels[1:] / pixels[0], right=right[1:] / pixels[1:]).items():
            values = [[None if value != value else value for value in row] for row in shares.T.tolist()]
            rows[kind] = dict(zip(names, values, strict=True))
        table = PrettyTable(["class", *COLUMNS])
        for name in names:
            pairs = zip(rows["kept"][name], rows["right"][name], strict=True)
            table.add_row([name, *(" / ".join("–" if v is None else f"{100 * v:.1f}" for v in pair) for pair in pairs)])
        runner.logger.info(
            f"Pseudo labels of {len(self.held_out)} held-out images: % of the pixels of a label that are kept / % of "
            f"these that are right, in force and by threshold of confidence\n{table}"
        )
        scalars = {f"reliability/{kind}_{name}": row[0] for kind in rows for name, row in rows[kind].items()}
        scalars = {key.removesuffix("_all classes"): value for key, value in scalars.items() if value is not None}
        runner.visualizer.add_scalars(scalars, step=runner.iter)
        with (Path(runner.log_dir) / RECORD).open("a") as file:
            file.write(json.dumps(dict(step=runner.iter, columns=COLUMNS, **rows)) + "\n")


def _count(model: nn.Module, labelers: Sequence[nn.Module], batch: dict) -> Tensor:
    """Counts (2 + T, 2, K) of a batch, see :func:`count_right_labels`."""
    views = batch["inputs"]
    images = views["weak"] if isinstance(views, dict) else views
    data = model.data_preprocessor(dict(inputs=images, data_samples=batch["data_samples"]), training=True)
    samples = data["data_samples"]
    logits = mean_prediction([labeler.label_unlabeled(dict(weak=data["inputs"])) for labeler in labelers])
    pseudo = model.make_pseudo_label(logits, model.valid_pixels(samples))
    truth = stack_masks(samples)
    return count_right_labels(pseudo, truth, model.num_classes, THRESHOLDS)
