"""PseudoLabelLoop: two data loaders, one training step on both."""

import math
from typing import Literal

from mmengine.dist import get_rank
from mmengine.runner import BaseLoop, Runner
from mmseg.registry import LOOPS
from torch import nn
from torch.utils.data import Dataset

from mmseg_allspark.datasets.setting_checks import choose_unlabeled
from mmseg_allspark.engine.checkpoint.fit import require_checkpoint_fit
from mmseg_allspark.engine.hooks.start_checks import StartChecksHook
from mmseg_allspark.engine.randomness import RandomStream
from mmseg_allspark.engine.stream import build_stream, seek_stream
from mmseg_allspark.methods import Step
from mmseg_allspark.utils.checks import Count, PositiveInt, check_types
from mmseg_allspark.utils.config_files import check_loaders
from mmseg_allspark.utils.wrappers import averages, bare_model

RAMPS = {
    "exp": lambda t: math.exp(-5.0 * (1.0 - t) ** 2),
    "linear": lambda t: t,
    "cosine": lambda t: (1.0 - math.cos(math.pi * t)) / 2.0,
}
_VALIDATED = "last_validated_iter"  # in the message hub, which checkpoints hold; mmengine logs what begins with "val"


@LOOPS.register_module()
class PseudoLabelLoop(BaseLoop):
    """Training loop over labeled and unlabeled images.

    An epoch is one pass over the unlabeled images and ends; the labeled images are cycled, reshuffled at
    every pass over them. ``runner.train_dataloader`` is the unlabeled loader, so epoch lengths that
    schedules and hooks ask for are right. The position in both data sets follows from the iteration
    number alone, so a resumed run continues in the middle of an epoch without reading what it has seen. So do
    all random numbers: at the beginning of each iteration Python's, numpy's and torch's generators are seeded from the
    run's seed, the rank and the iteration, and for each sample from seed, rank and its position in the stream. On
    the CPU a resumed run is the undisturbed run, bit by bit, with any number of workers. The loop registers a
    ``CheckpointFitHook`` and a ``StartChecksHook``.

    Each iteration: (1) a :class:`Step` says where the training is and who labels; hooks may complete it as
    ``data_batch['step']`` in ``before_train_iter``; (2) both batches are preprocessed, once; (3) one ``train_step`` on
    both, in which the method labels. Hooks find the ``SemiBatch`` as ``data_batch`` in ``after_train_iter``, and the
    pseudo labels in ``data_batch['step'].record``.

    Args:
        runner: The runner.
        dataloader: Config of the labeled loader (the config's ``train_dataloader``).
        unlabeled_dataloader: Config of the unlabeled loader. Default None: the config's top-level
            ``unlabeled_dataloader``, beside ``train_dataloader``.
        max_epochs: Epochs to train; exclusive with ``max_iters``.
        max_iters: Iterations to train; exclusive with ``max_epochs``.
        val_begin: First epoch (iteration, with ``max_iters``) after which is validated. Default 1.
        val_interval: Epochs (iterations) between validations. Default 1, with ``max_iters`` 1000.
        burn_in_iters: During the first iterations the unlabeled loss counts 0, and unlabeled images are left out of the
            step where the method does not need them (``Needs.unlabeled_in_burn_in``). Default 0.
        ramp_up_iters: During the next iterations it rises from 0 to 1. Default 0, none.
        ramp_up_shape: With t from 0 to 1, ``'exp'``: exp(-5 (1 - t)^2) (arXiv 1610.02242); ``'linear'``: t;
            ``'cosine'``: (1 - cos(pi t)) / 2. Default ``'exp'``.
        pseudo_labels_from: ``'model'``, the model itself in eval mode; ``'ema'``, the averaged model of the run's
            ``EMAHook``; ``'data'``, what ``LoadPseudoLabel`` read. Default ``'model'``.
        allow_overlap: Whether an image may be in both the labeled and the unlabeled set. Default False.

    Raises:
        ValueError: On contradictory arguments, or data that cannot be trained on; see :class:`StartChecksHook`.
    """

    @check_types
    def __init__(
        self,
        runner: Runner,
        dataloader: dict,
        unlabeled_dataloader: dict | None = None,
        max_epochs: PositiveInt | None = None,
        max_iters: PositiveInt | None = None,
        val_begin: PositiveInt = 1,
        val_interval: PositiveInt | None = None,
        burn_in_iters: Count = 0,
        ramp_up_iters: Count = 0,
        ramp_up_shape: Literal["exp", "linear", "cosine"] = "exp",
        pseudo_labels_from: Literal["model", "ema", "data"] = "model",
        allow_overlap: bool = False,
    ) -> None:
        if (max_epochs is None) == (max_iters is None):
            raise ValueError(
                "train_cfg of type PseudoLabelLoop needs exactly one of max_epochs and max_iters, got "
                f"max_epochs={max_epochs}, max_iters={max_iters}; delete the other (key=None in an inherited "
                "config)."
            )
        check_loaders(runner.cfg)
        self.labeled_dataloader = build_stream(runner, dataloader, "train_dataloader")
        unlabeled = choose_unlabeled(runner.cfg, unlabeled_dataloader)
        super().__init__(runner, build_stream(runner, unlabeled, "unlabeled_dataloader"))
        self.by_epoch = max_epochs is not None
        length = len(self.dataloader)
        self.max_iters = max_epochs * length if self.by_epoch else max_iters
        self.max_epochs = max_epochs if self.by_epoch else math.ceil(max_iters / length)
        self._epoch = self._iter = 0
        self._first_seed = runner.seed
        self.val_begin = val_begin
        self.val_interval = val_interval or (1 if self.by_epoch else 1000)
        self.burn_in_iters, self.ramp_up_iters, self.ramp_up_shape = burn_in_iters, ramp_up_iters, ramp_up_shape
        self.pseudo_labels_from, self.allow_overlap = pseudo_labels_from, allow_overlap
        self.stop_training = False  # set by mmengine's EarlyStoppingHook
        _name_classes(self.dataloader.dataset, self.labeled_dataloader.dataset)
        require_checkpoint_fit(runner)
        runner.register_hook(StartChecksHook())
        self.runner.visualizer.dataset_meta = getattr(self.dataloader.dataset, "metainfo", None)

    @property
    def epoch(self) -> int:
        """Finished passes over the unlabeled images."""
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
        self.runner.call_hook("before_train")
        for loader in (self.labeled_dataloader, self.dataloader):
            # Without a seed in the config mmengine draws one, and when it resumes it takes that of the checkpoint
            # only after the loaders were built.
            seek_stream(loader, self._iter, self.runner.seed, self._first_seed)
        self._catch_up()
        batches = zip(self.labeled_dataloader, self.dataloader, strict=False)  # neither ends
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
            labeled, unlabeled = next(batches)
            batch_idx = self._iter % length if self.by_epoch else self._iter  # as mmengine's own loops count
            self._run_iter(batch_idx, dict(labeled=labeled, unlabeled=unlabeled))
            if not self.by_epoch:
                self._validate(self._iter, self.max_iters)
        if self._iter < (self._epoch + 1) * length and self.by_epoch:
            return  # stopped early
        self._end_epoch()

    def _end_epoch(self) -> None:
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1
        if self.by_epoch:
            self._validate(self._epoch, self.max_epochs)

    def _run_iter(self, batch_idx: int, data_batch: dict) -> None:
        RandomStream("step", self.runner.seed, get_rank()).seed_step(self._iter)
        model = self.runner.model
        inner = bare_model(model)
        data_batch["step"] = Step(
            self._iter,
            self.max_iters,
            self.unsup_scale(self._iter),
            labels_from=self.pseudo_labels_from,
            labelers=self.find_labelers(inner),
        )
        self.runner.call_hook("before_train_iter", batch_idx=batch_idx, data_batch=data_batch)
        batch = inner.data_preprocessor(data_batch, training=True)
        outputs = model.train_step(batch, optim_wrapper=self.runner.optim_wrapper)
        self.runner.call_hook("after_train_iter", batch_idx=batch_idx, data_batch=batch, outputs=outputs)
        self._iter += 1

    def unsup_scale(self, iteration: int) -> float:
        """Factor in [0, 1] of the unlabeled loss at an iteration (burn-in, then ramp-up)."""
        since = iteration - self.burn_in_iters
        if since < 0:
            return 0.0
        if since >= self.ramp_up_iters:
            return 1.0
        return RAMPS[self.ramp_up_shape](since / self.ramp_up_iters)

    def find_labelers(self, model: nn.Module) -> tuple[nn.Module, ...]:
        """Return the models that label: ``model`` itself, its moving averages, or none.

        Args:
            model: The model in training, without a distributed wrapper.

        Raises:
            ValueError: If there is no ``EMAHook`` for ``pseudo_labels_from='ema'``.
        """
        if self.pseudo_labels_from != "ema":
            return (model,) if self.pseudo_labels_from == "model" else ()
        if found := averages(self.runner):
            # Before the first update mmengine's is a copy from before the weights were initialised.
            return tuple(average.module if self._iter > 0 else model for average in found)
        raise ValueError(
            "train_cfg.pseudo_labels_from='ema' needs an averaged model: set default_hooks.ema=dict("
            "type='MeanTeacherHook', momentum=0.01)."
        )

    def _validate(self, done: int, total: int) -> None:
        """Validate after ``done`` of ``total`` epochs or iterations if it is time."""
        due = done >= self.val_begin and (done % self.val_interval == 0 or done == total)
        if self.runner.val_loop is not None and due:
            self.runner.message_hub.update_info(_VALIDATED, self._iter)
            self.runner.val_loop.run()
            self.runner.model.train()


def _name_classes(unlabeled: Dataset, labeled: Dataset) -> None:
    """Give a data set of images alone the class names and colours of the labeled one.

    mmengine writes the metainfo of ``runner.train_dataloader``, which is the unlabeled one, into checkpoints, and
    mmseg's inference and visualizer take names and colours from there.
    """
    own, names = getattr(unlabeled, "_metainfo", None), getattr(labeled, "metainfo", None) or {}
    if own is not None and not own.get("classes"):
        own.update({key: names[key] for key in ("classes", "palette") if key in names})
