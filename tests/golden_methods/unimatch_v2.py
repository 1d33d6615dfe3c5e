"""UniMatch V2: its head, a loss step, the teacher's average, learning rates, and sizes and windows of evaluation."""

from unittest.mock import patch

import numpy as np
import pytest
import torch
from builders import ROOT, Labeler, sample_with_mask
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.optim.scheduler import PolyLR
from mmengine.structures import PixelData
from mmseg.models.utils import resize
from torch import nn

from mmseg_allspark.convert import convert_reference_checkpoint
from mmseg_allspark.labels import CutMix
from mmseg_allspark.methods import SemiBatch, Step, UniMatchV2Segmentor
from mmseg_allspark.models import PlainDPTHead, TeacherAverage

CONFIG = ROOT / "configs/unimatch_v2/dinov2-b14_voc_1-8.py"
LOSS = dict(type="CrossEntropyLoss", avg_non_ignore=True)


def load_released(model, arrays, prefix=""):
    """Give a module the released weights, whose names are those of the model's after ``weight.`` and ``prefix``."""
    weights = {key.removeprefix("weight."): value for key, value in arrays.items() if key.startswith("weight.")}
    weights = {prefix + name: torch.from_numpy(value) for name, value in weights.items()}
    model.load_state_dict(convert_reference_checkpoint(weights))


def small_head(**sizes):
    return PlainDPTHead(channels=4, level_channels=[2, 4, 6, 8], loss_decode=LOSS, **sizes)


def compare_head(arrays):
    head = small_head(in_channels=[8] * 4, num_classes=5)
    load_released(nn.ModuleDict(dict(decode_head=head)), arrays, "head.")
    tokens = [torch.from_numpy(arrays[f"in.{level}"]).requires_grad_() for level in range(4)]
    maps = [level.transpose(1, 2).unflatten(2, (3, 4)) for level in tokens]
    seen = {}
    for name, module in head.named_modules():
        module.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    logits = head(maps)
    full = resize(logits, size=(42, 56), mode="bilinear", align_corners=head.align_corners)
    loss = full.square().mean()
    loss.backward()
    yield "logits", logits, arrays["out"]
    yield "logits at image size", full[:1], arrays["out_up_of_image_0"]
    yield "loss", loss, arrays["loss"]
    for level in range(4):
        yield "gradient of the tokens", tokens[level].grad, arrays[f"in_grad.{level}"]
        yield "resampled levels", seen[f"resamples.{level}"], arrays[f"mid.resize_layers.{level}"]
        yield "levels of one width", seen[f"narrow.{level}"], arrays[f"mid.scratch.layer{level + 1}_rn"]
        fused = arrays[f"mid.scratch.refinenet{level + 1}"]
        ours = resize(seen[f"fusions.{level}"], size=fused.shape[2:], mode="bilinear", align_corners=True)
        yield "fused levels", ours, fused
    yield "projected level", seen["projects.0"], arrays["mid.projects.0"]
    yield "classified", seen["conv_seg"], arrays["mid.scratch.output_conv"]
    parameters = dict(head.named_parameters())
    for key in (key for key in arrays if key.startswith("grad.")):
        (name,) = convert_reference_checkpoint({f"head.{key.removeprefix('grad.')}": torch.zeros(1)})
        yield "gradients of weights", parameters[name.removeprefix("decode_head.")].grad, arrays[key]
    assert not [name for name, parameter in parameters.items() if parameter.grad is None]


