"""MKD: running variances, augmented logits, and the whole unlabeled loss of two steps with its gradients."""

import numpy as np
import torch
from builders import ROOT, build_model, head_config, sample_with_mask

from mmseg_allspark.labels import PseudoLabel
from mmseg_allspark.methods import JointPass, Step
from mmseg_allspark.methods.two_networks import NetworkOutput
from mmseg_allspark.models import SemanticAugmentation

tensor = torch.from_numpy
CLASSES, CHANNELS, IGNORED = 4, 6, 255
with np.load(ROOT / "tests/golden/methods/mkd.npz") as file:
    CLASSIFIERS = {name.removeprefix("loss/"): tensor(file[name]) for name in file.files if "/conv" in name}


def known(labels):
    return torch.where(labels == IGNORED, CLASSES, labels)


def variances(arrays):
    module = SemanticAugmentation(CLASSES, CHANNELS)
    for call in range(3):
        features, labels = tensor(arrays[f"{call}/features"]), known(tensor(arrays[f"{call}/labels"]))
        module.update(features.t()[None, :, :, None], labels[None, :, None])
        yield "variance", module.variance, arrays[f"{call}/CoVariance"]
        yield "mean", module.mean, arrays[f"{call}/Mean"]
        yield "pixels", module.amount, arrays[f"{call}/Amount"]


def augmented(arrays):
    module = SemanticAugmentation(CLASSES, CHANNELS)
    module.variance.copy_(tensor(arrays["cov"]))
    logits, labels = tensor(arrays["preds"]).t()[None, :, :, None], known(tensor(arrays["labels"]))[None, :, None]
    got = module.augment(logits, labels, CLASSIFIERS["conv0/weight"], float(arrays["ratio"]))
    yield "augmented logits", got[0, :, :, 0].t(), arrays["result"]


def network():
    return build_model(type="MKDSegmentor", neck=None, decode_head=head_config(channels=CHANNELS), cutmix=None)


def step(arrays):
    """The stored features are mixed already: every pixel comes from its own image."""
    model, teacher = network(), network()
    heads = [head for one in (model, teacher) for head in (one.decode_head, one.second.decode_head)]
    for index, head in enumerate(heads):
        for name in ("weight", "bias"):
            getattr(head.conv_seg, name).data = CLASSIFIERS[f"conv{index}/{name}"].clone()
    for iteration in (1, 50):
        case = {k.removeprefix(f"it{iteration}/"): v for k, v in arrays.items() if k.startswith(f"it{iteration}/")}
        yield from compare(model, teacher, heads, case, iteration)


def compare(model, teacher, heads, case, iteration):
    features = [tensor(case[f"feat{index}"]) for index in range(4)]
    networks = [
        NetworkOutput(head.conv_seg(value).detach(), value) for head, value in zip(heads, features, strict=True)
    ]
    students = tuple(NetworkOutput(network.logits.requires_grad_(), network.hidden) for network in networks[:2])
    here = Step(iteration - 1, 100, labels_from="ema", labelers=(teacher,), record=dict(teachers=networks[2:]))
    source = torch.arange(3)[:, None, None].expand(-1, 32, 32)
    pseudo = PseudoLabel(torch.zeros(3, CLASSES, 32, 32), 0 * source, torch.ones(3, 32, 32), extras=dict(source=source))
    samples = dict(labeled=[sample_with_mask(mask[0].long()) for mask in tensor(case["gt"])], unlabeled=[])
    images = torch.zeros(3, 3, 32, 32)
    joint = JointPass({}, samples, here, 3, [], students[0].logits, pseudo, students, images)
    losses = model.unsup_losses(joint)
    loss = sum(value for name, value in losses.items() if "loss" in name)
    yield f"step {iteration}: loss", loss, case["value"]
    for index, gradient in enumerate(torch.autograd.grad(loss, [student.logits for student in students])):
        yield f"step {iteration}: gradient of student {index + 1}", gradient, case[f"grad_logits{index}"]
    for index, module in enumerate(model.augmentations):
        if f"CoVariance{index}" in case:
            yield f"step {iteration}: variance", module.variance, case[f"CoVariance{index}"]
            yield f"step {iteration}: pixels", module.amount, case[f"Amount{index}"]


GROUPS = dict(est=variances, aug=augmented, loss=step)
NOT_COMPARED = {"mask": "the rectangles of CPS, of which more are drawn in cps's masks"}
