"""tools/convert_reference_checkpoint.py; what it refuses to run: test_safe_files.py."""

import sys

import numpy as np
import pytest
import torch
from builders import ROOT


@pytest.fixture
def convert(load_tool, monkeypatch):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["convert_reference_checkpoint.py", *map(str, arguments)])
        load_tool("convert_reference_checkpoint").main()
        return torch.load(arguments[1], weights_only=True)["state_dict"]

    return run


def reference_weights():
    with np.load(ROOT / "tests/golden/model_small.npz") as golden:
        return {f"module.{k[5:]}": torch.as_tensor(golden[k]) for k in golden.files if k.startswith("init/")}


def test_a_checkpoint_of_the_release_is_converted_whole_or_its_backbone_alone(convert, tmp_path):
    torch.save(dict(model=reference_weights(), epoch=3), tmp_path / "release.pth")
    weights = convert(tmp_path / "release.pth", tmp_path / "out" / "ours.pth")
    assert {name.split(".")[0] for name in weights} == {"backbone", "neck", "decode_head"}
    weights = convert(tmp_path / "release.pth", tmp_path / "mit.pth", "--backbone-only")
    assert weights and all(name.startswith("layers.") for name in weights)


def test_a_teacher_of_unimatch_v2_is_converted_without_what_is_never_used(convert, tmp_path, capsys):
    with np.load(ROOT / "tests/golden/methods/unimatch_v2_net.npz") as golden:
        start = "net.weight."
        weights = {key[len(start) :]: torch.as_tensor(golden[key]) for key in golden.files if key.startswith(start)}
    teacher = {f"module.{name}": value for name, value in weights.items()}
    student = {name: value + 1 for name, value in teacher.items()}
    torch.save(dict(model=student, model_ema=teacher, epoch=3), tmp_path / "release.pth")
    ours = convert(tmp_path / "release.pth", tmp_path / "ours.pth", "--key", "model_ema")
    assert len(ours) == len(weights) - 5
    assert torch.equal(ours["backbone.cls_token"], weights["backbone.cls_token"])
    with pytest.raises(SystemExit):
        convert(tmp_path / "release.pth", tmp_path / "ours.pth", "--key", "ema")
    assert "neither tensors by name nor one of the keys ('ema',)" in capsys.readouterr().err
    encoder = {name.removeprefix("backbone."): value for name, value in weights.items() if name.startswith("backbone.")}
    torch.save(encoder, tmp_path / "dinov2.pth")
    backbone = convert(tmp_path / "dinov2.pth", tmp_path / "backbone.pth", "--backbone-only")
    assert len(backbone) == len(encoder) - 1 and "ln1.weight" in backbone


def test_a_missing_file_is_named(convert, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        convert(tmp_path / "no.pth", tmp_path / "out.pth")
    assert stop.value.code == 2 and "no.pth" in capsys.readouterr().err
