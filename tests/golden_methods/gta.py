"""GTA-Seg's loss, and how student, assistant and teacher move.

``ema.copied`` is the described method. ``ema.release``, where classifiers share storage, is compared with
``share_classifier=True`` from the end of the first epoch on: in this epoch student, assistant and teacher of the
release are one network, which is not offered. Its teacher holds the student's storage then and is not compared.
"""

import re

import torch
from builders import build_model

from mmseg_allspark.labels import PseudoLabel
from mmseg_allspark.models import TeacherAverage

tensor = torch.from_numpy


def model(**changes):
    return build_model(type="GTASegmentor", neck=None, **changes)


def loss_group(quantity):
    """Of a share of pixels in percent: its loss, gradient or labels."""

    def group(data):
        for percent in (80, 100):
            target, teacher = tensor(data["label"]), tensor(data["teacher_logits"])
            known, logits = target != 255, tensor(data["logits"]).requires_grad_()
            pseudo = PseudoLabel(teacher, target.clamp(max=4), known.float())
            assistant = model(keep_percent=float(percent))
            value, learned = assistant.assistant_loss(logits, pseudo, teacher.softmax(1).amax(1))
            value.backward()
            ours = dict(loss=value, grad=logits.grad, label_after=torch.where(learned, target, 255))
            yield f"{quantity}, {percent} percent", ours[quantity], data[str(percent)]

    return group


class Networks:
    """Three networks whose features and classifiers have one number each; gradients are -1 and 0.1, the rate 0.1."""

    def __init__(self, numbers, **options):
        self.model = model(**options)
        self.model.transfers.count.fill_(round(float(numbers[0])) - 1)  # the transfer of step 3 is the first
        for network, values in ((self.model, numbers[1:3]), (self.model.second, numbers[3:5])):
            for part, value in zip(self.parts(network), values, strict=True):
                self.fill(part, value)
        self.teacher = TeacherAverage(self.model, momentum=0.001, warmup=True)

    def parts(self, network):
        """Parameters of features and of the classifier."""
        named = [(name, p) for name, p in network.named_parameters() if not re.match("second", name)]
        classifier = [name.startswith("decode_head.conv_seg") for name, _ in named]
        return [[p for (_, p), tail in zip(named, classifier, strict=True) if tail == of] for of in (False, True)]

    @torch.no_grad()
    def fill(self, part, value, add=False):
        for parameter in part:
            parameter.copy_(torch.full_like(parameter, float(value)) + (parameter if add else 0.0))

    def step(self):
        """In the release's order: the assistant's step, the transfer, the student's step, the teacher."""
        for network, change in ((self.model.second, 0.1), (self.model, -0.01)):
            if network is self.model:
                self.model.transfer()
            for part in self.parts(network):
                self.fill(part, change, add=True)
        self.teacher.update_parameters(self.model)
        networks = (self.model, self.model.second, self.teacher.module)
        return [part[0].flatten()[0].item() for network in networks for part in self.parts(network)]


def ema(data):
    columns = ["student's features", "student's classifier", "assistant's features", "assistant's classifier"]
    start = torch.tensor([2.0] + 6 * [1.0])
    networks = Networks(start)
    for row in tensor(data["copied"]):
        got = networks.step()
        for name, value, number in zip([*columns, "teacher's", "teacher's"], got, row[1:], strict=True):
            yield f"copied: {name}", value, number
    yield "copied: one classifier", *_shared(networks, data["copied.classifier_shared_at_end"])
    networks = Networks(tensor(data["release"])[2], share_classifier=True)
    for row in tensor(data["release"])[3:]:
        for name, value, number in zip(columns, networks.step()[:4], row[1:5], strict=True):
            yield f"release: {name}", value, number
    yield "release: one classifier", *_shared(networks, data["release.classifier_shared_at_end"])


def _shared(networks, released):
    heads = networks.model.decode_head, networks.model.second.decode_head
    return float(heads[0].conv_seg.weight is heads[1].conv_seg.weight), float(released)


GROUPS = {name: loss_group(name) for name in ("loss", "grad", "label_after")} | dict(ema=ema)
NOT_COMPARED = {"cutmix": "U2PL's generator of rectangles, as in u2pl's cutmix"}
