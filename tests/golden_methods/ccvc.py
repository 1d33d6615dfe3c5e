"""CCVC: mixed labels, conflicts, all losses of a step and their gradients, as released and as intended."""

import numpy as np
import torch
from builders import ROOT, build_model, head_config, sample_with_mask
from mmengine.structures import PixelData

from mmseg_allspark.methods import JointPass, Step
from mmseg_allspark.methods.two_networks import NetworkOutput, split_labels

RELEASED = dict(conflict_by="logit", conflict_of="unmixed")
VOC = dict(sup_weight=5.0, unsup_weight=2.0, discrepancy_weight=1.0)
OPTIONS = dict(
    voc=dict(conflict_threshold=0.9, conflict_weight=1.5, **VOC, **RELEASED),
    plain=dict(conflict_weight=1.0, **VOC),
    intended=dict(conflict_threshold=0.9, conflict_weight=1.5, **VOC),
)
KINDS = ("labeled", "mixed", "raw")
with np.load(ROOT / "tests/golden/methods/ccvc.npz") as file:
    INPUTS = {name.removeprefix("in/"): torch.tensor(file[name]) for name in file.files if name.startswith("in/")}


class GivenBox:
    """CutMix of two images by known boxes; the batch in reverse order is the next image."""

    def __call__(self, tensors, pasted):
        box = INPUTS["cutmix_box"] == 1
        return [
            torch.where(box[:, None] if own.dim() == 4 else box, other.flip(0), own)
            for own, other in zip(tensors, pasted, strict=True)
        ]


def a_step(options):
    """The model, its labels and mixed labels, the joint pass, and the leaves of the graph by name."""
    model = build_model(type="CCVCSegmentor", neck=None, decode_head=head_config(num_classes=4), **options)
    model.cutmix = GivenBox()
    model.label_unlabeled = lambda inputs: INPUTS["eval_pred1"]
    model.label_by_second = lambda images: INPUTS["eval_pred2"]
    names = [f"{kind}_{part}{i}" for kind in KINDS for part in ("pred", "feature") for i in (1, 2)]
    leaves = {name: INPUTS[name].clone().requires_grad_() for name in names}
    model.pass_mixed = lambda images: tuple(
        NetworkOutput(leaves[f"mixed_pred{i}"], leaves[f"mixed_feature{i}"]) for i in (1, 2)
    )
    both = tuple(
        NetworkOutput.cat(
            [NetworkOutput(leaves[f"{kind}_pred{i}"], leaves[f"{kind}_feature{i}"]) for kind in ("labeled", "raw")]
        )
        for i in (1, 2)
    )
    samples = [sample_with_mask(None) for _ in range(2)]
    for sample, padding in zip(samples, INPUTS["ignore_img_mask"], strict=True):
        sample.valid = PixelData(data=(padding != 255)[None])
    samples = dict(labeled=[sample_with_mask(mask.long()) for mask in INPUTS["labeled_mask"]], unlabeled=samples)
    inputs, step = dict(weak=INPUTS["strong_images"], strong=INPUTS["strong_images"]), Step()
    pseudo = model.label(inputs, samples, step)
    joint = JointPass(inputs, samples, step, 2, [], both[0].logits, pseudo, both, inputs["weak"])
    return model, joint, leaves


def mix(arrays):
    model, joint, _ = a_step(OPTIONS["voc"])
    images, pseudo = model.paste(joint.inputs["strong"], joint.pseudo, joint.pseudo)
    first, second = split_labels(pseudo)
    yield "mixed image", images, arrays["aug_unlabeled_img_for_mix"]
    yield "mixed padding", first.valid, arrays["aug_unlabeled_ignore_img_mask_for_mix"] != 255
    yield "labels of the first network", first.label, arrays["aug_unlabeled_pseudo_label1_for_mix"]
    yield "labels of the second network", second.label, arrays["aug_unlabeled_pseudo_label2_for_mix"]


def step(arrays, options):
    model, joint, leaves = a_step(options)
    sup, unsup = model.sup_losses(joint), model.unsup_losses(joint)
    for name, released in zip(("decode", "second"), ("loss_CE1", "loss_CE2"), strict=True):
        yield released, sup[f"sup.{name}.loss_ce"] * 2 / model.sup_weight, arrays[released]
    yield "loss_CE", sup["sup.decode.loss_ce"] + sup["sup.second.loss_ce"], arrays["loss_CE"]
    released = dict(second_mixed="con1", decode_mixed="con2", second_raw="raw_con1", decode_raw="raw_con2")
    consistency = {name: unsup["unsup.{}.loss_{}".format(*name.split("_"))] for name in released}
    for name, value in consistency.items():  # network 2 learns from the labels of network 1: con1
        yield f"loss_{released[name]}", value * 4 / model.unsup_weight, arrays[f"loss_{released[name]}"]
    yield "loss_con", sum(consistency.values()), arrays["loss_con"]
    yield "loss_dis_labeled", sup["sup.loss_discrepancy"] * 2, arrays["loss_dis_labeled"]
    views = arrays["loss_dis_cutmixed_aug_unlabeled"] + arrays["loss_dis_raw_unlabeled"]
    yield "loss_dis of both views", unsup["unsup.loss_discrepancy"] * 4, views
    yield "loss_dis", sup["sup.loss_discrepancy"] + unsup["unsup.loss_discrepancy"], arrays["loss_dis"]
    yield from conflicts(model, joint, arrays)
    loss = sum(value for name, value in (sup | unsup).items() if "loss" in name)
    yield "loss", loss, arrays["loss"]
    for name, gradient in zip(leaves, torch.autograd.grad(loss, leaves.values()), strict=True):
        yield f"gradient of {name[:-1]}", gradient, arrays[f"grad_{name}"]


def conflicts(model, joint, arrays):
    """The masks of conflicts; without weights there are none."""
    if "different1_confident" not in arrays:
        return
    _, mixed = model.paste(joint.inputs["strong"], joint.pseudo, joint.pseudo)
    raw = tuple(network.images(slice(2, None)) for network in joint.aux)
    for prefix, labels in (("", model._mixed_labels(mixed, joint.pseudo)), ("raw_", model._own_labels(joint, raw))):
        for i, network in enumerate(labels, start=1):
            yield "conflicts", network.extras["conflict"], arrays[f"{prefix}different{i}_confident"]


GROUPS = dict(mix=mix) | {
    name: lambda arrays, options=options: step(arrays, options) for name, options in OPTIONS.items()
}
NOT_COMPARED = {"in": "inputs of the other groups"}
