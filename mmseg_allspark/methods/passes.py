"""Passes of several methods: the teachers' in train mode, and one of weak view and mixed images together."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mmseg_allspark.labels import PseudoLabel
from mmseg_allspark.methods.joint_pass import JointPass, SamplesByPart
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


def join_weak_view(
    joint_pass: Callable[..., JointPass],
    inputs: dict[str, Tensor],
    data_samples: SamplesByPart,
    images: Tensor,
    pseudo: PseudoLabel,
    step: Step,
) -> JointPass:
    """A method's joint pass with the weak view among the images, which is left out of all it gives but ``aux``."""
    weak, mixed = step.record["pseudo"].maps(), pseudo.maps()
    both = PseudoLabel.from_maps({name: torch.cat([weak[name], mixed[name]]) for name in mixed})
    joint = joint_pass(inputs, data_samples, torch.cat([inputs["weak"], images]), both, step)
    begin, end = joint.num_labeled, joint.num_labeled + len(images)
    feats, logits = [torch.cat([level[:begin], level[end:]]) for level in joint.feats], joint.logits
    return replace(joint, feats=feats, logits=torch.cat([logits[:begin], logits[end:]]), pseudo=pseudo, images=images)
