"""tools/analysis/compare.py: the figures of its table, and what it says of runs that are only read."""

import json
import re
import sys

import numpy as np
import pytest
from builders import ROOT
from mmengine.config import Config

CONFIG = """
train_dataloader = dict(batch_size={batch}, dataset=dict(type="D", data_root="d", ann_file="labeled.txt"))
unlabeled_dataloader = dict(batch_size=5)
val_dataloader = dict(dataset=dict(type="ToyDataset", ann_file="val.txt"))
train_cfg = dict(type="{loop}", max_iters=400, val_interval=200)
custom_hooks = [dict(type="{hook}")]
randomness = dict(seed={seed})
"""

NAMES = ("val/mDice", "mDice", "mIoU")


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


ENDED = dict(stopped=dict(ended_at=200), killed={})


@pytest.fixture
def tool(load_tool):
    return load_tool("analysis/compare")


def cells(text, name, table="method"):
    """The row of a method by column, in the Markdown table of which ``table`` is the first column."""
    lines = [line.removeprefix("| ").split(" |") for line in text.splitlines() if line.startswith("| ")]
    lines = [[cell.strip() for cell in line[:-1]] for line in lines]
    (start,) = [number for number, line in enumerate(lines) if line[0] == table]
    return dict(zip(lines[start], next(line for line in lines[start:] if line[0] == name), strict=True))


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
    gain = f"{differences.mean():.2f} ± {differences.std(ddof=1):.2f}, within noise"
    assert cells(text, "B", "ranking")["Δ to A, same seeds"] == gain
    assert (first["s/iteration"], second["s/iteration"]) == ("2", "4")
    assert first["minutes"] == "0.5"  # 1 s for steps 1 to 10 and 2 s for 11 to 20
    assert (first["peak memory"], second["peak memory"]) == ("102 MiB GPU", "100 MiB GPU")
    assert first["labeled images seen (a step)"] == "800 (2)" == second["labeled images seen (a step)"]
    assert (first["unlabeled images seen (a step)"], second["unlabeled images seen (a step)"]) == ("0", "2000 (5)")
    assert (first["evaluated"], second["evaluated"]) == ("average", "teacher")
    assert "Warning" not in text and "Not counted" not in text
    record = json.loads((tmp_path / "out/comparison.json").read_text())
    assert record["rows"][0]["last"] == pytest.approx(dict(n=3, mean=last.mean(), std=last.std(ddof=1)))
    assert record["rows"][1]["runs"][1]["validations"] == {"200": 50.25, "400": 48.0}
    assert (tmp_path / "out/comparison.png").stat().st_size > 5000


def test_the_training_time_is_that_of_all_steps_and_a_paused_seed_does_not_move_its_median(tool, tmp_path):
    steps = {0: [9.0, 1.0, 2.0], 1: [9.0, 1.5, 2.5], 2: [9.0, 1.0, 130.0]}  # logged at steps 0, 10 and 20
    folders = [write_run(tmp_path / str(seed), {400: 40.0}, seed=seed, times=times) for seed, times in steps.items()]
    assert tool.main([*(f"A={folder}" for folder in folders), "--out", str(tmp_path / "out")]) == 0
    (row,) = json.loads((tmp_path / "out/comparison.json").read_text())["rows"]
    assert [run["training_seconds"] for run in row["runs"]] == [30, 40, 1310]
    assert row["training_seconds"] == 40


