"""PseudoLabelStatisticsHook: what the pseudo labels have looked like since the last line of the log."""

import math

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_allspark.engine.hooks.log_steps import class_names, is_logging_step, per_class
from mmseg_allspark.labels import count_pseudo_labels, pseudo_label_statistics
from mmseg_allspark.utils.resizing import resize_nearest
from mmseg_allspark.utils.wrappers import bare_model

_STRIDE = 4  # one pixel in 16 gives the same figures
PER_CLASS = ("share", "precision", "recall")


@HOOKS.register_module()
class PseudoLabelStatisticsHook(Hook):
    """Logs share kept, entropy, class shares and, where masks exist, agreement of the pseudo labels, also per class.

    The figures are means over rank 0's batches since the last logging step, counted on the device and read once a
    logging step; ground truth of unlabeled images is used for nothing else.
    """

    priority = "NORMAL"

    def __init__(self) -> None:
        self._counts: Tensor | int = 0

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Count, and report at logging steps."""
        if not is_main_process():
            return
        if "step" in data_batch and "pseudo" in data_batch["step"].record:
            self._counts = self._counts + _count(bare_model(runner.model), data_batch)
        if isinstance(self._counts, Tensor) and is_logging_step(runner, batch_idx):
            self._report(runner, self._counts.cpu())
            self._counts = 0

    def _report(self, runner: Runner, counts: Tensor) -> None:
        names = class_names(runner, counts.shape[2])
        statistics = {name: value.tolist() for name, value in pseudo_label_statistics(counts).items()}
        means = {name: value for name, value in statistics.items() if name not in PER_CLASS}
        classes = {name: value for name, value in statistics.items() if name in PER_CLASS}
        figures = ", ".join(f"{name} {value:.3f}" for name, value in means.items())
        lists = "".join(f"; {name}: {per_class(names, value, '.3f')}" for name, value in classes.items())
        runner.logger.info(f"Pseudo labels: {figures}{lists}")
        scalars = {f"pseudo/{name}": value for name, value in means.items()}
        for figure, values in classes.items():
            scalars |= {f"pseudo/{figure}_{name}": value for name, value in zip(names, values, strict=True)}
        scalars = {name: value for name, value in scalars.items() if not math.isnan(value)}
        runner.visualizer.add_scalars(scalars, step=runner.iter + 1)


@torch.no_grad()
def _count(model: torch.nn.Module, data_batch: dict) -> Tensor:
    """Pixels by truth and label, (3, K + 1, K)."""
    pseudo = data_batch["step"].record["pseudo"]
    truth = _stack_truth(data_batch["data_samples"]["unlabeled"], model.decode_head.ignore_index)
    if truth is not None:
        if truth.shape != pseudo.label.shape:  # the method labels at the resolution of the logits
            truth = resize_nearest(truth, pseudo.label.shape[1:])
        truth = truth[:, ::_STRIDE, ::_STRIDE]
    return count_pseudo_labels(pseudo.thin(_STRIDE), truth, model.num_classes)


def _stack_truth(samples: list[SegDataSample], ignore_index: int) -> Tensor | None:
    """(B, H, W) ground truth, an image without mask counting as ignored; None if no image has one."""
    masks = [sample.gt_sem_seg.data.squeeze(0) if "gt_sem_seg" in sample else None for sample in samples]
    known = next((mask for mask in masks if mask is not None), None)
    if known is None:
        return None
    return torch.stack([torch.full_like(known, ignore_index) if mask is None else mask for mask in masks])
