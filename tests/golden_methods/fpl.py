"""FPL: loss, weight and gradient for every kind of weight, its balance inside CPS and AEL."""

import torch
from mmseg.structures import SegDataSample

from golden_methods.cps import segmentor
from mmseg_allspark.labels import PseudoLabel
from mmseg_allspark.methods import JointPass, Step
from mmseg_allspark.methods.two_networks import NetworkOutput
from mmseg_allspark.models import FuzzyPositiveLoss


def tensor(array):
    return torch.as_tensor(array).float()


def every_weight(arrays):
    teacher = tensor(arrays["teacher"])
    plain = FuzzyPositiveLoss(weight="none", balance=False)
    for kind in ("none", "linear", "convex", "concave"):
        fuzzy = FuzzyPositiveLoss(weight=kind, balance=False)
        student = tensor(arrays["student"]).requires_grad_()
        yield "loss without weight", plain(student, teacher), arrays[f"{kind}/loss"]
        yield f"weight, {kind}", fuzzy.positives(teacher)[2], arrays[f"{kind}/weight"]
        (gradient,) = torch.autograd.grad(fuzzy(student, teacher).mean(), student)
        yield f"gradient, {kind}", gradient, arrays[f"{kind}/grad_student"]


def hand(arrays):
    student, teacher = tensor(arrays["student"]), tensor(arrays["prob"]).log().T[None, :, None]
    yield "loss", FuzzyPositiveLoss(weight="none", balance=False)(student, teacher), arrays["loss"]
    yield "weight", FuzzyPositiveLoss().positives(teacher)[2], arrays["weight"]


def cps(arrays):
    """The host: each network learns from the other's label, with one factor for both."""
    first, second, by_first, by_second = (tensor(arrays[k]) for k in ("student", "student2", "teacher", "teacher2"))
    model = segmentor(7, unsup_weight=1.0, cutmix=dict(), pseudo_loss=dict(type="FuzzyPositiveLoss"))
    labels = [model.make_pseudo_label(logits) for logits in (by_first, by_second)]
    extras = {f"second_{name}": values for name, values in labels[1].maps().items()}
    pseudo = PseudoLabel.from_maps(labels[0].maps() | extras)
    samples = dict(labeled=[], unlabeled=[SegDataSample()] * 2)
    images = torch.zeros(2, 3, 6, 5)
    joint = JointPass({}, samples, Step(), 0, [], first, pseudo, (NetworkOutput(first), NetworkOutput(second)), images)

    def loss():
        return sum(value for name, value in model.unsup_losses(joint).items() if "loss" in name)

    yield "balanced loss", loss(), arrays["base_ce"]
    yield "factor", model.pseudo_loss.figures["unsup.positives_balance"], arrays["balance"]
    model.pseudo_loss.balance = False
    yield "unbalanced loss", loss(), arrays["fpl_raw"]


def ael(arrays):
    """The other host: pixels weighted by the square of the teacher's confidence, weights that sum to 1."""
    student, teacher = tensor(arrays["student"]).requires_grad_(), tensor(arrays["teacher"])
    fuzzy = FuzzyPositiveLoss()
    weight = teacher.softmax(dim=1).amax(dim=1).square()
    pseudo = PseudoLabel(teacher, teacher.argmax(dim=1), weight * weight.numel() / weight.sum())
    loss = pseudo.mean_loss(pseudo.pixel_loss(student, fuzzy))
    yield "loss", loss, arrays["loss"]
    yield "gradient", torch.autograd.grad(loss, student)[0], arrays["grad_student"]
    plain = FuzzyPositiveLoss(weight="none")
    plain(student, teacher)
    yield "factor without weight", plain.figures["unsup.positives_balance"], arrays["scalar"]


GROUPS = {"T0.9": every_weight, "hand": hand, "cps": cps, "ael": ael}
NOT_COMPARED = {"mask": "the rectangles of CPS, of which more are drawn in cps's masks"}
