"""SemiCVT's inter-model class-wise consistency: two streams have to give the same graphs of classes and pixels."""

from typing import Literal

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmseg_allspark.utils.checks import PositiveInt, check_types

_WEIGHTS = ("projection", "bias", "pixels", "classes")


class GraphConsistency(BaseModule):
    """Difference of two graphs, whose nodes are pixels and centers of classes.

    Legend: B images, K classes, D channels, n = ``side`` * ``side`` pixels. For each class the nodes X are the pooled
    pixels of all images, n each, and the center of the class in each image: the mean of the features, weighted by the
    softmax over the pixels of the class's probability. Y = ELU(softmax(X X^T) X W_1). The centers C in Y of all classes
    make a second graph, softmax(C C^T) C W_2. The loss is the mean squared difference of both after layer norm. The
    student's features are projected before, the teacher's are not. Everything is float32.

    Args:
        channels: Channels D of the features.
        side: Pixels of a row and of a column after pooling. Default 10.
        weights: ``'trained'``: projection, W_1 and W_2 learn with the model. ``'random'``: they keep their random
            start, as in the release, where no optimizer has them. Default ``'trained'``.
    """

    training_only = True
    shared_with_teacher = True  # both graphs of a comparison have the same weights

    @check_types
    def __init__(
        self,
        channels: PositiveInt,
        side: PositiveInt = 10,
        weights: Literal["trained", "random"] = "trained",
    ) -> None:
        super().__init__()
        self.side = side
        for name in _WEIGHTS:
            shape = (channels,) if name == "bias" else (channels, channels)
            value = torch.zeros(shape) if name == "bias" else torch.randn(shape) * channels**-0.5
            if weights == "trained":
                self.register_parameter(name, nn.Parameter(value))
            else:
                self.register_buffer(name, value)

    def forward(self, student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor]) -> Tensor:
        """Compare a stream of the student with one of the teacher.

        Args:
            student: Logits (B, K, h, w) and features (B, D, h, w).
            teacher: The same of the teacher; without gradient.

        Returns:
            Scalar.
        """
        with torch.autocast(device_type=student[0].device.type, enabled=False):
            logits, features = (one.float() for one in student)
            projected = torch.einsum("bdhw,ed->behw", features, self.projection) + self.bias[:, None, None]
            own = self._graphs(logits, projected)
            with torch.no_grad():
                other = self._graphs(*(one.float() for one in teacher))
            pairs = zip(own, other, strict=True)
            return sum(F.mse_loss(_normed(first), _normed(second)) for first, second in pairs)

    def _graphs(self, logits: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Nodes of the graphs of pixels and centers (K, B * n + B, D), and of that of the centers (K * B, D)."""
        weight = logits.softmax(dim=1).flatten(2).softmax(dim=2)
        centers = torch.einsum("bkp,bdp->kbd", weight, features.flatten(2))
        pixels = F.adaptive_avg_pool2d(features, self.side).flatten(2).transpose(1, 2).flatten(0, 1)
        nodes = _attend(torch.cat([pixels.expand(len(centers), -1, -1), centers], dim=1))
        nodes = F.elu(nodes @ self.pixels)
        return nodes, _attend(nodes[:, -len(logits) :].flatten(0, 1)) @ self.classes


def _attend(nodes: Tensor) -> Tensor:
    """Mean of all nodes for each node, weighted by the softmax of their products."""
    return (nodes @ nodes.transpose(-1, -2)).softmax(dim=-1) @ nodes


def _normed(nodes: Tensor) -> Tensor:
    return F.layer_norm(nodes, nodes.shape[-1:])
