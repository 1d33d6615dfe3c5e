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
    """What the labelers of a step, or else the model, give of images (B, 3, H, W): their ``decode_joint``, or logits.

    In train mode batch norm takes the statistics of the images, and those of a teacher follow them.
    """
    given = []
    for labeler in step.labelers or (model,):
        if in_train and not labeler.training:
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
