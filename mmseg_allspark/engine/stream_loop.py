"""Training whose position follows from the number of the iteration alone: the base of the loops, and SupervisedLoop."""

import math

from mmengine.dist import get_rank
from mmengine.runner import BaseLoop, Runner
from mmseg.registry import LOOPS
from torch import nn
from torch.utils.data import DataLoader

from mmseg_allspark.engine.checkpoint.fit import require_checkpoint_fit
from mmseg_allspark.engine.randomness import RandomStream
from mmseg_allspark.engine.stream import build_stream, seek_stream
from mmseg_allspark.utils.checks import PositiveInt, check_types
from mmseg_allspark.utils.config_files import check_loaders

_VALIDATED = "last_validated_iter"  # in the message hub, which checkpoints hold; mmengine logs what begins with "val"


class StreamLoop(BaseLoop):
    """A base for loops over streams (:func:`build_stream`) that a resume continues bit by bit.

    An epoch is one pass over the images of ``dataloader``. The position in the streams follows from the iteration
    number alone, so a resumed run continues in the middle of an epoch without reading what it has seen. So do all
    random numbers: at the beginning of each iteration Python's, numpy's and torch's generators are seeded from the
    run's seed, the rank and the iteration, and for each sample from seed, rank and its position in the stream. On the
    CPU a resumed run is the undisturbed run, bit by bit, with any number of workers. The loop registers a
    ``CheckpointFitHook``.

    Args:
        runner: The runner.
        dataloader: Of the stream whose passes are epochs.
        max_epochs: Epochs to train; exclusive with ``max_iters``.
        max_iters: Iterations to train; exclusive with ``max_epochs``.
        val_begin: First epoch (iteration, with ``max_iters``) after which is validated.
        val_interval: Epochs (iterations) between validations. None: 1, with ``max_iters`` 1000.

    Raises:
        ValueError: Unless either ``max_epochs`` or ``max_iters`` is given.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: DataLoader,
        max_epochs: int | None,
        max_iters: int | None,
        val_begin: int,
        val_interval: int | None,
    ) -> None:
        if (max_epochs is None) == (max_iters is None):
            raise ValueError(
                f"train_cfg of type {type(self).__name__} needs exactly one of max_epochs and max_iters, got "
                f"max_epochs={max_epochs}, max_iters={max_iters}; delete the other (key=None in an inherited "
                "config)."
            )
        super().__init__(runner, dataloader)
        self.by_epoch = max_epochs is not None
        length = len(self.dataloader)
        self.max_iters = max_epochs * length if self.by_epoch else max_iters
        self.max_epochs = max_epochs if self.by_epoch else math.ceil(max_iters / length)
        self._epoch = self._iter = 0
        self._first_seed = runner.seed
        self.val_begin = val_begin
        self.val_interval = val_interval or (1 if self.by_epoch else 1000)
        self.stop_training = False  # set by mmengine's EarlyStoppingHook
        require_checkpoint_fit(runner)

    @property
    def streams(self) -> tuple[DataLoader, ...]:
        """The loaders that a step takes a batch of, in the order of :meth:`run_step`."""
        return (self.dataloader,)

    def run_step(self, batch_idx: int, *batches: dict) -> None:
        """Do one iteration, with its hooks, on a batch of each stream."""
        raise NotImplementedError

    @property
    def epoch(self) -> int:
        """Finished passes over the images of ``dataloader``."""
        return self._epoch

    @property
    def iter(self) -> int:
        """Finished iterations."""
        return self._iter

    def run(self) -> nn.Module:
        """Train.

        Returns:
            The trained model.
        """
        self.runner.visualizer.dataset_meta = getattr(self.dataloader.dataset, "metainfo", None)
        self.runner.call_hook("before_train")
        for loader in self.streams:
            # Without a seed in the config mmengine draws one, and when it resumes it takes that of the checkpoint
            # only after the loaders were built.
            seek_stream(loader, self._iter, self.runner.seed, self._first_seed)
        self._catch_up()
        batches = zip(*self.streams, strict=False)  # none ends
        while self._iter < self.max_iters and not self.stop_training:
            self._run_epoch(batches)
        self.runner.call_hook("after_train")
        return self.runner.model

    def _catch_up(self) -> None:
        """After a resume, do what was still to do between the checkpoint and the next iteration.

        A checkpoint is written after a step, before the validation and the end of the epoch that may follow it.
        """
        length, saved = len(self.dataloader), self._epoch
        ends = self._iter % length == 0 or self._iter == self.max_iters
        passes = math.ceil(self._iter / length) if ends else self._iter // length
        is_open = ends and saved == passes - 1
        self._epoch = passes - is_open
        if self._iter == 0:
            return
        steps = getattr(self.runner.optim_wrapper, "_accumulative_counts", 1)
        if self._iter % steps:
            self.runner.logger.warning(
                f"The checkpoint of iteration {self._iter} lies between two updates (accumulative_counts={steps}): "
                "gradients accumulated before it are lost. For exact resumes save at multiples of accumulative_counts."
            )
        validated = self.runner.message_hub.get_info(_VALIDATED) == self._iter
        if not self.by_epoch and not validated:
            self._validate(self._iter, self.max_iters)
        if is_open:
            self._end_epoch()
        elif self.by_epoch and ends and not validated:
            self._validate(self._epoch, self.max_epochs)

    def _run_epoch(self, batches: zip) -> None:
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        length = len(self.dataloader)
        last = min(self.max_iters, (self._epoch + 1) * length)
        while self._iter < last and not self.stop_training:
            batch_idx = self._iter % length if self.by_epoch else self._iter  # as mmengine's own loops count
            own = next(batches)
            RandomStream("step", self.runner.seed, get_rank()).seed_step(self._iter)
            self.run_step(batch_idx, *own)
            self._iter += 1
            if not self.by_epoch:
                self._validate(self._iter, self.max_iters)
        if self._iter < last:
            return  # stopped early
        self._end_epoch()

    def _end_epoch(self) -> None:
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1
        if self.by_epoch:
            self._validate(self._epoch, self.max_epochs)

    def _validate(self, done: int, total: int) -> None:
        """Validate after ``done`` of ``total`` epochs or iterations if it is time."""
        due = done >= self.val_begin and (done % self.val_interval == 0 or done == total)
        if self.runner.val_loop is not None and due:
            self.runner.message_hub.update_info(_VALIDATED, self._iter)
            self.runner.val_loop.run()
            self.runner.model.train()


@LOOPS.register_module()
class SupervisedLoop(StreamLoop):
    """Training on labeled images alone, like mmengine's loops, which a resume does not continue bit by bit.

    An epoch is a pass over the images. With ``max_iters`` its last batch is filled from the next pass, as mmengine's
    ``InfiniteSampler`` does; with ``max_epochs`` it is smaller, or dropped with ``drop_last``.

    Args:
        runner: The runner.
        dataloader: Config of the loader (the config's ``train_dataloader``).
        max_epochs: Epochs to train; exclusive with ``max_iters``.
        max_iters: Iterations to train; exclusive with ``max_epochs``.
        val_begin: First epoch (iteration, with ``max_iters``) after which is validated. Default 1.
        val_interval: Epochs (iterations) between validations. Default 1, with ``max_iters`` 1000.

    Raises:
        ValueError: On contradictory arguments.
    """

    @check_types
    def __init__(
        self,
        runner: Runner,
        dataloader: dict,
        max_epochs: PositiveInt | None = None,
        max_iters: PositiveInt | None = None,
        val_begin: PositiveInt = 1,
        val_interval: PositiveInt | None = None,
    ) -> None:
        check_loaders(runner.cfg)
        stream = build_stream(runner, dataloader, "train_dataloader", cycle=max_epochs is None)
        super().__init__(runner, stream, max_epochs, max_iters, val_begin, val_interval)

    def run_step(self, batch_idx: int, *batches: dict) -> None:
        """Do one iteration, with its hooks, on collated samples."""
        runner, (data_batch,) = self.runner, batches
        runner.call_hook("before_train_iter", batch_idx=batch_idx, data_batch=data_batch)
        outputs = runner.model.train_step(data_batch, optim_wrapper=runner.optim_wrapper)
        runner.call_hook("after_train_iter", batch_idx=batch_idx, data_batch=data_batch, outputs=outputs)
