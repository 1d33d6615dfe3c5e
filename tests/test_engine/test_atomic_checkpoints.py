"""Whatever moment a run is killed at, there is a complete checkpoint, and the newest one is found."""

import logging
import os
import resource
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import CheckpointHook
from mmengine.logging import MessageHub
from mmengine.runner import save_checkpoint

from mmseg_allspark.engine import AtomicCheckpointHook, AtomicLocalBackend
from mmseg_allspark.engine.checkpoint import atomic
from mmseg_allspark.engine.checkpoint.resume_point import find_resume_point, why_incomplete

OPERATIONS = 30  # of train() below


class Killed(BaseException):
    pass


@pytest.fixture
def kill_at(monkeypatch):
    """Let the n-th operation on files be the last; a write before it has only half arrived."""

    def arm(number):
        left = [number]

        def guard(module, name):
            original = getattr(module, name)

            def guarded(*args, **kwargs):
                left[0] -= 1
                if left[0] == 0:
                    raise Killed
                return original(*args, **kwargs)

            monkeypatch.setattr(module, name, guarded)

        for name in ("fsync", "replace", "remove"):
            guard(os, name)

    yield arm
    monkeypatch.undo()


class FakeRunner(SimpleNamespace):
    """What a CheckpointHook wants of a runner; weights are the iteration's number."""

    def __init__(self, folder, name):
        hub = MessageHub(name)
        super().__init__(
            work_dir=str(folder), message_hub=hub, logger=logging.getLogger("fake"), iter=0, epoch=0, max_iters=9
        )
        self.cfg = {}

    def save_checkpoint(self, out_dir, filename, file_client_args=None, backend_args=None, **_):
        state = dict(weight=torch.full((50,), self.iter), hub=self.message_hub.state_dict())
        save_checkpoint(state, os.path.join(out_dir, filename), backend_args=backend_args)


def train(folder, name, kind=AtomicCheckpointHook, **options):
    """Four steps, a validation with a better result after each."""
    options = dict(by_epoch=False, interval=1, max_keep_ckpts=1, save_best="mIoU", rule="greater") | options
    hook, runner = kind(**options), FakeRunner(folder, name)
    hook.before_train(runner)
    for number in range(4):
        runner.iter = number
        hook.after_train_iter(runner, number)
        runner.iter = number + 1
        hook.after_val_epoch(runner, dict(mIoU=number + 1.0))
    return sorted(path.name for path in folder.glob("*.pth*"))


@pytest.mark.parametrize("options", [{}, dict(max_keep_ckpts=2, save_best=None)])
def test_what_is_left_is_what_mmengine_leaves(tmp_path, options):
    theirs = train(tmp_path / "a", f"theirs{options}", CheckpointHook, **options)
    assert train(tmp_path / "b", f"ours{options}", **options) == theirs
    assert (tmp_path / "b" / "last_checkpoint").read_text() == str(tmp_path / "b" / "iter_4.pth")
    assert find_resume_point(tmp_path / "b").skipped == {}


@pytest.mark.parametrize("number", range(1, OPERATIONS + 1))
def test_a_kill_at_any_operation_leaves_a_complete_checkpoint(tmp_path, kill_at, number):
    kill_at(number)
    with pytest.raises(Killed):
        train(tmp_path, f"killed{number}")
    point, pointer = find_resume_point(tmp_path), tmp_path / "last_checkpoint"
    assert not point.skipped
    assert (point.checkpoint is None) == (number < 3)
    if pointer.exists():
        assert why_incomplete(pointer.read_text()) is None
    assert number < 7 or list(tmp_path.glob("best*.pth"))
    state = point.checkpoint and torch.load(point.checkpoint, weights_only=False)
    if state and "best_ckpt" in state["hub"]["runtime_info"]:
        assert why_incomplete(state["hub"]["runtime_info"]["best_ckpt"]) is None


def test_more_operations_than_were_killed_do_not_exist(tmp_path, kill_at):
    kill_at(OPERATIONS + 1)
    train(tmp_path, "alive")


def test_the_next_run_tidies_up(tmp_path):
    for name in (".iter_7.123.pth", ".best_mIoU_iter_7.123.pth", ".notes"):
        (tmp_path / name).write_bytes(b"PK")
    train(tmp_path, "tidy")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"best_mIoU_iter_4.pth", "iter_4.pth", "last_checkpoint", ".notes"}


def write(path, time, **options):
    torch.save(dict(weight=torch.zeros(1000)), path, **options)
    os.utime(path, (time, time))
    return path


def cut(path, size=1000):
    time = path.stat().st_mtime
    path.write_bytes(path.read_bytes()[:size])
    os.utime(path, (time, time))


