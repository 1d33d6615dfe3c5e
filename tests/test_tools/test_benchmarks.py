"""``tools/benchmark``: what is timed is what is said to be timed, and every script runs, at the smallest size."""

import importlib
import json
import math
import subprocess
import sys
from argparse import Namespace
from types import SimpleNamespace

import pytest
import torch
from builders import ROOT

from mmseg_allspark.models import SemanticMemory

FOLDER = ROOT / "tools/benchmark"
MEGABYTE = 2**20


@pytest.fixture
def harness(monkeypatch):
    """What the scripts import from the folder they are in."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("_harness")


@pytest.fixture
def load(load_tool, harness):
    """Return a function that imports a benchmark by name."""
    return lambda name: load_tool(f"benchmark/{name}")


@pytest.fixture
def run_benchmark(load, monkeypatch, tmp_path):
    """Return a function that runs a benchmark and returns the rows of its JSON."""

    def run(name, *arguments):
        out = tmp_path / "new folder" / "figures.json"
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments), "--out", str(out)])
        load(name).main()
        figures = json.loads(out.read_text())
        assert "CPU cores" in figures["machine"]["hardware"] and str(arguments[0]) in figures["machine"]["command"]
        assert figures["rows"] and all(math.isfinite(value) for value in numbers_in(figures["rows"]))
        return figures["rows"]

    return run


@pytest.fixture
def clock(harness, monkeypatch):
    """The harness's clock; it stands still until a test moves ``clock.now``."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(harness, "timer", lambda: clock.now)
    return clock


def numbers_in(part):
    """All numbers in nested lists and dicts."""
    if isinstance(part, (dict, list)):
        for value in part.values() if isinstance(part, dict) else part:
            yield from numbers_in(value)
    elif isinstance(part, (int, float)):
        yield part


def test_cases_take_turns_and_warmup_rounds_do_not_count(harness, clock):
    calls = []

    def call(name):
        calls.append(name)
        clock.now += len(calls)

    args = Namespace(rounds=3, warmup=2)
    timings = harness.time_cases({name: lambda name=name: call(name) for name in "ab"}, args)
    assert "".join(calls) == "ababababab"
    assert {name: timing.times for name, timing in timings.items()} == dict(a=[5, 7, 9], b=[6, 8, 10])


@pytest.mark.slow
def test_neck_compares_exact_with_plain(tmp_path):
    sizes = ["--classes=5", "--crops=257", "--channels=128", "--heads=2", "--images=1", "--rounds=2", "--warmup=0"]
    command = [sys.executable, FOLDER / "neck.py", *sizes, "--out", tmp_path / "new folder/figures.json"]
    subprocess.run([*map(str, command)], check=True)  # its memory is measured in processes that import the script
    (row,) = json.loads((tmp_path / "new folder/figures.json").read_text())["rows"]
    plain, exact = row["plain"], row["exact"]
    assert all(len(part["forward"]) == len(part["forward_backward"]) == 2 for part in (plain, exact))
    assert min(*exact["forward"], *exact["forward_backward"], exact["extra_bytes"], row["flops"]) > 0
    ratios = [a / b for a, b in zip(plain["forward_backward"], exact["forward_backward"], strict=True)]
    assert row["speedup"] == pytest.approx(sum(ratios) / 2)
    assert row["memory_ratio"] == plain["extra_bytes"] / exact["extra_bytes"]


def test_inference(run_benchmark):
    rows = run_benchmark("inference", "--backbone=mit-b0", "--crop", 128, 128, "--rounds=2", "--warmup=0")
    assert [row["case"] for row in rows] == ["without", "with", "doubled"]
    assert all(len(row["seconds"]) == 2 and min(row["seconds"]) > 0 for row in rows)
    assert rows[0]["slowdown_percent"] == 0 and min(row["slowdown_percent"] for row in rows) > -100
    # of the neck, two for a multiplication with addition; the deepest map has 4 x 4 tokens
    tokens, channels, heads = 16, 256, 2
    maps, projections = 4 * channels**2 * tokens, 8 * heads * channels**2 * tokens
    wide, narrow = 4 * (heads * channels) ** 2 * tokens, 4 * heads * channels**2 * tokens
    flops = [row["flops"] - rows[0]["flops"] for row in rows]
    assert flops == [0, maps + projections + wide, 2 * maps + 2 * projections + wide + narrow]


@pytest.mark.slow
def test_train_step(run_benchmark, tmp_path):
    """The script itself stops unless all variants have the same losses."""
    config = "configs/allspark/segformer_b0_camvid_1-16.py"
    size = ["--crop=64", "--labeled=1", "--unlabeled=1", "--rounds=1", "--warmup=0"]
    text = (ROOT / config).read_text().replace("memory_size=(9, 9)", "memory_size=(2, 2)")
    (tmp_path / "config.py").write_text(text.replace("../", f"{ROOT}/configs/"))
    rows = run_benchmark("train_step", f"--config={tmp_path / 'config.py'}", *size)
    assert [row["name"] for row in rows][0] == "as the release" and len(rows) == 4
    assert all(row["seconds"][0] == pytest.approx(sum(row["stages"].values()), rel=0.2) for row in rows)


def test_methods_take_a_step_each(run_benchmark):
    names = ("supervised", "allspark", "unimatch", "mean_teacher", "guidedmix", "stpp")
    configs = [ROOT / f"configs/{name}/resnet18-tiny_synthetic.py" for name in names]
    rows = run_benchmark("methods", "--crop=64", "--images=2", "--rounds=1", "--warmup=0", "--configs", *configs)
    assert [row["name"].split("/")[0] for row in rows] == list(names)
    assert rows[0]["ratio"] == 1.0 and all(row["ratio"] > 0 for row in rows)


def test_enqueue_compares_two_ways_that_store_the_same(run_benchmark, load):
    rows = run_benchmark("enqueue", "--classes=3", "--channels=8", "--crop=64", "--images", 1, 3, "--rounds=2")
    assert [row["images"] for row in rows] == [1, 3]
    written, looped = SemanticMemory(3, 8, (2, 2)), SemanticMemory(3, 8, (2, 2))
    looped.load_state_dict(written.state_dict())
    for _ in range(4):
        rows, classes = torch.randn(16, 4), torch.randint(3, (16,))
        written._enqueue(rows, classes)
        load("enqueue").enqueue_in_a_loop(looped, rows, classes)
    for name, value in looped.state_dict().items():
        assert torch.equal(value, written.state_dict()[name]), name


def test_the_run_on_a_gpu(run_benchmark):
    """Its parts but the golden cases and the steps, which have tests of their own, at reduced size on the CPU."""
    rows = run_benchmark("gpu", "--small", "--rounds", 1, "--warmup", 0, "--skip", "golden_cases", "training_steps")
    names = " ".join(row["name"] for row in rows)
    assert "error" not in set().union(*rows)
    assert all(part in names for part in ("copy", "neck, exact", "block by block", "torch's fused"))
