"""One training step's input: labeled and unlabeled images, preprocessed exactly once."""

from collections.abc import Sequence

from mmengine.model import BaseDataPreprocessor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmseg_allspark.methods.step import Step
from mmseg_allspark.utils.checks import check_has_type, check_types


class SemiBatch(dict):
    """Preprocessed input of one step, passed on as keyword arguments of ``SemiSegmentor.forward``.

    Keys: ``inputs``: dict of (B, 3, H, W) float tensors, ``'labeled'`` and the views of the unlabeled images
    by name (``'weak'``, perhaps ``'strong'``); ``data_samples``: dict of lists of ``SegDataSample``,
    ``'labeled'`` and ``'unlabeled'``; ``step``: the :class:`Step`. The type says that the tensors are normalised and on
    the device.
    """


@MODELS.register_module()
class SemiDataPreprocessor(BaseDataPreprocessor):
    """Applies a segmentation preprocessor to the labeled part and to every view of the unlabeled part.

    Args:
        preprocessor: The preprocessor of a zoo config, e.g. ``SegDataPreProcessor``, or its config.
    """

    @check_types
    def __init__(self, preprocessor: dict | nn.Module) -> None:
        super().__init__()
        if isinstance(preprocessor, dict):
            check_has_type("model.data_preprocessor", preprocessor)
        self.preprocessor = MODELS.build(preprocessor) if isinstance(preprocessor, dict) else preprocessor

    def forward(self, data: dict, training: bool = False) -> dict:
        """Preprocess.

        Args:
            data: ``dict(labeled=..., unlabeled=..., step=Step())`` of collated samples, or a plain
                collated batch (validation, test), or a :class:`SemiBatch`, which is returned unchanged.
            training: Passed to the wrapped preprocessor. Default False.

        Returns:
            A :class:`SemiBatch`, or what the wrapped preprocessor returns for a plain batch.

        Raises:
            KeyError: If only one of ``labeled`` and ``unlabeled`` is there, or samples are not packed.
            TypeError: If the wrapped preprocessor does not stack the images.
        """
        if isinstance(data, SemiBatch):
            return data
        parts = {"labeled", "unlabeled"} & set(data)
        if not parts:
            return self.preprocessor(data, training)
        if len(parts) == 1:
            raise KeyError(f"A semi-supervised batch needs 'labeled' and 'unlabeled', got {sorted(data)}.")
        for part, loader in (("labeled", "train_dataloader"), ("unlabeled", "unlabeled_dataloader")):
            if not isinstance(data[part], dict) or not {"inputs", "data_samples"} <= set(data[part]):
                raise KeyError(
                    f"Samples lack 'inputs' or 'data_samples': end {loader}.dataset.pipeline in PackSemiInputs."
                )
        labeled = self.preprocessor(data["labeled"], training)
        if not isinstance(labeled["inputs"], Tensor):
            raise TypeError(
                f"model.data_preprocessor of type {type(self.preprocessor).__name__} does not stack images into one "
                "tensor: use dict(type='SegDataPreProcessor', size=(crop height, crop width), mean=..., std=...)."
            )
        inputs = dict(labeled=labeled["inputs"])
        samples, unlabeled = data["unlabeled"]["data_samples"], None
        views = data["unlabeled"]["inputs"]
        for name, images in (views if isinstance(views, dict) else dict(weak=views)).items():
            # Masks go along with the first view only: every call pads the masks it is given.
            beside = samples if unlabeled is None else [SegDataSample() for _ in samples]
            view = self.preprocessor(dict(inputs=images, data_samples=beside), training)
            inputs[name] = view["inputs"]
            unlabeled = view["data_samples"] if unlabeled is None else unlabeled
        data_samples = dict(labeled=labeled["data_samples"], unlabeled=unlabeled)
        return SemiBatch(inputs=inputs, data_samples=data_samples, step=data.get("step") or Step())


def check_views(inputs: dict[str, Tensor], views: Sequence[str], method: str) -> None:
    """Raise unless the views that a method trains on are there and have the size of the labeled crops.

    Args:
        inputs: Of a :class:`SemiBatch`.
        views: Names of the views that the method needs besides the labeled images.
        method: Its class, for messages.

    Raises:
        KeyError: If a view is missing.
        ValueError: If sizes differ.
    """
    missing = [name for name in views if name not in inputs]
    if missing:
        raise KeyError(
            f"{method} trains on the view {missing[0]!r} (model.unlabeled_view, strong_views), but the unlabeled data "
            f"give {sorted(set(inputs) - {'labeled'})}; add {missing[0]}=[...] to views of the pipeline's MultiView "
            "(weak=[] has to be there too) and pack with PackSemiInputs."
        )
    sizes = [tuple(inputs[name].shape[2:]) for name in ("labeled", *views)]
    if len(set(sizes)) > 1:
        raise ValueError(
            f"Labeled crops are {sizes[0]}, unlabeled ones {sizes[1]}: give the pipelines of train_dataloader and "
            "unlabeled_dataloader one crop size."
        )
