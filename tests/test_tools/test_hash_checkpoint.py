"""tools/analysis/hash_checkpoint.py: equal for equal training states and for nothing else."""

import copy

import pytest
import torch


@pytest.fixture
def tool(load_tool):
    return load_tool("analysis/hash_checkpoint")


def checkpoint():
    torch.manual_seed(0)
    weights = dict(a=torch.randn(3, 2), b=torch.tensor(4), c=torch.randn(2).bfloat16())
    optimizer = dict(state={0: dict(step=torch.tensor(1.0))}, lr=0.1)
    return dict(state_dict=weights, other_teachers=[dict(a=torch.zeros(2))], optimizer=optimizer, meta="now")


def changed(change):
    other = copy.deepcopy(checkpoint())
    change(other)
    return other


SAME = [
    lambda c: c.update(meta="later"),
    lambda c: c.update(state_dict=dict(reversed(c["state_dict"].items()))),
]
OTHER = [
    lambda c: c["state_dict"]["a"].view(-1)[5:].add_(1e-6),
    lambda c: c["state_dict"].pop("b"),
    lambda c: c["optimizer"].update(lr=0.2),
    lambda c: c["other_teachers"][0]["a"].add_(1e-6),
]


@pytest.mark.parametrize(("changes", "code", "word"), [(SAME, 0, "equal"), (OTHER, 1, "different")])
def test_hashes_are_of_the_training_state(tool, tmp_path, capsys, changes, code, word):
    torch.save(checkpoint(), tmp_path / "first.pth")
    for change in changes:
        torch.save(changed(change), tmp_path / "second.pth")
        assert tool.main([str(tmp_path / "first.pth"), str(tmp_path / "second.pth")]) == code
        assert capsys.readouterr().out.splitlines()[-1].startswith(f"{word}: ")


def test_what_is_no_checkpoint_is_named(tool, tmp_path, capsys):
    torch.save(dict(weights=1), tmp_path / "other.pth")
    with pytest.raises(SystemExit):
        tool.main([str(tmp_path / "other.pth")])
    assert "other.pth has none of state_dict" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        tool.main([str(tmp_path / "missing.pth")])
    assert end.value.code == 2 and "missing.pth" in capsys.readouterr().err
