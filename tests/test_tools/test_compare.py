"""tools/analysis/compare.py: the figures of its table, and what it trains, keeps, refuses and names."""

import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
train_dataloader = dict(batch_size={batch}, dataset=dict(type="D", data_root="d", ann_file="labeled.txt"))
unlabeled_dataloader = dict(batch_size=5)
val_dataloader = dict(dataset=dict(type="ToyDataset", ann_file="val.txt"))
train_cfg = dict(type="{loop}", max_iters=400, val_interval=200)
custom_hooks = [dict(type="{hook}")]
randomness = dict(seed={seed})
"""


def write_part(folder, name, entries, *, resumed=None, **facts):
    """One start of a run as the visualizer, the log and ReportHook leave it."""
    data = folder / name / "vis_data"
    data.mkdir(parents=True)
    (data / "scalars.json").write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    (folder / name / "facts.json").write_text(json.dumps(facts))
    if resumed:
        (folder / name / f"{name}.log").write_text(
            f"2026/01/01 10:00:00 - mmengine - INFO - resumed epoch: 0, iter: {resumed}\n"
        )
    return data


def write_run(folder, curve, *, seed=0, batch=2, loop="IterBasedTrainLoop", hook="EMAHook", times=(), **facts):
    entries = [{"iter": 10 * n, "time": time, "memory": 100 + n, "step": 10 * n} for n, time in enumerate(times or [1])]
    entries += [{"mIoU": value, "step": step} for step, value in curve.items()]
    data = write_part(folder, "20260101", entries, **facts)
    (data / "config.py").write_text(CONFIG.format(seed=seed, batch=batch, loop=loop, hook=hook))
    return folder


@pytest.fixture
def tool(load_tool):
    return load_tool("analysis/compare")


def cells(text, name):
    """The row of a method in the Markdown table by column."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    head = next(line for line in lines if line[0] == "method")
    return dict(zip(head, next(line for line in lines if line[0] == name), strict=True))


