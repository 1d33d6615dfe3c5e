"""TinyViT for dense prediction against mmpretrain's own class, which has one size and one level."""

import subprocess
import sys

import pytest
import torch
from builders import ROOT, SHARED

tiny_vit = pytest.importorskip("mmseg_allspark.models.backbones.tiny_vit", reason="needs mmpretrain")


def randomised(model):
    """No weight at its start, where MBConv blocks and attention biases are 0, and no stochastic depth."""
    rng = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data.add_(0.05 * torch.randn(parameter.shape, generator=rng))
    model.eval()
    return model


@pytest.mark.parametrize("size", [(224, 224), (64, 96)])
def test_deepest_level_is_that_of_mmpretrain(size):
    ours = randomised(tiny_vit.DenseTinyViT())
    theirs = tiny_vit.TinyViT(img_size=size, out_indices=[3], gap_before_final_norm=False)
    theirs.load_state_dict(
        {name.replace("norms.3", "norm3"): v for name, v in ours.state_dict().items() if not name.startswith("norms.")}
        | {f"norm3.{part}": ours.norms[3].state_dict()[part] for part in ("weight", "bias")}
    )
    theirs.eval()
    images = torch.randn(1, 3, *size)
    with torch.no_grad():
        torch.testing.assert_close(ours(images)[3], theirs(images)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("last_stride", "last"), [(32, (3, 4)), (16, (5, 7))])
def test_levels_of_an_odd_size(last_stride, last):
    model = tiny_vit.DenseTinyViT(last_stride=last_stride)
    levels = model(torch.randn(2, 3, 65, 97))
    assert [tuple(level.shape) for level in levels] == [
        (2, 64, 17, 25), (2, 128, 9, 13), (2, 160, 5, 7), (2, 320, *last)
    ]  # fmt: skip
    sum(level.square().mean() for level in levels).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_frozen_stages_keep_their_weights_and_statistics():
    model = tiny_vit.DenseTinyViT(frozen_stages=2)
    model.train()
    frozen = [model.patch_embed, *model.stages[:2]]
    assert not any(parameter.requires_grad for part in frozen for parameter in part.parameters())
    assert not any(module.training for part in frozen for module in part.modules())
    assert all(parameter.requires_grad for parameter in model.stages[2].parameters())


def test_weights_of_mobilesam_load_but_for_the_new_norms():
    path = SHARED / "weights" / "tiny_vit_5m_mobilesam.pth"
    if not path.is_file():
        pytest.skip("needs ../shared/weights/tiny_vit_5m_mobilesam.pth, which is not part of the repository")
    state = torch.load(path, map_location="cpu", weights_only=True)
    found = tiny_vit.DenseTinyViT().load_state_dict(state.get("state_dict", state), strict=False)
    assert not found.unexpected_keys and all(name.startswith("norms.") for name in found.missing_keys)


@pytest.mark.slow
def test_a_mobilesam_checkpoint_is_converted(tmp_path):
    model = randomised(tiny_vit.DenseTinyViT())
    encoder = {name: value for name, value in model.state_dict().items() if not name.startswith("norms.")}
    release = {
        "image_encoder." + name.replace("stages.", "layers.").replace(".conv2d.", ".c.").replace(".bn2d.", ".bn."): v
        for name, v in encoder.items()
    }
    others = (
        "image_encoder.neck.0.weight",
        "image_encoder.head.weight",
        "image_encoder.norm_head.bias",
        "mask_decoder.x",
    )
    torch.save(release | {name: torch.zeros(1) for name in others}, tmp_path / "mobile_sam.pt")
    command = [sys.executable, ROOT / "tools/convert_mobilesam.py", tmp_path / "mobile_sam.pt", tmp_path / "out.pth"]
    subprocess.run(command, check=True, capture_output=True)
    converted = torch.load(tmp_path / "out.pth", weights_only=True)["state_dict"]
    assert converted.keys() == encoder.keys()
    assert all(torch.equal(converted[name], value) for name, value in encoder.items())
