"""The teachers' pass in train mode, of several methods."""

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from mmseg_allspark.methods.semi_segmentor import SemiSegmentor
from mmseg_allspark.methods.step import Step
from mmseg_allspark.utils.wrappers import eval_mode


@torch.no_grad()
def pass_teachers(
    model: SemiSegmentor, step: Step, images: Tensor, *, in_train: bool = True, only_logits: bool = False
) -> list[Any]:
    """Pass images through the labelers of a step, or through the model where the step has none.

    Args:
        model: The student.
        step: Names the labelers.
        images: (B, 3, H, W).
        in_train: In train mode, with an :class:`AllSparkNeck`, too (``label_unlabeled`` then takes eval mode): batch
            norm takes the statistics of the images, and those of a teacher follow them. False: in eval mode. Default
            True.
        only_logits: Leave out what :meth:`SemiSegmentor.decode_joint` gives besides. Default False.

    Returns:
        An entry for each labeler, in their order, without gradient. With ``only_logits`` its logits (B, K, h, w); else
        the pair of :meth:`SemiSegmentor.decode_joint`: the logits and what the method keeps of the way there, or None.
    """
    given = []
    for labeler in step.labelers or (model,):
        if in_train and not labeler.training:  # EMAHook's copy of a model that was evaluated before
            labeler.train()
        with nullcontext() if in_train else eval_mode(labeler):
            feats = labeler.extract_feat(images, inference_keys=labeler.pseudo_label_keys)
            given.append(labeler.decode(feats) if only_logits else labeler.decode_joint(feats))
    return given
