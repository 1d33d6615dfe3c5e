"""U2PL's loss of reliable pixels, its masks, mixtures and OHEM, and three steps of its contrast with their memory.

Of the contrast's variants ``release_onehot`` is not compared: its label maps, with the classes of all images in the
first one, are a slip that is not offered. ``class_index_fixed`` is ``release`` with right class indices; here all
classes are present, so that both have the same figures.
"""

from unittest import mock

import torch
import torch.nn.functional as F
from builders import build_model

from mmseg_allspark.labels import CutMix, PseudoLabel, masked_quantiles, prediction_entropy
from mmseg_allspark.methods import Step
from mmseg_allspark.models import NegativeMemory, OhemLoss, negative_memory
from mmseg_allspark.models.pixel_rows import is_of_class

tensor = torch.from_numpy
SIZES = torch.tensor([60, 40, 40, 40])  # rows of each class


def model(**changes):
    return build_model(type="U2PLSegmentor", neck=None, contrast=None, **changes)


def pseudo_label(target, num_classes):
    target = tensor(target).long()
    valid, label = target != 255, target.clamp(max=num_classes - 1)
    return PseudoLabel(F.one_hot(label, num_classes).movedim(3, 1).float(), label, torch.ones(target.shape), valid)


def unsup(data):
    pseudo, entropy = pseudo_label(data["target"], 5), prediction_entropy(tensor(data["pred_teacher"]))
    for name in sorted({key.split("/")[0] for key in data if "/" in key}):
        student = model(keep_percent=float(name.removeprefix("percent")))
        predict = tensor(data["predict"]).requires_grad_()
        learned = student.find_reliable(entropy, pseudo.valid, Step()).learned
        loss = student.learned_loss(predict, pseudo, learned)
        loss.backward()
        yield f"{name} labels", torch.where(learned, pseudo.label, 255), data[f"{name}/target_after"]
        yield f"{name} loss", loss, data[f"{name}/loss"]
        yield f"{name} gradient", predict.grad, data[f"{name}/grad_predict"]


def masks(data):
    """The release has right one-hot labels here: there is one image of each kind."""
    student, labels = model(), [tensor(data[name]).long() for name in ("label_l", "label_u_aug")]
    entropy, (labeled, valid) = prediction_entropy(tensor(data["pred_u_large_teacher"])), [x != 255 for x in labels]
    step = Step(iteration=40, max_iters=200)  # 20 * (1 - 40 / 200) = 16 percent
    _, low, high = student.find_reliable(entropy, valid, step)
    yield "entropy", entropy, data["entropy"]
    for name, limit in zip(("low", "high"), masked_quantiles(entropy, valid, (0.16, 0.84)), strict=True):
        yield f"limit of {name} entropy", limit, data[f"{name}_thresh"]
    for name, mask in (("low", low), ("high", high)):
        yield f"{name} entropy", mask, data[f"{name}_entropy_mask"]
        small = F.interpolate(torch.stack([labeled, mask], dim=0).float(), size=(8, 8), mode="nearest")
        yield f"{name} entropy, small", small, data[f"{name}_mask_all"]
    for name, label in zip(("label_l", "label_u"), labels, strict=True):
        small = F.interpolate(torch.where(label == 255, 4, label)[None].float(), size=(8, 8), mode="nearest")[0].long()
        yield "labels, small", is_of_class(small, 4), data[f"{name}_small"]


def onehot(data):
    """Not the release's maps: see above."""
    labels = tensor(data["labels"]).long()
    yield "one-hot labels", is_of_class(labels, 4), data["intended"]


class Draws:
    """Gives the indices that the release drew; those of negatives count from the oldest row of a class on."""

    def __init__(self, memory, anchors, negatives):
        used = memory.queue.enqueued[:-1].clamp(max=SIZES)
        oldest = memory.queue.enqueued[:-1] - used
        takes_part = torch.zeros(4, dtype=torch.bool)
        self.memory, self.oldest, self.used, self.takes_part = memory, oldest, used, takes_part
        self.given, self.calls = [tensor(anchors).long(), tensor(negatives).long()], []

    def __call__(self, limits, number):
        given = self.given[len(self.calls)]
        self.calls.append(limits)
        rows = torch.zeros(4, number, dtype=torch.long)
        rows[self.taking_part()] = given.view(-1, number)
        slots = (rows + self.oldest[:, None]) % self.memory.queue.num_slots
        return rows if len(self.calls) == 1 else slots

    def taking_part(self):
        """Classes with anchors and negatives."""
        return self.used.gt(0) & self.calls[0].gt(0)