class Given(nn.Module):
    """A backbone that gives stored logits; the head after it changes nothing."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, images):
        assert len(images) == len(self.logits)
        return [self.logits]


def boxes_of(arrays, view):
    """Where the release pastes into the images of a view: a slice of rows and one of columns for each."""
    for box in arrays[f"box{view}"]:
        rows, columns = np.flatnonzero(box.any(axis=1)), np.flatnonzero(box.any(axis=0))
        yield tuple(slice(line[0], line[-1] + 1) if line.size else slice(0, 0) for line in (rows, columns))


def step_model(arrays):
    """A model whose logits, boxes and partners are the stored ones, and which sees all channels."""
    logits = torch.cat([torch.from_numpy(arrays[f"logits_{part}"]) for part in ("x", "s1", "s2")])
    number = logits.shape[1]
    model = UniMatchV2Segmentor(
        backbone=dict(type="ReferenceMixVisionTransformer", embed_dims=8, num_layers=[1] * 4, num_heads=[1] * 4),
        decode_head=dict(
            type="FCNHead", num_convs=0, concat_input=False, in_channels=number, channels=number, num_classes=number,
            in_index=0, dropout_ratio=0.0, align_corners=True, loss_decode=LOSS,
        ),
        keep_share=1.0,
        cutmix=dict(prob=1.0),
    )  # fmt: skip
    model.backbone = Given(logits)
    model.decode_head.conv_seg = nn.Identity()
    return model


def step_batch(arrays):
    """The stored images, masks and padding, with a teacher that gives the stored logits."""
    unlabeled = [sample_with_mask(None) for _ in arrays["mask_x"]]
    for sample, ignored in zip(unlabeled, arrays["ignore_mask"], strict=True):
        sample.valid = PixelData(data=(ignored != 255)[None])
    first, second = arrays["img_s1"], arrays["img_s2"]
    return SemiBatch(
        inputs=dict(labeled=first, weak=first, strong1=first, strong2=second),
        data_samples=dict(labeled=[sample_with_mask(mask) for mask in arrays["mask_x"]], unlabeled=unlabeled),
        step=Step(labels_from="ema", labelers=(Labeler(arrays["teacher_logits"]),)),
    )


def compare_step(arrays):
    """The release pastes from the batch in reverse order; ours pastes the next image."""
    arrays = {key.removeprefix("ce."): value for key, value in arrays.items()}
    model, seen = step_model(arrays), []
    cutmix, joint_pass = model.cutmix, model.joint_pass
    model.cutmix = lambda tensors, pasted: cutmix(tensors, pasted, partners=range(len(tensors[0]))[::-1])
    model.joint_pass = lambda *args: seen.append(args) or joint_pass(*args)
    boxes = [box for view in (1, 2) for box in boxes_of(arrays, view)]
    with patch.object(CutMix, "_rectangle", lambda *_: boxes.pop(0)):
        losses = model(**step_batch({key: torch.from_numpy(value) for key, value in arrays.items()}), mode="loss")
    total = sum(value for name, value in losses.items() if "loss" in name)
    total.backward()
    yield "total loss", total, arrays["loss"]
    yield "supervised loss", losses["sup.decode.loss_ce"] * 2, arrays["loss_x"]
    gradients = dict(zip(("x", "s1", "s2"), model.backbone.logits.grad.chunk(3), strict=True))
    for part, gradient in gradients.items():
        yield "gradients", gradient, arrays[f"grad_{part}"]
    _, _, images, pseudo, _ = seen[0]
    for view, image, label in zip((1, 2), images.chunk(2), pseudo.label.chunk(2), strict=True):
        yield "unsupervised losses", losses[f"unsup.decode.loss_strong{view}"] * 4, arrays[f"loss_s{view}"]
        yield "mixed images", image, arrays[f"img_s{view}_mixed"]
        yield "mixed labels", label, arrays[f"label{view}"]
    yield "mixed padding", ~pseudo.valid.chunk(2)[0], arrays["ignore1"] == 255
    yield "mixed weights", pseudo.weight.chunk(2)[0], arrays["conf1"] >= 0.95


def compare_average(arrays):
    student = nn.Module()
    student.w, student.b = (nn.Parameter(torch.zeros(width)) for width in (3, 2))
    hook = next(hook for hook in Config.fromfile(CONFIG).default_hooks.values() if hook["type"] == "MeanTeacherHook")
    teacher = TeacherAverage(student, momentum=hook["momentum"], warmup=hook["warmup"])
    for index, iteration in enumerate(arrays["iters"]):
        with torch.no_grad():
            student.w.copy_(torch.from_numpy(arrays["student_w"][index]))
            student.b.copy_(torch.from_numpy(arrays["student_b"][index]))
        teacher.steps.fill_(int(iteration))
        teacher.update_parameters(student)
        yield "teacher", teacher.module.w, arrays["teacher_w"][index]
        yield "teacher", teacher.module.b, arrays["teacher_b"][index]
        probe = torch.zeros(1)
        teacher.avg_func(probe, torch.ones(1), int(iteration))
        yield "share of the old teacher", 1 - probe[0], arrays["ratio"][index]


def compare_rates(arrays):
    """The release sets the rate of iteration i after it, so that it holds for the next; here it holds for i itself."""
    cfg = Config.fromfile(CONFIG)
    model = nn.Module()
    model.backbone, model.decode_head = nn.Linear(1, 1), nn.Linear(1, 1)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper).optimizer
    groups = {id(group["params"][0]): group for group in optimizer.param_groups}
    parts = [groups[id(part.weight)] for part in (model.backbone, model.decode_head)]
    (schedule,) = cfg.param_scheduler
    poly = PolyLR(optimizer, power=schedule.power, eta_min=schedule.eta_min, begin=0, end=10000, by_epoch=False)
    optimizer.step()
    rates = []
    for _ in range(10000):
        rates.append([group["lr"] for group in parts])
        poly.step()
    yield "learning rates", [rates[iteration] for iteration in arrays["iters"]], arrays["backbone_head"]


def windows_of(height, width, side):
    """Row, column, height and width of each window of our sliding inference."""
    rows = torch.arange(height, dtype=torch.float32)[:, None].expand(height, width)
    columns = torch.arange(width, dtype=torch.float32)[None].expand(height, width)
    image, seen = torch.stack([rows, columns])[None], []

    def keep(window, _):
        seen.append([int(window[0, 0, 0, 0]), int(window[0, 1, 0, 0]), *window.shape[2:]])
        return torch.zeros(1, 1, *window.shape[2:])

    stride = int(side * 2 / 3)
    model = UniMatchV2Segmentor.__new__(UniMatchV2Segmentor)
    nn.Module.__init__(model)
    model.test_cfg = Config(dict(crop_size=(side, side), stride=(stride, stride)))
    model.out_channels, model.averages_probabilities = 1, False
    with patch.object(UniMatchV2Segmentor, "encode_decode", lambda _, *args: keep(*args)):
        model.slide_inference(image, [{}])
    return seen


def compare_evaluation(arrays):
    for name, size in (("1024x2048_798", (1024, 2048, 798)), ("10x25_8", (10, 25, 8))):
        yield "windows", windows_of(*size), arrays[f"windows_{name}"]
    tiny = dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32)
    dinov2 = pytest.importorskip("mmseg_allspark.models.backbones.dinov2", reason="needs mmpretrain")
    backbone = dinov2.DINOv2Backbone(arch=tiny)
    backbone.eval()
    ours = [backbone.fit_to_patches(torch.zeros(1, 3, *size)).shape[2:] for size in arrays["image_hw"].tolist()]
    yield "sizes in the network", ours, arrays["network_hw"]


GROUPS = dict(head=compare_head, step=compare_step, ema=compare_average, lr=compare_rates, eval=compare_evaluation)
TOLERANCES = dict(lr=3e-4)  # mmengine's PolyLR reaches 0 at the last iteration, the release's one iteration later
