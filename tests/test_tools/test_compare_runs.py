import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def write_run(folder, *parts):
    for index, part in enumerate(parts):
        path = folder / f"2026010{index}" / "vis_data" / "scalars.json"
        path.parent.mkdir(parents=True)
        path.write_text("".join(json.dumps(entry) + "\n" for entry in part))


def compare(*arguments):
    command = [sys.executable, ROOT / "tools/analysis/compare_runs.py", *arguments]
    return subprocess.run([*map(str, command)], capture_output=True, text=True)


def test_table_has_last_and_best_and_joins_the_parts_of_a_resumed_run(tmp_path):
    write_run(
        tmp_path / "a",
        [{"loss": 1.0, "step": 10}, {"mIoU": 30.0, "step": 100}],
        [{"mIoU": 42.5, "step": 200}, {"mIoU": 41.25, "step": 300}],
    )
    done = compare(f"AllSpark={tmp_path / 'a'}", "--out", tmp_path / "plot.png")
    assert done.returncode == 0, done.stderr
    assert "| AllSpark | 41.25 | 300 | 42.50 | 200 |" in done.stdout
    assert (tmp_path / "plot.png").stat().st_size > 5000


def test_a_run_without_the_metric_is_named(tmp_path):
    write_run(tmp_path / "a", [{"loss": 1.0, "step": 10}])
    done = compare(f"x={tmp_path / 'a'}")
    assert done.returncode != 0
    assert str(tmp_path / "a") in done.stderr
