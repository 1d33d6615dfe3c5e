"""Buffers that differ between ranks, kept in the checkpoint beside rank 0's model.

mmengine saves the model of rank 0. Parameters are equal on all ranks; statistics of batch norm without synchronisation
and memories with ``sync='local'`` are not, and a resumed run would go on with rank 0's everywhere.
"""

import torch
from mmengine.dist import gather, get_rank, get_world_size
from mmengine.runner import Runner
from torch import Tensor, nn

from mmseg_allspark.models import ClassQueue
from mmseg_allspark.utils.wrappers import averages, bare_model

KEY = "rank_buffers"  # in the checkpoint


def gather_rank_buffers(runner: Runner) -> dict | None:
    """Collect what the other ranks have and rank 0 has not. All ranks have to call it.

    On rank 0 it is ``{'world_size': 2, 'ranks': {1: {'model': {name: value}, 'ema': {...}}}}``, the values on the CPU;
    None on the other ranks, and where there are none.
    """
    ranks = {rank: {} for rank in range(1, get_world_size())}
    for part, model in _models(runner).items() if ranks else ():
        for name, buffer in _own_buffers(model).items():
            for rank, other in enumerate(gather(buffer)):  # nothing on the other ranks
                if rank > 0 and not torch.equal(other, buffer):
                    ranks[rank].setdefault(part, {})[name] = other.cpu()
    return dict(world_size=get_world_size(), ranks=ranks) if ranks and get_rank() == 0 else None


def restore_rank_buffers(runner: Runner, checkpoint: dict) -> None:
    """Give this rank its own buffers of a checkpoint that a run goes on from.

    Those of the model go to ``checkpoint['state_dict']``, which the runner is about to load, those of the moving
    average into the average, which ``EMAHook`` has loaded. The checkpoint's key ``rank_buffers`` is taken out.
    """
    saved = checkpoint.pop(KEY, None)
    if saved is None and get_world_size() > 1:
        runner.logger.warning(
            "The checkpoint has no buffers of single ranks: all go on with rank 0's statistics of batch norm and, with "
            "sync='local', its semantic memory."
        )
    own = saved["ranks"].get(get_rank(), {}) if saved else {}
    for part, model in _models(runner).items():
        buffers = _own_buffers(model)
        for name in own.get(part, {}).keys() & buffers.keys():
            if part == "model":
                checkpoint["state_dict"][name] = own[part][name]
            else:
                buffers[name].copy_(own[part][name])


def _models(runner: Runner) -> dict[str, nn.Module]:
    """The model and its moving averages: ``'ema'``, ``'ema1'`` and so on."""
    models = dict(model=bare_model(runner.model))
    for number, average in enumerate(averages(runner)):
        models[f"ema{number or ''}"] = average.module
    return models


def _own_buffers(model: nn.Module) -> dict[str, Tensor]:
    """What is saved and may differ between ranks: queues with ``sync='rank0'`` are made equal before they are read."""
    shared = {
        f"{name}.{buffer}"
        for name, module in model.named_modules()
        if isinstance(module, ClassQueue) and module.sync != "local"
        for buffer, _ in module.named_buffers(recurse=False)
    }
    kept = model.state_dict().keys() - shared
    return {name: buffer for name, buffer in model.named_buffers() if name in kept}
