"""SemiSegmentor: an EncoderDecoder that also learns from unlabeled images."""

import torch
import torch.nn.functional as F
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import add_prefix
from torch import Tensor, nn

from mmseg_allspark.methods.cutmix import CutMix
from mmseg_allspark.methods.joint_pass import JointPass, SamplesByPart, stack_valid
from mmseg_allspark.methods.pseudo_label import DistributionAlignment, PseudoLabel, build_confidence
from mmseg_allspark.methods.semi_batch import SemiDataPreprocessor
from mmseg_allspark.methods.step import Needs, Step
from mmseg_allspark.utils.checks import LossWeight, check_types
from mmseg_allspark.utils.wrappers import eval_mode


@MODELS.register_module()
class SemiSegmentor(EncoderDecoder):
    """Pseudo-label training on labeled and unlabeled images in one joint forward.

    By itself the pseudo-label baseline; with :class:`AllSparkNeck` it is AllSpark (CVPR 2024, section 3.1).
    A zoo config becomes semi-supervised by ``model.type='SemiSegmentor'``, ``train_cfg`` of type
    ``PseudoLabelLoop`` and a neck. The training step is fixed (:meth:`loss`); a method overrides one or two of what it
    calls: :meth:`label`, :meth:`mix`, :meth:`joint_pass`, :meth:`sup_losses`, :meth:`unsup_losses`.

    Args:
        sup_weight: Weight of the loss on labeled images. Default 0.5 (L = (L_s + L_u) / 2).
        unsup_weight: Weight of the loss on unlabeled images. Default 0.5.
        unlabeled_view: View of the unlabeled images that is trained on; labels always come from ``'weak'``.
            Default ``'weak'``.
        confidence: Config of a module that weights pixels by confidence, e.g.
            ``dict(type='ConfidenceThreshold', threshold=0.9)``. Default None, every pixel counts.
        alignment: Config of :class:`DistributionAlignment` without ``type`` and ``num_classes``. Default None.
        cutmix: Arguments of :class:`CutMix`, ``dict()`` for its defaults. Default None, off.
        mask_padding: Leave what the pipeline padded out of the unlabeled losses; needs ``PadAndMark`` in the unlabeled
            pipeline. Default False, as AllSpark's release.
        pseudo_label_keys: ``inference_keys`` of the neck while labelling; None: as configured in the neck.
            The paper's configs use ``'batch'``, as the release does.
        data_preprocessor: As in a zoo config; wrapped so that it also takes semi-supervised batches.
        **kwargs: Those of :class:`mmseg.models.EncoderDecoder`.

    Raises:
        ValueError: If neck and decode head do not agree on the number of classes, or the head has one output.
    """

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
        pseudo_label_keys: str | None = None,
        data_preprocessor: dict | nn.Module | None = None,
        **kwargs,  # noqa: ANN003
    ) -> None:
        if not isinstance(data_preprocessor, SemiDataPreprocessor):
            data_preprocessor = SemiDataPreprocessor(
                dict(type="BaseDataPreprocessor") if data_preprocessor is None else data_preprocessor
            )
        super().__init__(data_preprocessor=data_preprocessor, **kwargs)
        self.sup_weight, self.unsup_weight = sup_weight, unsup_weight
        self.unlabeled_view, self.pseudo_label_keys = unlabeled_view, pseudo_label_keys
        self.mask_padding = mask_padding
        self.confidence = build_confidence(confidence, self.num_classes)
        per_class = dict(num_classes=self.num_classes)
        self.alignment = None if alignment is None else DistributionAlignment(**per_class | dict(alignment))
        self.cutmix = None if cutmix is None else CutMix(**cutmix)
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
        return Needs(views=(self.unlabeled_view,), burn_in=self.steers_neck)

    @property
    def steers_neck(self) -> bool:
        """Whether the neck takes the step's pseudo labels and options, as ``AllSparkNeck`` does (``takes_step``)."""
        return self.with_neck and getattr(self.neck, "takes_step", False)

    def forward(
        self,
        inputs: Tensor | dict[str, Tensor],
        data_samples: list[SegDataSample] | SamplesByPart | None = None,
        mode: str = "tensor",
        step: Step | None = None,
    ) -> Tensor | list[SegDataSample] | dict[str, Tensor]:
        """Mmseg's entry: ``mode='loss'`` takes a :class:`SemiBatch`'s items, the others are unchanged.

        Args:
            inputs: (B, 3, H, W), or for ``'loss'`` the dict of a :class:`SemiBatch`.
            data_samples: A list, or for ``'loss'`` the dict of a :class:`SemiBatch`.
            mode: ``'loss'``, ``'predict'`` or ``'tensor'``.
            step: Of ``'loss'``. Default None, ``Step()``.

        Returns:
            Losses, predictions or logits, as in mmseg.

        Raises:
            TypeError: If ``mode='loss'`` gets a plain batch.
        """
        if mode != "loss":
            return super().forward(inputs, data_samples, mode)
        if not isinstance(inputs, dict):
            raise TypeError(
                f"{type(self).__name__} trains on labeled and unlabeled images: use train_cfg=dict("
                "type='PseudoLabelLoop', ...), or model.type='EncoderDecoder' for supervised training."
            )
        return self.loss(inputs, data_samples, step=Step() if step is None else step)

    def loss(self, inputs: dict[str, Tensor], data_samples: SamplesByPart, *, step: Step) -> dict[str, Tensor]:
        """Losses of one step.

        Args:
            inputs: ``'labeled'`` (B_l, 3, H, W) and the views of the unlabeled images (B_u, 3, H, W).
            data_samples: ``'labeled'`` with ground truth; of ``'unlabeled'`` the ground truth is not looked at.
            step: Where the training is. While ``unsup_scale`` is 0 the labeled images alone are learned from, unless
                the method needs the others (``needs.burn_in``).

        Returns:
            Losses ``sup.*`` and ``unsup.*``; their sum is what is minimised.

        Raises:
            KeyError: If a view that the method needs is not in ``inputs``.
            ValueError: If labeled and unlabeled crops differ in size.
            TypeError: If the decode head gives more than one tensor.
        """
        self._check_inputs(inputs)
        if step.unsup_scale == 0 and not self.needs.burn_in:
            feats = self.extract_feat(inputs["labeled"])
            return self.sup_losses(
                JointPass(inputs, data_samples, step, len(inputs["labeled"]), list(feats), self.decode(feats))
            )
        pseudo = self.label(inputs, data_samples, step)
        if pseudo is not None:
            step.record["pseudo"] = pseudo
        images, pseudo = self.mix(inputs, pseudo)
        joint = self.joint_pass(inputs, data_samples, images, pseudo, step)
        return self.sup_losses(joint) | self.unsup_losses(joint)

    @torch.no_grad()
    def label(self, inputs: dict[str, Tensor], data_samples: SamplesByPart, step: Step) -> PseudoLabel | None:
        """Pseudo labels of the weak view, by the first of ``step.labelers``; None: the joint pass gives them.

        Args:
            inputs: As in :meth:`loss`.
            data_samples: As in :meth:`loss`.
            step: As in :meth:`loss`.
        """
        logits = (step.labelers[0] if step.labelers else self).label_unlabeled(inputs)
        valid = self.valid_pixels(data_samples["unlabeled"])
        self.observe(data_samples["labeled"], logits, valid)
        return self.make_pseudo_label(logits, valid)

    @torch.no_grad()
    def label_unlabeled(self, inputs: dict[str, Tensor]) -> Tensor:
        """Logits (B_u, K, H, W) of the weak view in eval mode, at image size.

        Args:
            inputs: As in :meth:`loss`; ``'weak'`` (B_u, 3, H, W) is labeled.
        """
        images = inputs["weak"]
        with eval_mode(self):
            feats = self.extract_feat(images, inference_keys=self.pseudo_label_keys)
            return self.upsample(self.decode(feats), images.shape[2:])

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

    def mix(self, inputs: dict[str, Tensor], pseudo: PseudoLabel | None) -> tuple[Tensor, PseudoLabel | None]:
        """Unlabeled images (B_u, 3, H, W) of the joint pass and their pseudo labels, mixed alike by ``cutmix``."""
        return self.paste(inputs[self.unlabeled_view], pseudo, pseudo)

    def joint_pass(
        self,
        inputs: dict[str, Tensor],
        data_samples: SamplesByPart,
        images: Tensor,
        pseudo: PseudoLabel | None,
        step: Step,
    ) -> JointPass:
        """Forward of the labeled and the unlabeled images together.

        Args:
            inputs: As in :meth:`loss`.
            data_samples: As in :meth:`loss`.
            images: (B_u, 3, H, W), the unlabeled images that go in.
            pseudo: Their labels; None: the method makes them from what comes out.
            step: As in :meth:`loss`.
        """
        labeled = inputs["labeled"]
        feats = self.extract_feat(
            torch.cat([labeled, images]),
            num_labeled=len(labeled),
            pseudo_logits=None if pseudo is None else pseudo.logits,
            **step.options,
        )
        logits, hidden = self.decode_joint(feats)
        return JointPass(inputs, data_samples, step, len(labeled), list(feats), logits, pseudo, hidden)

    @torch.no_grad()
    def paste(self, images: Tensor, own: PseudoLabel, pasted: PseudoLabel) -> tuple[Tensor, PseudoLabel]:
        """Images with rectangles of the batch's next ones, labeled ``own`` outside and ``pasted`` inside them."""
        if self.cutmix is None:
            return images, own
        parts = [name for name, part in vars(own).items() if part is not None]
        images, *mixed = self.cutmix(
            [images, *(getattr(own, part) for part in parts)],
            pasted=[images, *(getattr(pasted, part) for part in parts)],
        )
        return images, PseudoLabel(**dict(zip(parts, mixed, strict=True)))

    def extract_feat(self, inputs: Tensor, **neck_options: object) -> list[Tensor]:
        """Backbone and neck; ``neck_options`` reach a neck with ``takes_step`` and no other.

        Args:
            inputs: (B, 3, H, W).
            **neck_options: Named arguments of :meth:`AllSparkNeck.forward`.

        Returns:
            Multi-level features.
        """
        feats = self.backbone(inputs)
        if not self.with_neck:
            return feats
        return self.neck(feats, **neck_options) if self.steers_neck else self.neck(feats)

    def decode_joint(self, feats: list[Tensor]) -> tuple[Tensor, Tensor | None]:
        """Logits (B_l + B_u, K, h, w), and what a method wants to keep of the way there (``JointPass.hidden``)."""
        return self.decode(feats), None

    def sup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Losses ``sup.*`` of decode head and auxiliary heads on the labeled images."""
        samples = joint.data_samples["labeled"]
        losses = add_prefix(self.decode_head.loss_by_feat(joint.labeled_logits, samples), "decode")
        if self.with_auxiliary_head:
            losses.update(self._auxiliary_head_forward_train(joint.labeled_feats, samples))
        weighted = {name: value * self.sup_weight if "loss" in name else value for name, value in losses.items()}
        return add_prefix(weighted, "sup")

    def unsup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Losses ``unsup.*``: here the weighted cross-entropy of the unlabeled images against their pseudo labels."""
        loss = self.pseudo_label_loss(joint.unlabeled_logits, joint.pseudo)
        return {"unsup.decode.loss_ce": loss * (self.unsup_weight * joint.step.unsup_scale)}

    def pseudo_label_loss(self, logits: Tensor, pseudo: PseudoLabel) -> Tensor:
        """Weighted cross-entropy of (B_u, K, h, w) logits against (B_u, H, W) pseudo labels, mean over the pixels."""
        logits = self.upsample(logits, pseudo.label.shape[1:])
        return pseudo.mean_loss(F.cross_entropy(logits, pseudo.label, reduction="none"))

    def _check_inputs(self, inputs: dict[str, Tensor]) -> None:
        """Raise unless the views trained on are there and have the size of the labeled crops."""
        missing = [name for name in self.needs.views if name not in inputs]
        if missing:
            raise KeyError(
                f"{type(self).__name__} trains on the view {missing[0]!r} (model.unlabeled_view, strong_views), but "
                f"the unlabeled data give {sorted(set(inputs) - {'labeled'})}; add {missing[0]}=[...] to views of the "
                "pipeline's MultiView (weak=[] has to be there too) and pack with PackSemiInputs."
            )
        sizes = [tuple(inputs[name].shape[2:]) for name in ("labeled", *self.needs.views)]
        if len(set(sizes)) > 1:
            raise ValueError(
                f"Labeled crops are {sizes[0]}, unlabeled ones {sizes[1]}: give the pipelines of train_dataloader and "
                "unlabeled_dataloader one crop size."
            )

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
            labels = torch.cat([sample.gt_sem_seg.data for sample in data_samples])
            self.alignment.update(labels, pseudo_logits, self.decode_head.ignore_index, valid)
        if hasattr(self.confidence, "update"):
            pseudo = self.alignment(pseudo_logits) if self.alignment is not None else pseudo_logits
            self.confidence.update(*pseudo.float().softmax(dim=1).max(dim=1), valid)
