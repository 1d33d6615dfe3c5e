"""PseudoLabelStatisticsHook: what the pseudo labels look like, at every logging step."""

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_allspark.engine.log_steps import is_logging_step, per_class
from mmseg_allspark.methods import pseudo_label_statistics
from mmseg_allspark.utils.wrappers import bare_model


@HOOKS.register_module()
class PseudoLabelStatisticsHook(Hook):
    """Logs share kept, entropy, class shares and, where masks exist, agreement of the pseudo labels.

    The figures are those of rank 0's batch at the logging step; ground truth of unlabeled images is used for
    nothing else.
    """

    priority = "NORMAL"

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Compute and report at logging steps."""
        if not (is_logging_step(runner, batch_idx) and is_main_process()):
            return
        if data_batch.get("pseudo_logits") is None:
            return
        model = bare_model(runner.model)
        ignore_index = model.decode_head.ignore_index
        samples = data_batch["data_samples"]["unlabeled"]
        statistics = pseudo_label_statistics(
            model.make_pseudo_label(data_batch["pseudo_logits"], model.valid_pixels(samples)),
            _stack_truth(samples, ignore_index),
            num_classes=model.num_classes,
            ignore_index=ignore_index,
        )
        share = statistics.pop("class_share").tolist()
        scalars = {name: value.item() for name, value in statistics.items()}
        names = (runner.visualizer.dataset_meta or {}).get("classes")
        figures = ", ".join(f"{name} {value:.3f}" for name, value in scalars.items())
        runner.logger.info(f"Pseudo labels: {figures}; share: {per_class(names, share, '.3f')}")
        names = names or list(map(str, range(len(share))))
        scalars |= {f"share_{name}": value for name, value in zip(names, share, strict=True)}
        scalars = {f"pseudo/{name}": value for name, value in scalars.items()}
        runner.visualizer.add_scalars(scalars, step=runner.iter + 1)


def _stack_truth(samples: list[SegDataSample], ignore_index: int) -> Tensor | None:
    """(B, H, W) ground truth, an image without mask counting as ignored; None if no image has one."""
    masks = [sample.gt_sem_seg.data.squeeze(0) if "gt_sem_seg" in sample else None for sample in samples]
    known = next((mask for mask in masks if mask is not None), None)
    if known is None:
        return None
    return torch.stack([torch.full_like(known, ignore_index) if mask is None else mask for mask in masks])
