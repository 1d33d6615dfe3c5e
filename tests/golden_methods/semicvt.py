"""SemiCVT's graphs, its loss of learned pixels, and the interaction of the streams.

``icc/registered_parameters`` says what the release's module holds when it is not moved to a GPU: nothing to compare.
"""

import json

import numpy as np
import torch
from builders import build_model
from small_methods import METHODS

from mmseg_allspark.labels import PseudoLabel, prediction_entropy
from mmseg_allspark.methods import Step
from mmseg_allspark.models import GraphConsistency
from mmseg_allspark.models.backbones.resnet_cvt import SpectralInteraction

tensor = torch.from_numpy


def drawn(seed, shape, scale=1.0):
    return tensor((np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32))


def icc(data):
    """The release projects with a linear layer, weight (out, in), and multiplies the graphs' weights from the right."""
    for weights in ("trained", "random"):
        module = GraphConsistency(256, weights=weights)
        for seed, name in enumerate(("projection", "bias", "pixels", "classes"), start=10):
            shape, scale = ((256,), 0.1) if name == "bias" else ((256, 256), 1 / 16)
            getattr(module, name).data.copy_(drawn(seed, shape, scale))
        logits, features = (
            drawn(20, (2, 5, 12, 12), 2).requires_grad_(),
            drawn(21, (2, 256, 12, 12), 0.2).requires_grad_(),
        )
        loss = module((logits, features), (drawn(22, (2, 5, 12, 12), 2), drawn(23, (2, 256, 12, 12), 0.2)))
        loss.backward()
        yield f"loss, {weights}", loss, data["loss"]
        yield f"gradient of the logits, {weights}", logits.grad, data["grad_prob_c"]
        yield f"gradient of the features, {weights}", features.grad.sum((0, 2, 3)), data["grad_feat_c_sum_per_channel"]
        yield f"its norm, {weights}", features.grad.norm(), data["grad_feat_c_norm"]
        if weights == "trained":
            yield "norm of the projection's gradient", module.projection.grad.norm(), data["grad_proj_norm"]
    weight = logits.detach().softmax(1).flatten(2).softmax(2)
    yield "weights of the pixels", weight.max() / weight.min(), data["pixel_weight_max_over_min"]


def unsup(data):
    target = tensor(data["target"])
    teacher = drawn(31, (2, 5, 9, 9), 2)
    pseudo = PseudoLabel(teacher, target.clamp(max=4), torch.ones(target.shape), target != 255)
    for percent in (90, 100):
        prediction = drawn(30, (2, 5, 9, 9), 2).requires_grad_()
        options = METHODS["semicvt"][0] | dict(neck=None, keep_percent=float(percent))
        student = build_model(**options)
        learned = student.find_reliable(prediction_entropy(teacher), pseudo.valid, Step()).learned
        loss = student.learned_loss(prediction, pseudo, learned)
        loss.backward()
        yield f"loss, {percent} percent", loss, data[f"p{percent}/loss"]
        yield f"gradient, {percent} percent", prediction.grad, data[f"p{percent}/grad"]


def lgi(data):
    parameters = json.loads(str(data["parameters"]))
    module = SpectralInteraction((24, 32), 8, drop_path=0.0, norm_cfg=dict(type="BN"))
    for index, stream in enumerate(("cnn", "trans")):
        names = {f"{stream}_down": module.down, f"{stream}_up": module.up}
        names |= {f"norm_{stream}_1": module.before, f"norm_{stream}_2": module.after}
        parts = {name: modules[index] for name, modules in names.items()}
        parts |= {f"mlp_{stream}.fc{number}": module.mlps[index][at] for number, at in ((1, 0), (2, 2))}
        parts |= {f"filter.spatial_interaction_{stream}.{at}": module.gates[index][at] for at in (0, 1, 3)}
        for name, part in parts.items():
            for kind in ("weight", "bias"):
                seed, shape = parameters.pop(f"{name}.{kind}")
                if getattr(part, kind) is None:  # a bias before batch norm
                    continue
                value = drawn(seed, shape, np.prod(shape[1:]) ** -0.5 if len(shape) > 1 else 0.1)
                value = value + 1 if len(shape) == 1 and kind == "weight" else value
                getattr(part, kind).data = value.view(getattr(part, kind).shape)
    assert not parameters
    maps = module(drawn(40, (2, 24, 7, 9)), drawn(41, (2, 32, 7, 9)))
    for name, values in zip(("cnn", "trans"), maps, strict=True):
        yield f"{name} stream", values, data[f"train/{name}"]


GROUPS = dict(icc=icc, unsup=unsup, lgi=lgi)
