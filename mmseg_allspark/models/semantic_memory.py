"""Channel-wise Semantic Grouping and the Semantic Memory (AllSpark, section 3.4).

Legend: B images, N = H*W tokens, C channels, K classes, M memory rows per class.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_allspark.models.class_queue import ClassQueue
from mmseg_allspark.utils.checks import as_size, check_choice

SIMILARITIES = ("cosine", "instance_norm")
GROUPING_MAPS = ("logits", "softmax")


def feature_size(crop: int | tuple[int, int], stride: int = 32) -> tuple[int, int]:
    """The (height, width) of a backbone's map at a training crop, as the memory has to have it.

    Args:
        crop: (height, width), or one integer for a square, in pixels.
        stride: Pixels from one feature to the next. Default 32, the deepest level of MiT.

    Returns:
        Both sides divided by the stride, rounded up: such backbones pad.
    """
    return tuple(math.ceil(side / stride) for side in as_size("crop_size", crop))


@torch.no_grad()
def group_channels(
    tokens: Tensor,
    pseudo_logits: Tensor,
    *,
    size: tuple[int, int],
    similarity: str = "cosine",
    grouping_map: str = "logits",
) -> Tensor:
    """Give every channel of every image the class whose pseudo-label map it resembles most.

    Args:
        tokens: (B, N, C) normalised features of the unlabeled images.
        pseudo_logits: (B, K, H', W') logits of the same images, any resolution.
        size: (H, W) of the features, N = H*W.
        similarity: ``'cosine'`` over the tokens (release, default) or ``'instance_norm'``, the paper's
            psi(p h): since psi is monotone, this is the argmax of the raw inner product.
        grouping_map: ``'logits'`` (release, default) or ``'softmax'``, the paper's probability map.

    Returns:
        (B, C) int64, the class of each channel; ties go to the lower class.
    """
    check_choice("similarity", similarity, SIMILARITIES)
    check_choice("grouping_map", grouping_map, GROUPING_MAPS)
    with torch.autocast(device_type=tokens.device.type, enabled=False):
        maps = pseudo_logits.float()
        maps = maps.softmax(dim=1) if grouping_map == "softmax" else maps
        maps = resize_by_points(maps, size).flatten(2)  # (B, K, N)
        channels = tokens.float()
        if similarity == "cosine":
            maps, channels = F.normalize(maps, dim=2), F.normalize(channels, dim=1)
        return (maps @ channels).argmax(dim=1)  # (B, K, C) -> (B, C)


def resize_by_points(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear ``F.interpolate(maps, size, align_corners=False)`` that reads only the pixels it needs.

    From 513x513 to 17x17 these are one in two hundred; torch first copies the whole maps on the CPU (81 classes x 4
    images: 340 MB).

    Args:
        maps: (B, K, H', W').
        size: (H, W).

    Returns:
        (B, K, H, W).
    """
    for dim, new in ((2, size[0]), (3, size[1])):
        old = maps.shape[dim]
        position = (torch.arange(new, device=maps.device, dtype=maps.dtype) + 0.5) * (old / new) - 0.5
        position = position.clamp(min=0.0)
        low = position.long().clamp(max=old - 1)
        weight = (position - low).view(-1, *[1] * (3 - dim))
        maps = maps.index_select(dim, low).lerp(maps.index_select(dim, (low + 1).clamp(max=old - 1)), weight)
    return maps


class SemanticMemory(ClassQueue):
    """The channels of unlabeled images, as M rows per class.

    Args:
        num_classes: Classes K.
        num_slots: Rows M per class; AllSpark uses M = C.
        size: (H, W) of the feature maps stored, N = H*W tokens a row.
        sync: As in :class:`ClassQueue`; ``'rank0'`` is what the release does. Default ``'rank0'``.

    Rows of a checkpoint that were square maps of another size are resized bilinearly when they are loaded.
    """

    def __init__(self, num_classes: int, num_slots: int, size: tuple[int, int], sync: str = "rank0") -> None:
        size = as_size("memory_size", size)
        super().__init__(num_classes, num_slots, size[0] * size[1], sync)
        self.size = size

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: object) -> None:
        """Resize rows of another crop on the way in; only N = H*W is known of them, so they have to be square."""
        queue = state_dict.get(f"{prefix}queue")
        if queue is not None and queue.dim() == 3 and queue.shape != self.queue.shape:
            side = math.isqrt(queue.shape[2])
            if queue.shape[:2] == self.queue.shape[:2] and side * side == queue.shape[2]:
                maps = queue.unflatten(2, (side, side))
                maps = F.interpolate(maps, size=self.size, mode="bilinear", align_corners=False)
                state_dict[f"{prefix}queue"] = maps.flatten(2)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def read(self) -> Tensor:
        """Return the memory as token maps (K, N, M), one per class, detached from any graph."""
        return super().read().transpose(1, 2)

    @torch.no_grad()
    def write(self, tokens: Tensor, classes: Tensor | None) -> None:
        """Enqueue every channel into the ring of its class, in image order and then channel order.

        Args:
            tokens: (B, N, C) features of the unlabeled images.
            classes: (B, C) int64 class of each channel, or None to add all channels blindly ("S-Mem without CSG",
                table 5).

        Raises:
            ValueError: If the tokens do not have the memory's size.
        """
        if tokens.shape[1] != self.queue.shape[2]:
            raise ValueError(
                f"The memory holds rows of {self.queue.shape[2]} tokens (memory_size={self.size}), got "
                f"features of {tokens.shape[1]} tokens; set memory_size to the feature size at the crop."
            )
        super().write(tokens.transpose(1, 2).flatten(0, 1), None if classes is None else classes.flatten())
