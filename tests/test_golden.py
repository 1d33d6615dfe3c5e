"""Numbers of the released implementation, through ``tools/verify_reference.py``; tests/golden says what they are."""

import importlib.util
import sys

import numpy as np
import pytest
from builders import ROOT

GOLDEN = ROOT / "tests" / "golden"
CASES = sorted(GOLDEN.glob("*.npz"))


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("verify_reference", ROOT / "tools" / "verify_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def test_several_cases_fail_together(verify, tmp_path):
    arrays = dict(np.load(GOLDEN / "neck_small.npz"))
    arrays["step0/out"] = arrays["step0/out"] + 1
    np.savez(tmp_path / "wrong.npz", **arrays)
    assert verify(tmp_path / "wrong.npz", GOLDEN / "neck_small.npz") == 1


def test_missing_and_foreign_files_are_named(verify, tmp_path):
    with pytest.raises(SystemExit) as stop:
        verify(tmp_path / "none.npz")
    assert stop.value.code == 2
    np.savez(tmp_path / "foreign.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match=r"foreign\.npz.*not a golden case"):
        verify(tmp_path / "foreign.npz")
