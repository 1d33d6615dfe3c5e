"""Buffers that differ between ranks, kept in the checkpoint beside rank 0's model.

mmengine saves the model of rank 0. Parameters are equal on all ranks; statistics of batch norm without synchronisation
and memories with ``sync='local'`` are not, and a resumed run would go on with rank 0's everywhere.
"""

import torch
from mmengine.dist import all_gather_object, gather, get_rank, get_world_size
from mmengine.hooks import EMAHook
from mmengine.runner import Runner
from torch import Tensor, nn

from mmseg_allspark.models import SemanticMemory
from mmseg_allspark.utils.wrappers import bare_model

KEY = "rank_buffers"  # in the checkpoint
MODEL, AVERAGE = "model", "ema"


def gather_rank_buffers(runner: Runner) -> dict | None:
    """Collect what the other ranks have and rank 0 has not. All ranks have to call it.

    Args:
        runner: The runner.

    Returns:
        On rank 0 ``{'world_size': 2, 'ranks': {1: {'model': {name: value}, 'ema': {...}}}}``, the values on the CPU;
        None on the other ranks, and where there are none.
    """
    world_size = get_world_size()
    if world_size == 1:
        return None
    ranks = {rank: {} for rank in range(1, world_size)}
    for part, model in _models(runner).items():
        for name, buffer in _own_buffers(model).items():
            for rank, other in enumerate(gather(buffer)):  # nothing on the other ranks
                if rank > 0 and not torch.equal(other, buffer):
                    ranks[rank].setdefault(part, {})[name] = other.cpu()
    return dict(world_size=world_size, ranks=ranks) if get_rank() == 0 else None


def restore_rank_buffers(runner: Runner, checkpoint: dict) -> None:
    """Give this rank its own buffers of a checkpoint that a run goes on from.

    Those of the model go to ``checkpoint['state_dict']``, which the runner is about to load, those of the moving
    average into the average, which ``EMAHook`` has loaded.

    Args:
        runner: The runner.
        checkpoint: As loaded; its key ``rank_buffers`` is taken out.
    """
    saved = checkpoint.pop(KEY, None)
    world_size = get_world_size()
    if saved is None:
        if world_size > 1:
            runner.logger.warning(
                f"The checkpoint has no buffers of single ranks: all {world_size} ranks go on with rank 0's statistics "
                "of batch norm and, with sync='local', its semantic memory."
            )
        return
    if saved["world_size"] != world_size:
        _log_change(runner, saved, world_size)
    own, misfits = saved["ranks"].get(get_rank(), {}), set()
    for part, model in _models(runner).items():
        buffers = _own_buffers(model)
        fitting, other = _sort_by_fit(buffers, own.get(part, {}))
        misfits |= other
        for name, value in fitting.items():
            if part == MODEL:
                checkpoint["state_dict"][name] = value
            else:
                buffers[name].copy_(value)
    # of all ranks, because only rank 0 is heard
    everywhere = {rank: names for rank, names in enumerate(all_gather_object(sorted(misfits))) if names}
    if everywhere:
        ranks, names = ", ".join(map(str, everywhere)), sorted({name for one in everywhere.values() for name in one})
        runner.logger.warning(
            f"Rank {ranks} goes on with rank 0's buffers of {', '.join(names)}: its own have another shape in the "
            "checkpoint."
        )


def _sort_by_fit(buffers: dict[str, Tensor], saved: dict[str, Tensor]) -> tuple[dict[str, Tensor], set[str]]:
    """The saved buffers that the model has in the same shape, and the modules of which one has another: none fits."""
    other = {name for name in buffers.keys() & saved.keys() if buffers[name].shape != saved[name].shape}
    modules = {name.rpartition(".")[0] for name in other}
    fitting = {
        name: value for name, value in saved.items() if name in buffers and name.rpartition(".")[0] not in modules
    }
    return fitting, modules


def _log_change(runner: Runner, saved: dict, world_size: int) -> None:
    """Say what becomes of the buffers when the number of ranks has changed."""
    before = saved["world_size"]
    dropped = [str(rank) for rank, parts in saved["ranks"].items() if rank >= world_size and parts]
    then = f"; those of rank {', '.join(dropped)} are dropped" if dropped else ""
    new = f"; the ranks from {before} on begin with rank 0's" if world_size > before else ""
    runner.logger.warning(
        f"The checkpoint is of {before} ranks, this run has {world_size}: ranks go on with their own buffers "
        f"(statistics of batch norm, memories with sync='local'){then}{new}. Batches, and with them all results, "
        f"differ from those of {before} ranks."
    )


def _models(runner: Runner) -> dict[str, nn.Module]:
    """The model and, if there is one, its moving average."""
    models = {MODEL: bare_model(runner.model)}
    for hook in runner.hooks:
        if isinstance(hook, EMAHook):
            models[AVERAGE] = hook.ema_model.module
    return models


def _own_buffers(model: nn.Module) -> dict[str, Tensor]:
    """What is saved and may differ between ranks."""
    shared = {
        f"{name}.{buffer}"
        for name, module in model.named_modules()
        if _is_shared(module)
        for buffer, _ in module.named_buffers(recurse=False)
    }
    kept = model.state_dict().keys() - shared
    return {name: buffer for name, buffer in model.named_buffers() if name in kept}


def _is_shared(module: nn.Module) -> bool:
    """Whether a module's buffers are equal on all ranks, or, with ``sync='rank0'``, made so before they are read."""
    return isinstance(module, nn.SyncBatchNorm) or (isinstance(module, SemanticMemory) and module.sync != "local")
