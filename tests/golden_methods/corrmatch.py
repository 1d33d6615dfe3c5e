"""CorrMatch's correlation, running threshold, and all losses of a step on given logits."""

import numpy as np
import torch
from builders import build_model, sample_with_mask
from torch import nn
from torch.nn.functional import interpolate

from mmseg_allspark.labels import GlobalMaxThreshold, PseudoLabel
from mmseg_allspark.methods import JointPass, Step
from mmseg_allspark.methods.corrmatch import Correlated
from mmseg_allspark.models import PixelCorrelation

tensor = torch.from_numpy
FACTORS = {  # of each loss in the released sum
    "sup.decode.loss_ce": 0.25,
    "sup.corr.loss_ce": 0.25,
    "unsup.decode.loss_strong": 0.125,
    "unsup.decode.loss_kl": 0.125,
    "unsup.decode.loss_feature": 0.125,
    "unsup.corr.loss_propagated": 0.0625,
}


def correlation(data):
    """The second convolution's bias has no part in the released affinity; ours has none."""
    module = PixelCorrelation(256, dim=4, norm_cfg=dict(type="BN"))
    module.project = nn.Identity()
    state = dict(query=("weight.conv1.weight", "weight.conv1.bias"), key=("weight.conv2.weight",))
    for name, keys in state.items():
        for key in keys:
            getattr(getattr(module, name), key.rsplit(".", 1)[1]).data = tensor(data[key])
    features, logits = tensor(data["feature"]).requires_grad_(), tensor(data["logits"]).requires_grad_()
    out, affinity = module(features, logits)
    yield "affinity", affinity, data["affinity"]
    yield "propagated logits", out, data["out"]
    up = interpolate(out, size=(20, 24), mode="bilinear", align_corners=True)
    yield "propagated logits at image size", up, data["out_up"]
    rows = tensor(data["sampled_index"])
    yield "sampled rows", affinity[:, rows[:8]], data["sampled_rows_of_8"]
    maps = np.unpackbits(data["map_packed"], axis=-1)
    assert list(maps.shape) == data["map_shape"].tolist()
    yield "segments", module.segments(affinity, rows, (5, 6), (20, 24)).int(), maps
    loss = up.square().mean()
    loss.backward()
    yield "loss", loss, data["loss"]
    yield "gradient of the features", features.grad, data["grad_feature"]
    yield "gradient of the first convolution", module.query.weight.grad, data["grad_conv1_weight"]
    yield "logits get a gradient", torch.tensor(logits.grad is not None), data["logits_has_grad"]


def threshold(data):
    module = GlobalMaxThreshold(4, init=0.85)
    for logits, ignore, mean, after in zip(
        *(data[k] for k in ("logits", "ignore", "new_global", "after")), strict=True
    ):
        confidence, label = tensor(logits).softmax(1).max(1)
        new = GlobalMaxThreshold(4, init=0.0, momentum=1.0)
        for each in (new, module):
            each.update(confidence, label, tensor(ignore) != 255)
        if not np.isnan(mean):
            yield "mean of a step", new.threshold[0], mean
        yield "threshold", module.threshold[0], after


def step(data):
    for name in sorted({key.split(".")[0] for key in data}):
        case = {key.removeprefix(f"{name}."): tensor(np.array(value)) for key, value in data.items() if key[0] == name}
        for quantity, *values in one_step(case):
            yield f"{name}: {quantity}", *values


def one_step(case):
    """The released step on stored logits and segments; only the passes through the network are replaced."""
    model = build_model(type="CorrMatchSegmentor", neck=None, correlation=dict(norm_cfg=dict(type="BN")), segments=10)
    valid, box, seen = case["ignore"] != 255, case["box"] == 1, []
    spread = model._spread
    leaves = {key: case[key].clone().requires_grad_() for key in ("logits_s", "logits_s_corr", "logits_w_corr")}
    model.confidence.threshold.fill_(case["thresh_before"])
    model.paste = lambda images, own, pasted: (images, mix(own, case, box))
    model.correlation.segments = lambda *_: case["corr_map"].bool()
    model._strong_pass = lambda images: (leaves["logits_s"], leaves["logits_s_corr"])
    model._spread = lambda joint, mixed: seen.append((mixed, spread(joint, mixed))) or seen[-1][1]
    joint = JointPass(
        dict(strong=torch.zeros(2, 3, 16, 20), labeled=torch.zeros(2, 3, 16, 20)),
        dict(labeled=[sample_with_mask(mask.long()) for mask in case["mask_x"]]),
        Step(),
        2,
        [torch.zeros(4, 1, 4, 5)],
        torch.cat([case["logits_x"], case["logits_u_w"]]),
        model.make_pseudo_label(case["logits_u_w"], valid),
        Correlated(
            torch.cat([case["logits_x"], case["logits_fp"]]),
            torch.cat([case["logits_x_corr"], leaves["logits_w_corr"]]),
            torch.zeros(4, 20, 20),
        ),
    )
    losses = {
        key: value for key, value in (model.sup_losses(joint) | model.unsup_losses(joint)).items() if "loss" in key
    }
    assert losses.keys() == FACTORS.keys()
    yield from compare(case, losses, seen[0], model.confidence.threshold[0])
    sum(losses.values()).backward()
    for key, leaf in leaves.items():
        yield f"gradient of {key}", leaf.grad, case[key.replace("logits", "grad")]


def mix(own, case, box):
    """The release's second stream of unlabeled images inside of the box."""
    pasted = PseudoLabel(
        case["logits_pasted"],
        case["logits_pasted"].argmax(1),
        own.weight,
        case["ignore_pasted"] != 255,
        dict(is_own=torch.zeros_like(box)),
    )
    maps = {name: (values, pasted.maps()[name]) for name, values in own.maps().items()}
    return PseudoLabel.from_maps(
        {name: torch.where(box[:, None] if a.dim() == 4 else box, b, a) for name, (a, b) in maps.items()}
    )


def compare(case, losses, labels, threshold):
    (before, after), total = labels, sum(losses.values())
    yield "threshold", threshold, case["thresh"]
    yield "labels before", before.label, case["label_before"]
    yield "labels after", after.label, case["label_after"]
    yield "kept before", (before.weight > 0) & before.valid, case["keep_before"]
    yield "kept after", after.weight, case["keep_after"]
    released = dict(zip(FACTORS, ("loss_x", "loss_x_corr", "loss_s", "loss_kl", "loss_fp"), strict=False))
    for key, name in released.items():
        yield name, losses[key] / FACTORS[key], case[name]
    propagated = losses["unsup.corr.loss_propagated"] / FACTORS["unsup.corr.loss_propagated"]
    yield "loss_corr_s + loss_corr_w", propagated, case["loss_corr_s"] + case["loss_corr_w"]
    yield "loss", total, case["loss"]


GROUPS = dict(corr=correlation, thresh=threshold, step=step)
