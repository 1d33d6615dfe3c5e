"""SemiCVT (CVPR 2023): a convolutional and a transformer stream that learn from each other's moving averages."""

from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from mmseg.registry import MODELS
from mmseg.utils import add_prefix
from torch import Tensor, nn

from mmseg_allspark.labels import mean_prediction, prediction_entropy
from mmseg_allspark.methods.joint_pass import JointPass, scale_losses
from mmseg_allspark.methods.passes import pass_teachers
from mmseg_allspark.methods.step import Needs
from mmseg_allspark.methods.u2pl import U2PLSegmentor
from mmseg_allspark.models import ConvProjectionHead, GraphConsistency, TwoStreamHead
from mmseg_allspark.utils.checks import LossWeight, Percent, PositiveInt, check_types
from mmseg_allspark.utils.wrappers import eval_mode

_NAMES = ("decode", "transformer")  # of the streams in the log


class Streams(NamedTuple):
    """What the two streams give of images, the convolutional one first.

    Attributes:
        logits: (B, K, h, w) of each.
        features: (B, D, h, w) of each, projected for the graphs.
    """

    logits: tuple[Tensor, Tensor]
    features: tuple[Tensor, Tensor]

    def of(self, index: int, part: slice) -> tuple[Tensor, Tensor]:
        """Logits and features that one stream gives of some of the images."""
        return self.logits[index][part], self.features[index][part]


@MODELS.register_module()
class SemiCVTSegmentor(U2PLSegmentor):
    """Two streams, each with a decode head, that learn the teacher's mean prediction and each other's graphs.

    L = sup_weight * L_s + unsup_weight * L_u + graph_weight * L_g; each is the mean over the two streams. The teacher's
    label is the likeliest class of the mean of its streams' probabilities. L_u is that of U2PL without the contrast:
    the pixels of lower entropy are learned, where the entropy is that of the teacher's same stream on the mixed images.
    L_g holds the graphs of a stream to those of the *other* stream of the teacher (:class:`GraphConsistency`). After
    the authors' repository of November 2022. Needs :class:`ResNetCVT` and :class:`TwoStreamHead`, ``MeanTeacherHook``
    with ``buffers='own'``, and ``train_cfg.pseudo_labels_from='ema'``. An exported model has both streams.

    Args:
        graph: ``'trained'`` or ``'random'``, as ``weights`` of :class:`GraphConsistency`. Default ``'trained'``.
        graph_weight: Default 0.1.
        feature_channels: Channels D of the features that the graphs are made of. Default 256.
        projection_channels: Channels between the convolutions that give them. Default 256.
        keep_percent: As in :class:`U2PLSegmentor`. Default 80.
        **kwargs: Those of :class:`U2PLSegmentor` apart from its contrast.

    Raises:
        TypeError: If the decode head has not two streams.
    """

    @check_types
    def __init__(
        self,
        *,
        graph: Literal["trained", "random"] = "trained",
        graph_weight: LossWeight = 0.1,
        feature_channels: PositiveInt = 256,
        projection_channels: PositiveInt = 256,
        keep_percent: Percent = 80.0,
        **kwargs,  # noqa: ANN003
    ) -> None:
        if "contrast" in kwargs:
            raise TypeError("model.contrast means nothing to SemiCVTSegmentor; leave it out.")
        super().__init__(contrast=None, keep_percent=keep_percent, **kwargs)
        if not isinstance(self.decode_head, TwoStreamHead):
            raise TypeError(
                f"model.decode_head.type={type(self.decode_head).__name__!r} has not two streams: SemiCVT needs "
                "backbone.type='ResNetCVT' and decode_head.type='TwoStreamHead'."
            )
        head = self.decode_head.transformer
        self.projectors = nn.ModuleList(
            ConvProjectionHead(head.trunk_channels, feature_channels, projection_channels, norm_cfg=head.norm_cfg)
            for _ in _NAMES
        )
        self.graph_weight, self.graph = graph_weight, GraphConsistency(feature_channels, weights=graph)

    @property
    def needs(self) -> Needs:
        """Unlabeled images in every step: the projections learn from them alone."""
        return replace(super().needs, unlabeled_in_burn_in=True)

    def decode_joint(self, feats: list[Tensor]) -> tuple[Tensor, Streams]:
        """Mean logits (B, K, h, w), and what the streams give."""
        hidden = self.decode_head.trunks(feats)
        logits = self.decode_head.tails(hidden)
        features = tuple(projector(one) for projector, one in zip(self.projectors, hidden, strict=True))
        return torch.stack(logits).mean(dim=0), Streams(logits, features)

    @torch.no_grad()
    def label_unlabeled(self, inputs: dict[str, Tensor]) -> Tensor:
        """Logits (B_u, K, H, W) of the weak view in eval mode, whose softmax is the mean of the streams'."""
        images = inputs["weak"]
        with eval_mode(self):
            feats = self.extract_feat(images, inference_keys=self.pseudo_label_keys)
            logits = self.decode_head.tails(self.decode_head.trunks(feats))
            return mean_prediction([self.upsample(one, images.shape[2:]) for one in logits])

    def sup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Losses ``sup.*`` of both streams on the labeled images, half of each."""
        samples, losses = joint.data_samples["labeled"], {}
        heads = self.decode_head, self.decode_head.transformer
        for name, head, logits in zip(_NAMES, heads, joint.aux.logits, strict=True):
            of_stream = head.loss_by_feat(logits[: joint.num_labeled], samples)
            losses |= add_prefix(scale_losses(of_stream, 0.5), name)
        if self.with_auxiliary_head:
            losses |= self._auxiliary_head_forward_train(joint.labeled_feats, samples)
        return add_prefix(scale_losses(losses, self.sup_weight), "sup")

    def unsup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """Cross-entropy of the learned pixels, and the graphs' difference, half of each stream."""
        images, pseudo = torch.cat([joint.inputs["labeled"], joint.images]), joint.pseudo
        streams = [one[1] for one in pass_teachers(self, joint.step, images)]
        unlabeled, scale = slice(joint.num_labeled, None), joint.step.unsup_scale / 2
        valid = torch.ones_like(pseudo.label, dtype=torch.bool) if pseudo.valid is None else pseudo.valid
        teacher = [
            (mean_prediction([one.of(index, unlabeled)[0] for one in streams]), streams[0].of(index, unlabeled)[1])
            for index in range(2)
        ]
        losses, shares = {}, []
        for index, name in enumerate(_NAMES):
            student = joint.aux.of(index, unlabeled)
            entropy = prediction_entropy(self.upsample(teacher[index][0], pseudo.label.shape[1:]))
            learned = self.find_reliable(entropy, valid, joint.step).learned
            loss = self.learned_loss(student[0], pseudo, learned)
            losses[f"unsup.{name}.loss_ce"] = loss * (self.unsup_weight * scale)
            losses[f"unsup.{name}.loss_graph"] = self.graph(student, teacher[1 - index]) * (self.graph_weight * scale)
            shares.append(learned.sum() / valid.sum().clamp(min=1))
        return losses | {"unsup.learned_share": torch.stack(shares).mean()}
