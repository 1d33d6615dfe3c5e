"""PseudoSeg (ICLR 2021, arXiv 2010.09713): labels fused of the decoder and of spread class activation maps."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_allspark.labels import CutOut, PseudoLabel, fuse_predictions, mean_prediction
from mmseg_allspark.methods.joint_pass import JointPass, SamplesByPart, stack_classes, stack_valid
from mmseg_allspark.methods.semi_segmentor import SemiSegmentor
from mmseg_allspark.methods.step import Needs, Step
from mmseg_allspark.models import ActivationAttention, ImageLevelHead
from mmseg_allspark.utils.checks import Between, LossWeight, Share, check_types
from mmseg_allspark.utils.resizing import resize_nearest
from mmseg_allspark.utils.wrappers import eval_mode


class Predictions(NamedTuple):
    """Two predictions of the same images, each (B, K, h, w) logits of one size."""

    decoded: Tensor
    spread: Tensor


@MODELS.register_module()
class PseudoSegSegmentor(SemiSegmentor):
    """Soft labels that are the mean of two predictions of the weak view, learned from on the strong view.

    One prediction is the decoder's. The other one comes from the class activation maps of an image-level head, spread
    over similar positions (:class:`ActivationAttention`). Both are divided by their common root mean square, averaged
    and sharpened. L = sup_weight * (L_s + image_weight * L_x + attention_weight * L_sa) + unsup_weight * L_u, where L_x
    is the head's binary cross-entropy against the classes that the mask of a labeled image shows, L_sa the loss of the
    spread maps of labeled images, and L_u the cross-entropy against the soft labels, at the size of the logits, of all
    pixels that are neither padded nor cut out. The defaults are the release's. With an :class:`AllSparkNeck` the maps
    are those of the features behind it, which the decoder sees.

    Args:
        own_labels: Where the decoder's prediction comes from. ``'train'``, as in the release: the weak view passes
            together with the labeled images, in train mode, and the strong view by itself. ``'eval'``: it is labeled in
            eval mode, as in other methods, and the strong view passes with the labeled images; one forward of the
            unlabeled images less. The maps come from eval mode in both cases. Default ``'train'``.
        temperature: Labels are sharpened by it, in [0.01, 1]; 1 leaves them. Default 0.5.
        scale: The common root mean square is over the ``'batch'`` of a process, as in the release, where one image with
            large logits makes the labels of all others flatter, or over an ``'image'``. Default ``'batch'``.
        background: Class 0 is a background: the image-level head does not know it, and it is where no other class is.
            Default True.
        levels: Positions of two levels of the features: the one beside, and that of the image-level head. Default
            (-2, -1).
        attention: Options of :class:`ActivationAttention`, ``dim`` and ``in_channels`` (channels of
            ``levels[1]``, then of ``levels[0]``), which is needed if the decode head does not name all levels. Default
            ``dict()``.
        image_dropout: Before the linear layer of the image-level head. Default 0.5.
        image_weight: Default 1.
        attention_weight: Default 1.
        cutout: Options of :class:`CutOut` for the strong view; None: off. Default ``dict(half=50)``.
        sup_weight: Default 1.
        unsup_weight: Default 1.
        unlabeled_view: Default ``'strong'``.
        mask_padding: Default True.
        **kwargs: Those of :class:`SemiSegmentor`. ``pseudo_loss`` replaces the cross-entropy of L_u. A threshold of
            ``confidence`` has to be low: sharpened labels of 0.5 are usual.

    Raises:
        ValueError: If the channels of the levels are not known.
    """

    @check_types
    def __init__(
        self,
        *,
        own_labels: Literal["train", "eval"] = "train",
        temperature: Annotated[float, Between(0.01, 1.0)] = 0.5,
        scale: Literal["batch", "image"] = "batch",
        background: bool = True,
        levels: tuple[int, int] = (-2, -1),
        attention: dict = dict(),  # noqa: B006, C408 (never changed)
        image_dropout: Share = 0.5,
        image_weight: LossWeight = 1.0,
        attention_weight: LossWeight = 1.0,
        cutout: dict | None = dict(half=50),  # noqa: B006
        sup_weight: LossWeight = 1.0,
        unsup_weight: LossWeight = 1.0,
        unlabeled_view: str = "strong",
        mask_padding: bool = True,
        **kwargs,  # noqa: ANN003
    ) -> None:
        super().__init__(
            sup_weight=sup_weight,
            unsup_weight=unsup_weight,
            unlabeled_view=unlabeled_view,
            mask_padding=mask_padding,
            **kwargs,
        )
        self.own_labels, self.temperature, self.scale, self.levels = own_labels, temperature, scale, tuple(levels)
        self.image_weight, self.attention_weight = image_weight, attention_weight
        self.cutout = None if cutout is None else CutOut(**cutout)
        self.first_class = int(background)
        channels = attention.get("in_channels") or _channels_of(self.decode_head.in_channels, levels)
        options = dict(background=background, align_corners=self.align_corners) | dict(attention, in_channels=channels)
        self.attention = ActivationAttention(num_classes=self.num_classes, **options)
        self.image_head = ImageLevelHead(channels[0], self.num_classes - self.first_class, image_dropout)

    @property
    def needs(self) -> Needs:
        """The weak view is labeled, the strong one is trained on."""
        return replace(
            super().needs,
            label_source=" with the decoder's part from the step itself" if self.own_labels == "train" else "",
        )

    @torch.no_grad()
    def label(self, inputs: dict[str, Tensor], data_samples: SamplesByPart, step: Step) -> PseudoLabel:
        """Fused labels of the weak view in eval mode; with ``own_labels='train'`` the spread maps are kept."""
        if step.labels_from == "data":
            return super().label(inputs, data_samples, step)
        valid = self.valid_pixels(data_samples["unlabeled"])
        found = [labeler.describe(inputs["weak"], valid) for labeler in step.labelers or (self,)]
        if self.own_labels == "train":
            step.record["spread"] = torch.stack([one.spread for one in found]).mean(dim=0)
        logits = resize_nearest(mean_prediction([self.fuse(one) for one in found]), inputs["weak"].shape[2:])
        return self.finish_label(logits, data_samples)

    @torch.no_grad()
    def label_unlabeled(self, inputs: dict[str, Tensor]) -> Tensor:
        """Fused logits (B_u, K, H, W) of the weak view in eval mode, at image size."""
        return resize_nearest(self.fuse(self.describe(inputs["weak"])), inputs["weak"].shape[2:])

    @torch.no_grad()
    def describe(self, images: Tensor, valid: Tensor | None = None) -> Predictions:
        """Both predictions of images (B, 3, H, W) in eval mode, with the classes that the image-level head sees."""
        with eval_mode(self):
            feats = self.extract_feat(images, inference_keys=self.pseudo_label_keys)
            decoded = self.decode(feats)
            present = (self.image_head(self.take_levels(feats)[0]) >= 0).float()
            return Predictions(decoded, self.upsample(self.spread_maps(feats, present, valid), decoded.shape[2:]))

    def take_levels(self, feats: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The level of the image-level head and the one beside it; ``ValueError`` if they have other channels."""
        side, deep = (feats[level] for level in self.levels)
        channels = deep.shape[1], side.shape[1]
        if channels != self.attention.in_channels:
            raise ValueError(
                f"model.attention.in_channels={self.attention.in_channels}, but the features of "
                f"model.levels={self.levels} have {channels} channels, the second of the levels first: set it to them."
            )
        return deep, side

    def spread_maps(self, feats: list[Tensor], present: Tensor, valid: Tensor | None) -> Tensor:
        """Logits (B, K, h, w) of the class activation maps of the present classes (B, K'), spread by attention."""
        deep, side = self.take_levels(feats)
        return self.attention(deep, side, self.image_head.activation(deep, present), valid)

    def fuse(self, predictions: Predictions) -> Tensor:
        """Logits (B, K, h, w) of the label that two predictions give."""
        return fuse_predictions(predictions, self.temperature, self.scale)

    def mix(
        self, inputs: dict[str, Tensor], data_samples: SamplesByPart, pseudo: PseudoLabel, step: Step
    ) -> tuple[Tensor, PseudoLabel]:
        """The weak view as it is, or with ``own_labels='eval'`` the strong view, mixed and cut."""
        if self.own_labels == "train":
            return inputs["weak"], pseudo
        return self._cut(*super().mix(inputs, data_samples, pseudo, step))

    def _cut(self, images: Tensor, pseudo: PseudoLabel) -> tuple[Tensor, PseudoLabel]:
        if self.cutout is None:
            return images, pseudo
        images, kept = self.cutout(images)
        return images, replace(pseudo, valid=kept if pseudo.valid is None else pseudo.valid & kept)

    def sup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Losses of the decoder, of the image-level head and of the spread maps."""
        samples, feats = joint.data_samples["labeled"], joint.labeled_feats
        present = self.present_classes(samples)
        scores = self.image_head(self.take_levels(feats)[0]).float()
        image = F.binary_cross_entropy_with_logits(scores, present)
        marked = self.mask_padding and all("valid" in sample for sample in samples)
        spread = self.spread_maps(feats, present, stack_valid(samples) if marked else None)
        weight = self.sup_weight * self.attention_weight
        more = {
            f"sup.attention.{name}": value * weight
            for name, value in self.decode_head.loss_by_feat(spread, samples).items()
            if "loss" in name
        }
        return super().sup_losses(joint) | {"sup.image.loss_bce": image * (self.sup_weight * self.image_weight)} | more

    def present_classes(self, samples: list[SegDataSample]) -> Tensor:
        """(B, K') float, 1 where the mask of an image shows a class."""
        masks = stack_classes(samples, self.num_classes, self.decode_head.ignore_index).flatten(1).long()
        present = torch.zeros(len(masks), self.num_classes + 1, device=masks.device).scatter_(1, masks, 1.0)
        return present[:, self.first_class : self.num_classes]

    def unsup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Loss of the strong view against the fused labels."""
        logits, target = joint.unlabeled_logits, joint.pseudo
        if self.own_labels == "train":
            own = joint.step.record["pseudo"] = self._own_labels(joint)
            images, target = self._cut(*self.paste(joint.inputs[self.unlabeled_view], own, joint.pseudo))
            logits = self.decode(self.extract_feat(images, num_labeled=0))
        loss = self.pseudo_label_loss(logits, target)
        return {"unsup.decode.loss_strong": loss * (self.unsup_weight * joint.step.unsup_scale)}

    @torch.no_grad()
    def _own_labels(self, joint: JointPass) -> PseudoLabel:
        """Labels fused of the spread maps and the decoder in train mode; those from files stay."""
        if "spread" not in joint.step.record:
            return joint.pseudo
        logits = self.fuse(Predictions(joint.unlabeled_logits, joint.step.record.pop("spread")))
        return self.make_pseudo_label(resize_nearest(logits, joint.pseudo.label.shape[1:]), joint.pseudo.valid)

    def pseudo_label_loss(self, logits: Tensor, pseudo: PseudoLabel) -> Tensor:
        """Loss of (B_u, K, h, w) logits against the soft labels, which are brought to their size."""
        maps = {name: resize_nearest(values, logits.shape[2:]) for name, values in pseudo.maps().items()}
        pseudo, logits = PseudoLabel.from_maps(maps), logits.float()
        if self.pseudo_loss is not None:
            return pseudo.mean_loss(pseudo.pixel_loss(logits, self.pseudo_loss))
        return pseudo.mean_loss(F.cross_entropy(logits, pseudo.logits.float().softmax(dim=1), reduction="none"))


def _channels_of(in_channels: int | Sequence[int], levels: tuple[int, int]) -> tuple[int, int]:
    """Channels of the deepest level and of the one beside, as the decode head names them."""
    try:
        return in_channels[levels[1]], in_channels[levels[0]]
    except (TypeError, IndexError):
        raise ValueError(
            f"model.attention: model.decode_head.in_channels={in_channels} does not say how many channels "
            f"model.levels={levels} have; set attention=dict(in_channels=(of levels[1], of levels[0]))."
        ) from None
