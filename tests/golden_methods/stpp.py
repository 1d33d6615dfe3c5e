"""ST++: reliability of images, its mIoU, labels of several scales, CutOut."""

import numpy as np
import torch
import torch.nn.functional as F

from mmseg_allspark.datasets.transforms import RandomNoiseCutOut
from mmseg_allspark.inference import MultiScale
from mmseg_allspark.labels.reliability import image_reliability, mean_iou, split_by_reliability


def rel(arrays):
    classes = torch.as_tensor(arrays["classes"])
    values = [image_reliability([first, second], last, num_classes=21) for first, second, last in classes]
    agreement = [[mean_iou(labels, last, 21) for labels in earlier] for *earlier, last in classes]
    reliable, rest = split_by_reliability(values)
    yield "mIoU with the last checkpoint", agreement, arrays["miou_against_last"]
    yield "reliability", values, arrays["reliability"]
    yield "order", reliable + rest, arrays["order"]
    yield "reliable images", reliable, arrays["reliable"]


def miou(arrays):
    for case in ("one", "two"):
        labels, truth = (torch.as_tensor(arrays[f"{case}.{name}"]) for name in ("pred", "truth"))
        yield f"{case}: mIoU", mean_iou(labels, truth, 5), arrays[f"{case}.mean"]


def tta(arrays):
    image, weight, bias = (torch.as_tensor(arrays[name]) for name in ("in", "weight", "bias"))

    def network(images, metas):
        assert metas[0]["img_shape"] == images.shape[2:]
        return F.conv2d(images, weight, bias, padding=1)

    total = MultiScale(network)(image, [dict(img_path="a.png")])
    yield "sum of probabilities", total, arrays["sum"]
    yield "labels", total.argmax(dim=1), arrays["label"]
    plain = MultiScale(network, scales=(1.0,), flip=False)(image, [{}])
    yield "one scale", plain, torch.as_tensor(arrays["plain"]).softmax(dim=1)


def cutout(arrays):
    cut = RandomNoiseCutOut(prob=1.0)
    for seed in (3, 4, 5):
        np.random.seed(seed)
        yield f"rectangle, seed {seed}", list(cut.draw_box(40, 60)), arrays[f"box.{seed}"]
    cut._draw = lambda: True  # the release draws it from another generator
    np.random.seed(3)
    sample = dict(img=np.full((40, 60, 3), 7, np.uint8), gt_seg_map=np.full((40, 60), 2, np.uint8))
    sample = cut.transform(sample)
    yield "image", sample["img"], arrays["image"]
    yield "labels", sample["gt_seg_map"], arrays["mask"]


GROUPS = dict(rel=rel, miou=miou, tta=tta, cutout=cutout)
NOT_COMPARED = {"lr": "mmengine's schedule, as in unimatch_v2's lr"}
