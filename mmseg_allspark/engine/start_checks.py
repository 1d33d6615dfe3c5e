"""What is checked before the first iteration, so that bad input costs seconds and not a run."""

from typing import TYPE_CHECKING

from mmengine.model import is_model_wrapper
from torch import nn
from torch.utils.data import DataLoader

from mmseg_allspark.datasets.checks import check_splits

if TYPE_CHECKING:
    from mmseg_allspark.engine.pseudo_label_loop import PseudoLabelLoop


def check_before_training(loop: "PseudoLabelLoop") -> None:
    """Check a loop's data and model against each other.

    Args:
        loop: The loop about to run.

    Raises:
        ValueError: If labeled, unlabeled and validation images overlap, if a data set's number of classes is not
            the model's, if a method is missing, or if EMA labels are asked for without an ``EMAHook``.
        FileNotFoundError: If image or mask files are missing.
    """
    model = loop.runner.model
    model = model.module if is_model_wrapper(model) else model
    val_loop = loop.runner.val_loop
    loaders = {
        "train_dataloader": loop.labeled_dataloader,
        "train_cfg.unlabeled_dataloader": loop.dataloader,
    }
    if val_loop is not None:
        loaders["val_dataloader"] = val_loop.dataloader
    _check_model(model, loaders)
    loop.find_labeler(model)
    check_splits(
        loop.labeled_dataloader.dataset,
        loop.dataloader.dataset,
        None if val_loop is None else val_loop.dataloader.dataset,
        allow_overlap=loop.allow_overlap,
    )


def _check_model(model: nn.Module, loaders: dict[str, DataLoader]) -> None:
    """Raise unless the model can label and every data set has as many classes as the model."""
    if not hasattr(model, "label_unlabeled"):
        raise ValueError(
            f"model.type={type(model).__name__} cannot label images: PseudoLabelLoop needs SemiSegmentor or a "
            "method derived from it."
        )
    for key, loader in loaders.items():
        classes = (getattr(loader.dataset, "metainfo", None) or {}).get("classes")
        if classes is not None and len(classes) != model.num_classes:
            raise ValueError(
                f"{key} has {len(classes)} classes but model.decode_head.num_classes={model.num_classes}; set "
                "the head's (and the neck's) num_classes to the data set's."
            )
