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
from mmseg_allspark.models import AllSparkNeck
from mmseg_allspark.models.necks.allspark_neck import INFERENCE_KEYS
from mmseg_allspark.utils.checks import check_choice, check_loss_weight, check_types
from mmseg_allspark.utils.wrappers import eval_mode


@MODELS.register_module()
class SemiSegmentor(EncoderDecoder):
    """Pseudo-label training on labeled and unlabeled images in one joint forward.

    By itself the pseudo-label baseline; with :class:`AllSparkNeck` it is AllSpark (CVPR 2024, section 3.1).
    A zoo config becomes semi-supervised by ``model.type='SemiSegmentor'``, ``train_cfg`` of type
    ``PseudoLabelLoop`` and a neck. The training step is fixed (:meth:`loss`); a method overrides its named
    steps: :meth:`label_unlabeled`, :meth:`make_pseudo_label`, :meth:`mix_unlabeled`, :meth:`decode_joint`,
    :meth:`sup_losses`, :meth:`unsup_losses`.

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

    labels_from: str | None = None  # what train_cfg.pseudo_labels_from has to be for this method; None: either
    equal_batches: bool = False  # whether the method pairs labeled with unlabeled images
    label_note: str = ""  # for the log: what the losses take instead of the loop's labels

    @check_types
    def __init__(
        self,
        *,
        sup_weight: float = 0.5,
        unsup_weight: float = 0.5,
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
        check_loss_weight("model.sup_weight", sup_weight)
        check_loss_weight("model.unsup_weight", unsup_weight)
        if pseudo_label_keys is not None:
            check_choice("model.pseudo_label_keys", pseudo_label_keys, INFERENCE_KEYS)
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
        if self._has_allspark and self.neck.num_classes != self.num_classes:
            raise ValueError(
                f"model.neck.num_classes={self.neck.num_classes} but model.decode_head.num_classes="
                f"{self.num_classes}; both are the number of classes of the data set."
            )

    @property
    def trained_views(self) -> tuple[str, ...]:
        """Views of the unlabeled images that a step needs besides the one that is labeled."""
        return (self.unlabeled_view,)

    @property
    def needs_unlabeled_in_burn_in(self) -> bool:
        """Whether a step in which the unlabeled loss counts 0 needs unlabeled images all the same.

        It does where a memory is filled, or a module would be without a gradient.
        """
        return self._has_allspark

    @property
    def _has_allspark(self) -> bool:
        return self.with_neck and isinstance(self.neck, AllSparkNeck)

    def forward(
        self,
        inputs: Tensor | dict[str, Tensor],
        data_samples: list[SegDataSample] | SamplesByPart | None = None,
        mode: str = "tensor",
        **step: object,
    ) -> Tensor | list[SegDataSample] | dict[str, Tensor]:
        """Mmseg's entry: ``mode='loss'`` takes a :class:`SemiBatch`'s items, the others are unchanged.

        Args:
            inputs: (B, 3, H, W), or for ``'loss'`` the dict of a :class:`SemiBatch`.
            data_samples: A list, or for ``'loss'`` the dict of a :class:`SemiBatch`.
            mode: ``'loss'``, ``'predict'`` or ``'tensor'``.
            **step: Named arguments of :meth:`loss`.

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
        return self.loss(inputs, data_samples, **step)

    def loss(
        self,
        inputs: dict[str, Tensor],
        data_samples: SamplesByPart,
        *,
        pseudo_logits: Tensor | None,
        unsup_scale: float = 1.0,
        use_memory: bool = True,
    ) -> dict[str, Tensor]:
        """Losses of one step.

        Args:
            inputs: ``'labeled'`` (B_l, 3, H, W) and the views of the unlabeled images (B_u, 3, H, W).
            data_samples: ``'labeled'`` with ground truth; ``'unlabeled'`` is not looked at.
            pseudo_logits: (B_u, K, H, W) from :meth:`label_unlabeled`; None: learn from the labeled images alone.
            unsup_scale: Factor of the unlabeled loss: 0 during burn-in, rising during ramp-up. Default 1.
            use_memory: False while the semantic memory warms up. Default True.

        Returns:
            Losses ``sup.*`` and ``unsup.*``; their sum is what is minimised.

        Raises:
            KeyError: If the configured view is not in ``inputs``.
            ValueError: If labeled and unlabeled crops differ in size.
            TypeError: If the decode head gives more than one tensor.
        """
        labeled = inputs["labeled"]
        self._check_inputs(inputs)
        if pseudo_logits is None:
            feats = self.extract_feat(labeled)
            return self.sup_losses(JointPass(inputs, data_samples, len(labeled), list(feats), self.decode(feats)))
        valid = self.valid_pixels(data_samples["unlabeled"])
        self._update_running(data_samples["labeled"], pseudo_logits, valid)
        pseudo = self.make_pseudo_label(pseudo_logits, valid)
        images, pseudo = self.mix_unlabeled(inputs[self.unlabeled_view], pseudo)
        feats = self.extract_feat(
            torch.cat([labeled, images]),
            num_labeled=len(labeled),
            pseudo_logits=pseudo.logits,
            use_memory=use_memory,
        )
        logits, hidden = self.decode_joint(feats)
        joint = JointPass(inputs, data_samples, len(labeled), list(feats), logits, pseudo, unsup_scale, hidden)
        return self.sup_losses(joint) | self.unsup_losses(joint)

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

    def mix_unlabeled(self, images: Tensor, pseudo: PseudoLabel) -> tuple[Tensor, PseudoLabel]:
        """Mix (B_u, 3, H, W) images and their pseudo labels alike; without ``cutmix`` return them as they are."""
        return self.paste(images, pseudo, pseudo)

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
        """Backbone and neck; ``neck_options`` reach an :class:`AllSparkNeck` and no other.

        Args:
            inputs: (B, 3, H, W).
            **neck_options: Named arguments of :meth:`AllSparkNeck.forward`.

        Returns:
            Multi-level features.
        """
        feats = self.backbone(inputs)
        if not self.with_neck:
            return feats
        return self.neck(feats, **neck_options) if self._has_allspark else self.neck(feats)

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
        return {"unsup.decode.loss_ce": loss * (self.unsup_weight * joint.unsup_scale)}

    def pseudo_label_loss(self, logits: Tensor, pseudo: PseudoLabel) -> Tensor:
        """Weighted cross-entropy of (B_u, K, h, w) logits against (B_u, H, W) pseudo labels, mean over the pixels."""
        logits = self.upsample(logits, pseudo.label.shape[1:])
        return pseudo.mean_loss(F.cross_entropy(logits, pseudo.label, reduction="none"))

    def _check_inputs(self, inputs: dict[str, Tensor]) -> None:
        """Raise unless the views trained on are there and have the size of the labeled crops."""
        missing = [name for name in self.trained_views if name not in inputs]
        if missing:
            raise KeyError(
                f"{type(self).__name__} trains on the view {missing[0]!r} (model.unlabeled_view, strong_views), but "
                f"the unlabeled data give {sorted(set(inputs) - {'labeled'})}; add {missing[0]}=[...] to views of the "
                "pipeline's MultiView (weak=[] has to be there too) and pack with PackSemiInputs."
            )
        sizes = [tuple(inputs[name].shape[2:]) for name in ("labeled", *self.trained_views)]
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

    def _update_running(self, data_samples: list[SegDataSample], pseudo_logits: Tensor, valid: Tensor | None) -> None:
        """Let the modules that keep running estimates see this step."""
        if self.alignment is not None:
            labels = torch.cat([sample.gt_sem_seg.data for sample in data_samples])
            self.alignment.update(labels, pseudo_logits, self.decode_head.ignore_index, valid)
        if hasattr(self.confidence, "update"):
            pseudo = self.alignment(pseudo_logits) if self.alignment is not None else pseudo_logits
            self.confidence.update(*pseudo.float().softmax(dim=1).max(dim=1), valid)
