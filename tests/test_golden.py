"""Numbers of the released implementation, through ``tools/verify_reference.py``; tests/golden says what they are."""

import json
import sys
import zlib

import numpy as np
import pytest
import torch
from builders import ROOT

from mmseg_allspark.convert import convert_reference_checkpoint

GOLDEN = ROOT / "tests" / "golden"
CASES = sorted(GOLDEN.glob("*.npz"))


@pytest.fixture
def tool(load_tool):
    return load_tool("verify_reference")


@pytest.fixture
def verify(tool, monkeypatch):
    """Run the command with arguments and return its exit code."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["verify_reference.py", *map(str, arguments)])
        return tool.main()

    return run


def test_all_four_cases_are_here():
    assert [path.stem for path in CASES] == ["baseline_small", "model_small", "neck_small", "neck_wrap"]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_agrees_with_the_release(path, attention_path, verify, capsys):
    assert verify(path) == 0
    compared = [line.split("  ")[1].strip() for line in capsys.readouterr().out.splitlines()[1:]]
    if path.stem.startswith("neck"):
        assert compared == [
            "output", "gradient of features", "gradient of weights", "queue", "pointer",
            "inference, keys=image", "inference, keys=batch",
        ]  # fmt: skip
    else:
        assert compared == [
            "inference logits", "pseudo logits", "training logits", "labeled loss", "unlabeled loss", "final weights",
        ]  # fmt: skip


QUANTITIES = {
    "neck_small": ["step3/out", "step1/grad_feats", "step2/grad/attn.q_u.weight", "step3/queue", "eval/out_as_batch"],
    "model_small": ["eval/65x65/logits", "train/step2/logits", "train/step0/loss_unlabeled", "final/norm1.weight"],
}


@pytest.mark.parametrize(("case", "name"), [(case, name) for case, names in QUANTITIES.items() for name in names])
def test_a_perturbed_number_makes_the_exit_code_1(case, name, verify, tmp_path, capsys):
    arrays = dict(np.load(GOLDEN / f"{case}.npz"))
    name = next(key for key in arrays if key == name or key.startswith("final/") and key.endswith("norm1.weight"))
    changed = arrays[name].copy()
    changed.flat[-1] += 1e-3 * abs(changed).max()
    arrays[name] = changed
    np.savez(tmp_path / "case.npz", **arrays)
    assert verify(tmp_path / "case.npz") == 1
    assert capsys.readouterr().out.count("PAST") == 1
    assert verify(tmp_path / "case.npz", "--tolerance", "0.1", "--final-tolerance", "0.1") == 0


def recipe(seed, name, shape):
    """The weight ``name`` of a manifest case, after tests/golden/README.md."""
    constants = {"running_mean": 0.0, "running_var": 1.0, "num_batches_tracked": 0, "queue_ptr": 0}
    leaf = name.split(".")[-1]
    if leaf in constants:
        return np.full(shape, constants[leaf], np.float32 if leaf.startswith("running") else np.int64)
    value = np.random.default_rng(zlib.crc32(f"{seed}/{name}".encode())).standard_normal(shape).astype(np.float32)
    if leaf == "kv_queue":
        return value
    if len(shape) > 1:
        return (value / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
    return (1 + 0.1 * value if leaf == "weight" else 0.1 * value).astype(np.float32)


@pytest.mark.parametrize("case", ["model_small", "baseline_small"])
def test_recipe_gives_the_stored_weights(case):
    """So that the manifest case below stands for one of the release."""
    arrays = dict(np.load(GOLDEN / f"{case}.npz"))
    seed = json.loads(str(arrays["meta"]))["seed"]
    stored = {key.removeprefix("init/"): value for key, value in arrays.items() if key.startswith("init/")}
    for name, value in stored.items():
        np.testing.assert_allclose(recipe(seed, name, value.shape), value, rtol=1e-6, err_msg=name)


@pytest.fixture
def manifest_case(tool, tmp_path):
    """A case without weights and images, its logits from our model with weights of another seed."""
    stored = {key: value for key, value in np.load(GOLDEN / "model_small.npz").items() if key.startswith("init/")}
    manifest = {name.removeprefix("init/"): list(value.shape) for name, value in stored.items()}
    weights = {name: torch.as_tensor(recipe("own", name, shape)) for name, shape in manifest.items()}
    model = tool.build_model(convert_reference_checkpoint(weights), dict(type="CrossEntropyLoss")).eval()
    arrays = dict(meta=json.dumps(dict(seed="own")), manifest=json.dumps(manifest))
    for height, width in ((65, 65), (64, 96)):
        rng = np.random.default_rng(zlib.crc32(f"own/img/{height}/{width}".encode()))
        image = torch.as_tensor(rng.standard_normal((1, 3, height, width)).astype(np.float32))
        with torch.no_grad():
            logits = model.encode_decode(image, [dict(img_shape=(height, width))])
        arrays[f"eval/{height}x{width}/logits"] = logits.numpy()
    path = tmp_path / "manifest.npz"
    np.savez(path, **arrays)
    return path


def test_manifest_case_is_accepted(verify, manifest_case, capsys):
    assert verify(manifest_case) == 0
    assert "inference logits" in capsys.readouterr().out


@pytest.mark.parametrize("change", ["logits", "seed"])
def test_wrong_manifest_case_makes_the_exit_code_1(change, verify, manifest_case):
    arrays = dict(np.load(manifest_case))
    if change == "seed":
        arrays["meta"] = json.dumps(dict(seed="other"))
    else:
        arrays["eval/64x96/logits"] = arrays["eval/64x96/logits"] + np.float32(1e-2)
    np.savez(manifest_case, **arrays)
    assert verify(manifest_case) == 1


def test_several_cases_fail_together(verify, manifest_case):
    arrays = dict(np.load(manifest_case), meta=json.dumps(dict(seed="other")))
    np.savez(manifest_case.with_name("wrong.npz"), **arrays)
    assert verify(manifest_case.with_name("wrong.npz"), manifest_case) == 1


def test_missing_and_foreign_files_are_named(verify, tmp_path):
    with pytest.raises(SystemExit) as stop:
        verify(tmp_path / "none.npz")
    assert stop.value.code == 2
    np.savez(tmp_path / "foreign.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match=r"foreign\.npz.*not a golden case"):
        verify(tmp_path / "foreign.npz")