def test_a_full_disk_costs_nothing_that_was_written(tmp_path):
    """The limit of a file's size stands for the end of the disk."""
    file = tmp_path / "iter_1.pth"
    AtomicLocalBackend().put(b"old", file)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"(?s)cannot be written.*max_keep_ckpts.*--resume.*iter_1\.pth"):
            AtomicLocalBackend().put(b"new" * 1000, file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["iter_1.pth"]
    assert file.read_bytes() == b"old"


def test_files_that_were_cut_off_are_passed_over(tmp_path):
    for number in (8, 9, 10, 11):
        write(tmp_path / f"iter_{number}.pth", number)
    write(tmp_path / "best_mIoU_iter_12.pth", 12)
    write(tmp_path / "weights_13.pth", 13)
    (tmp_path / ".iter_12.123.pth").write_bytes(b"PK")
    cut(tmp_path / "iter_10.pth")
    cut(tmp_path / "iter_11.pth", 0)
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_14.pth"))
    point = find_resume_point(tmp_path)
    assert point.checkpoint == str(tmp_path / "iter_9.pth")
    reasons = {path.rsplit("/", 1)[1]: why for path, why in point.skipped.items()}
    assert reasons.keys() == {"iter_14.pth", "iter_11.pth", "iter_10.pth"}
    assert "does not exist" in reasons["iter_14.pth"]
    assert reasons["iter_11.pth"] == "is empty"
    assert "cut off" in reasons["iter_10.pth"]


def test_checkpoints_elsewhere_and_of_other_names_are_found(tmp_path):
    out, work = tmp_path / "out", tmp_path / "work"
    out.mkdir()
    work.mkdir()
    write(out / "step7.pth", 1)
    named = write(out / "step8.pth", 2)
    (work / "last_checkpoint").write_text(str(named))
    assert find_resume_point(work, ("step{}.pth",)).checkpoint == str(named)
    cut(named)
    point = find_resume_point(work, ("step{}.pth",))
    assert (point.checkpoint, list(point.skipped)) == (str(out / "step7.pth"), [str(named)])


@pytest.mark.parametrize("text", ["", "work_dirs/iter"])
def test_a_pointer_that_a_kill_left_half_written(tmp_path, text):
    """mmengine writes it in place."""
    (tmp_path / "last_checkpoint").write_text(text)
    assert find_resume_point(tmp_path).checkpoint is None
    now = (tmp_path / "last_checkpoint").stat().st_mtime
    for number in (9, 10):
        write(tmp_path / f"iter_{number}.pth", now - 1)
    assert find_resume_point(tmp_path).checkpoint == str(tmp_path / "iter_10.pth")
    assert find_resume_point(tmp_path / "nowhere").checkpoint is None


def test_times_of_copied_files_do_not_mislead(tmp_path):
    """``cp -r`` gives them in the order of copying, epoch_9 after epoch_10."""
    for time, number in enumerate((10, 11, 9)):
        write(tmp_path / f"epoch_{number}.pth", time + 1)
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "epoch_11.pth"))
    assert find_resume_point(tmp_path).checkpoint == str(tmp_path / "epoch_11.pth")
    cut(tmp_path / "epoch_11.pth")
    assert find_resume_point(tmp_path).checkpoint == str(tmp_path / "epoch_10.pth")


def test_only_what_was_written_after_the_pointer_may_have_a_higher_number(tmp_path):
    """A kill between checkpoint and pointer; or files of an earlier, longer run in the same folder."""
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_2.pth"))
    now = (tmp_path / "last_checkpoint").stat().st_mtime
    for number, time in ((1, now - 2), (2, now - 1), (3, now + 1), (9, now - 9)):
        write(tmp_path / f"iter_{number}.pth", time)
    for name in ("iter_3.pth", "iter_2.pth", "iter_1.pth", "iter_9.pth"):
        assert find_resume_point(tmp_path).checkpoint == str(tmp_path / name)
        cut(tmp_path / name)


def test_a_copied_folder_goes_on_from_its_own_files(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
        for number in (1, 2, 3):
            write(folder / f"iter_{number}.pth", number)
        (folder / "last_checkpoint").write_text(str(old / "iter_3.pth"))
    assert find_resume_point(new).checkpoint == str(new / "iter_3.pth")
    (new / "iter_3.pth").unlink()
    point = find_resume_point(new)
    assert point.checkpoint == str(new / "iter_2.pth")
    assert point.skipped == {str(old / "iter_3.pth"): f"does not exist in {new}"}


def test_an_address_is_taken_as_it_is(tmp_path):
    (tmp_path / "last_checkpoint").write_text("s3://bucket/run/iter_5.pth")
    assert find_resume_point(tmp_path).checkpoint == "s3://bucket/run/iter_5.pth"


def test_ranks_that_begin_apart_are_refused(tmp_path, monkeypatch):
    """A machine that does not see the others' folder resumes nothing, and every rank has to say so."""
    monkeypatch.setattr(atomic, "all_gather_object", lambda position: [4, 0])
    hook = AtomicCheckpointHook(by_epoch=False)
    runner = FakeRunner(tmp_path, "apart")
    runner.iter = 4
    with pytest.raises(RuntimeError, match=r"different iterations, \[4, 0\] from rank 0 on.*one that all machines see"):
        hook.before_train(runner)
