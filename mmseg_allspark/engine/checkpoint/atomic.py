"""Checkpoints that a kill at any moment cannot break: a backend that replaces files whole, and a hook that uses it."""

import inspect
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_gather_object, is_main_process
from mmengine.fileio import LocalBackend, get_file_backend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_allspark.engine.checkpoint.rank_buffers import KEY, gather_rank_buffers, restore_rank_buffers
from mmseg_allspark.engine.checkpoint.resume_point import find_resume_point
from mmseg_allspark.utils.files import write_whole
from mmseg_allspark.utils.metric_names import choose_metric, metric_names

BACKEND = "atomic_local"
_OUTDATED = "outdated_checkpoints"  # in the message hub, which checkpoints hold


class AtomicLocalBackend(LocalBackend):
    """Local files that are either as before or completely written, never half.

    mmengine uses it where ``backend_args=dict(backend='atomic_local')`` stands.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes, making the folder if need be; after an error, as on a full disk, the file is as before."""
        try:
            write_whole(obj, filepath)
        except OSError as error:
            raise OSError(
                error.errno,
                f"{error.strerror}: {len(obj) / 2**20:.1f} MB cannot be written, the file before is untouched. Make "
                "room (default_hooks.checkpoint.max_keep_ckpts) and go on with --resume",
                str(filepath),
            ) from error


