"""CPS: both variants of the loss with labels and gradients, the rectangles' area, OHEM of the supervised loss."""

import torch
from builders import build_model, head_config, sample_with_mask

from golden_methods.u2pl import ohem
from mmseg_allspark.labels import CutMix
from mmseg_allspark.methods import JointPass, Step
from mmseg_allspark.methods.two_networks import NetworkOutput

RELEASED_CUTMIX = dict(prob=1.0, boxes=3, area=(0.25, 0.5), aspect=None)


class GivenMask:
    """CutMix of the batch's first half with its second, by a known mask (B / 2, 1, H, W)."""

    def __init__(self, mask):
        self.mask = mask.bool()

    def __call__(self, tensors, pasted=None):
        masks = [self.mask if tensor.dim() == 4 else self.mask[:, 0] for tensor in tensors]
        halves = [tensor.chunk(2) for tensor in tensors]
        return [torch.where(mask, half[1], half[0]) for mask, half in zip(masks, halves, strict=True)]


def segmentor(classes, **options):
    return build_model(type="CPSSegmentor", neck=None, decode_head=head_config(num_classes=classes), **options)


def tensors(arrays, *names):
    return [torch.as_tensor(arrays[name]).float() for name in names]


def cps(arrays):
    names = [f"pred_{part}_{network}" for network in "lr" for part in ("sup", "unsup")]
    predictions = [values.requires_grad_() for values in tensors(arrays, *names)]
    first, second = torch.cat(predictions[:2]), torch.cat(predictions[2:])
    masks, images = torch.as_tensor(arrays["gts"]).long(), torch.zeros(2, 3, 10, 10)
    samples = dict(labeled=[sample_with_mask(mask) for mask in masks], unlabeled=[sample_with_mask(None)] * 2)
    pair = NetworkOutput(first), NetworkOutput(second)
    joint = JointPass(dict(labeled=images), samples, Step(), 2, [], first, None, pair, images)
    model = segmentor(5)
    sup, unsup = model.sup_losses(joint), model.unsup_losses(joint)
    cross = unsup["unsup.decode.loss_cps"] + unsup["unsup.second.loss_cps"]
    for name, labels in zip("lr", model._labels(joint, first, second), strict=True):
        yield f"labels of network {name}", labels.label, arrays[f"max_{name}"]
    yield "cross supervision", cross, arrays["cps_loss"]
    yield "supervised, first", sup["sup.decode.loss_ce"], arrays["loss_sup"]
    yield "supervised, second", sup["sup.second.loss_ce"], arrays["loss_sup_r"]
    loss = cross + sup["sup.decode.loss_ce"] + sup["sup.second.loss_ce"]
    yield "loss", loss, arrays["loss"]
    for name, gradient in zip(names, torch.autograd.grad(loss, predictions), strict=True):
        yield "gradient", gradient, arrays[f"grad_{name}"]


def masks(arrays):
    torch.manual_seed(0)
    cutmix, tags = CutMix(**RELEASED_CUTMIX), torch.arange(2.0)[:, None, None].expand(2, 64, 64)
    shares = torch.stack([(cutmix([tags])[0] != tags).double().mean(dim=(1, 2)) for _ in range(1500)])
    yield "mean and deviation of the share", [shares.mean(), shares.std()], arrays["share_of_ones_invert_true"][:2]


def cutmix(arrays):
    model = segmentor(5, unsup_weight=1.0, cutmix=RELEASED_CUTMIX)
    model.cutmix = GivenMask(torch.as_tensor(arrays["mask"]))
    of_first, of_second = (torch.cat(tensors(arrays, f"logits_u0_tea_{i}", f"logits_u1_tea_{i}")) for i in (1, 2))
    model.label_unlabeled, model.label_by_second = (lambda inputs: of_first), (lambda images: of_second)
    inputs = dict(weak=torch.cat(tensors(arrays, "images0_ch0", "images1_ch0")))
    samples, step = dict(labeled=[], unlabeled=[sample_with_mask(None)] * 4), Step()
    images, pseudo = model.mix(inputs, samples, model.label(inputs, samples, step), step)
    students = [values.requires_grad_() for values in tensors(arrays, "logits_cons_stu_1", "logits_cons_stu_2")]
    joint = JointPass(inputs, samples, step, 0, [], students[0], pseudo, tuple(map(NetworkOutput, students)), images)
    losses = model.unsup_losses(joint)
    loss = losses["unsup.decode.loss_cps"] + losses["unsup.second.loss_cps"]
    yield "mixed image", images, arrays["mixed_ch0"]
    yield "labels of the first network", pseudo.label, arrays["ps_label_1"]
    yield "labels of the second network", pseudo.extras["second_label"], arrays["ps_label_2"]
    yield "cross supervision", loss, arrays["cps_loss"]
    for index, gradient in enumerate(torch.autograd.grad(loss, students), start=1):
        yield f"gradient of network {index}", gradient, arrays[f"grad_stu_{index}"]


GROUPS = dict(cps=cps, masks=masks, cutmix=cutmix, ohem=ohem)
# random, 3000 masks here and there; the release puts a rectangle at the image's edge half as often as elsewhere
TOLERANCES = dict(masks=0.03)
