"""Runs on the real data in ../shared, as the issue asks for them; slow, and skipped where it is absent."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
UNLABELED = "unlabeled_dataloader"
LOADERS = ("train_dataloader", UNLABELED, "val_dataloader", "test_dataloader")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SHARED.is_dir(), reason=f"needs the real data in {SHARED}"),
]


def run(*command):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=ROOT, timeout=900)


def in_process(loaders):
    """Options that load data in the training process, which is quickest for two steps."""
    return [f"{key}.num_workers=0" for key in loaders] + [f"{key}.persistent_workers=False" for key in loaders]


def crop(size, memory):
    """Options for another crop."""
    options = [f"model.neck.memory_size=({memory},{memory})"]
    for loader in LOADERS[:2]:
        options += [f"{loader}.dataset.pipeline.3.crop_size={size}"]
        options += [f"{loader}.dataset.pipeline.4.size=({size},{size})"]
    return options


def test_the_voc_config_trains_on_the_voc_subset_by_options_alone(tmp_path):
    options = [f"{loader}.dataset.data_root={SHARED / 'voc2012_subset'}" for loader in LOADERS]
    options += ["model.backbone.init_cfg=None", "train_cfg.max_epochs=1", "param_scheduler.0.end=1"]
    options += ["train_dataloader.dataset.ann_file=ImageSets/Segmentation/labeled_183.txt"]
    options += [f"{UNLABELED}.dataset.ann_file=ImageSets/Segmentation/train_aug.txt", "train_cfg.allow_overlap=True"]
    options += [f"{UNLABELED}.dataset.indices=[0,1,2,3]", "val_dataloader.dataset.indices=[0]"]
    options += ["default_hooks.logger.interval=1", *crop(65, 3), *in_process(LOADERS[:3])]
    config = ROOT / "configs/allspark/segformer_b5_voc_1-8.py"
    done = run(sys.executable, "tools/train.py", config, "--work-dir", tmp_path, "--cfg-options", *options)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Epoch(train) [1][2/2]" in done.stdout + done.stderr


def camvid(folder):
    """Options for the data of the CamVid configs, which are prepared here."""
    prepare = ("tools/prepare/camvid.py", SHARED / "camvid", "--out", folder / "camvid", "--seed", 123)
    done = run(sys.executable, *prepare, "--fractions", "1/16")
    assert done.returncode == 0, done.stderr
    options = [f"{loader}.dataset.data_root={folder / 'camvid'}" for loader in LOADERS]
    return [*options, "model.backbone.init_cfg=None", "default_hooks.logger.interval=1"]


def test_a_killed_camvid_run_ends_with_the_hash_of_the_undisturbed_one(tmp_path, capsys):
    """At the config's own crop, a worker per loader; killed at random iterations, every fifth of which is saved."""
    options = [*camvid(tmp_path), "train_cfg.max_iters=40", "model.neck.attn_drop=0.1", "val_dataloader.num_workers=0"]
    options += ["val_dataloader.persistent_workers=False", "val_dataloader.dataset.indices=[0,1]"]
    options += [f"{loader}.num_workers=1" for loader in LOADERS[:2]] + ["default_hooks.checkpoint.interval=5"]
    options += ["default_hooks.semantic_memory.warmup_iters=10"]
    train = [sys.executable, "tools/train.py", ROOT / "configs/allspark/segformer_b0_camvid_1-16.py", "--work-dir"]
    done = run(*train, tmp_path / "undisturbed", "--cfg-options", *options)
    assert done.returncode == 0, done.stderr[-3000:]
    moments = [random.Random(0).randint(6, 19), random.Random(1).randint(20, 39)]
    for moment in moments:
        command = [*map(str, train), str(tmp_path / "killed"), "--resume", "--cfg-options", *options]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
        ) as process:
            for line in process.stdout:
                if f"Iter(train) [{moment:>2}/40]" in line:
                    process.kill()
        assert process.returncode == -signal.SIGKILL
    done = run(*train, tmp_path / "killed", "--resume", "--cfg-options", *options)
    assert "training goes on from" in done.stdout + done.stderr
    last = [tmp_path / name / "iter_40.pth" for name in ("undisturbed", "killed")]
    hashes = run(sys.executable, "tools/analysis/hash_checkpoint.py", *last)
    with capsys.disabled():
        sys.stdout.write(f"\nkilled at iterations {moments}\n{hashes.stdout}")
    assert hashes.returncode == 0


def test_two_cpu_ranks_train_the_camvid_config(tmp_path):
    options = [*camvid(tmp_path), "train_cfg.max_iters=2", "val_dataloader.dataset.indices=[0,1]"]
    options += [*crop(129, 5), *in_process(LOADERS[:3])]
    config = ROOT / "configs/allspark/segformer_b0_camvid_1-16.py"
    launch = ("bash", "tools/dist_train.sh", config, 2, "--work-dir", tmp_path / "work", "--cfg-options")
    done = run("env", f"PYTHON={sys.executable}", *launch, *options)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text[-3000:]
    (log,) = (tmp_path / "work").glob("*/*.log")
    assert "over 2 rank(s)" in log.read_text()
    assert "Iter(train) [2/2]" in text
    assert (tmp_path / "work" / "iter_2.pth").is_file()
