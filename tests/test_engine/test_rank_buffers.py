"""What a rank takes from a checkpoint of several ranks, whoever it is now."""

import logging
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmseg_allspark.engine import rank_buffers
from mmseg_allspark.engine.rank_buffers import restore_rank_buffers
from mmseg_allspark.models import SemanticMemory

OWN = {"0.running_mean": torch.full((2,), 5.0), "1.queue": torch.full((3, 4, 2), 5.0)}


@pytest.fixture
def restore(monkeypatch, caplog):
    """Return a function that gives the state dict rank ``rank`` of ``world_size`` would load."""

    def restore(rank, world_size, sync="local", norm=nn.BatchNorm2d, saved=True, size=(1, 2)):
        monkeypatch.setattr(rank_buffers, "get_rank", lambda: rank)
        monkeypatch.setattr(rank_buffers, "get_world_size", lambda: world_size)
        model = nn.Sequential(norm(2), SemanticMemory(3, 4, size, sync=sync))
        checkpoint = dict(state_dict={name: torch.zeros_like(value) for name, value in model.state_dict().items()})
        if saved:
            checkpoint["rank_buffers"] = dict(world_size=2, ranks={1: dict(model=dict(OWN))})
        runner = SimpleNamespace(model=model, hooks=[], logger=logging.getLogger("test"))
        restore_rank_buffers(runner, checkpoint)
        assert checkpoint.keys() == {"state_dict"}
        return {name for name, value in checkpoint["state_dict"].items() if name in OWN and value.eq(5).all()}

    return restore


def test_a_rank_gets_its_own(restore, caplog):
    assert restore(1, 2) == set(OWN)
    assert restore(0, 2) == set()
    assert not caplog.records


@pytest.mark.parametrize("sync", ["rank0", "gather"])
def test_what_is_now_shared_is_rank_0s(restore, sync):
    """Gathered memories have to begin equal."""
    assert restore(1, 2, sync=sync) == {"0.running_mean"}
    assert restore(1, 2, sync=sync, norm=nn.SyncBatchNorm) == set()


def test_more_ranks(restore, caplog):
    assert restore(1, 3) == set(OWN)
    assert restore(2, 3) == set()
    assert "2 ranks, this run has 3" in caplog.text
    assert "the ranks from 2 on begin with rank 0's" in caplog.text
    assert "dropped" not in caplog.text


def test_fewer_ranks(restore, caplog):
    assert restore(0, 1) == set()
    assert "those of rank 1 are dropped" in caplog.text


def test_a_checkpoint_without_them_is_remarked_upon_by_several_ranks(restore, caplog):
    assert restore(0, 1, saved=False) == set()
    assert not caplog.records
    assert restore(1, 2, saved=False) == set()
    assert "no buffers of single ranks: all 2 ranks go on with rank 0's" in caplog.text


def test_a_memory_of_another_crop_is_rank_0s(restore, caplog):
    """Which mmengine, or CheckpointFitHook, has resized."""
    assert restore(1, 2, size=(2, 2)) == {"0.running_mean"}
    assert "goes on with rank 0's buffers of 1" in caplog.text
