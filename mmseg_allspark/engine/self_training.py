"""The trainings that self-training consists of, as configs of their own.

Legend: U unlabeled images.
"""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from mmengine.config import Config, ConfigDict
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import DATASETS

from mmseg_allspark.utils.checks import Between, check_types


@dataclass(frozen=True)
class Stage:
    """A stage of self-training.

    Attributes:
        name: Of its folder and its file in ``done``.
        kind: What is done.
        images: Which unlabeled images it labels or trains on: a list of :class:`SelfTraining`. Default ''.
        labeler: The training whose model labels or ranks. Default ''.
    """

    name: str
    kind: Literal["supervised", "select", "label", "retrain"]
    images: str = ""
    labeler: str = ""


class SelfTraining:
    """Options and stages, the top-level ``self_training`` of a config (ST++, sections 3.1 and 3.3).

    Args:
        supervised: Settings of the config that the training on labeled images alone changes, e.g. its ``train_cfg``
            and ``train_dataloader``. With ``_delete_=True`` a dict replaces the config's.
        select: ``'stability'``: retrain on the reliable images, label the others again, retrain on all. ``'none'``:
            label all and retrain once. Default ``'stability'``.
        reliable_share: Share of the images that are reliable, rounded down. Default 0.5.
        snapshots: Parts of the supervised training whose labels are compared with the last. Default (1 / 3, 2 / 3).
        scales: Scales at which images are labeled. Default (0.5, 0.75, 1.0, 1.5, 2.0).
        flip: Whether they are also labeled mirrored. Default True.
        labeler: ``'best'``: the checkpoint with the best mIoU on the validation data. ``'last'``: the last one, so
            that validation chooses nothing. Default ``'best'``, the release's.
    """

    @check_types
    def __init__(
        self,
        supervised: dict,
        select: Literal["stability", "none"] = "stability",
        reliable_share: Annotated[float, Between(0.01, 0.99)] = 0.5,
        snapshots: Sequence[float] = (1 / 3, 2 / 3),
        scales: Sequence[float] = (0.5, 0.75, 1.0, 1.5, 2.0),
        flip: bool = True,
        labeler: Literal["best", "last"] = "best",
    ) -> None:
        self.supervised, self.select, self.reliable_share = supervised, select, reliable_share
        self.snapshots, self.scales, self.flip, self.labeler = tuple(snapshots), tuple(scales), flip, labeler

    @property
    def stages(self) -> list[Stage]:
        """What is done, in order."""
        first = Stage("supervised", "supervised")
        if self.select == "none":
            return [first, Stage("label_all", "label", "all", "supervised"), Stage("retrain_all", "retrain", "all")]
        return [
            first,
            Stage("select", "select", "all", "supervised"),
            Stage("label_reliable", "label", "reliable", "supervised"),
            Stage("retrain_reliable", "retrain", "reliable"),
            Stage("label_unreliable", "label", "unreliable", "retrain_reliable"),
            Stage("retrain_all", "retrain", "all"),
        ]

    def supervised_config(self, cfg: Config) -> Config:
        """The training on labeled images: the config's model as an ``EncoderDecoder``, and what ``supervised`` says."""
        cfg = self._stage_config(cfg)
        known = inspect.signature(EncoderDecoder.__init__).parameters
        model = {key: value for key, value in cfg.model.items() if key in known}
        cfg.model = dict(model, type="EncoderDecoder")
        cfg.pop("unlabeled_dataloader")
        cfg.merge_from_dict(copy.deepcopy(self.supervised))
        if self.select == "stability":
            cfg.default_hooks.snapshots = dict(type="SnapshotHook", at=list(self.snapshots))
        return cfg

    def retraining_config(self, cfg: Config, images: Path, labels: Path) -> Config:
        """The training on labeled and pseudo-labeled images.

        Args:
            cfg: The config.
            images: List of the images, a path a line.
            labels: Folder of their labels.

        Raises:
            ValueError: If no step of the unlabeled pipeline reads labels.
        """
        cfg = self._stage_config(cfg)
        dataset = unlabeled_dataset(cfg)
        loading = [step for step in dataset.pipeline if step["type"] == "LoadPseudoLabel"]
        if not loading:
            raise ValueError(
                "unlabeled_dataloader.dataset.pipeline has no LoadPseudoLabel, so that the labels of self-training "
                "would not be read: put dict(type='LoadPseudoLabel', folder='') after LoadImage."
            )
        for step in loading:
            step["folder"] = str(labels)
        cfg.unlabeled_dataloader.dataset = dict(
            type="UnlabeledDataset",
            source=str(images),
            pipeline=dataset.pipeline,
            # a type of data sets may have it without the config saying so, and all of a run have to agree
            reduce_zero_label=DATASETS.build(dict(dataset, pipeline=[], lazy_init=True)).reduce_zero_label,
            **({"metainfo": dataset.metainfo} if "metainfo" in dataset else {}),
        )
        return cfg

    def _stage_config(self, cfg: Config) -> Config:
        cfg = copy.deepcopy(cfg)
        cfg.pop("self_training", None)
        if self.labeler == "best":
            hook = cfg.default_hooks.checkpoint
            hook.setdefault("save_best", "mIoU")
            hook.setdefault("rule", "greater")
        return cfg


def unlabeled_dataset(cfg: Config) -> ConfigDict:
    """Config of the unlabeled data set; ``ValueError`` for one that wraps others."""
    dataset = cfg.unlabeled_dataloader.dataset
    if "pipeline" not in dataset:
        raise ValueError(
            f"unlabeled_dataloader.dataset.type={dataset['type']!r} has no pipeline of its own; self-training takes "
            "one data set: an UnlabeledDataset whose source lists all folders."
        )
    return dataset


def list_unlabeled(cfg: Config) -> list[str]:
    """Absolute paths of a config's U unlabeled images, in the data set's order."""
    dataset = DATASETS.build(dict(unlabeled_dataset(cfg), pipeline=[]))
    return [os.path.abspath(dataset.get_data_info(index)["img_path"]) for index in range(len(dataset))]


def on_unreadable(cfg: Config) -> str:
    """What is done with an unlabeled image that cannot be read, ``'skip'`` or ``'stop'``: as in training."""
    loads = next((step for step in unlabeled_dataset(cfg).pipeline if step["type"] == "LoadImage"), {})
    return loads.get("unreadable") or "skip"


def label_path(folder: Path, image: str) -> Path:
    """Where the labels of an image are written, which ``LoadPseudoLabel`` finds: below the names of all its folders."""
    return folder.joinpath(*Path(image).with_suffix(".png").parts[1:])