register_backend(BACKEND, AtomicLocalBackend, force=True)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook`` in an order of writing that a kill at any moment leaves something to resume from.

    mmengine removes outdated checkpoints before it writes the new ones, and writes in place. Here files are replaced
    whole and outdated ones removed afterwards, so ``max_keep_ckpts=1`` is enough; for a moment there is one file more.
    What a killed run left unfinished is removed at the start.

    With several ranks, checkpoints to resume from also hold the other ranks' buffers where they differ from rank 0's,
    and a resumed run gives each rank its own; see :mod:`mmseg_allspark.engine.checkpoint.rank_buffers`.

    Args:
        *args: As in ``CheckpointHook``.
        **kwargs: As in ``CheckpointHook``; ``backend_args`` is by default :class:`AtomicLocalBackend`'s where
            checkpoints go to a local folder, and ``save_best`` finds its metric as ``find_metric`` does.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        unknown = sorted(set(self.args) - set(inspect.signature(Runner.save_checkpoint).parameters))
        if unknown:  # mmengine would notice when the first checkpoint is due, hours later
            known = ", ".join(inspect.signature(CheckpointHook).parameters)
            raise TypeError(f"AtomicCheckpointHook does not know {', '.join(unknown)}; mmengine's hook takes {known}.")
        self._rank_buffers: dict | None = None  # of all ranks, while a checkpoint to resume from is written
        self._outdated: list[str] = []  # names of files to be removed when the new one is written

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the buffers of the other ranks, and raise if something to be written is NaN or Inf.

        The best checkpoint does without buffers, it is not resumed. This hook is of the lowest priority: EMAHook has
        put the average in its place before.
        """
        if self._rank_buffers is not None:
            checkpoint[KEY] = self._rank_buffers
        parts = ("state_dict", "ema_state_dict", "other_teachers", "optimizer", KEY)
        bad = [name for part in parts for name in _list_non_finite(checkpoint.get(part), part)]
        if bad:
            more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
            raise FloatingPointError(
                f"NaN or Inf in what was to be saved: {', '.join(bad[:5])}{more}. It is not written. "
                f"{find_resume_point(self.out_dir).describe()} Try a lower "
                "optim_wrapper.optimizer.lr, optim_wrapper.clip_grad=dict(max_norm=1.0), or bfloat16 for float16."
            )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Give a resumed rank its own buffers: EMAHook, of a higher priority, has sorted out the weights by now."""
        if runner._resume:
            restore_rank_buffers(runner, checkpoint)

    def before_train(self, runner: Runner) -> None:
        """Choose the backend and tidy up."""
        is_local = isinstance(get_file_backend(str(self.out_dir or runner.work_dir)), LocalBackend)
        if is_local and self.backend_args is None and self.file_client_args is None:
            self.backend_args = dict(backend=BACKEND)
        self._find_best_metrics(runner, metric_names(runner.cfg))
        super().before_train(runner)
        positions = all_gather_object(runner.iter)
        if len(set(positions)) > 1:
            raise RuntimeError(
                f"The ranks begin at different iterations, {positions} from rank 0 on: not all of them have loaded the "
                f"same checkpoint. The work directory {runner.work_dir} has to be one that all machines see."
            )
        if is_local and is_main_process():
            for path in Path(self.out_dir).glob(".*.pth"):  # as write_whole names them
                path.unlink()
        if runner.iter > 0:
            # a validation that is made up for may find a new best one and write this one anew
            self.last_ckpt = runner.message_hub.get_info("last_ckpt")
            self._outdated = list(runner.message_hub.get_info(_OUTDATED) or ())
            self._remove_outdated()

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        self._rank_buffers = gather_rank_buffers(runner)  # here, because only rank 0 goes into save_checkpoint
        with self._removing_afterwards(runner):
            super()._save_checkpoint_with_step(runner, step, meta)
        self._rank_buffers = None

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        self._find_best_metrics(runner, metrics)
        with self._removing_afterwards(runner):
            super()._save_best_checkpoint(runner, metrics)

    def _find_best_metrics(self, runner: Runner, names: Iterable[str] | None) -> None:
        """Let ``save_best`` name figures that validations give; None: nobody knows them yet."""
        if names is None or not self.save_best or "auto" in self.key_indicators:
            return
        key, rules = "default_hooks.checkpoint.save_best", {}
        for wanted, rule in zip(self.key_indicators, self.rules, strict=True):
            name = choose_metric(names, wanted, key)
            if name != wanted:
                runner.logger.info(f"{key}={wanted!r}: validations give {name}, which is taken.")
            rules[name] = rule
        self._init_rule(list(rules.values()), list(rules))
        if len(rules) > 1:  # mmengine looks these up when training begins, by the names of then
            for name in rules:
                self.best_ckpt_path_dict.setdefault(name, runner.message_hub.get_info(f"best_ckpt_{name}"))

    @contextmanager
    def _removing_afterwards(self, runner: Runner) -> Iterator[None]:
        """Let mmengine's hook remove files only when it has written the new ones."""
        if isinstance(self.file_backend, _PatientBackend):  # the best one is saved, and then the last one anew
            yield
            return

        def remember(path: str) -> None:
            self._outdated.append(os.path.basename(path))
            # In the checkpoint: should this run be killed before they are removed, the resumed one removes them.
            runner.message_hub.update_info(_OUTDATED, list(self._outdated))

        backend = self.file_backend
        self.file_backend = _PatientBackend(backend, remember)
        try:
            yield
        finally:
            self.file_backend = backend
        self._remove_outdated()

    def _remove_outdated(self) -> None:
        best = (getattr(self, "best_ckpt_path", None), *getattr(self, "best_ckpt_path_dict", {}).values())
        kept = [os.path.basename(path) for path in (self.last_ckpt, *best) if path]  # a resumed run may write it again
        for name in self._outdated if is_main_process() else ():
            path = self.file_backend.join_path(self.out_dir, name)
            if name not in kept and self.file_backend.isfile(path):
                self.file_backend.remove(path)
            elif name not in kept and self.file_backend.isdir(path):  # of DeepSpeed
                self.file_backend.rmtree(path)
        self._outdated = []


def _list_non_finite(value: Any, name: str) -> Iterator[str]:
    """Names of the tensors, in nested dicts and lists, that hold a NaN or Inf."""
    if isinstance(value, (dict, list)):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _list_non_finite(part, f"{name}.{key}")
    elif isinstance(value, torch.Tensor) and value.is_floating_point() and not value.isfinite().all():
        yield name


class _PatientBackend:
    """A backend that passes on what it is told to remove instead of removing it."""

    def __init__(self, backend: Any, remember: Callable[[str], None]) -> None:
        self.backend, self.remove, self.rmtree = backend, remember, remember

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)
