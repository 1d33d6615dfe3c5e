"""What a training step carries besides its images, and what a method asks of the loop."""

from dataclasses import dataclass, field
from typing import Any

from torch import nn


@dataclass
class Step:
    """One training step: made by the loop, completed by hooks before it, filled by the method.

    Attributes:
        iteration: Steps done before this one. Default 0.
        max_iters: Steps of the training. Default 1.
        unsup_scale: Factor of the unlabeled losses: 0 during burn-in, rising during ramp-up. Default 1.
        labels_from: ``'model'``, ``'ema'`` or ``'data'``, as ``train_cfg.pseudo_labels_from``. Default ``'model'``.
        labelers: The models that label: the trained one itself, or its teachers. Default (), the trained one.
        turn: Which of several labelers follows the student in this step; ``MeanTeacherHook`` says so. Default 0.
        options: Named arguments for the neck, e.g. ``use_memory``; hooks add to them in ``before_train_iter``.
        record: What the method leaves for hooks in ``after_train_iter``. ``'pseudo'``: the pseudo labels that the
            losses use, before mixing; not there where the step had none.
    """

    iteration: int = 0
    max_iters: int = 1
    unsup_scale: float = 1.0
    labels_from: str = "model"
    labelers: tuple[nn.Module, ...] = ()
    turn: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def progress(self) -> float:
        """Share of the training that is done, in [0, 1)."""
        return self.iteration / self.max_iters


@dataclass(frozen=True)
class Needs:
    """What a method asks of loop and data; checked before training.

    Attributes:
        views: Views of the unlabeled images that a step takes besides ``'weak'``, which is labeled. Default ().
        labels_from: What ``train_cfg.pseudo_labels_from`` has to be; None: any. Default None.
        teachers: Least and largest number of moving averages that label, of ``labels_from='ema'``; None: any. Default
            (1, None).
        equal_batches: Whether labeled images are paired with unlabeled ones. Default False.
        pastes: Options of the model that paste parts of the batch's other images, by what they paste into:
            ``dict(labeled='copy_paste', unlabeled='cutmix')``. Default ``{}``, none.
        unlabeled_in_burn_in: Whether a step whose unlabeled losses count 0 takes unlabeled images all the same: a
            memory is filled, or a module would be without a gradient. Default False.
        teacher_in_train: Whether a teacher passes images in train mode, so that its statistics of batch norm can move
            by themselves (``TeacherAverage(buffers='own')``). Default False.
        label_source: For the log, what the losses use in place of the labelers' labels. Default '', nothing.
    """

    views: tuple[str, ...] = ()
    labels_from: str | None = None
    teachers: tuple[int, int | None] = (1, None)
    equal_batches: bool = False
    pastes: dict[str, str] = field(default_factory=dict)
    unlabeled_in_burn_in: bool = False
    teacher_in_train: bool = False
    label_source: str = ""
