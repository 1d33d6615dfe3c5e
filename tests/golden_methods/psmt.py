"""PS-MT's loss, adversarial noise, mean of the teachers, rectangles and ramp."""

from unittest.mock import patch

import numpy as np
import torch
from builders import build_model
from torch import nn

from mmseg_allspark.engine.loop import RAMPS
from mmseg_allspark.labels.adaptive_cutmix import draw_boxes
from mmseg_allspark.labels.adversarial import adversarial_noise
from mmseg_allspark.methods.psmt import assisted_mean

tensor = torch.from_numpy


def confce(data):
    for threshold in (0.6, 0.99999):
        model = build_model(
            type="PSMTSegmentor", neck=None, confidence=dict(type="ConfidenceThreshold", threshold=threshold)
        )
        logits = tensor(data["logits"]).requires_grad_()
        loss = model.confident_loss(logits, model.make_pseudo_label(tensor(data["target_logits"])))
        loss.backward()
        yield f"loss above {threshold}", loss, data[f"loss.{threshold}"]
        yield f"gradient above {threshold}", logits.grad, data["grad"] if threshold == 0.6 else 0 * data["grad"]


def vat(data):
    """In float64: in float32 a distance of 1e-6 is lost in rounding, and so is the released result."""
    decoders = [decoder(data, number) for number in (1, 2)]
    for xi, name in ((1e-6, "r_adv_float64"), (1e-3, "r_adv_float64_xi_1e-3")):
        noise = adversarial_noise(
            lambda features: (decoders[0](features) + decoders[1](features)) / 2,
            tensor(data["feature"]).double(),
            xi=xi,
            draw=tensor(data["uniform_draw"]).double(),
        )
        yield f"noise, xi {xi:g}", noise, data[name]


def decoder(data, number):
    module = nn.Sequential(nn.Conv2d(6, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1))
    prefix = f"decoder{number}."
    module.load_state_dict({key.removeprefix(prefix): tensor(data[key]) for key in data if key.startswith(prefix)})
    return module.double().eval()


def assist(data):
    """The assistant as it is after the core has filled it in is twice the mean less the core."""
    core, other = tensor(data["core"]), tensor(data["assist"])
    for turn, logits in ((0, [core, other]), (1, [other, core])):
        target = assisted_mean(logits, turn, 7)
        yield "target", target, data["target"]
        yield "the assistant's logits", 2 * target - core, data["out"]


def ramp(data):
    for (epoch, iteration), weight in zip(data["epoch_iter"], data["weight"], strict=True):
        share = min((100 * epoch + iteration) / (12 * 100), 1.0)
        yield "weight of the unlabeled loss", torch.tensor(1.5 * RAMPS["cosine"](share)), weight


def cutmix(data):
    """The centre of a rectangle follows from the side that is not cut off at the border."""
    size, beta = (40, 48), torch.distributions.Beta
    for share, *sides in data["lam_x1y1x2y2"]:
        boxes = torch.as_tensor(np.stack(sides)).T.long()  # top, left, bottom, right: the release's x is the height
        halves = [int(length * (1.0 - share[0]) ** 0.5) // 2 for length in size]
        centres = [
            int(box[axis] + half if box[axis] > 0 else box[axis + 2] - half)
            for box in boxes
            for axis, half in enumerate(halves)
        ]
        draws = iter(map(torch.tensor, centres))
        with (
            patch.object(beta, "sample", lambda _, share=share: torch.tensor(share[0])),
            patch("torch.randint", lambda *_, draws=draws: next(draws)),
        ):
            yield "rectangles", torch.tensor(draw_boxes(4, size, (4.0, 4.0))), boxes


GROUPS = dict(confce=confce, vat=vat, assist=assist, ramp=ramp, cutmix=cutmix)
NOT_COMPARED = {"lr": "mmengine's schedule, as in unimatch_v2's lr"}
