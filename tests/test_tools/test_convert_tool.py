import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]


def convert(*arguments):
    command = [sys.executable, ROOT / "tools/convert_reference_checkpoint.py", *arguments]
    return subprocess.run([*map(str, command)], capture_output=True, text=True)


def reference_weights():
    with np.load(ROOT / "tests/golden/model_small.npz") as golden:
        return {f"module.{k[5:]}": torch.as_tensor(golden[k]) for k in golden.files if k.startswith("init/")}


def test_a_whole_checkpoint_of_the_release_is_converted(tmp_path):
    torch.save(dict(model=reference_weights(), epoch=3), tmp_path / "release.pth")
    done = convert(tmp_path / "release.pth", tmp_path / "out" / "ours.pth")
    assert done.returncode == 0, done.stderr
    weights = torch.load(tmp_path / "out" / "ours.pth", weights_only=True)["state_dict"]
    assert {name.split(".")[0] for name in weights} == {"backbone", "neck", "decode_head"}


def test_backbone_only_has_no_prefix(tmp_path):
    torch.save(reference_weights(), tmp_path / "release.pth")
    done = convert(tmp_path / "release.pth", tmp_path / "mit.pth", "--backbone-only")
    assert done.returncode == 0, done.stderr
    weights = torch.load(tmp_path / "mit.pth", weights_only=True)["state_dict"]
    assert all(name.startswith("layers.") for name in weights)


def test_a_missing_file_is_named(tmp_path):
    done = convert(tmp_path / "no.pth", tmp_path / "out.pth")
    assert done.returncode == 2
    assert "no.pth" in done.stderr


class Malicious:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def test_a_malicious_pickle_is_not_executed(tmp_path):
    with (tmp_path / "evil.pth").open("wb") as file:
        pickle.dump(dict(model=Malicious(tmp_path / "touched")), file)
    assert convert(tmp_path / "evil.pth", tmp_path / "out.pth").returncode != 0
    assert not (tmp_path / "touched").exists()
