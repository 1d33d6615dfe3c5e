"""The second network of methods that train two (CPS, CCVC, MKD)."""

import copy
from typing import Literal

import torch
from mmengine.config import ConfigDict
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor

from mmseg_allspark.methods.semi_segmentor import SemiSegmentor
from mmseg_allspark.utils.checks import check_types


class TwoNetworkSegmentor(SemiSegmentor):
    """A base for methods of two networks with weights of their own; by itself it is no method.

    The first network is the segmentor itself; the second, ``self.second``, is an mmseg ``EncoderDecoder`` of the same
    config, initialised with other random numbers. Pretrained weights are the same in both. An exported model holds the
    first network alone.

    Args:
        second: What the second network's ``backbone`` and ``decode_head`` have in place of the first's, merged into
            them. A neck that takes pseudo labels belongs to the first network. Default None, nothing.
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
        merged = ConfigDict(parts)
        merged.update(second or {})
        self.second = EncoderDecoder(**merged, train_cfg=kwargs.get("train_cfg"), test_cfg=kwargs.get("test_cfg"))
        self.second.training_only = True
        self.evaluated = evaluated

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits (B, K, H, W) of the evaluated network; of both the logarithm of the mean probability."""
        if self.evaluated == "second":
            return self.second.encode_decode(inputs, batch_img_metas)
        logits = super().encode_decode(inputs, batch_img_metas)
        if self.evaluated == "first":
            return logits
        both = torch.stack([logits, self.second.encode_decode(inputs, batch_img_metas)]).float()
        return both.log_softmax(dim=2).logsumexp(dim=0) - torch.log(both.new_tensor(2.0))
