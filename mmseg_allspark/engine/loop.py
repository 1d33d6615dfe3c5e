"""PseudoLabelLoop: two data loaders, one training step on both."""

import math
from typing import Literal

from mmengine.runner import Runner
from mmseg.registry import LOOPS
from torch import nn
from torch.utils.data import DataLoader, Dataset

from mmseg_allspark.datasets.setting_checks import choose_unlabeled
from mmseg_allspark.engine.hooks.start_checks import StartChecksHook
from mmseg_allspark.engine.stream import build_stream
from mmseg_allspark.engine.stream_loop import StreamLoop
from mmseg_allspark.methods import Step
from mmseg_allspark.utils.checks import Count, PositiveInt, check_types
from mmseg_allspark.utils.config_files import check_loaders
from mmseg_allspark.utils.wrappers import averages, bare_model

RAMPS = {
    "exp": lambda t: math.exp(-5.0 * (1.0 - t) ** 2),
    "linear": lambda t: t,
    "cosine": lambda t: (1.0 - math.cos(math.pi * t)) / 2.0,
}


@LOOPS.register_module()
class PseudoLabelLoop(StreamLoop):
    """Training loop over labeled and unlabeled images.

    An epoch is one pass over the unlabeled images and ends; the labeled images are cycled, reshuffled at
    every pass over them. ``runner.train_dataloader`` is the unlabeled loader, so epoch lengths that
    schedules and hooks ask for are right. A resumed run is the undisturbed run, as :class:`StreamLoop` says. The loop
    registers a ``CheckpointFitHook`` and a ``StartChecksHook``.

    Each iteration: (1) a :class:`Step` says where the training is and who labels; hooks may complete it as
    ``data_batch['step']`` in ``before_train_iter``; (2) both batches are preprocessed, once; (3) one ``train_step`` on
    both, in which the method labels. Hooks find the ``SemiBatch`` as ``data_batch`` in ``after_train_iter``, and the
    pseudo labels in ``data_batch['step'].record``.

    Args:
        runner: The runner.
        dataloader: Config of the labeled loader (the config's ``train_dataloader``).
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
        check_loaders(runner.cfg)
        self.labeled_dataloader = build_stream(runner, dataloader, "train_dataloader", cycle=True, hold_out=True)
        unlabeled = build_stream(runner, choose_unlabeled(runner.cfg), "unlabeled_dataloader")
        super().__init__(runner, unlabeled, max_epochs, max_iters, val_begin, val_interval)
        self.burn_in_iters, self.ramp_up_iters, self.ramp_up_shape = burn_in_iters, ramp_up_iters, ramp_up_shape
        self.pseudo_labels_from, self.allow_overlap = pseudo_labels_from, allow_overlap
        _name_classes(self.dataloader.dataset, self.labeled_dataloader.dataset)
        runner.register_hook(StartChecksHook())

    @property
    def streams(self) -> tuple[DataLoader, DataLoader]:
        """The loaders of labeled and of unlabeled images."""
        return self.labeled_dataloader, self.dataloader

    def run_step(self, batch_idx: int, labeled: dict, unlabeled: dict) -> None:
        """Do one iteration, with its hooks, on collated samples of both loaders."""
        model = self.runner.model
        inner = bare_model(model)
        step = Step(
            self._iter,
            self.max_iters,
            self.unsup_scale(self._iter),
            labels_from=self.pseudo_labels_from,
            labelers=self.find_labelers(inner),
        )
        data_batch = dict(labeled=labeled, unlabeled=unlabeled, step=step)
        self.runner.call_hook("before_train_iter", batch_idx=batch_idx, data_batch=data_batch)
        batch = inner.data_preprocessor(data_batch, training=True)
        outputs = model.train_step(batch, optim_wrapper=self.runner.optim_wrapper)
        self.runner.call_hook("after_train_iter", batch_idx=batch_idx, data_batch=batch, outputs=outputs)

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


def _name_classes(unlabeled: Dataset, labeled: Dataset) -> None:
    """Give a data set of images alone the class names and colours of the labeled one.

    mmengine writes the metainfo of ``runner.train_dataloader``, which is the unlabeled one, into checkpoints, and
    mmseg's inference and visualizer take names and colours from there.
    """
    own, names = getattr(unlabeled, "_metainfo", None), getattr(labeled, "metainfo", None) or {}
    if own is not None and not own.get("classes"):
        own.update({key: names[key] for key in ("classes", "palette") if key in names})
