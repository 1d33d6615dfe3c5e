"""UniMatch's head against a plain computation with the released names, and the backbone's names."""

import torch
import torch.nn.functional as F
from builders import head_config
from mmseg.registry import MODELS

from mmseg_allspark.convert import convert_reference_checkpoint

DEEP, SHALLOW, WIDTH, REDUCED, CLASSES = 12, 6, 8, 5, 4
NORM_PARTS = ("weight", "bias", "running_mean", "running_var")


def released_state():
    """Random weights by the names of the release."""
    rng = torch.Generator().manual_seed(0)
    convs = {f"head.b{i}": (DEEP, WIDTH, 3) for i in (1, 2, 3)} | {
        "head.b0": (DEEP, WIDTH, 1), "head.b4.gap": (DEEP, WIDTH, 1), "head.project": (5 * WIDTH, WIDTH, 1),
        "reduce": (SHALLOW, REDUCED, 1), "fuse": (REDUCED + WIDTH, WIDTH, 3), "fuse.second": (WIDTH, WIDTH, 3),
    }  # fmt: skip
    state = dict(
        {"classifier.weight": torch.randn(CLASSES, WIDTH, 1, 1, generator=rng)},
        **{"classifier.bias": torch.randn(CLASSES, generator=rng)},
    )
    for name, (inputs, outputs, size) in convs.items():
        first = {"head.b4.gap": 1, "fuse.second": 3}.get(name, 0)
        name = name.removesuffix(".second")
        state[f"{name}.{first}.weight"] = torch.randn(outputs, inputs, size, size, generator=rng) / size
        for part in NORM_PARTS:
            state[f"{name}.{first + 1}.{part}"] = torch.rand(outputs, generator=rng) + 0.5
    return state


def conv(state, name, inputs, first=0, **options):
    normed = F.batch_norm(
        F.conv2d(inputs, state[f"{name}.{first}.weight"], **options),
        *(state[f"{name}.{first + 1}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")),
    )
    return F.relu(normed)


def released_logits(state, shallow, deep):
    size = deep.shape[2:]
    pooled = conv(state, "head.b4.gap", deep.mean(dim=(2, 3), keepdim=True), first=1)
    branches = [conv(state, "head.b0", deep)]
    branches += [conv(state, f"head.b{i}", deep, padding=rate, dilation=rate) for i, rate in ((1, 6), (2, 12), (3, 18))]
    deep = conv(state, "head.project", torch.cat([*branches, F.interpolate(pooled, size)], dim=1))
    deep = F.interpolate(deep, shallow.shape[2:], mode="bilinear", align_corners=True)
    fused = torch.cat([conv(state, "reduce", shallow), deep], dim=1)
    fused = conv(state, "fuse", conv(state, "fuse", fused, padding=1), first=3, padding=1)
    return F.conv2d(fused, state["classifier.weight"], state["classifier.bias"])


def test_logits_are_those_of_the_release():
    state = released_state()
    head = MODELS.build(
        head_config(
            type="DeepLabV3PlusHead", in_channels=DEEP, in_index=-1, channels=WIDTH, c1_in_channels=SHALLOW,
            c1_channels=REDUCED, num_classes=CLASSES, norm_cfg=dict(type="BN"), dropout_ratio=0, align_corners=True,
        )
    ).eval()  # fmt: skip
    converted = convert_reference_checkpoint(state)
    missing = head.load_state_dict({k.removeprefix("decode_head."): v for k, v in converted.items()}, strict=False)
    assert not missing.unexpected_keys and all(name.endswith("num_batches_tracked") for name in missing.missing_keys)
    shallow, deep = torch.randn(2, SHALLOW, 17, 17), torch.randn(2, DEEP, 5, 5)
    torch.testing.assert_close(head([shallow, deep]), released_logits(state, shallow, deep))


def test_imagenet_weights_of_a_resnet_with_a_deep_stem_load_strictly():
    backbone = MODELS.build(dict(type="ResNetV1c", depth=50, stem_channels=128))
    theirs = {}
    for name, value in backbone.state_dict().items():
        name = name.replace("stem.7", "bn1").replace("stem.", "conv1.")
        theirs[name] = value
    converted = convert_reference_checkpoint(theirs | {"fc.weight": torch.zeros(1), "fc.bias": torch.zeros(1)})
    backbone.load_state_dict({name.removeprefix("backbone."): value for name, value in converted.items()}, strict=True)
