"""tools/analysis/compare.py: what it trains, keeps, refuses and names. Runs only read: test_compare_collected.py."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .test_compare_collected import CONFIG, ROOT, cells, write_run


@pytest.fixture
def tool(load_tool):
    return load_tool("analysis/compare")


# A stand-in for tools/train.py that "trains" in a moment. Arguments: folder, seed, iterations to do, exit code.
TRAINING = """
import json, pathlib, sys, time
folder, seed, steps, code = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
(folder / "iter_200.pth").write_bytes(b"")
with (folder / "starts").open("a") as file:
    file.write("start ")
data = folder / str(time.time_ns()) / "vis_data"
data.mkdir(parents=True)
lines = [dict(iter=1, time=0.5, step=1), *(dict(mIoU=40.0 + seed, step=step) for step in range(200, steps + 1, 200))]
(data / "scalars.json").write_text("".join(json.dumps(line) + "\\n" for line in lines))
total = 400 if folder.parts[0] == "out" else 800
text = pathlib.Path("c.py").read_text().replace("max_iters=400", f"max_iters={total}")
(data / "config.py").write_text(text + f"randomness = dict(seed={seed})")
print("RuntimeError: out of luck" if code else "done")
sys.stdout.flush()
if code == 9:
    time.sleep(60)
sys.exit(code)
"""


@pytest.fixture
def standin(tool, tmp_path, monkeypatch):
    """A function that runs compare.py with stand-ins: (iterations, exit code) by (name, seed), else all of them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.py").write_text(CONFIG.format(seed=7, batch=2, loop="IterBasedTrainLoop", hook="EMAHook"))
    (tmp_path / "train.py").write_text(TRAINING)

    def run(*arguments, seeds="01", **ends):
        def command(job):
            end = ends.get(f"{job.name}{job.seed}", (400, 0))
            return [sys.executable, "train.py", str(job.work_dir), str(job.seed), *map(str, end)]

        monkeypatch.setattr(sys.modules["_compare_runs"].Job, "command", command)
        return tool.main(["A=c.py", "B=c.py", "--seeds", *seeds, "--jobs", "2", "--out", "out", *arguments])

    return run


def starts(name):
    return len(Path("out", name, "starts").read_text().split())


def test_what_is_finished_is_kept_and_what_failed_is_named_and_tried_again(standin, capsys):
    assert standin(B1=(200, 3)) == 1
    text = capsys.readouterr().out
    assert cells(text, "A")["seeds"] == "0, 1"
    assert cells(text, "A")["mIoU, last"] == "40.50 ± 0.71"
    assert cells(text, "B")["seeds"] == "0"
    assert "B, seed 1**: failed with exit code 3: RuntimeError: out of luck" in text
    assert "MiB RSS" in cells(text, "A")["peak memory"]
    assert standin() == 0
    assert cells(capsys.readouterr().out, "B")["seeds"] == "0, 1"
    assert [starts(name) for name in ("A/seed0", "A/seed1", "B/seed0", "B/seed1")] == [1, 1, 1, 2]


def test_a_run_that_ends_early_without_an_error_is_no_success(standin, capsys):
    assert standin(B1=(200, 0)) == 1
    assert "B, seed 1**: not finished: last validation at iteration 200 of 400" in capsys.readouterr().out


def test_another_config_is_said_and_not_mixed(standin, capsys):
    assert standin(seeds="0") == 0
    assert standin("--cfg-options", "train_dataloader.batch_size=3", seeds="1") == 0
    with pytest.raises(SystemExit):
        standin("--cfg-options", "train_dataloader.batch_size=4")
    message = capsys.readouterr().err
    for name, seed, before in (("A", 0, 2), ("A", 1, 3), ("B", 0, 2), ("B", 1, 3)):
        begin = f"{name}, seed {seed}: the config is not the one trained before:\n    "
        assert f"{begin}train_dataloader.batch_size: {before} -> 4\n" in message
    Path("d").mkdir()
    Path("d/labeled.txt").write_text("another image")
    with pytest.raises(SystemExit):
        standin(seeds="0")
    assert "train_dataloader.dataset.ann_file (content): not set -> " in capsys.readouterr().err
    (Path("d") / "more.txt").write_text("a.jpg")
    source = "unlabeled_dataloader.dataset.source"
    with pytest.raises(SystemExit):
        standin("--cfg-options", f"{source}=more.txt", "unlabeled_dataloader.dataset.data_root=d", seeds="0")
    assert f"{source} (content): not set -> " in capsys.readouterr().err
    assert standin("--collect-only", seeds="0") == 0
    assert "Warning**: A, seed 0: the config is not" in capsys.readouterr().out
    Path("d/labeled.txt").unlink()
    assert standin(seeds="0") == 0 and starts("A/seed0") == 1
    Path("out/A/seed0/compare.json").unlink()
    with pytest.raises(SystemExit):
        standin(seeds="0")
    assert "out/A/seed0 holds a run that compare.py did not start. Give it as A=" in capsys.readouterr().err


