"""What the tools here share: samples of a data set as pictures, and models from checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from _errors import say
from mmengine.config import Config
from mmengine.runner import CheckpointLoader, set_random_seed
from torch import Tensor, nn
from torch.utils.data import Dataset

from mmseg_allspark import inference
from mmseg_allspark.inference.models import MEANING
from mmseg_allspark.utils.safe_checkpoints import load_safely_from_now_on


class Sample(NamedTuple):
    """One image at the end of its pipeline."""

    name: str  # of the file
    views: dict[str, Tensor]  # by name, uint8 (3, H, W), BGR; a pipeline without MultiView has 'weak' alone
    mask: Tensor | None  # (H, W) int64 labels


def draw_samples(dataset: Dataset, num: int, seed: int) -> list[Sample]:
    """Draw at most ``num`` different samples of a dataset, with their random transforms."""
    chosen = np.random.default_rng(seed).permutation(len(dataset))[:num].tolist()
    set_random_seed(seed)
    samples = []
    for index in chosen:
        packed = dataset[index]
        views, sample = packed["inputs"], packed["data_samples"]
        mask = sample.gt_sem_seg.data[0].long() if "gt_sem_seg" in sample else None
        views = views if isinstance(views, dict) else dict(weak=views)
        samples.append(Sample(Path(sample.img_path).name, views, mask))
    return samples


def load_model(cfg: Config, checkpoint: str, device: str = "cpu", which: str | None = None) -> nn.Module:
    """Build the model of a config, load a checkpoint of it (a file or address), and say which weights it has."""
    load_safely_from_now_on()
    model, which = inference.load_model(cfg, CheckpointLoader.load_checkpoint(checkpoint, "cpu"), checkpoint, which)
    say(f"{checkpoint}: weights: {MEANING.get(which, which)}")
    return model.to(device)