def test_figures_are_those_of_an_independent_computation(tool, tmp_path, capsys):
    a = {0: [40.0, 38.5], 1: [30.25, 44.0], 2: [41.0, 47.75]}
    b = {1: [45.0, 49.5], 2: [50.25, 48.0]}
    methods = [
        f"{name}={write_run(tmp_path / f'{name}{seed}', dict(zip((200, 400), values, strict=True)), seed=seed, **more)}"
        for name, runs, more in (
            ("A", a, dict(times=[9.0, 1.0, 2.0])),
            ("B", b, dict(loop="PseudoLabelLoop", hook="MeanTeacherHook", times=[4.0])),
        )
        for seed, values in runs.items()
    ]
    assert tool.main([*methods, "--out", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    first, second = cells(text, "A"), cells(text, "B")
    last = np.array([values[-1] for values in a.values()])
    assert first["mIoU, last"] == f"{last.mean():.2f} ± {last.std(ddof=1):.2f}"
    assert first["mIoU, best (optimistic)"] == f"{(40 + 44 + 47.75) / 3:.2f} ± {np.std([40, 44, 47.75], ddof=1):.2f}"
    differences = np.array([49.5 - 44.0, 48.0 - 47.75])
    assert second["Δ to A, same seeds"] == f"{differences.mean():.2f} ± {differences.std(ddof=1):.2f}"
    assert (first["s/iteration"], second["s/iteration"]) == ("2", "4")
    assert (first["peak memory"], second["peak memory"]) == ("102 MiB GPU", "100 MiB GPU")
    assert first["labeled images seen (a step)"] == "800 (2)" == second["labeled images seen (a step)"]
    assert (first["unlabeled images seen (a step)"], second["unlabeled images seen (a step)"]) == ("0", "2000 (5)")
    assert (first["evaluated"], second["evaluated"]) == ("average", "teacher")
    assert "Warning" not in text and "Not counted" not in text
    record = json.loads((tmp_path / "out/comparison.json").read_text())
    assert record["rows"][0]["last"] == pytest.approx(dict(n=3, mean=last.mean(), std=last.std(ddof=1)))
    assert record["rows"][1]["runs"][1]["validations"] == {"200": 50.25, "400": 48.0}
    assert (tmp_path / "out/comparison.png").stat().st_size > 5000


def test_no_deviation_of_a_single_seed_and_no_difference_without_a_common_one(tool, tmp_path, capsys):
    methods = [f"{name}={write_run(tmp_path / name, {400: 40.0}, seed=seed)}" for name, seed in (("A", 0), ("B", 1))]
    assert tool.main([*methods, "--out", str(tmp_path / "out")]) == 0
    row = cells(capsys.readouterr().out, "B")
    assert row["mIoU, last"] == "40.00"
    assert row["Δ to A, same seeds"] == "–"


def test_unfinished_runs_do_not_count_and_unequal_budgets_are_named(tool, tmp_path, capsys):
    write_run(tmp_path / "a0", {200: 30.0, 400: 40.0}, hardware="4 process(es), H100")
    write_run(tmp_path / "a1", {200: 99.0}, seed=1)
    write_run(tmp_path / "b0", {200: 50.0, 400: 60.0}, batch=4, commit="abc")
    arguments = [f"A={tmp_path / 'a0'}", f"A={tmp_path / 'a1'}", f"B={tmp_path / 'b0'}"]
    assert tool.main([*arguments, "--out", str(tmp_path / "out"), "--collect-only"]) == 0
    text = capsys.readouterr().out
    assert cells(text, "A")["mIoU, last"] == "40.00"
    assert "A, seed 1**: not finished: last validation at iteration 200 of 400, mIoU 99.00" in text
    assert "differ in** labeled images a step: 8 (A); 4 (B)" in text  # 2 on each of 4 GPUs


def test_the_parts_of_a_resumed_run_are_joined(tool, tmp_path, capsys):
    write_part(tmp_path / "a", "1", [{"iter": 1, "step": 1}, {"mIoU": 30.0, "step": 100}, {"mIoU": 90.0, "step": 200}])
    write_part(
        tmp_path / "a", "2", [{"iter": 110, "step": 110}, {"mIoU": 42.5, "step": 200}], resumed=100, max_iters=200
    )
    assert tool.main([f"A={tmp_path / 'a'}", "--out", str(tmp_path / "out")]) == 0
    assert cells(capsys.readouterr().out, "A")["mIoU, best (optimistic)"] == "42.50"


def test_a_run_without_the_metric_is_named(tool, tmp_path, capsys):
    write_run(tmp_path / "a", {})
    assert tool.main([f"A={tmp_path / 'a'}", "--out", str(tmp_path / "out"), "--key", "mDice"]) == 1
    assert "no validation has written mDice" in capsys.readouterr().err


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


def test_another_config_or_commit_is_said_and_not_mixed(standin, capsys, monkeypatch):
    assert standin() == 0
    with pytest.raises(SystemExit):
        standin("--cfg-options", "train_dataloader.batch_size=3")
    message = capsys.readouterr().err
    assert "A, seed 0: the config is not the one" in message and "train_dataloader.batch_size: 2 -> 3" in message
    Path("d").mkdir()
    Path("d/labeled.txt").write_text("another image")
    with pytest.raises(SystemExit):
        standin()
    assert "train_dataloader.dataset.ann_file (content): not set -> " in capsys.readouterr().err
    assert standin("--collect-only") == 0
    assert "Warning**: A, seed 0: the config is not" in capsys.readouterr().out
    Path("d/labeled.txt").unlink()
    record = json.loads(Path("out/A/seed0/compare.json").read_text())
    record["starts"][0]["commit"] = "0ld"
    Path("out/A/seed0/compare.json").write_text(json.dumps(record))
    assert standin() == 0
    assert "A, seed 0: trained with commit 0ld, the code is now" in capsys.readouterr().out
    assert starts("A/seed0") == 1


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


def test_a_folder_in_which_somebody_trains_is_left_alone(standin, capsys):
    Path("out/A/seed0").mkdir(parents=True)
    with Path("out/A/seed0/compare.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert standin() == 1
    assert "A, seed 0**: another process is training in out/A/seed0" in capsys.readouterr().out
    assert not Path("out/A/seed0/starts").exists() and starts("A/seed1") == 1


def test_stopping_ends_the_trainings_and_nothing_else_begins(standin, capsys):
    previous = signal.getsignal(signal.SIGTERM)
    child = subprocess.Popen(["sh", "-c", f"sleep 4; kill -TERM {os.getpid()}"])
    before = time.monotonic()
    assert standin(A0=(200, 9), A1=(200, 9)) == 130
    child.wait()
    assert time.monotonic() - before < 30
    assert not Path("out/B").exists()
    assert json.loads(Path("out/A/seed0/compare.json").read_text())["starts"][0]["exit_code"] == -signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == previous
    assert "The same command goes on" in capsys.readouterr().out
    assert standin() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.py"], "neither a config nor a folder nowhere.py"),
        ([f"{ROOT / 'configs'}"], "is a folder: give it a name"),
        ([f"../x={ROOT / 'setup.py'}"], "cannot be a row's name"),
        (["x.py", "--steps", "1"], "--steps 1: at least 2"),
        (["x.py", "--val-interval", "5"], "--val-interval 5: needs --steps"),
        (["x.py", "--seeds", "1", "1"], "1 is given twice"),
        (["x.py", "--cfg-options", "randomness.seed=3"], "randomness.seed: --seeds"),
    ],
)
def test_a_senseless_command_line_is_a_usage_error(tool, capsys, arguments, message):
    with pytest.raises(SystemExit) as error:
        tool.main(arguments)
    assert error.value.code == 2 and message in capsys.readouterr().err


def test_the_commands_of_the_page(standin, tool, tmp_path, monkeypatch, capsys):
    """Its trainings are stood in for; that real ones work is the last test's."""
    text = (ROOT / "docs/compare_methods.md").read_text()
    commands = [shlex.split(line)[2:] for line in text.splitlines() if line.startswith("python tools/analysis/comp")]
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


def test_what_differs_besides_the_method_is_found_in_shipped_configs(tool):
    agree = sys.modules["_compare_results"].SHOULD_AGREE

    def differing(*names):
        first, second = (Config.fromfile(ROOT / f"configs/{name}.py") for name in names)
        found = {what: (find(first), find(second)) for what, find in agree.items()}
        return {what for what, (a, b) in found.items() if a and b and a != b}

    r101, b5, tiny = "deeplabv3plus_r101_voc_1-8", "segformer_b5_voc_1-8", "resnet18-tiny_synthetic"
    assert differing(f"allspark/{r101}", f"unimatch/{r101}") == {"labeled pipeline", "unlabeled pipeline"}
    assert differing(f"pseudo_label/{b5}", f"unimatch/{b5}") == {"labeled pipeline"}
    for method in ("pseudo_label", "allspark", "unimatch", "mean_teacher", "guidedmix"):
        assert differing(f"supervised/{tiny}", f"{method}/{tiny}") == set()


@pytest.mark.parametrize(("resume", "weights"), [(True, ""), (False, '"a.pth"')])
def test_a_resumed_run_did_not_start_from_its_own_checkpoint(tool, resume, weights):
    assert sys.modules["_compare_results"].SHOULD_AGREE["load_from"](dict(load_from="a.pth", resume=resume)) == weights
