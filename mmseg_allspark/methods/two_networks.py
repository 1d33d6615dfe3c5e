"""The second network of methods that train two (CPS, CCVC, MKD)."""

import copy
from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from mmengine.config import Config
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.utils import resize
from mmseg.structures import SegDataSample
from mmseg.utils import add_prefix
from torch import Tensor

from mmseg_allspark.labels import PseudoLabel, mean_prediction
from mmseg_allspark.methods.joint_pass import JointPass, SamplesByPart, scale_losses
from mmseg_allspark.methods.semi_segmentor import SemiSegmentor
from mmseg_allspark.methods.step import Needs, Step
from mmseg_allspark.utils.checks import check_types
from mmseg_allspark.utils.wrappers import eval_mode

_SHARED = ("pretrained", "init_cfg", "train_cfg", "test_cfg")
_SECOND = "second_"  # begins the names of the second network's labels among the extras of the first's


class NetworkOutput(NamedTuple):
    """What one network gives of images.

    Attributes:
        logits: (B, K, h, w).
        hidden: (B, C, h, w), the features of the head that a method works on. Default None, it works on none.
    """

    logits: Tensor
    hidden: Tensor | None = None

    def images(self, part: slice) -> "NetworkOutput":
        """What belongs to some of the images."""
        return NetworkOutput(*(None if values is None else values[part] for values in self))

    @classmethod
    def cat(cls, parts: list["NetworkOutput"]) -> "NetworkOutput":
        """Put together what was passed in parts."""
        return cls(*(None if values[0] is None else torch.cat(values) for values in zip(*parts, strict=True)))


class TwoNetworkSegmentor(SemiSegmentor):
    """A base for methods of two networks with weights of their own; by itself it is no method.

    The first network is the segmentor itself; the second, ``self.second``, is an mmseg ``EncoderDecoder`` of the same
    config, initialised with other random numbers. Pretrained weights are the same in both. Where the first network is
    evaluated, an exported model holds it alone; otherwise export refuses.

    Args:
        second: What the second network's ``backbone`` and ``decode_head`` have in place of the first's, merged into
            them (``_delete_=True`` replaces). A neck that takes pseudo labels belongs to the first network. Default
            None, nothing.
        evaluated: ``'first'``, ``'second'`` or ``'mean'``: whose probabilities validation and test look at. Default
            ``'first'``.
        separate_norm: Pass labeled and unlabeled images separately, each with its own statistics of batch norm, as the
            releases do. Default False, together.
        **kwargs: Those of :class:`SemiSegmentor`.

    Raises:
        ValueError: On ``separate_norm`` with a neck that passes labeled and unlabeled images together, and on an
            auxiliary head.
    """

    @check_types
    def __init__(
        self,
        *,
        second: dict | None = None,
        evaluated: Literal["first", "second", "mean"] = "first",
        separate_norm: bool = False,
        **kwargs,  # noqa: ANN003
    ) -> None:
        parts = {name: copy.deepcopy(kwargs.get(name)) for name in ("backbone", "neck", "decode_head")}
        super().__init__(**kwargs)
        if self.with_auxiliary_head:
            raise ValueError(
                f"model.auxiliary_head: {type(self).__name__} trains its second network without one, and the two would "
                "differ by it: leave it out."
            )
        if separate_norm and self.steers_neck:
            raise ValueError(
                f"model.separate_norm=True, but model.neck.type={type(self.neck).__name__!r} takes labeled and "
                "unlabeled images together: set separate_norm=False or neck=None."
            )
        if self.steers_neck:
            parts["neck"] = None
        parts = Config._merge_a_into_b(second or {}, parts)
        self.second = EncoderDecoder(**parts, **{name: kwargs[name] for name in _SHARED if name in kwargs})
        self.second.training_only = evaluated == "first"
        self.second.shared_with_teacher = evaluated == "first"  # no average of it is read
        self.evaluated, self.separate_norm = evaluated, separate_norm

    @property
    def needs(self) -> Needs:
        """Unlabeled images in every step: these losses of the base know no other way to train the second network."""
        return replace(super().needs, unlabeled_in_burn_in=True)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits (B, K, H, W) of the evaluated network; of both the logarithm of the mean probability."""
        logits = []
        if self.evaluated != "second":
            logits.append(super().encode_decode(inputs, batch_img_metas))
        if self.evaluated != "first":
            second = self.pass_second(inputs).logits
            logits.append(self.second.decode_head.predict_by_feat(second, batch_img_metas))
        return mean_prediction(logits)

    def joint_pass(
        self,
        inputs: dict[str, Tensor],
        data_samples: SamplesByPart,
        images: Tensor,
        pseudo: PseudoLabel | None,
        step: Step,
    ) -> JointPass:
        """Forward of both networks; ``aux`` is the pair of what they give (:class:`NetworkOutput`)."""
        parts = [inputs["labeled"], images]
        if not self.separate_norm:
            joint = super().joint_pass(inputs, data_samples, images, pseudo, step)
            return replace(joint, aux=(NetworkOutput(joint.logits, joint.aux), self.pass_second(torch.cat(parts))))
        feats = [self.extract_feat(part) for part in parts]
        both = NetworkOutput.cat([NetworkOutput(*self.decode_joint(part)) for part in feats])
        both = both, NetworkOutput.cat([self.pass_second(part) for part in parts])
        feats = [torch.cat(level) for level in zip(*feats, strict=True)]
        return JointPass(inputs, data_samples, step, len(parts[0]), feats, both[0].logits, pseudo, both, images)

    def pass_second(self, images: Tensor) -> NetworkOutput:
        """Forward of the second network for images (B, 3, H, W), in training and in evaluation."""
        return NetworkOutput(self.second.decode_head(self.second.extract_feat(images)))

    @torch.no_grad()
    def label_by_second(self, images: Tensor) -> Tensor:
        """Logits (B, K, H, W) of images (B, 3, H, W) by the second network in eval mode."""
        with eval_mode(self.second):
            return self.upsample_second(self.pass_second(images).logits, images.shape[2:])

    def upsample_second(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits of the second network at another size, bilinear."""
        align_corners = self.second.align_corners
        return resize(logits, size=size, mode="bilinear", align_corners=align_corners, warning=False)

    def second_sup_losses(self, logits: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """Losses ``sup.second.*`` of the second network's logits (B_l, K, h, w) on the labeled samples."""
        losses = self.second.decode_head.loss_by_feat(logits, data_samples)
        return add_prefix(scale_losses(losses, self.sup_weight), "sup.second")


def join_labels(first: PseudoLabel, second: PseudoLabel) -> PseudoLabel:
    """Labels of the first network with those of the second as extras, so that they are mixed alike."""
    maps = {f"{_SECOND}{name}": values for name, values in second.maps().items() if name != "valid"}
    return replace(first, extras=first.extras | maps)


def split_labels(joined: PseudoLabel) -> tuple[PseudoLabel, PseudoLabel]:
    """What :func:`join_labels` put together; both have the valid pixels of the first."""
    second = {k.removeprefix(_SECOND): v for k, v in joined.extras.items() if k.startswith(_SECOND)}
    first = {name: values for name, values in joined.extras.items() if not name.startswith(_SECOND)}
    return replace(joined, extras=first), replace(PseudoLabel.from_maps(second), valid=joined.valid)
