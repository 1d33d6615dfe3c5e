"""ESL's dynamic soft label and contrast. No code was released: the figures are the paper's formulas in float64."""

import torch
from builders import build_model

from mmseg_allspark.models import dynamic_soft_label, info_nce

tensor = torch.from_numpy


def soft_label(data):
    for mass in (0.8, 0.95, 0.999):
        model = build_model(type="ESLSegmentor", neck=None, pseudo_loss=dict(type="DynamicSoftLabelLoss", mass=mass))
        student, teacher = tensor(data["student_logits"]).requires_grad_(), tensor(data["teacher_logits"])
        loss = model.pseudo_label_loss(student, model.make_pseudo_label(teacher))
        loss.backward()
        label = dynamic_soft_label(teacher, mass)
        yield f"{mass} dominant classes", label > 0, data[f"{mass}.dominant"]
        yield f"{mass} label", label, data[f"{mass}.label"]
        yield f"{mass} loss", loss, data[f"{mass}.loss"]
        yield f"{mass} gradient", student.grad, data[f"{mass}.grad"]


def contrast(data):
    anchors, positive, negatives = (tensor(data[name]) for name in ("anchor", "positive", "negatives"))
    yield "loss", info_nce(anchors, positive, negatives, 0.5).mean(), data["loss"]
    same = torch.ones(1, 1, 8)
    level = info_nce(same[0], same[0], same.expand(1, 255, 8), 0.5)
    yield "loss of equal similarities", level[0], data["random_255_negatives_level"]


GROUPS = dict(dsl=soft_label, nce=contrast)
