"""Files from elsewhere: checkpoints do not run code, archives do not write outside of their folder."""

import io
import os
import pickle
import subprocess
import sys
import tarfile
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import ROOT
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader, checkpoint

from mmseg_allspark.utils import safe_checkpoints
from mmseg_allspark.utils.safe_checkpoints import TRUST, UnsafeCheckpointError, load_checkpoint


class Malicious:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.fixture
def evil(tmp_path):
    """A checkpoint that makes the file 'touched' when it is unpickled."""
    path = tmp_path / "evil.pth"
    torch.save(dict(state_dict=dict(a=torch.ones(1)), meta=Malicious(tmp_path / "touched")), path)
    return path


def run(environment, *command):
    command = [sys.executable, *map(str, command)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)


@pytest.mark.slow  # a process each, which imports everything
@pytest.mark.parametrize("how", ["load_from", "resume", "test", "convert", "infer"])
def test_a_malicious_checkpoint_is_refused_everywhere(tiny_project, cpu_environment, data, evil, tmp_path, how):
    config, work = tiny_project / "tiny.py", ["--work-dir", tmp_path / "work"]
    command = dict(
        load_from=["tools/train.py", config, *work, "--cfg-options", f"load_from={evil}"],
        resume=["tools/train.py", config, *work, "--resume", evil],
        test=["tools/test.py", config, evil, *work],
        convert=["tools/convert_reference_checkpoint.py", evil, tmp_path / "out.pth"],
        infer=["tools/infer.py", config, evil, data / "img", "--out", tmp_path / "out"],
    )[how]
    done = run(cpu_environment, ROOT / command[0], *command[1:])
    assert done.returncode != 0
    assert not (tmp_path / "touched").exists()
    assert str(evil) in done.stderr and TRUST in done.stderr


@pytest.fixture
def safe_loaders(monkeypatch):
    monkeypatch.setattr(CheckpointLoader, "_schemes", dict(CheckpointLoader._schemes))
    safe_checkpoints.load_safely_from_now_on()


def test_trust_is_explicit(evil, tmp_path, monkeypatch, safe_loaders):
    with pytest.raises(UnsafeCheckpointError, match=TRUST):
        CheckpointLoader.load_checkpoint(str(evil), "cpu")
    assert not (tmp_path / "touched").exists()
    monkeypatch.setenv(TRUST, "1")
    assert "state_dict" in CheckpointLoader.load_checkpoint(str(evil), "cpu")
    assert (tmp_path / "touched").exists()


def test_what_mmengine_stores_is_loaded(tmp_path, safe_loaders):
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    stored = dict(state_dict=dict(a=torch.ones(1)), message_hub=dict(log_scalars=dict(loss=history)))
    stored["meta"] = dict(seed=np.int64(3), mean=np.arange(3.0), score=np.float32(0.5), classes=("a", "b"))
    torch.save(stored, tmp_path / "a.pth")
    found = CheckpointLoader.load_checkpoint(str(tmp_path / "a.pth"), "cpu")
    assert found["message_hub"]["log_scalars"]["loss"].mean() == 1.5 and found["meta"]["seed"] == 3


def test_they_are_still_loaded_after_mmengine_has_loaded_something(tmp_path):
    """The fork's own loader takes what mmengine stores off torch's list when it has finished."""
    torch.save(dict(hub=HistoryBuffer(), score=np.float64(1.0)), tmp_path / "a.pth")
    checkpoint.load_from_local(str(tmp_path / "a.pth"), "cpu")
    assert load_checkpoint(tmp_path / "a.pth")["score"] == 1.0


def test_files_that_are_no_checkpoints_are_named(tmp_path):
    (tmp_path / "empty.pth").touch()
    with pytest.raises(UnsafeCheckpointError, match="empty.pth was not loaded"):
        load_checkpoint(tmp_path / "empty.pth")
    (tmp_path / "text.pth").write_text("404: not found")
    with pytest.raises(UnsafeCheckpointError, match="text.pth was not loaded"):
        load_checkpoint(tmp_path / "text.pth")
    torch.save(dict(state_dict=dict(a=torch.ones(1000))), tmp_path / "cut.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "cut.pth").read_bytes()[:-100])
    with pytest.raises(ValueError, match="cut.pth is cut off"):
        load_checkpoint(tmp_path / "cut.pth")
    with pytest.raises(FileNotFoundError, match="no.pth"):
        load_checkpoint(tmp_path / "no.pth")


@pytest.mark.parametrize("place", ["https://nowhere/x.pth", "mmcls://vgg11", "open-mmlab://resnet50_v1c"])
def test_downloads_are_no_way_round(evil, tmp_path, monkeypatch, safe_loaders, place):
    """mmengine's own loaders ask torch for ``weights_only=False``."""
    monkeypatch.setattr(checkpoint, "load_url", lambda url, **options: torch.load(evil, weights_only=False))
    with pytest.raises(UnsafeCheckpointError, match=TRUST):
        CheckpointLoader.load_checkpoint(place, "cpu")
    assert not (tmp_path / "touched").exists()
    if not place.startswith("https"):
        with pytest.raises(ValueError, match="knows no .*_modle"):
            CheckpointLoader.load_checkpoint(f"{place}_modle", "cpu")


@pytest.fixture
def archives(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools/prepare"))
    import _files

    return _files


def write_tar(path, members):
    with tarfile.open(path, "w") as tar:
        for name, kind, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            info.size = 4 if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(b"evil") if info.size else None)


@pytest.mark.parametrize("name", ["a/../../escaped", "/tmp/mmseg_allspark_escaped"])
@pytest.mark.parametrize("suffix", [".tar", ".zip"])
def test_archives_do_not_write_outside(archives, tmp_path, name, suffix):
    archive, into = tmp_path / f"data{suffix}", tmp_path / "deep" / "into"
    if suffix == ".tar":
        write_tar(archive, [("good", tarfile.REGTYPE, ""), (name, tarfile.REGTYPE, "")])
    else:
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr(zipfile.ZipInfo(name), "evil")
    with suppress(archives.PrepareError):  # refused, or written inside
        archives.unpack(archive, into)
    assert all(path.is_relative_to(into) for path in tmp_path.rglob("*escaped*"))
    assert not Path("/tmp/mmseg_allspark_escaped").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_left_out(archives, tmp_path, kind):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    link = (outside / "file") if kind == tarfile.LNKTYPE else outside
    members = [("link", kind, str(link)), ("good", tarfile.REGTYPE, "")]
    if kind == tarfile.SYMTYPE:  # a file behind it stays inside
        members[1] = ("link/good", tarfile.REGTYPE, "")
    write_tar(tmp_path / "data.tar", members)
    folder = archives.unpack(tmp_path / "data.tar", tmp_path / "into")
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["good"]
    assert os.listdir(outside) == ["file"] and (outside / "file").read_text() == "mine"


def test_a_plain_pickle_is_not_run_by_converting(tmp_path):
    with (tmp_path / "evil.pth").open("wb") as stream:
        pickle.dump(dict(model=Malicious(tmp_path / "touched")), stream)
    with pytest.raises(UnsafeCheckpointError):
        load_checkpoint(tmp_path / "evil.pth")
    assert not (tmp_path / "touched").exists()
