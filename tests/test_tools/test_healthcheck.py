"""What tools/healthcheck.py makes of a training's end; a real training: test_packaging.py and test_docker.py (slow)."""

import pytest

WELL = "print('trained')"


@pytest.fixture
def check(load_tool, monkeypatch):
    """Returns a function that runs the tool with a stand-in for the training."""
    tool = load_tool("healthcheck")

    def run(training, *arguments):
        monkeypatch.setattr(tool, "commands", lambda: [["-c", training]])
        return tool.main([*map(str, arguments)])

    return run


def test_a_training_with_its_checkpoint_is_well_and_leaves_a_stamp(check, tmp_path, capsys):
    assert check(WELL, "--stamp", tmp_path / "stamp") == 0
    assert "ok: 3 training steps" in capsys.readouterr().out
    assert (tmp_path / "stamp").is_file()


def test_a_stamp_saves_the_training(check, tmp_path):
    (tmp_path / "stamp").touch()
    assert check("raise SystemExit(3)", "--stamp", tmp_path / "stamp") == 0


def test_a_failure_says_why_and_leaves_no_stamp(check, tmp_path, capsys):
    assert check("print('because'); raise SystemExit(3)", "--stamp", tmp_path / "stamp") == 1
    assert "because\n-c ended with exit code 3" in capsys.readouterr().err
    assert not (tmp_path / "stamp").exists()


def test_cpu_hides_the_gpus(check, monkeypatch):
    monkeypatch.setattr("os.nice", lambda by: 0)
    assert check(f"import os; assert os.environ['CUDA_VISIBLE_DEVICES'] == ''; {WELL}", "--cpu") == 0
