import numpy as np
import pytest
import torch
from builders import ROOT, SHARED, build_model, neck_config
from mmseg.registry import MODELS

from mmseg_allspark.convert import convert_reference_checkpoint
from mmseg_allspark.convert.reference import NECK_PREFIX


@pytest.fixture(scope="module")
def release():
    """State dict of the released model, four levels of width 8, 16, 24, 32."""
    arrays = np.load(ROOT / "tests" / "golden" / "model_small.npz")
    return {name.removeprefix("init/"): torch.as_tensor(arrays[name]) for name in arrays.files if name[:5] == "init/"}


@pytest.mark.parametrize("prefix", [NECK_PREFIX, f"module.{NECK_PREFIX}", ""])
def test_neck_alone_loads_strictly(release, prefix):
    part = {
        prefix + name.removeprefix(NECK_PREFIX): value
        for name, value in release.items()
        if name.startswith(NECK_PREFIX)
    }
    converted = convert_reference_checkpoint(part)
    neck = MODELS.build(neck_config())
    neck.load_state_dict({name.removeprefix("neck."): value for name, value in converted.items()}, strict=True)
    assert torch.equal(neck.memory.queue, release[f"{NECK_PREFIX}attn.kv_queue"])


def test_bare_encoder_loads_strictly_without_its_classifier(release):
    encoder = {name.removeprefix("backbone."): v for name, v in release.items() if name.startswith("backbone.")}
    converted = convert_reference_checkpoint(encoder | {"head.weight": torch.zeros(3, 32), "head.bias": torch.zeros(3)})
    state = {name.removeprefix("backbone."): value for name, value in converted.items()}
    build_model().backbone.load_state_dict(state, strict=True)


@pytest.mark.parametrize(
    "name",
    [
        "decoder.decoder.linear_c5.proj.weight",
        "decoder.allspark.attn.q_x.weight",
        "backbone.block1.0.attn.q.gamma",
        "epoch",
    ],
)
def test_unknown_names_are_an_error(release, name):
    with pytest.raises(KeyError, match=name):
        convert_reference_checkpoint(release | {name: torch.zeros(1)})


def test_half_a_projection_is_an_error(release):
    part = {name: value for name, value in release.items() if "attn.kv" not in name}
    with pytest.raises(ValueError, match=r"in_proj_weight.*only \['q'\]"):
        convert_reference_checkpoint(part)


def test_shared_mit_weights_are_a_bare_encoder():
    path = SHARED / "weights" / "mit_b0_weak.pth"
    if not path.is_file():
        pytest.skip("needs ../shared/weights/mit_b0_weak.pth, which is not part of the repository")
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    converted = convert_reference_checkpoint(loaded)
    config = dict(type="ReferenceMixVisionTransformer", embed_dims=32, num_heads=[1, 2, 5, 8], num_layers=[2] * 4)
    backbone = MODELS.build(config)
    backbone.load_state_dict({name.removeprefix("backbone."): v for name, v in converted.items()}, strict=True)
