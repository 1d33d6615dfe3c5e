"""PredictionVisualizationHook: validations and tests paint on what the data set loads."""

from collections.abc import Sequence
from pathlib import Path

from mmengine.runner import Runner
from mmseg.engine.hooks import SegVisualizationHook
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from torch.utils.data import Dataset

from mmseg_allspark.engine.hooks.drawing import DrawingHook
from mmseg_allspark.utils.images import to_picture


@HOOKS.register_module()
class PredictionVisualizationHook(DrawingHook, SegVisualizationHook):
    """mmseg's ``SegVisualizationHook`` for images of any number of channels and range.

    ``tools/train.py`` and ``tools/test.py`` use it wherever a config has mmseg's.
    mmseg's own reads the files again, as 8-bit colour: it fails at six channels, and 12 bits of 16 are nearly black.
    """

    _drawn = 0

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[SegDataSample]
    ) -> None:
        """Paint the first prediction of every ``interval``-th batch; what goes wrong is a warning."""
        step = runner.iter + batch_idx
        if self.draw and step % self.interval == 0:
            with self.drawing(runner):
                self._paint("val", runner.val_dataloader.dataset, outputs[0], step)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[SegDataSample]
    ) -> None:
        """Paint each prediction of the batch."""
        for sample in outputs if self.draw else []:
            self._drawn += 1
            self._paint("test", runner.test_dataloader.dataset, sample, self._drawn)

    def _paint(self, prefix: str, dataset: Dataset, sample: SegDataSample, step: int) -> None:
        while not hasattr(dataset, "pipeline"):  # repeated or concatenated
            dataset = dataset.dataset if hasattr(dataset, "dataset") else dataset.datasets[0]
        image = to_picture(dataset.pipeline.transforms[0](dict(img_path=sample.img_path))["img"])
        options = dict(show=self.show, wait_time=self.wait_time, step=step)
        self._visualizer.add_datasample(f"{prefix}_{Path(sample.img_path).name}", image, sample, **options)
