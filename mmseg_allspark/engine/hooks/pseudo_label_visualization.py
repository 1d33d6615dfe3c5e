"""PseudoLabelVisualizationHook: pictures of the pseudo labels, for every backend of the visualizer."""

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor, nn

from mmseg_allspark.engine.hooks.drawing import DrawingHook
from mmseg_allspark.engine.hooks.log_steps import class_names
from mmseg_allspark.methods import SemiBatch
from mmseg_allspark.report.label_pictures import class_legend, colour_confidence, colour_labels, fit, join_panels
from mmseg_allspark.utils.checks import PositiveInt, check_types
from mmseg_allspark.utils.images import class_palette, to_picture
from mmseg_allspark.utils.wrappers import bare_model

PICTURE = "pseudo_labels"  # LocalVisBackend makes a file name of it, so no "/"


@HOOKS.register_module()
class PseudoLabelVisualizationHook(DrawingHook):
    """Draws what the model learns from unlabeled images, every so many iterations.

    One picture a time goes to ``runner.visualizer.add_image``, and so to each of its backends (files, TensorBoard,
    Weights & Biases ...). A row is an unlabeled image of rank 0's step: its weak view, the pseudo label, the part that
    counts in the loss (white: does not; left out where every pixel counts), the confidence (dark: unsure) and, where a
    mask happens to exist, the ground truth. Other iterations cost nothing. Without pseudo labels nothing is drawn.

    Args:
        interval: Iterations between pictures. Default 500.
        num_images: Images of the step to draw, at most. Default 4.
        side: Longer side of a panel in pixels. Default 192.
    """

    priority = "NORMAL"

    @check_types
    def __init__(self, interval: PositiveInt = 500, num_images: PositiveInt = 4, side: PositiveInt = 192) -> None:
        self.interval, self.num_images, self.side = interval, num_images, side

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Draw every ``interval`` iterations."""
        if not (self.every_n_train_iters(runner, self.interval) and is_main_process()):
            return
        if "step" not in data_batch or "pseudo" not in data_batch["step"].record:
            return
        with self.drawing(runner):
            model = bare_model(runner.model)
            palette = class_palette((runner.visualizer.dataset_meta or {}).get("palette"), model.num_classes)
            meta = dict(classes=class_names(runner, model.num_classes), palette=palette)
            picture = self._draw(model, data_batch, meta)
            runner.visualizer.add_image(PICTURE, picture, step=runner.iter + 1)

    @torch.no_grad()
    def _draw(self, model: nn.Module, data_batch: SemiBatch, meta: dict) -> np.ndarray:
        """The picture, (H, W, 3) uint8."""
        ignore = model.decode_head.ignore_index
        pseudo, some = data_batch["step"].record["pseudo"], slice(self.num_images)
        label, kept = pseudo.label[some], pseudo.weight[some] > 0
        if pseudo.valid is not None:
            kept = kept & pseudo.valid[some]
        label_maps = {"pseudo label": label}
        if not kept.all():
            label_maps["counts in the loss"] = torch.where(kept, label, ignore)
        samples = data_batch["data_samples"]["unlabeled"][some]
        truth = [sample.gt_sem_seg.data.squeeze(0) if "gt_sem_seg" in sample else None for sample in samples]
        if any(mask is not None for mask in truth):
            label_maps["ground truth"] = [torch.full_like(label[0], ignore) if mask is None else mask for mask in truth]
        label_maps = {title: [entry.cpu().numpy() for entry in maps] for title, maps in label_maps.items()}
        columns = {"unlabeled image": self._images(model, data_batch["inputs"]["weak"][some])}
        for title, maps in label_maps.items():
            columns[title] = [fit(colour_labels(entry, meta["palette"], ignore), self.side, False) for entry in maps]
        confidence = pseudo.logits[some].float().softmax(dim=1).amax(dim=1).cpu().numpy()
        columns["confidence"] = [fit(colour_confidence(entry), self.side, False) for entry in confidence]
        return join_panels(columns, class_legend(sum(label_maps.values(), []), meta, ignore))

    def _images(self, model: nn.Module, images: Tensor) -> list[np.ndarray]:
        """Pictures of normalised (B, C, H, W) images."""
        preprocessor = getattr(model.data_preprocessor, "preprocessor", model.data_preprocessor)
        images = images.float()
        if getattr(preprocessor, "_enable_normalize", False):
            images = images * preprocessor.std + preprocessor.mean
        # files are read as BGR; mmengine and the fork's mmseg use the first name, upstream's mmseg the second
        names = ("_channel_conversion", "channel_conversion")
        bgr = images.shape[1] != 3 or not any(getattr(preprocessor, name, False) for name in names)
        return [fit(to_picture(image, bgr), self.side, True) for image in images]
