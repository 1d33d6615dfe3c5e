import os

import pytest
import torch
from mmengine.config import Config
from mmengine.model import is_model_wrapper
from mmengine.registry import MODEL_WRAPPERS
from torch import distributed as dist
from two_ranks import free_port

from mmseg_allspark.utils import distributed
from mmseg_allspark.utils.distributed import prepare_cpu_distributed, shutdown_distributed

TORCH_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch):
    """A machine without a GPU and without a launcher's environment, left as it was afterwards."""
    monkeypatch.setattr(distributed, "get_device", lambda: "cpu")
    for name in TORCH_NAMES:
        monkeypatch.setenv(name, "")  # so that monkeypatch restores what the function sets
        monkeypatch.delenv(name)
    yield
    shutdown_distributed()


@pytest.fixture
def one_rank(monkeypatch):
    """The environment torchrun gives to the only rank of a run."""
    for name, value in zip(TORCH_NAMES, ("0", "1", "0", "127.0.0.1", str(free_port())), strict=True):
        monkeypatch.setenv(name, value)


def test_nothing_happens_without_a_launcher_or_with_a_gpu(monkeypatch, one_rank):
    cfg = Config(dict(a=1))
    assert prepare_cpu_distributed(cfg, "none") is False
    monkeypatch.setattr(distributed, "get_device", lambda: "cuda")
    assert prepare_cpu_distributed(cfg, "pytorch") is False
    assert cfg.to_dict() == dict(a=1)
    assert not dist.is_initialized()


def test_group_and_config_are_ready_for_the_runner(one_rank):
    cfg = Config(dict(find_unused_parameters=True, sync_bn="torch", env_cfg=dict(dist_cfg=dict(backend="nccl"))))
    assert prepare_cpu_distributed(cfg, "pytorch") is True
    assert dist.get_backend() == "gloo"
    assert cfg.env_cfg.dist_cfg.backend == "gloo"
    assert cfg.sync_bn is None
    assert cfg.model_wrapper_cfg == dict(
        type="CPUDistributedDataParallel", broadcast_buffers=False, find_unused_parameters=True
    )


def test_wrapper_takes_the_cuda_device_id_of_the_runner_and_reverts_sync_bn(one_rank):
    cfg = Config(dict(model_wrapper_cfg=dict(type="MMDistributedDataParallel", static_graph=True)))
    prepare_cpu_distributed(cfg, "pytorch")
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.SyncBatchNorm(4))
    weight = model[1].weight
    wrapped = MODEL_WRAPPERS.build(cfg.model_wrapper_cfg, default_args=dict(device_ids=[0], module=model))
    assert is_model_wrapper(wrapped)
    assert wrapped.static_graph is True
    assert not any(isinstance(layer, torch.nn.SyncBatchNorm) for layer in wrapped.modules())
    assert wrapped.module[1].weight is weight
    wrapped(torch.rand(2, 3, 4, 4)).sum().backward()
    assert model[0].weight.grad is not None


def test_wrapper_that_needs_a_gpu_is_refused(one_rank):
    cfg = Config(dict(model_wrapper_cfg=dict(type="MMFullyShardedDataParallel")))
    with pytest.raises(ValueError, match="MMFullyShardedDataParallel"):
        prepare_cpu_distributed(cfg, "pytorch")


def test_unknown_launcher_and_missing_environment_are_named():
    with pytest.raises(ValueError, match="'torchrun'"):
        prepare_cpu_distributed(Config(), "torchrun")
    with pytest.raises(RuntimeError, match=r"RANK.*tools/dist_train\.sh"):
        prepare_cpu_distributed(Config(), "pytorch")


@pytest.mark.parametrize(
    ("launcher", "names"),
    [
        ("mpi", ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK")),
        ("slurm", ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID")),
    ],
)
def test_other_launchers_are_translated(monkeypatch, one_rank, launcher, names):
    for name in TORCH_NAMES[:3]:
        monkeypatch.delenv(name)
    for name, value in zip(names, ("0", "1", "0"), strict=True):
        monkeypatch.setenv(name, value)
    assert prepare_cpu_distributed(Config(), launcher) is True
    assert [os.environ[name] for name in TORCH_NAMES[:3]] == ["0", "1", "0"]
