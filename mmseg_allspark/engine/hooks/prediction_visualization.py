"""PredictionVisualizationHook: validations and tests paint on what the data set loads."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from mmengine.dist import is_main_process
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.engine.hooks import SegVisualizationHook
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from torch.utils.data import Dataset

from mmseg_allspark.datasets.parts import iter_leaves
from mmseg_allspark.engine.hooks.drawing import DrawingHook
from mmseg_allspark.report.label_pictures import class_legend, colour_labels, join_panels
from mmseg_allspark.utils.checks import check_types
from mmseg_allspark.utils.images import class_palette, to_picture


@HOOKS.register_module()
class PredictionVisualizationHook(DrawingHook, SegVisualizationHook):
    """mmseg's ``SegVisualizationHook`` for images of any number of channels and range, and many times as fast.

    ``tools/train.py`` and ``tools/test.py`` use it wherever a config has mmseg's. A picture shows the ground truth,
    where there is one, beside the prediction, and a legend. mmseg's own reads the files again, as 8-bit colour: it
    fails at six channels, and 12 bits of 16 are nearly black. To place the names of the classes, it sorts the
    coordinates of all pixels in Python.

    Args:
        show_dir: Folder for the pictures of a test, named after the images, ``a/b.jpg`` -> ``a/b.png``, from the folder
            on that all images are in. Default None: they go to the visualizer.
        **kwargs: As in ``SegVisualizationHook``.
    """

    _drawn = 0
    _joined = None  # the data set of which ``_leaves`` has the images
    show_dir = None

    @check_types
    def __init__(self, show_dir: str | None = None, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.show_dir = show_dir

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[SegDataSample]
    ) -> None:
        """Paint the first prediction of every ``interval``-th batch; what goes wrong is a warning."""
        step = runner.iter + batch_idx
        if self.draw and step % self.interval == 0 and is_main_process():
            with self.drawing(runner):
                name = f"val_{Path(outputs[0].img_path).name}"
                self._give_out(name, self._paint(runner.val_dataloader.dataset, outputs[0]), step)

    def before_test_epoch(self, runner: Runner) -> None:
        """Find out what the pictures will be called."""
        if self.show_dir is not None:
            paths = [path for leaf in iter_leaves(runner.test_dataloader.dataset) for path in _image_paths(leaf)]
            root = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])
            stems = {path: os.path.splitext(os.path.relpath(path, root))[0] for path in paths}
            count = Counter(stems.values())  # joined data sets may have a.jpg and a.png
            self._names = {
                path: stem if count[stem] == 1 else os.path.relpath(path, root) for path, stem in stems.items()
            }

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[SegDataSample]
    ) -> None:
        """Paint each prediction of the batch."""
        for sample in outputs if self.draw else []:
            self._drawn += 1
            picture = self._paint(runner.test_dataloader.dataset, sample)
            if self.show_dir is not None:
                path = Path(self.show_dir, f"{self._names[sample.img_path]}.png")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
            if self.show or (self.show_dir is None and is_main_process()):
                self._give_out(f"test_{Path(sample.img_path).name}", picture, self._drawn)

    def _give_out(self, name: str, picture: np.ndarray, step: int) -> None:
        """Show a picture, or hand it to the visualizer's backends."""
        if self.show:
            self._visualizer.show(picture, win_name=name, wait_time=self.wait_time)
        else:
            self._visualizer.add_image(name, picture, step=step)

    def _find_leaf(self, dataset: Dataset, path: str) -> Dataset:
        """The data set of an image: joined ones may load their images in different ways."""
        leaves = list(iter_leaves(dataset))
        if len(leaves) == 1:
            return leaves[0]
        if self._joined is not dataset:
            self._joined = dataset
            self._leaves = {path: leaf for leaf in reversed(leaves) for path in _image_paths(leaf)}
        return self._leaves[path]

    def _paint(self, dataset: Dataset, sample: SegDataSample) -> np.ndarray:
        """Ground truth and prediction, (H, W, 3) uint8 RGB."""
        image = to_picture(
            self._find_leaf(dataset, sample.img_path).pipeline.transforms[0](dict(img_path=sample.img_path))["img"]
        )
        classes = self._visualizer.dataset_meta["classes"]
        meta = dict(classes=classes, palette=class_palette(self._visualizer.dataset_meta.get("palette"), len(classes)))
        parts = {"ground truth": ("gt_sem_seg", 255), "prediction": ("pred_sem_seg", None)}
        maps = {title: (_labels(sample.get(key)), ignored) for title, (key, ignored) in parts.items() if key in sample}
        panels = {}
        for title, (labels, ignored) in maps.items():
            colours = colour_labels(labels, meta["palette"], ignored)
            alpha = self._visualizer.alpha
            panels[title] = [cv2.addWeighted(np.ascontiguousarray(image), 1 - alpha, colours, alpha, 0)]
        return join_panels(panels, class_legend([labels for labels, _ in maps.values()], meta))


def _image_paths(dataset: Dataset) -> list[str]:
    return [dataset.get_data_info(index)["img_path"] for index in range(len(dataset))]


def _labels(segmentation: PixelData) -> np.ndarray:
    """(H, W) integers."""
    return segmentation.data.squeeze(0).cpu().numpy()
