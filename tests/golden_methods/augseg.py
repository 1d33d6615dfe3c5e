"""AugSeg's confidence of an image, mixing, loss and image operations."""

import numpy as np
import torch
from builders import build_model
from PIL import Image

from mmseg_allspark.datasets.transforms.intensity import OPERATIONS
from mmseg_allspark.labels import ConfidenceThreshold, PseudoLabel
from mmseg_allspark.labels.adaptive_cutmix import mix
from mmseg_allspark.methods.augseg import image_confidence, mask_labels

tensor = torch.from_numpy


def model(**options):
    return build_model(type="AugSegSegmentor", neck=None, **options)


def confidence(data):
    pseudo = model(confidence=None).make_pseudo_label(tensor(data["teacher_logits"]))
    yield "confidence of each image", image_confidence(pseudo), data["per_image"]
    yield "label", pseudo.label, data["label"]
    yield "largest probability", pseudo.logits.softmax(1).amax(1), data["max_prob"]


def mixing(data):
    """The shares of the rectangles are long-run figures: tests/test_methods/test_augseg.py compares them."""
    for name in sorted({key.split("/")[0] for key in data if "/" in key}):
        case = {key.removeprefix(f"{name}/"): value for key, value in data.items() if key.startswith(f"{name}/")}
        unlabeled = {name: tensor(case[f"unlabeled_{name}"]) for name in ("image", "mask", "logits")}
        labeled = {name: tensor(case[f"labeled_{name}"]) for name in ("image", "mask")}
        mixed = mix(
            unlabeled,
            labeled | dict(logits=torch.ones_like(unlabeled["logits"])),
            tensor(case["partner"]).long(),
            tensor(case["draws"]) > tensor(case["confidences"]),
            case["labeled_boxes"].tolist(),
            case["unlabeled_boxes"].tolist(),
        )
        for quantity, values in mixed.items():
            yield f"{name}: {quantity}", values, case[f"out_{quantity}"]


def loss(data):
    """A target of 255 comes from a pasted mask; the threshold is applied to the teacher's labels before pasting."""
    truth, prob = mask_labels(tensor(data["target"]).long(), 4), tensor(data["max_prob"])
    for name in sorted({key.split("/")[0] for key in data if "/" in key}):
        threshold = float(name.removeprefix("thr"))  # below 0: every pixel counts, here without a threshold
        sure = ConfidenceThreshold(threshold)(prob, truth.label) if threshold > 0 else torch.ones_like(prob)
        pseudo = PseudoLabel(truth.logits, truth.label, sure * truth.weight)
        predict = tensor(data["predict"]).requires_grad_()
        value = model().pseudo_label_loss(predict, pseudo)
        value.backward()
        yield f"{name} loss", value, data[f"{name}/loss"]
        yield f"{name} gradient", predict.grad, data[f"{name}/grad"]
        yield f"{name} share of kept pixels", pseudo.weight.mean(), data[f"{name}/share"]
        kept = pseudo.weight > 0
        yield f"{name} kept targets", torch.where(kept, pseudo.label, 255), data[f"{name}/target_after"]


def operations(data):
    """The chained results depend on the order of the release's draws; how often each is drawn: test_augseg.py."""
    image = Image.fromarray(data["image_rgb"])
    for name, operate in OPERATIONS.items():
        for strength, released in zip(data["u"], data[name], strict=True):
            yield name, np.array(operate(image, float(strength))), released
    yield "hue, negative", np.array(OPERATIONS["hue"](image, -0.25)), data["hue_negative_u0.25"]


GROUPS = dict(confidence=confidence, mix=mixing, loss=loss, ops=operations)
