"""UniMatch V2 (arXiv 2410.10777): two strong views with complementary channels, labeled by a moving average."""

from dataclasses import replace

import torch
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_allspark.labels import PseudoLabel
from mmseg_allspark.methods.joint_pass import JointPass, SamplesByPart
from mmseg_allspark.methods.semi_segmentor import SemiSegmentor
from mmseg_allspark.methods.step import Needs, Step
from mmseg_allspark.utils.checks import Share, check_choice, check_types


@MODELS.register_module()
class UniMatchV2Segmentor(SemiSegmentor):
    """Two strong views of each unlabeled image, which see complementary halves of the encoder's channels.

    L = sup_weight * L_s + unsup_weight * (L_1 + L_2) / 2; L_k is the mean over the pixels that are not padding. The
    labels of both views are the teacher's on the weak view: ``MeanTeacherHook`` and
    ``train_cfg.pseudo_labels_from='ema'``. Each view has a CutMix rectangle of its own. Between backbone (and neck) and
    head a random half of the channels of the first view is dropped and the rest doubled; the second view keeps what the
    first one lost. Levels of one width share the choice. A share of the images of each step keeps all channels.
    Everything is one pass of B_l + 2 B_u images. An :class:`AllSparkNeck` learns from both mixed views.

    Args:
        strong_views: Names of the two strong views in the unlabeled pipeline's ``MultiView``. Default
            ``('strong1', 'strong2')``.
        keep_share: Share of the unlabeled images of a step that keep all channels, rounded down to whole images; 1:
            no channel is dropped. Default 0.5, as in the release.
        confidence: Default ``dict(type='ConfidenceThreshold', threshold=0.95)``.
        cutmix: Default ``dict()``: probability 0.5, area 2 to 40 %.
        mask_padding: Default True, as in the release.
        test_cfg: As in mmseg; with ``mode='slide'`` also ``average``: ``'logits'`` (mmseg's, the default) or
            ``'probability'`` (the release's) is averaged where windows overlap.
        **kwargs: Those of :class:`SemiSegmentor`; ``unlabeled_view`` has to be ``'weak'``.

    Raises:
        TypeError, ValueError: On an argument of a wrong type or value.
    """

    @check_types
    def __init__(
        self,
        *,
        strong_views: tuple[str, str] = ("strong1", "strong2"),
        keep_share: Share = 0.5,
        confidence: dict | None = dict(type="ConfidenceThreshold", threshold=0.95),  # noqa: B006 (never changed)
        cutmix: dict | None = dict(),  # noqa: B006, C408
        mask_padding: bool = True,
        **kwargs,  # noqa: ANN003
    ) -> None:
        super().__init__(confidence=confidence, cutmix=cutmix, mask_padding=mask_padding, **kwargs)
        if self.unlabeled_view != "weak":
            raise ValueError(
                f"model.unlabeled_view={self.unlabeled_view!r}: UniMatch V2's is 'weak', its strong views are "
                "model.strong_views. If it is inherited, from AllSpark's options say, model=dict(_delete_=True, ...)."
            )
        self.strong_views, self.keep_share = tuple(strong_views), keep_share
        average = (self.test_cfg or {}).get("average", "logits")
        check_choice("model.test_cfg.average", average, ("logits", "probability"))
        self.averages_probabilities = average == "probability" and self.test_cfg.get("mode") == "slide"

    @property
    def needs(self) -> Needs:
        """Both strong views, and a teacher that labels."""
        return replace(super().needs, views=self.strong_views, labels_from="ema")

    def mix(
        self, inputs: dict[str, Tensor], data_samples: SamplesByPart, pseudo: PseudoLabel, step: Step
    ) -> tuple[Tensor, PseudoLabel]:
        """Both strong views (2 B_u, 3, H, W), the first of all images before the second, and their labels."""
        # nothing else reads mixed logits, by far the largest tensor here
        if not self.steers_neck and self.pseudo_loss is None:
            pseudo = replace(pseudo, logits=pseudo.logits[:, :0])
        images, labels = zip(*(self.paste(inputs[name], pseudo, pseudo) for name in self.strong_views), strict=True)
        maps = [label.maps() for label in labels]
        both = {name: torch.cat([view[name] for view in maps]) for name in maps[0]}
        return torch.cat(images), PseudoLabel.from_maps(both)

    def extract_feat(self, inputs: Tensor, **neck_options: object) -> list[Tensor]:
        """As in the base; in the joint pass, which alone has labeled images, channels of the others are dropped."""
        feats, num_labeled = super().extract_feat(inputs, **neck_options), neck_options.get("num_labeled")
        return feats if num_labeled is None else self.drop_channels(feats, num_labeled)

    def drop_channels(self, feats: list[Tensor], num_labeled: int) -> list[Tensor]:
        """Drop channels of the unlabeled images in levels (B_l + 2 B_u, C_i, h, w); the labeled come first."""
        if self.keep_share == 1:
            return list(feats)
        factors, dropped = {}, []
        images = (len(feats[0]) - num_labeled) // 2
        spared = torch.randperm(images, device=feats[0].device) < int(images * self.keep_share)  # at all levels alike
        for level in feats:
            labeled, unlabeled = level[:num_labeled], level[num_labeled:]
            channels = level.shape[1]
            if channels not in factors:
                factors[channels] = self.draw_factors(spared, channels)
            factor = factors[channels].flatten(0, 1).to(level.dtype)
            dropped.append(torch.cat([labeled, unlabeled * factor[:, :, None, None]]))
        return dropped

    def draw_factors(self, spared: Tensor, channels: int) -> Tensor:
        """Draw the factors (2, B_u, C) of both views' channels; ``spared`` (B_u,) images keep all."""
        chosen = torch.rand(len(spared), channels, device=spared.device) < 0.5
        return complementary_factors(chosen, spared)

    def unsup_losses(self, joint: JointPass) -> dict[str, Tensor]:
        """A loss for each strong view, from logits (2 B_u, K, h, w); each has its own padding, so its own mean."""
        maps = {name: values.chunk(2) for name, values in joint.pseudo.maps().items()}
        scale = self.unsup_weight * joint.step.unsup_scale / 2
        losses = {}
        for view, logits in enumerate(joint.unlabeled_logits.chunk(2)):
            pseudo = PseudoLabel.from_maps({name: halves[view] for name, halves in maps.items()})
            losses[f"unsup.decode.loss_{self.strong_views[view]}"] = self.pseudo_label_loss(logits, pseudo) * scale
        return losses

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits (B, K, H, W), or what sliding windows average in their place."""
        logits = super().encode_decode(inputs, batch_img_metas)
        return logits.softmax(dim=1) if self.averages_probabilities else logits

    def slide_inference(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits (B, K, H, W) of all windows together; of a mean of probabilities its logarithm."""
        averaged = super().slide_inference(inputs, batch_img_metas)
        return averaged.clamp(min=1e-12).log() if self.averages_probabilities else averaged


def complementary_factors(chosen: Tensor, spared: Tensor) -> Tensor:
    """Factors of the channels of two views.

    Args:
        chosen: (B, C) bool, channels that the first view keeps.
        spared: (B,) bool, images that keep all channels in both views.

    Returns:
        (2, B, C) float32: 2 where a view keeps a channel and 0 where it loses it, 1 in spared images.
    """
    first = 2.0 * chosen.float()
    return torch.where(spared[:, None], 1.0, torch.stack([first, 2.0 - first]))