def test_a_config_that_never_trained_may_be_mended(standin, capsys):
    assert standin(seeds="0") == 0
    for name in ("A", "B"):
        for path in Path("out", name, "seed0").glob("*"):
            if path.name.startswith("iter"):
                path.unlink()
            elif path.is_dir():
                (path / "vis_data/scalars.json").write_text("")
    capsys.readouterr()
    assert standin("--cfg-options", "train_dataloader.batch_size=3", seeds="0") == 0
    assert "0 finished, 2 to train" in capsys.readouterr().out


def test_stopping_ends_the_trainings_and_nothing_else_begins(standin, capsys, request):
    # a job in the background, as CI may be, begins with SIGINT ignored
    ignored = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, ignored))
    both = " && ".join(f"test -e out/A/seed{seed}/starts" for seed in (0, 1))
    child = subprocess.Popen(["sh", "-c", f"until {both}; do sleep 0.1; done; kill -INT {os.getpid()}"])
    before = time.monotonic()
    assert standin(A0=(200, 9), A1=(200, 9)) == 130
    child.wait()
    assert time.monotonic() - before < 30
    assert not Path("out/B").exists()
    assert json.loads(Path("out/A/seed0/compare.json").read_text())["starts"][0]["exit_code"] == -signal.SIGTERM
    assert "The same command goes on" in capsys.readouterr().out
    assert standin() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.py"], "neither a config nor a folder nowhere.py"),
        ([f"{ROOT / 'configs'}"], "is a folder: give it a name"),
        ([f"../x={ROOT / 'setup.py'}"], "cannot be a row's name"),
        (["x.py", "--steps", "1"], "--steps 1: at least 2"),
        (["x.py", "--jobs", "0"], "--jobs 0: at least 1"),
        (["x.py", "--threads", "-2"], "--threads -2: at least 1"),
        (["x.py", "--val-interval", "5"], "--val-interval 5: needs --steps"),
        (["x.py", "--seeds", "1", "1"], "1 is given twice"),
        (["x.py", "--cfg-options", "randomness.seed=3"], "randomness.seed: --seeds"),
    ],
)
def test_a_senseless_command_line_is_a_usage_error(tool, capsys, arguments, message):
    with pytest.raises(SystemExit) as error:
        tool.main(arguments)
    assert error.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.slow
def test_the_commands_of_the_page(standin, tool, tmp_path, monkeypatch, capsys):
    """Its trainings are stood in for; that real ones work is the last test's."""
    text = (ROOT / "docs/compare_methods.md").read_text()
    commands = [
        shlex.split(line, comments=True)[2:]
        for line in text.splitlines()
        if line.startswith("python tools/analysis/comp")
    ]
    assert len(commands) == 2
    assert standin(seeds="0") == 0  # puts the stand-in there
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_run(tmp_path / "work_dirs" / folder, {400: 40.0}, seed=seed)
    capsys.readouterr()
    assert tool.main(commands[0]) == 1  # the stand-in does 400 of the 800 iterations that the page asks for
    text = capsys.readouterr().out
    assert "AllSpark: 800 iterations, validated every 100" in text and "train_cfg.burn_in_iters=229" in text
    assert cells(text, "pseudo-label")["iterations"] == "800"
    assert tool.main(commands[1]) == 0
    assert cells(capsys.readouterr().out, "AllSpark")["seeds"] == "0, 1"
