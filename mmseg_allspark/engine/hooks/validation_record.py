"""ValidationRecordHook: per-class IoU, confusion matrix and the same few predictions at every validation."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import all_reduce, get_rank, get_world_size, is_main_process
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_allspark.engine.hooks.drawing import DrawingHook
from mmseg_allspark.report.label_pictures import colour_labels, fit
from mmseg_allspark.utils.checks import Count, PositiveInt, check_types
from mmseg_allspark.utils.images import class_palette, to_picture

RECORD = "validations.json"  # in the run's time-stamped folder: one JSON object a line, as mmengine's scalars.json


@HOOKS.register_module()
class ValidationRecordHook(DrawingHook):
    """Keeps of each validation what mmseg's ``IoUMetric`` prints or drops.

    Figures ``IoU/<class>`` in percent go to the visualizer, a line with the confusion matrix (pixels, rows ground
    truth, columns prediction) to ``<work_dir>/<time>/validations.json``, and pictures of the same few images to the
    visualizer. Counts are those of the metric: all ranks, and images that a sampler repeats to fill up the last batch
    count once. Works for supervised training as well.

    Args:
        num_images: Pictures, evenly spaced over rank 0's images. 0: none. Default 4.
        ignore_index: Label that counts nowhere, as in ``IoUMetric``. Default 255.
        side: Longer side of a picture in pixels. Default 256.
    """

    priority = "NORMAL"

    @check_types
    def __init__(self, num_images: Count = 4, ignore_index: int = 255, side: PositiveInt = 256) -> None:
        self.num_images, self.ignore_index, self.side = num_images, ignore_index, side
        self._shown: set[str] = set()  # image and ground truth of these are there

    def before_val_epoch(self, runner: Runner) -> None:
        """Start at zero."""
        meta = runner.val_dataloader.dataset.metainfo
        self._classes = meta["classes"]
        self._palette = class_palette(meta.get("palette"), len(self._classes))
        size, device = len(self._classes), next(runner.model.parameters()).device
        # a last row for labels that are no class: they count as predictions, as in IoUMetric
        self._counts = torch.zeros((size + 1) * size, dtype=torch.int64, device=device)
        self._seen = 0
        last = len(runner.val_dataloader) - 1
        self._drawn = set(np.linspace(0, last, min(self.num_images, last + 1)).round().astype(int).tolist())
        self._samples: list[dict[str, str]] = []

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence[SegDataSample] | None = None,
    ) -> None:
        """Count, and draw the first image of some batches."""
        for sample in outputs:
            # samplers deal images in turn and begin again to fill up: IoUMetric drops the same ones
            is_new = self._seen * get_world_size() + get_rank() < len(runner.val_dataloader.dataset)
            self._seen += 1
            if is_new and "gt_sem_seg" in sample:
                self._count(sample.pred_sem_seg.data, sample.gt_sem_seg.data)
        if batch_idx in self._drawn and is_main_process():
            with self.drawing(runner):
                self._draw(runner, data_batch["inputs"][0], outputs[0])

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Write what was counted."""
        all_reduce(self._counts)
        if not is_main_process():
            return
        matrix = self._counts.view(-1, len(self._classes)).cpu()
        hits = matrix.diagonal()
        unions = matrix[:-1].sum(dim=1) + matrix.sum(dim=0) - hits
        pairs = zip(hits.tolist(), unions.tolist(), strict=True)
        iou = [round(100 * hit / union, 2) if union else None for hit, union in pairs]  # None: class is nowhere
        scalars = {f"IoU/{name}": value for name, value in zip(self._classes, iou, strict=True) if value is not None}
        runner.visualizer.add_scalars(scalars, step=runner.iter)
        entry = dict(
            step=runner.iter,
            classes=list(self._classes),
            palette=self._palette,
            iou=iou,
            confusion=matrix[:-1].tolist(),
            samples=self._samples,
        )
        with (Path(runner.log_dir) / RECORD).open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def _count(self, prediction: Tensor, truth: Tensor) -> None:
        size = len(self._classes)
        truth, prediction = truth.to(prediction).long().flatten(), prediction.long().flatten()
        row = torch.where((truth >= 0) & (truth < size), truth, size)
        counts = (truth != self.ignore_index).long()  # added where they stand: boolean indexing waits for the GPU
        self._counts.scatter_add_(0, row * size + prediction, counts)

    def _draw(self, runner: Runner, image: Tensor, sample: SegDataSample) -> None:
        """Add the prediction, and once image and ground truth, as pictures of one size."""
        name = f"val{len(self._samples)}"
        self._samples.append(dict(name=name, image=Path(getattr(sample, "img_path", "")).name))
        labels = {"prediction": (sample.pred_sem_seg, None)}
        if name not in self._shown:
            self._shown.add(name)
            picture = fit(to_picture(image), self.side, smooth=True)
            runner.visualizer.add_image(f"{name}_image", picture, step=runner.iter)
            if "gt_sem_seg" in sample:
                labels["truth"] = (sample.gt_sem_seg, self.ignore_index)
        for part, (segmentation, ignored) in labels.items():
            colours = colour_labels(segmentation.data.squeeze(0).cpu().numpy(), self._palette, ignored)
            picture = fit(colours, self.side, smooth=False)
            runner.visualizer.add_image(f"{name}_{part}", picture, step=runner.iter)