def contrast(data):
    cases = (("release", "released"), ("class_index_fixed", "released"), ("paper_negatives", "unlikely"))
    for variant, candidates in cases:
        case = {k.removeprefix("all_present/"): tensor(v) if v.shape else v for k, v in data.items()}
        own = {k.removeprefix(f"{variant}/"): v for k, v in case.items() if k.startswith(f"{variant}/")}
        memory = NegativeMemory(
            4, 8, rows=60, rows_per_step=1000, anchors=6, negatives=5, low_rank=2, high_rank=4, candidates=candidates
        )
        for step in range(3):
            classes = torch.cat([case["label_l"][step], case["label_u"][step]]).long()
            classes = torch.where(classes == 255, 4, classes)
            prob = torch.cat([case["prob_l"][step], case["prob_u"][step]])
            projected, features = case["rep"][step].clone().requires_grad_(), case["rep_teacher"][step]
            low, high = (case[name][step][:, 0] > 0 for name in ("low_mask", "high_mask"))
            found = memory.find_negatives(prob, classes, high, 2)
            memory.enqueue(features, found)
            draws = Draws(memory, *(own[f"{kind}_idx_step{step}"].numpy() for kind in ("anchor", "neg")))
            with mock.patch.object(negative_memory, "draw_below", draws):
                loss = memory.loss(projected, features, prob, classes, low)
            loss.backward()
            taking_part = draws.taking_part()
            sizes = torch.stack([draws.calls[0][taking_part], draws.used[taking_part]], dim=1).flatten()
            yield f"{variant}: numbers of anchors and rows", sizes, own[f"draw_high_step{step}"]
            yield f"{variant}: new rows", found.sum(dim=1), own["new_keys"][step]
            yield f"{variant}: rows", draws.used, own["bank_sizes"][step]
            yield f"{variant}: loss", loss, own["loss"][step]
            yield f"{variant}: gradient", projected.grad, own["grad_rep"][step]
        if "bank_after" in own:
            rows = [memory.queue.queue[c, : draws.used[c]] for c in range(4)]  # none was overwritten
            yield f"{variant}: memory", torch.cat(rows), own["bank_after"]


def cutmix(data):
    """The rectangle of each mask and mixture is read off; drawing it is another order of draws than the release's."""
    mixer = CutMix(prob=1.0, area=(0.5, 0.5), aspect=None, per="batch")
    for mask in data["masks_64x64"]:
        pasted, rows, columns = mask == 0, (mask == 0).any(1), (mask == 0).any(0)
        own = [mixer._rectangle(64, 64) for _ in range(20)]
        area = sum((r.stop - r.start) * (c.stop - c.start) for r, c in own) / len(own)
        assert pasted.sum() == rows.sum() * columns.sum()  # a rectangle
        assert abs(area - pasted.sum()) <= 64 and all(c.stop - c.start >= 32 for _, c in own)
    tensors = [tensor(data[name]) for name in ("images", "labels", "confidence")]
    taken = [(tensors[2][i] != tensor(data["confidence_mixed"])[i]).nonzero() for i in (0, 1)]
    boxes = [tuple(slice(int(t[:, axis].min()), int(t[:, axis].max()) + 1) for axis in (0, 1)) for t in taken]
    with mock.patch.object(CutMix, "_rectangle", side_effect=boxes):
        mixed = mixer(tensors)
    for name, values in zip(("images", "labels", "confidence"), mixed, strict=True):
        yield name, values, data[f"{name}_mixed"]


def ohem(data):
    for name in sorted({key.split("/")[0] for key in data if "/" in key}):
        predict = tensor(data["predict"]).requires_grad_()
        loss = OhemLoss(thresh=0.7, min_kept=int(name.removeprefix("min_kept")))(predict, tensor(data["target"]).long())
        loss.backward()
        yield f"{name} loss", loss, data[f"{name}/loss"]
        yield f"{name} gradient", predict.grad, data[f"{name}/grad"]


GROUPS = dict(unsup=unsup, masks=masks, onehot=onehot, contra=contrast, cutmix=cutmix, ohem=ohem)
