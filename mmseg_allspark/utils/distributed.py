"""Several processes on a machine without a GPU.

mmengine's launcher calls CUDA while it sets up the process group, its ``MMDistributedDataParallel`` is given
a CUDA device id, and ``SyncBatchNorm`` runs on GPUs only. :func:`prepare_cpu_distributed` settles the three
before the ``Runner`` is built: it then finds a running ``gloo`` group and a wrapper that needs no device.
"""

from __future__ import annotations

import datetime
import os
import subprocess
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from mmengine.registry import MODEL_WRAPPERS
from torch import distributed as dist

from mmseg_allspark.utils.config_types import type_name

_DEFAULT_PORT = "29500"
_SAME = {name: name for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")}
_MPI = {name: f"OMPI_COMM_WORLD_{name}" for name in ("RANK", "LOCAL_RANK")} | {"WORLD_SIZE": "OMPI_COMM_WORLD_SIZE"}
_SLURM = {"RANK": "SLURM_PROCID", "WORLD_SIZE": "SLURM_NTASKS", "LOCAL_RANK": "SLURM_LOCALID"}
_LAUNCHERS = dict(  # names of environment variables, and how to get them
    pytorch=(_SAME, 'start the command with tools/dist_train.sh or "python -m torch.distributed.run"'),
    mpi=(_MPI | {"MASTER_ADDR": "MASTER_ADDR"}, "start the command with mpirun and export MASTER_ADDR"),
    slurm=(_SLURM, "start the command with tools/slurm_train.sh or srun"),
)
_REPLACEABLE_WRAPPERS = ("MMDistributedDataParallel", "DistributedDataParallel", "CPUDistributedDataParallel")


@MODEL_WRAPPERS.register_module()
class CPUDistributedDataParallel(MMDistributedDataParallel):
    """``MMDistributedDataParallel`` for models that live on the CPU.

    Every ``SyncBatchNorm`` layer becomes an ordinary batch norm with the same weights and statistics, whether
    a config or a layer's default argument asked for it: its statistics are those of one rank then.

    Args:
        module: The model to wrap.
        device_ids: Ignored. The Runner always hands over a CUDA device id.
        **kwargs: Passed to :class:`mmengine.model.MMDistributedDataParallel`.
    """

    def __init__(self, module: torch.nn.Module, device_ids: Any = None, **kwargs: Any) -> None:
        del device_ids
        super().__init__(module=revert_sync_batchnorm(module), device_ids=None, **kwargs)


def prepare_cpu_distributed(cfg: Config, launcher: str) -> bool:
    """Make a config run distributed on the CPU, when that is what was asked for.

    Does nothing without a launcher or on a machine with an accelerator. Otherwise starts the ``gloo`` process
    group and changes ``cfg`` in place: ``launcher``, ``env_cfg.dist_cfg``, ``model_wrapper_cfg`` and
    ``sync_bn``.

    Args:
        cfg: The full config, before ``Runner.from_cfg``.
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Returns:
        Whether the process group was started (by this call or before it) and the config changed.

    Raises:
        ValueError: An unknown launcher, or a ``model_wrapper_cfg`` that needs a GPU.
        RuntimeError: The launcher's environment variables are missing.
    """
    if launcher == "none" or get_device() != "cpu":
        return False
    wrapper = _cpu_wrapper_cfg(cfg)
    rank_environment = _read_rank_environment(launcher)
    dist_cfg = dict((cfg.get("env_cfg") or {}).get("dist_cfg", {}))
    cfg.env_cfg = cfg.get("env_cfg") or {}
    if not dist.is_initialized():
        os.environ.update(rank_environment)
        timeout = datetime.timedelta(seconds=dist_cfg.get("timeout", 1800))
        dist.init_process_group("gloo", timeout=timeout)
    cfg.launcher = launcher
    cfg.merge_from_dict({"env_cfg.dist_cfg.backend": "gloo"})
    cfg.model_wrapper_cfg = wrapper
    cfg.sync_bn = None
    print_log(
        f"No GPU: {dist.get_world_size()} processes run on the CPU with gloo; batch norm is per process.",
        logger="current",
    )
    return True


def shutdown_distributed() -> None:
    """End the process group, if one runs, so that no rank leaves while another still listens."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def _cpu_wrapper_cfg(cfg: Config) -> dict[str, Any]:
    """Return the ``model_wrapper_cfg`` for the CPU, with the options the config gave to its own wrapper."""
    given = cfg.get("model_wrapper_cfg")
    if given is None:  # what the Runner itself would pass on a GPU
        options: dict[str, Any] = {
            "broadcast_buffers": False,
            "find_unused_parameters": cfg.get("find_unused_parameters", False),
        }
    else:
        options = dict(given)
        name = type_name(options.pop("type", "MMDistributedDataParallel"))
        if name not in _REPLACEABLE_WRAPPERS:
            raise ValueError(
                f"model_wrapper_cfg.type={name!r} cannot run on several processes without a GPU. "
                "Use type='MMDistributedDataParallel', or train with one process."
            )
    return {**options, "type": "CPUDistributedDataParallel"}


def _read_rank_environment(launcher: str) -> dict[str, str]:
    """Translate a launcher's environment variables to those ``torch.distributed`` reads.

    The names are the ones mmengine's ``init_dist`` uses for the same launchers.
    """
    if launcher not in _LAUNCHERS:
        raise ValueError(f"launcher={launcher!r} is unknown; choose 'none', 'pytorch', 'slurm' or 'mpi'.")
    names, hint = _LAUNCHERS[launcher]
    missing = [source for source in names.values() if source not in os.environ]
    if missing:
        raise RuntimeError(f"--launcher {launcher}: {', '.join(missing)} not set in the environment; {hint}.")
    found = {name: os.environ[source] for name, source in names.items()}
    if launcher == "slurm":
        found["MASTER_ADDR"] = os.environ.get("MASTER_ADDR") or _first_slurm_host()
    found.setdefault("MASTER_PORT", os.environ.get("MASTER_PORT", _DEFAULT_PORT))
    return found


def _first_slurm_host() -> str:
    """Ask Slurm for the first host of this job."""
    nodes = os.environ.get("SLURM_NODELIST", "")
    try:
        answer = subprocess.run(["scontrol", "show", "hostname", nodes], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise RuntimeError(f"scontrol could not name the hosts of {nodes!r} ({error}); export MASTER_ADDR.") from error
    return answer.stdout.split()[0]
