"""The second network of methods that train two (CPS, CCVC, MKD)."""

import copy
from dataclasses import replace
from typing import Literal

from mmengine.config import Config
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor

from mmseg_allspark.labels import mean_prediction
from mmseg_allspark.methods.semi_segmentor import SemiSegmentor
from mmseg_allspark.methods.step import Needs
from mmseg_allspark.utils.checks import check_types

_SHARED = ("pretrained", "init_cfg", "train_cfg", "test_cfg")


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
        **kwargs: Those of :class:`SemiSegmentor`.
    """

    @check_types
    def __init__(
        self,
        *,
        second: dict | None = None,
        evaluated: Literal["first", "second", "mean"] = "first",
        **kwargs,  # noqa: ANN003
    ) -> None:
        parts = {name: copy.deepcopy(kwargs.get(name)) for name in ("backbone", "neck", "decode_head")}
        super().__init__(**kwargs)
        if self.steers_neck:
            parts["neck"] = None
        parts = Config._merge_a_into_b(second or {}, parts)
        self.second = EncoderDecoder(**parts, **{name: kwargs[name] for name in _SHARED if name in kwargs})
        self.second.training_only = evaluated == "first"
        self.evaluated = evaluated

    @property
    def needs(self) -> Needs:
        """Unlabeled images in every step: these losses of the base know no other way to train the second network."""
        return replace(super().needs, unlabeled_in_burn_in=True)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits (B, K, H, W) of the evaluated network; of both the logarithm of the mean probability."""
        if self.evaluated == "second":
            return self.second.encode_decode(inputs, batch_img_metas)
        logits = super().encode_decode(inputs, batch_img_metas)
        if self.evaluated == "first":
            return logits
        return mean_prediction([logits, self.second.encode_decode(inputs, batch_img_metas)])
