"""PredictionVisualizationHook: tests paint on what the data set loads."""

from collections.abc import Sequence
from pathlib import Path

from mmengine.runner import Runner
from mmseg.engine.hooks import SegVisualizationHook
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample

from mmseg_allspark.utils.images import as_8bit


@HOOKS.register_module()
class PredictionVisualizationHook(SegVisualizationHook):
    """mmseg's ``SegVisualizationHook`` for images of any number of channels and range; ``tools/test.py`` takes it.

    mmseg's own reads the files again, as 8-bit colour: it fails at six channels, and 12 bits of 16 are nearly black.
    """

    _drawn = 0

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[SegDataSample]
    ) -> None:
        """Paint each prediction of the batch."""
        if not self.draw:
            return
        dataset = runner.test_dataloader.dataset
        while not hasattr(dataset, "pipeline"):  # repeated or concatenated
            dataset = dataset.dataset if hasattr(dataset, "dataset") else dataset.datasets[0]
        load = dataset.pipeline.transforms[0]
        for sample in outputs:
            self._drawn += 1
            image = as_8bit(load(dict(img_path=sample.img_path))["img"])[..., ::-1]
            options = dict(show=self.show, wait_time=self.wait_time, step=self._drawn)
            self._visualizer.add_datasample(f"test_{Path(sample.img_path).name}", image, sample, **options)