def test_the_ranking_says_which_differences_are_above_the_noise(tool, tmp_path, capsys):
    last = {  # of seeds 0, 1, ...
        "A": [40.0, 41.0, 42.0],
        "low": [39.0, 40.5, 39.0],  # -1, -0.5, -3 to A: -1.5 ± 1.32
        "high": [45.0, 46.5, 46.5],  # 5, 5.5, 4.5 to A: 5 ± 0.5; 2, 0.5, 3.5 to mid: 2 ± 1.5
        "mid": [43.0, 46.0, 43.0],  # 3, 5, 1 to A: 3 ± 2; to single: 1
        "single": [42.0],  # 2 to A; its mean is 42, that of A 41
    }
    runs = {(name, seed): value for name, values in last.items() for seed, value in enumerate(values)}
    folders = [f"{n}={write_run(tmp_path / f'{n}{s}', {400: value}, seed=s)}" for (n, s), value in runs.items()]
    assert tool.main([*folders, "--out", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out
    ranking = re.findall(r"^\| (\w+) \|", text[text.index("| ranking |") :], re.MULTILINE)
    assert ranking == ["ranking", "high", "mid", "single", "A", "low"]
    expected = {
        "high": ("5.00 ± 0.50, above noise", "2.00 ± 1.50, within noise"),
        "mid": ("3.00 ± 2.00, within noise", "1.00 (seed 0), one seed"),
        "single": ("2.00, one seed", "2.00, one seed"),
        "A": ("", "1.50 ± 1.32, within noise"),
        "low": ("-1.50 ± 1.32, within noise", ""),
    }
    for name, differences in expected.items():
        row = cells(text, name, "ranking")
        assert (row["Δ to A, same seeds"], row["Δ to the next row, same seeds"]) == differences
    record = {row["name"]: row for row in json.loads((tmp_path / "out/comparison.json").read_text())["rows"]}
    assert [record[name]["rank"] for name in expected] == [1, 2, 3, 4, 5]
    to_first = dict(to="A", seeds=[0, 1, 2], n=3, mean=5.0, std=0.5, verdict="above noise")
    assert record["high"]["difference_to_first_row"] == to_first
    to_next = dict(to="single", seeds=[0], n=1, mean=1.0, std=None, verdict="one seed")
    assert record["mid"]["difference_to_next_row"] == to_next
    assert record["A"]["difference_to_first_row"] is None is record["low"]["difference_to_next_row"]


@pytest.mark.parametrize(
    ("n", "mean", "std", "said"),
    [
        (0, None, None, "no common seed"),
        (1, 9.0, None, "one seed"),
        (2, 9.0, 0.1, "within noise"),
        (3, 2.1, 1.0, "above noise"),
        (3, -2.1, 1.0, "above noise"),
        (3, 2.0, 1.0, "within noise"),
        (3, 0.0, 0.0, "within noise"),
    ],
)
def test_a_difference_is_above_the_noise_from_three_seeds_and_twice_the_deviation_on(tool, n, mean, std, said):
    assert sys.modules["_compare_table"].verdict(n, mean, std) == said


def test_no_deviation_of_a_single_seed_and_no_difference_without_a_common_one(tool, tmp_path, capsys):
    methods = [f"{name}={write_run(tmp_path / name, {400: 40.0}, seed=seed)}" for name, seed in (("A", 0), ("B", 1))]
    assert tool.main([*methods, "--out", str(tmp_path / "out")]) == 0
    row = cells(capsys.readouterr().out, "B", "ranking")
    assert row["mIoU, last"] == "40.00"
    assert row["Δ to A, same seeds"] == "no common seed"


def test_a_run_that_has_ended_early_counts(tool, tmp_path, capsys):
    runs = [f"{name}={write_run(tmp_path / name, {200: 40.0}, **facts)}" for name, facts in ENDED.items()]
    assert tool.main([*runs, "--out", str(tmp_path / "out"), "--collect-only"]) == 0
    text = capsys.readouterr().out
    assert cells(text, "stopped")["mIoU, last"] == "40.00"
    assert "killed, seed 0**: not finished" in text


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


def test_a_folder_without_a_run_is_a_usage_error(tool, tmp_path, capsys):
    run = write_run(tmp_path / "work_dirs/a", {400: 40.0})
    (tmp_path / "notes/old").mkdir(parents=True)
    (tmp_path / "notes/old/train.log").write_text("no log of mmengine")
    for folder, remedy in (
        ("notes", "Give the work directory of tools/train.py"),
        ("work_dirs", f"Runs below it: {run}"),
    ):
        text = f"B={tmp_path / folder}"
        with pytest.raises(SystemExit) as error:
            tool.main([f"A={run}", text, "--collect-only", "--out", str(tmp_path / "out")])
        message = capsys.readouterr().err
        assert error.value.code == 2 and remedy in message
        assert f"{text!r}: {tmp_path / folder} holds no run" in message
    assert not (tmp_path / "out").exists()


def test_a_run_that_has_only_begun_is_a_row_that_does_not_count(tool, tmp_path, capsys):
    run = write_run(tmp_path / "a", {400: 40.0})
    write_part(tmp_path / "b", "20260101", [])
    assert tool.main([f"A={run}", f"B={tmp_path / 'b'}", "--out", str(tmp_path / "out")]) == 1
    assert "Not counted: B, seed ?1**: no" in capsys.readouterr().out
    assert (tmp_path / "out/comparison.md").read_text().splitlines()[0].endswith(", 0–1 seeds")


def test_what_differs_besides_the_method_is_found_in_shipped_configs(tool):
    agree = sys.modules["_compare_rows"].should_agree

    def differing(*names):
        first, second = (agree(Config.fromfile(ROOT / f"configs/{name}.py")) for name in names)
        return {what for what in first if first[what] and second[what] and first[what] != second[what]}

    r101, b5, tiny = "deeplabv3plus_r101_voc_1-8", "segformer_b5_voc_1-8", "resnet18-tiny_synthetic"
    assert differing(f"allspark/{r101}", f"unimatch/{r101}") == {"labeled pipeline", "unlabeled pipeline"}
    assert differing(f"pseudo_label/{b5}", f"unimatch/{b5}") == {"labeled pipeline"}
    for method in ("pseudo_label", "allspark", "unimatch", "unimatch_v2", "mean_teacher", "guidedmix"):
        for data in (tiny, "segformer_b0_own-data"):
            assert differing(f"supervised/{data}", f"{method}/{data}") == set()


@pytest.mark.parametrize("load_from", [None, "a.pth"])
def test_a_resumed_run_did_not_start_from_its_own_checkpoint(tool, load_from):
    """Its config has no start weights of the backbone any more."""
    should_agree = sys.modules["_compare_rows"].should_agree
    started = dict(load_from=load_from, model=dict(backbone=dict(depth=18, init_cfg=dict(checkpoint="b.pth"))))
    resumed = dict(load_from="iter_4.pth", resume=True, model=dict(backbone=dict(depth=18, init_cfg=None)))
    first, second = should_agree(started), should_agree(resumed)
    assert {key for key in first if second[key] and first[key] != second[key]} == set()
    assert "b.pth" in first["start weights"] and str(load_from or "null") in first["start weights"]


def test_the_table_of_the_measured_comparison_is_that_of_its_runs():
    """Every run is finished, and each cell is the mean of last validations, computed here."""
    block = (ROOT / "docs/comparison.md").read_text().split("\n\n| Method")[1].split("\n\n")[0]
    table = [line.strip("| ").split(" | ") for line in block.splitlines()[2:]]
    rows = json.loads((ROOT / "docs/benchmarks/comparison_synthetic.json").read_text())["rows"]
    assert [cells[0] for cells in table] == [row["name"] for row in rows]
    for cells, row in zip(table, rows, strict=True):
        last = [list(run["validations"].values())[-1] for run in row["runs"]]
        assert [run["seed"] for run in row["runs"]] == [0, 1, 2]
        assert cells[1] == f"{np.mean(last):.2f} ± {np.std(last, ddof=1):.2f}"


def rename(work_dir, name):
    """Let the validations of a run have written another figure."""
    (path,) = work_dir.glob("*/vis_data/scalars.json")
    path.write_text(path.read_text().replace('"mIoU"', f'"{name}"'))
    return work_dir


def test_other_names_of_the_metric_are_found_and_never_compared_with_another_metric(tool, tmp_path, capsys):
    a, b, c = (rename(write_run(tmp_path / name, {400: 40.0}), key) for name, key in zip("abc", NAMES, strict=True))
    out = ["--out", str(tmp_path / "out")]
    assert tool.main([f"A={a}", f"B={b}", *out]) == 0
    text = capsys.readouterr().out
    assert cells(text, "A")["val/mDice, last"] == cells(text, "B")["val/mDice, last"] == "40.00"
    with pytest.raises(SystemExit):
        tool.main([f"A={a}", f"C={c}", *out])
    assert "val/mDice (A), mIoU (C): choose one that all runs have with --key" in capsys.readouterr().err
    assert tool.main([f"C={c}", "--key", "mFscore", *out]) == 1
    assert "no validation has written mFscore yet, only mIoU" in capsys.readouterr().err


def test_a_metric_that_no_validation_will_write_is_refused_before_training(tool, tmp_path, capsys):
    config = tmp_path / "c.py"
    config.write_text("train_cfg = dict(max_iters=4)\nval_evaluator = dict(type='IoUMetric', iou_metrics=['mDice'])")
    with pytest.raises(SystemExit):
        tool.main([f"A={config}", "--key", "mFscore", "--out", str(tmp_path / "out")])
    assert "--key='mFscore': validations give aAcc, mDice, mAcc" in capsys.readouterr().err
