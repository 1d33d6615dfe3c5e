"""Checkpoints that a kill at any moment cannot break: a backend that replaces files whole, and a hook that uses it."""

import inspect
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_gather_object, is_main_process
from mmengine.fileio import LocalBackend, get_file_backend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_allspark.engine.rank_buffers import KEY, gather_rank_buffers, restore_rank_buffers
from mmseg_allspark.engine.resume_point import find_resume_point
from mmseg_allspark.utils.metric_names import choose_metric, metric_names

BACKEND = "atomic_local"
UNFINISHED = ".part"  # what the name of a file that is being written ends with
_OUTDATED = "outdated_best"  # in the message hub, which checkpoints hold


class AtomicLocalBackend(LocalBackend):
    """Local files that are either as before or completely written, never half.

    A file is written beside its place, as ``<name>.part``, flushed to the disk and moved. mmengine uses it where
    ``backend_args=dict(backend='atomic_local')`` stands.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes, making the folder if need be.

        Args:
            obj: The content.
            filepath: The file; what it held before is replaced.

        Raises:
            OSError: If it cannot be written, as on a full disk; the file is then as before.
        """
        unfinished = f"{filepath}{UNFINISHED}"
        os.makedirs(os.path.dirname(unfinished) or ".", exist_ok=True)
        try:
            with open(unfinished, "wb") as stream:
                stream.write(obj)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            with suppress(OSError):
                os.remove(unfinished)  # half a checkpoint would fill what is left of the disk
            raise OSError(
                error.errno,
                f"{error.strerror}: {len(obj) / 2**20:.1f} MB cannot be written, the file before is untouched. Make "
                "room (default_hooks.checkpoint.max_keep_ckpts) and go on with --resume",
                str(filepath),
            ) from error
        os.replace(unfinished, filepath)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = "utf-8") -> None:
        """Write text, making the folder if need be.

        Args:
            obj: The content.
            filepath: The file; what it held before is replaced.
            encoding: Of the file. Default utf-8.
        """
        self.put(obj.encode(encoding), filepath)


register_backend(BACKEND, AtomicLocalBackend, force=True)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook`` in an order of writing that a kill at any moment leaves something to resume from.

    mmengine removes outdated checkpoints and the best one before it writes the new ones, and writes checkpoints and
    ``last_checkpoint`` in place. Here files are replaced whole, ``last_checkpoint`` follows the checkpoint it names,
    and only then outdated ones are removed, so ``max_keep_ckpts=1`` is enough; for a moment there is one file more.
    What a killed run left unfinished is removed at the start.

    With several ranks, checkpoints to resume from also hold the other ranks' buffers where they differ from rank 0's,
    and a resumed run gives each rank its own; see :mod:`mmseg_allspark.engine.rank_buffers`.

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

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the buffers of the other ranks; the best checkpoint does without, it is not resumed.

        This hook is of the lowest priority: EMAHook has put the average in its place before.

        Raises:
            FloatingPointError: If something to be written is NaN or Inf.
        """
        if self._rank_buffers is not None:
            checkpoint[KEY] = self._rank_buffers
        parts = ("state_dict", "ema_state_dict", "optimizer", KEY)
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
        if runner.iter > 0:  # a validation that is made up for may find a new best one and write this one anew
            self.last_ckpt = runner.message_hub.get_info("last_ckpt")
        if is_local and is_main_process():
            for path in Path(self.out_dir).glob(f"*.pth{UNFINISHED}"):
                path.unlink()
        if runner.iter > 0 and is_main_process():
            self._remove_outdated_best(runner.message_hub.get_info(_OUTDATED) or ())

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        steps = list(self.keep_ckpt_ids) if self.max_keep_ckpts > 0 else []
        if self.max_keep_ckpts > 0 and steps[-1:] != [step]:
            steps.append(step)
            # With the outdated one: should this run be killed before it is removed, the resumed one removes it.
            runner.message_hub.update_info("keep_ckpt_ids", steps)
            self.keep_ckpt_ids = deque(steps, self.max_keep_ckpts)
        self.last_ckpt = self._path(step)
        runner.message_hub.update_info("last_ckpt", self.last_ckpt)
        self._rank_buffers = gather_rank_buffers(runner)  # here, because only rank 0 goes into save_checkpoint
        runner.save_checkpoint(
            self.out_dir,
            self.filename_tmpl.format(step),
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        self._rank_buffers = None
        if not is_main_process():
            return
        AtomicLocalBackend().put_text(self.last_ckpt, os.path.join(runner.work_dir, "last_checkpoint"))
        for outdated in steps[: -self.max_keep_ckpts]:
            self._remove(self._path(outdated))

    def _find_best_metrics(self, runner: Runner, names: Iterable[str] | None) -> None:
        """Let ``save_best`` name figures that validations give; None: nobody knows them yet."""
        if names is None or not self.save_best or "auto" in self.key_indicators:
            return
        pairs = zip(self.key_indicators, self.rules, strict=True)
        key = "default_hooks.checkpoint.save_best"
        found = {wanted: (choose_metric(names, wanted, key), rule) for wanted, rule in pairs}
        for wanted, (name, _) in found.items():
            if name != wanted:
                runner.logger.info(f"{key}={wanted!r}: validations give {name}, which is taken.")
        rules = dict(found.values())
        self._init_rule(list(rules.values()), list(rules))
        if len(rules) > 1:  # mmengine looks these up when training begins, by the names of then
            for name in rules:
                self.best_ckpt_path_dict.setdefault(name, runner.message_hub.get_info(f"best_ckpt_{name}"))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        def remember(path: str) -> None:
            outdated.append(os.path.basename(path))
            runner.message_hub.update_info(_OUTDATED, outdated)  # for a resumed run, as above

        self._find_best_metrics(runner, metrics)
        outdated, backend = [], self.file_backend
        self.file_backend = _PatientBackend(backend, remember)
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend = backend
        self._remove_outdated_best(outdated)

    def _remove_outdated_best(self, names: Iterable[str]) -> None:
        best = (getattr(self, "best_ckpt_path", None), *getattr(self, "best_ckpt_path_dict", {}).values())
        kept = [os.path.basename(path) for path in best if path]  # a resumed run may find the same one again
        for name in names:
            if name not in kept:
                self._remove(self.file_backend.join_path(self.out_dir, name))

    def _path(self, step: int) -> str:
        return self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(step))

    def _remove(self, path: str) -> None:
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):  # of DeepSpeed
            self.file_backend.rmtree(path)


def _list_non_finite(value: Any, name: str) -> Iterator[str]:
    """Names of the tensors, in nested dicts, that hold a NaN or Inf."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _list_non_finite(part, f"{name}.{key}")
    elif isinstance(value, torch.Tensor) and value.is_floating_point() and not value.isfinite().all():
        yield name


class _PatientBackend:
    """A backend that passes on what it is told to remove instead of removing it."""

    def __init__(self, backend: Any, remember: Callable[[str], None]) -> None:
        self.backend, self.remove, self.rmtree = backend, remember, remember

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)
