"""What pseudo labels look like in figures."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_allspark.labels.entropy import max_probability
from mmseg_allspark.labels.pseudo_label import PseudoLabel


def count_per_class(mask: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Count the pixels of a mask by label, without the copy to the host that ``torch.bincount`` makes on GPUs.

    Args:
        mask: Any shape, bool.
        labels: Same shape, int64; what is not in [0, num_classes) counts nowhere.
        num_classes: Classes K.

    Returns:
        (K,) float32.
    """
    index = torch.where((labels >= 0) & (labels < num_classes), labels, num_classes)
    counts = labels.new_zeros(num_classes + 1).scatter_add_(0, index.flatten(), mask.flatten().long())
    return counts[:-1].float()


@torch.no_grad()
def count_pseudo_labels(pseudo: PseudoLabel, truth: Tensor | None, num_classes: int) -> Tensor:
    """Count the pixels that are not padding by label and ground truth; counts of several steps can be added.

    Args:
        pseudo: The pseudo labels of a batch.
        truth: (B, H, W) int64 ground truth where masks happen to exist, else None. Only counted, never trained on.
        num_classes: Classes K.

    Returns:
        (3, K + 1, K) float64, ground truth by label; the last row is for pixels of unknown truth. First all pixels,
        then the sum of their weights, then of their entropies in nats.
    """
    log_prob = pseudo.logits.float().log_softmax(dim=1)
    entropy = -(log_prob.exp() * log_prob).sum(dim=1)
    every = torch.ones_like(pseudo.weight) if pseudo.valid is None else pseudo.valid.float()
    truth = torch.full_like(pseudo.label, num_classes) if truth is None else truth
    rows = torch.where((truth >= 0) & (truth < num_classes), truth, num_classes)
    index = (rows * num_classes + pseudo.label).flatten()
    values = torch.stack([every, every * pseudo.weight, every * entropy]).flatten(1).double()
    counts = values.new_zeros(3, (num_classes + 1) * num_classes)
    return counts.index_add_(1, index, values).unflatten(1, (num_classes + 1, num_classes))


def pseudo_label_statistics(counts: Tensor) -> dict[str, Tensor]:
    """Figures for the log, from the sum of :func:`count_pseudo_labels`.

    Args:
        counts: (3, K + 1, K).

    Returns:
        Means over all pixels: ``kept``, the weight of a pixel in [0, 1]; ``entropy`` of the softmax in nats; ``share``
        (K,) of each class. Where the truth of some pixels is known, also ``agreement``: the share of them whose label
        is true; ``agreement_kept``: the same weighted by the weight; ``precision`` (K,): agreement among the kept
        pixels labeled as a class; ``recall`` (K,): agreement among all pixels that truly are of a class. NaN where
        there is no such pixel.
    """
    every, kept, entropy = counts
    total = every.sum()
    statistics = dict(kept=kept.sum() / total, entropy=entropy.sum() / total, share=every.sum(dim=0) / total)
    known, known_kept = every[:-1], kept[:-1]
    if known.sum() > 0:
        statistics["agreement"] = known.trace() / known.sum()
        statistics["agreement_kept"] = known_kept.trace() / known_kept.sum()
        statistics["precision"] = known_kept.diagonal() / known_kept.sum(dim=0)
        statistics["recall"] = known.diagonal() / known.sum(dim=1)
    return statistics


@torch.no_grad()
def count_right_labels(pseudo: PseudoLabel, truth: Tensor, num_classes: int, thresholds: Sequence[float]) -> Tensor:
    """Count the pixels whose truth is known, and those that are right, by label; counts of batches can be added.

    Args:
        pseudo: The pseudo labels of a batch.
        truth: (B, H, W) int64; what is not in [0, num_classes) is unknown.
        num_classes: Classes K.
        thresholds: T thresholds of the largest probability.

    Returns:
        (2 + T, 2, K) float64. First all pixels, then the sum of their weights, then those that reach each threshold;
        of these first all, then those whose label is the truth.
    """
    confidence = max_probability(pseudo.logits)
    known = (truth >= 0) & (truth < num_classes)
    known = known if pseudo.valid is None else known & pseudo.valid
    index = torch.where(known, pseudo.label + num_classes * (pseudo.label == truth), 2 * num_classes).flatten()
    counts = []
    for weight in (torch.ones_like(confidence), pseudo.weight, *(confidence >= least for least in thresholds)):
        sums = torch.zeros(2 * num_classes + 1, dtype=torch.float64, device=index.device)
        wrong, right = sums.index_add_(0, index, weight.flatten().double())[:-1].unflatten(0, (2, num_classes))
        counts.append(torch.stack([wrong + right, right]))
    return torch.stack(counts)
