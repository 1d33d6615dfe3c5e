"""DGCL's density, an update of its memory, its contrast and its loss of sure pixels."""

from unittest import mock

import torch
import torch.nn.functional as F
from builders import build_model

from mmseg_allspark.labels import PseudoLabel
from mmseg_allspark.models import DensityMemory, density_memory

tensor = torch.from_numpy


def fill(memory, index, features, projected, density):
    """Put rows, the newest first, into the memory of a class."""
    rows = torch.cat([tensor(features), tensor(projected), tensor(density)[:, None]], dim=1).flip(0)
    memory.queue.write(rows, torch.full((len(rows),), index))


def density(data):
    """The other two modes are not used in the release's training."""
    features = tensor(data["features"])
    memory = DensityMemory(1, 6, 1, rows=100, density_rows=100)
    fill(memory, 0, data["memory"], data["memory"][:, :1], data["memory"][:, 0])
    yield "density", memory.density(features[None])[0], data["dot_norm1"]


def update(data):
    """Given are the class 0 of the memory before the last update, and its features and densities afterwards."""
    memory = DensityMemory(2, 4, 3, rows=1100)
    before = data["step3_before_fts_class0"]  # its densities have a stray row at their end
    fill(memory, 0, before, before[:, :3], data["step3_before_density_class0"][: len(before)])
    classes = tensor(data["step3_labels"]).long()
    classes = torch.where(classes == 255, 2, classes)
    memory.enqueue(tensor(data["step3_fts"]), tensor(data["step3_rep"]), classes)
    newest_first = (memory.queue.pointer[0] - 1 - torch.arange(1100)) % 1100
    rows = memory.queue.queue[0, newest_first]
    yield "rows", memory.filled[0], data["sizes_fts_and_density"][3][0]
    yield "features", rows[:, :4], data["step3_after_fts_class0"]
    yield "density", rows[:, -1], data["step3_after_density_class0"]
    yield "full", memory.full[0], data["full"]


def contrast(data):
    classes = tensor(data["label"]).long()
    classes = torch.where(classes == 255, 4, classes)
    for name in sorted({key.split("/")[0] for key in data if "/" in key}):
        memory = DensityMemory(4, 6, 5, rows=120, density_rows=120, anchors=int(name.removeprefix("anchors")))
        for index in range(4):
            fill(memory, index, *(data[f"memory_{kind}"][index] for kind in ("fts", "rep", "density")))
        draw, drawn = density_memory.draw_where, [data[f"{name}/negatives_call{i}"] for i in range(3)]

        def released(mask, number, draw=draw, drawn=drawn):
            """Of negatives, those that the release drew: they count the pixels of other classes."""
            index = draw(mask, number)
            if number == 512:
                for row in range(1, 4):
                    index[row] = mask[row].nonzero()[:, 0][tensor(drawn[row - 1]).long()]
            return index

        projected = tensor(data["rep"]).requires_grad_()
        with mock.patch.object(density_memory, "draw_where", released):
            loss = memory.loss(tensor(data["fts"]), projected, classes)
        loss.backward()
        yield f"{name}: loss", loss, data[f"{name}/loss"]
        yield f"{name}: gradient", projected.grad, data[f"{name}/grad_rep"]


def unsup(data):
    model = build_model(type="DGCLSegmentor", neck=None, contrast=None)
    target, ignored = tensor(data["target"]).long(), tensor(data["ignore_mask"])
    sure, label = target != 255, target.clamp(max=3)
    sure = sure & (ignored != 255)
    pseudo = PseudoLabel(F.one_hot(label, 4).movedim(3, 1).float(), label, sure.float(), extras=dict(sure=sure))
    predict = tensor(data["predict"]).requires_grad_()
    loss = model.learned_loss(predict, pseudo, sure)
    loss.backward()
    yield "loss", loss, data["loss"]
    yield "gradient", predict.grad, data["grad"]


GROUPS = dict(density=density, memory=update, loss=contrast, unsup=unsup)
