"""SemiSegmentor: an EncoderDecoder that also learns from unlabeled images."""

from contextlib import nullcontext
from dataclasses import replace
from typing import Literal

import torch
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import add_prefix
from torch import Tensor, nn

from mmseg_allspark.labels import CutMix, DistributionAlignment, build_confidence
from mmseg_allspark.labels.pseudo_label import PseudoLabel, build_loss, loaded_labels, mean_prediction
from mmseg_allspark.methods.joint_pass import JointPass, SamplesByPart, scale_losses, stack_masks, stack_valid
from mmseg_allspark.methods.semi_batch import SemiDataPreprocessor, check_views
from mmseg_allspark.methods.step import Needs, Step
from mmseg_allspark.utils.checks import LossWeight, check_types
from mmseg_allspark.utils.wrappers import eval_mode


@MODELS.register_module()
class SemiSegmentor(EncoderDecoder):
    """Pseudo-label training on labeled and unlabeled images in one joint forward.

    By itself the pseudo-label baseline; with :class:`AllSparkNeck` it is AllSpark (CVPR 2024, section 3.1).
    A zoo config becomes semi-supervised by ``model.type='SemiSegmentor'``, ``train_cfg`` of type
    ``PseudoLabelLoop`` and a neck. The training step is fixed (:meth:`loss`); a method overrides one or two of what it
    calls: :meth:`mix_labeled`, :meth:`label`, :meth:`mix`, :meth:`joint_pass`, :meth:`sup_losses`,
    :meth:`unsup_losses`. In all of them ``inputs``, ``data_samples`` and ``step`` are those of :meth:`loss`.

    Args:
        sup_weight: Weight of the loss on labeled images. Default 0.5 (L = (L_s + L_u) / 2).
        unsup_weight: Weight of the loss on unlabeled images. Default 0.5.
        unlabeled_view: View that is trained on; labels always come from ``'weak'``. Default ``'weak'``.
        confidence: Config of a module that weights pixels by confidence, e.g.
            ``dict(type='ConfidenceThreshold', threshold=0.9)``. Default None, every pixel counts.
        alignment: Config of :class:`DistributionAlignment` without ``type`` and ``num_classes``. Default None.
        cutmix: Arguments of :class:`CutMix`, ``dict()`` for its defaults. Default None, off.
        mask_padding: Leave what the pipeline padded out of the unlabeled losses; needs ``PadAndMark`` in the unlabeled
            pipeline. Default False, as AllSpark's release.
        pseudo_loss: Config of a loss that takes the place of cross-entropy where pseudo labels are learned from, e.g.
            ``dict(type='FuzzyPositiveLoss')``. Default None.
        pseudo_label_keys: ``inference_keys`` of the neck while labelling; None: as configured in the neck.
            The paper's configs use ``'batch'``, as the release does.
        data_preprocessor: As in a zoo config; wrapped so that it also takes semi-supervised batches.
        **kwargs: Those of :class:`mmseg.models.EncoderDecoder`.

    Raises:
        ValueError: If neck and decode head do not agree on the number of classes, or the head has one output.
    """

    labels_in = "eval"  # mode of the network that labels; a method may offer 'train'

    @check_types
    def __init__(
        self,
        *,
        sup_weight: LossWeight = 0.5,
        unsup_weight: LossWeight = 0.5,
        unlabeled_view: str = "weak",
        confidence: dict | None = None,
        alignment: dict | None = None,
        cutmix: dict | None = None,
        mask_padding: bool = False,
        pseudo_loss: dict | None = None,
        pseudo_label_keys: Literal["image", "batch"] | None = None,
        data_preprocessor: dict | nn.Module | None = None,
        **kwargs,  # noqa: ANN003
    ) -> None:
        if not isinstance(data_preprocessor, SemiDataPreprocessor):
            data_preprocessor = SemiDataPreprocessor(data_preprocessor or dict(type="BaseDataPreprocessor"))
        super().__init__(data_preprocessor=data_preprocessor, **kwargs)
        self.sup_weight, self.unsup_weight = sup_weight, unsup_weight
        self.unlabeled_view, self.pseudo_label_keys, self.mask_padding = unlabeled_view, pseudo_label_keys, mask_padding
        self.pseudo_loss, self.confidence = build_loss(pseudo_loss), build_confidence(confidence, self.num_classes)
        if alignment is not None:
            alignment = DistributionAlignment(**dict(num_classes=self.num_classes) | dict(alignment))
        self.alignment, self.cutmix = alignment, None if cutmix is None else CutMix(**cutmix)
        if self.out_channels != self.num_classes:
            raise ValueError(
                f"model.decode_head.out_channels={self.out_channels} (a sigmoid output) is not supported; leave "
                f"it out so that the head has num_classes={self.num_classes} outputs."
            )
        if self.steers_neck and self.neck.num_classes != self.num_classes:
            raise ValueError(
                f"model.neck.num_classes={self.neck.num_classes} but model.decode_head.num_classes="
                f"{self.num_classes}; both are the number of classes of the data set."
            )

    @property
    def needs(self) -> Needs:
        """What the method asks of loop and data."""
        modes = dict(unlabeled_in_burn_in=self.steers_neck, teacher_in_train=self.labels_in_train)
        return Needs((self.unlabeled_view,), pastes={} if self.cutmix is None else dict(unlabeled="cutmix"), **modes)

    @property
    def steers_neck(self) -> bool:
        """Whether the neck takes the step's pseudo labels and options, as ``AllSparkNeck`` does (``takes_step``)."""
        return self.with_neck and getattr(self.neck, "takes_step", False)

    @property
    def labels_in_train(self) -> bool:
        """Whether the network that labels is in train mode: as ``labels_in`` says, but never with a steered neck."""
        return self.labels_in == "train" and not self.steers_neck

    def forward(
        self,
        inputs: Tensor | dict[str, Tensor],
        data_samples: list[SegDataSample] | SamplesByPart | None = None,
        mode: str = "tensor",
        step: Step | None = None,
    ) -> Tensor | list[SegDataSample] | dict[str, Tensor]:
        """Mmseg's entry. ``mode='loss'`` takes the items of a :class:`SemiBatch`; a plain batch is a ``TypeError``."""
        if mode != "loss":
            return super().forward(inputs, data_samples, mode)
        if not isinstance(inputs, dict):
            raise TypeError(
                f"{type(self).__name__} trains on labeled and unlabeled images: use train_cfg=dict("
                "type='PseudoLabelLoop', ...), or model.type='EncoderDecoder' for supervised training."
            )
        losses = self.loss(inputs, data_samples, step=step or Step())
        return losses | getattr(self.pseudo_loss, "figures", {})

    def loss(self, inputs: dict[str, Tensor], data_samples: SamplesByPart, *, step: Step) -> dict[str, Tensor]:
        """Losses of one step.

        Args:
            inputs: ``'labeled'`` (B_l, 3, H, W) and the views of the unlabeled images (B_u, 3, H, W).
            data_samples: ``'labeled'`` with ground truth; of ``'unlabeled'`` the ground truth is not looked at.
            step: Where the training is. While ``unsup_scale`` is 0 the labeled images alone are learned from, unless
                the method needs the others (``needs.unlabeled_in_burn_in``).

        Returns:
            Losses ``sup.*`` and ``unsup.*``; their sum is what is minimised.

        Raises:
            KeyError: If a view that the method needs is not in ``inputs``.
            ValueError: If labeled and unlabeled crops differ in size.
            TypeError: If the decode head gives more than one tensor.
        """
        check_views(inputs, self.needs.views, type(self).__name__)
        inputs, data_samples = self.mix_labeled(inputs, data_samples, step)
        if step.unsup_scale == 0 and not self.needs.unlabeled_in_burn_in:
            feats, number = self.extract_feat(inputs["labeled"]), len(inputs["labeled"])
            return self.sup_losses(JointPass(inputs, data_samples, step, number, list(feats), self.decode(feats)))
        pseudo = self.label(inputs, data_samples, step)
        torch.clear_autocast_cache()  # up to torch 2.9 it would hand the training pass casts of weights without a graph
        if pseudo is not None:
            step.record["pseudo"] = pseudo
        images, pseudo = self.mix(inputs, data_samples, pseudo, step)
        joint = self.joint_pass(inputs, data_samples, images, pseudo, step)
        return self.sup_losses(joint) | self.unsup_losses(joint)

    @torch.no_grad()
    def label(self, inputs: dict[str, Tensor], data_samples: SamplesByPart, step: Step) -> PseudoLabel | None:
        """Pseudo labels of the weak view, the mean of ``step.labelers``; None: the joint pass gives them.

        With ``pseudo_labels_from='data'`` they are those that ``LoadPseudoLabel`` read, weighted by their confidence.
        """
        if step.labels_from == "data":
            logits, confidence = loaded_labels(data_samples["unlabeled"], self.num_classes)
            pseudo = self.finish_label(logits, data_samples, known=confidence > 0)
            return replace(pseudo, weight=pseudo.weight * confidence)
        logits = [labeler.label_unlabeled(inputs) for labeler in step.labelers or (self,)]
        return self.finish_label(mean_prediction(logits), data_samples)

    @torch.no_grad()
    def finish_label(self, logits: Tensor, data_samples: SamplesByPart, *, known: Tensor | None = None) -> PseudoLabel:
        """The end of a :meth:`label`: running estimates see logits (B_u, K, H, W), which become labels.

        Pixels that are not ``known`` (B_u, H, W) count as padding; None: all are known.
        """
        valid = self.valid_pixels(data_samples["unlabeled"])
        if known is not None:
            valid = known if valid is None else valid & known
        self.observe(data_samples["labeled"], logits, valid)
        return self.make_pseudo_label(logits, valid)

    @torch.no_grad()
    def label_unlabeled(self, inputs: dict[str, Tensor]) -> Tensor:
        """Logits (B_u, K, H, W) of the weak view at image size, in eval mode or, in training, as ``labels_in`` says."""
        with nullcontext() if self.labels_in_train else eval_mode(self):
            feats = self.extract_feat(inputs["weak"], inference_keys=self.pseudo_label_keys)
            return self.upsample(self.decode(feats), inputs["weak"].shape[2:])

    @torch.no_grad()
    def make_pseudo_label(self, pseudo_logits: Tensor, valid: Tensor | None = None) -> PseudoLabel:
        """Turn (B_u, K, H, W) logits into labels and weights; ``valid`` (B_u, H, W) is False on padding."""
        if self.alignment is not None:
            pseudo_logits = self.alignment(pseudo_logits)
        if self.confidence is None:
            label = pseudo_logits.argmax(dim=1)
            return PseudoLabel(pseudo_logits, label, torch.ones_like(label, dtype=torch.float32), valid)
        confidence, label = pseudo_logits.float().softmax(dim=1).max(dim=1)
        return PseudoLabel(pseudo_logits, label, self.confidence(confidence, label, valid=valid), valid)

    def valid_pixels(self, data_samples: list[SegDataSample]) -> Tensor | None:
        """(B_u, H, W) bool, False on padding; None without ``mask_padding``."""
        return stack_valid(data_samples) if self.mask_padding else None

    def mix_labeled(
        self, inputs: dict[str, Tensor], data_samples: SamplesByPart, step: Step
    ) -> tuple[dict[str, Tensor], SamplesByPart]:
        """Images and samples as everything after takes them, for methods that change the labeled images."""
        return inputs, data_samples

    def mix(
        self, inputs: dict[str, Tensor], data_samples: SamplesByPart, pseudo: PseudoLabel | None, step: Step
    ) -> tuple[Tensor, PseudoLabel | None]:
        """Unlabeled images (B_u, 3, H, W) of the joint pass and their pseudo labels, mixed alike by ``cutmix``."""
        images = inputs[self.unlabeled_view]
        if pseudo is not None:
            return self.paste(images, pseudo, pseudo)
        if self.cutmix is not None:
            raise ValueError(
                f"model.cutmix: {type(self).__name__} has no labels yet that could be mixed; set it to None."
            )
        return images, None

    def joint_pass(
        self,
        inputs: dict[str, Tensor],
        data_samples: SamplesByPart,
        images: Tensor,
        pseudo: PseudoLabel | None,
        step: Step,
    ) -> JointPass:
        """Forward of the labeled images with ``images`` (B_u, 3, H, W), whose labels ``pseudo`` may be None."""
        labeled = inputs["labeled"]
        feats = self.extract_feat(
            torch.cat([labeled, images]),
            num_labeled=len(labeled),
            pseudo_logits=None if pseudo is None else pseudo.logits,
            **step.options,
        )
        logits, aux = self.decode_joint(feats)
        return JointPass(inputs, data_samples, step, len(labeled), list(feats), logits, pseudo, aux, images)

    @torch.no_grad()
    def paste(self, images: Tensor, own: PseudoLabel, pasted: PseudoLabel) -> tuple[Tensor, PseudoLabel]:
        """Images with rectangles of the batch's next ones, labeled ``own`` outside and ``pasted`` inside them."""
        if self.cutmix is None:
            return images, own
        outside, inside = own.maps(), pasted.maps()
        images, *mixed = self.cutmix([images, *outside.values()], pasted=[images, *(inside[name] for name in outside)])
        return images, PseudoLabel.from_maps(dict(zip(outside, mixed, strict=True)))

    def extract_feat(self, inputs: Tensor, **neck_options: object) -> list[Tensor]:
        """Levels of backbone and neck; ``neck_options``, of ``AllSparkNeck``, reach a neck with ``takes_step``."""
        feats = self.backbone(inputs)
        if not self.with_neck:
            return feats
        return self.neck(feats, **neck_options) if self.steers_neck else self.neck(feats)

    def decode_joint(self, feats: list[Tensor]) -> tuple[Tensor, Tensor | None]:
        """Logits (B_l + B_u, K, h, w), and what a method wants to keep of the way there (``JointPass.aux``)."""
        return self.decode(feats), None

    def sup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Losses ``sup.*`` of decode head and auxiliary heads on the labeled images."""
        samples = joint.data_samples["labeled"]
        losses = add_prefix(self.decode_head.loss_by_feat(joint.labeled_logits, samples), "decode")
        if self.with_auxiliary_head:
            losses.update(self._auxiliary_head_forward_train(joint.labeled_feats, samples))
        return add_prefix(scale_losses(losses, self.sup_weight), "sup")

    def unsup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Losses ``unsup.*``: here the weighted cross-entropy of the unlabeled images against their pseudo labels."""
        loss = self.pseudo_label_loss(joint.unlabeled_logits, joint.pseudo)
        return {"unsup.decode.loss_ce": loss * (self.unsup_weight * joint.step.unsup_scale)}

    def pseudo_label_loss(self, logits: Tensor, pseudo: PseudoLabel) -> Tensor:
        """Weighted loss of (B_u, K, h, w) logits against (B_u, H, W) pseudo labels, mean over the pixels."""
        logits = self.upsample(logits, pseudo.label.shape[1:])
        return pseudo.mean_loss(pseudo.pixel_loss(logits, self.pseudo_loss))

    def decode(self, feats: list[Tensor]) -> Tensor:
        """Logits (B, K, h, w) of the decode head."""
        logits = self.decode_head(feats)
        if not isinstance(logits, Tensor):
            raise TypeError(
                f"model.decode_head.type={type(self.decode_head).__name__} gives a {type(logits).__name__} and not one "
                "map of logits; SemiSegmentor needs a head such as SegformerHead, UPerHead, ASPPHead or FCNHead."
            )
        return logits

    def upsample(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        """Logits at another size, bilinear."""
        return resize(logits, size=size, mode="bilinear", align_corners=self.align_corners, warning=False)

    def observe(self, data_samples: list[SegDataSample], pseudo_logits: Tensor, valid: Tensor | None) -> None:
        """Let what keeps running estimates see the labeled samples and the logits (B_u, K, H, W) of a step."""
        if self.alignment is not None:
            self.alignment.update(stack_masks(data_samples), pseudo_logits, self.decode_head.ignore_index, valid)
        if hasattr(self.confidence, "update"):
            pseudo = self.alignment(pseudo_logits) if self.alignment is not None else pseudo_logits
            self.confidence.update(*pseudo.float().softmax(dim=1).max(dim=1), valid)
