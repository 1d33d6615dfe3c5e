"""MeanTeacherHook: keeps the teacher, and says which of teacher and student is evaluated and saved for use."""

from typing import Annotated, Literal

from mmengine.hooks import EMAHook
from mmengine.model import BaseTTAModel
from mmengine.runner import BaseLoop, Runner
from mmseg.registry import HOOKS, MODELS

from mmseg_allspark.models import TeacherAverage, holds_average
from mmseg_allspark.utils.checks import Between, PositiveInt, check_types

_KINDS = dict(teacher="ema", student="model")  # what tools/export.py and tools/publish.py call them


@HOOKS.register_module()
class MeanTeacherHook(EMAHook):
    """mmengine's ``EMAHook`` with a teacher that has its student's buffers, and an evaluated role that is declared.

    The teacher (:class:`TeacherAverage`) labels with ``train_cfg.pseudo_labels_from='ema'``. A checkpoint holds the
    evaluated one as ``state_dict``, which tests, inference and export use, and the other as ``ema_state_dict``;
    ``meta.weights`` says which the first is, ``'ema'`` or ``'model'``. ``tools/export.py --weights`` takes either.

    Args:
        momentum: Share of the student in each update, 1 - alpha, in (0, 1). Default 0.01.
        warmup: As in :class:`TeacherAverage`. Default False.
        evaluated: ``'teacher'`` or ``'student'``: validated, tested and saved as ``state_dict``. Default ``'teacher'``.
        buffers: As in :class:`TeacherAverage`. Default ``'average'``.
        num_teachers: Teachers that take turns: in each epoch of the unlabeled images the next one follows the student,
            and the others rest (PS-MT, arXiv 2111.12903). The first is evaluated, or the mean of all by a method that
            does so (``PSMTSegmentor``); ``ema`` labels are the mean of all. A checkpoint holds the others as
            ``other_teachers``. Default 1.
        **kwargs: Further ones of ``EMAHook``: ``begin_iter``, ``begin_epoch``, ``strict_load``, ``interval``.
    """

    @check_types
    def __init__(
        self,
        momentum: Annotated[float, Between(1e-6, 1.0 - 1e-6)] = 0.01,
        warmup: bool = False,
        evaluated: Literal["teacher", "student"] = "teacher",
        buffers: Literal["average", "copy", "own"] = "average",
        num_teachers: PositiveInt = 1,
        **kwargs: object,
    ) -> None:
        super().__init__(ema_type=TeacherAverage, momentum=momentum, warmup=warmup, buffers=buffers, **kwargs)
        self.evaluated, self.num_teachers = evaluated, num_teachers

    def before_run(self, runner: Runner) -> None:
        """Make the teachers, copies of the student."""
        super().before_run(runner)
        if isinstance(self.src_model, BaseTTAModel):  # the method is inside
            self.src_model = self.src_model.module
            self.ema_model = MODELS.build(self.ema_cfg, default_args=dict(model=self.src_model))
        others = [
            MODELS.build(self.ema_cfg, default_args=dict(model=self.src_model)) for _ in range(self.num_teachers - 1)
        ]
        self.teachers = [self.ema_model, *others]

    def before_train(self, runner: Runner) -> None:
        """Start from the student as it was initialised, which is after :meth:`before_run`."""
        super().before_train(runner)
        for teacher in self.teachers:  # nobody else tells them, and some modules have a mode of their own (norm_eval)
            teacher.module.train()
        if runner.iter == 0:
            self._copy_student()
        if self.num_teachers > 1:
            self._warn_of_turns(runner)

    def _warn_of_turns(self, runner: Runner) -> None:
        if not (self.begin_iter or self.begin_epoch):
            runner.logger.warning(
                f"MeanTeacherHook(num_teachers={self.num_teachers}) begins at once: a teacher labels with the weights "
                "of the start until its first epoch. Set begin_iter: until then all teachers are copies of the student."
            )
        begin = self.begin_epoch - 1 if self.begin_epoch else (self.begin_iter - 1) // len(runner.train_dataloader)
        if (turns := runner.max_epochs - max(0, begin)) < self.num_teachers:
            runner.logger.warning(
                f"MeanTeacherHook has num_teachers={self.num_teachers}, begin_iter={self.begin_iter}, begin_epoch="
                f"{self.begin_epoch}, but the training has {runner.max_iters} iterations in {runner.max_epochs} epochs "
                f"of the unlabeled images: only {turns} of the teachers ever follows the student. Train longer, or set "
                "them in proportion."
            )

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Tell the step whose turn it is."""
        if self.num_teachers > 1 and "step" in (data_batch or {}):
            data_batch["step"].turn = runner.epoch % self.num_teachers

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Let the teacher whose turn it is follow the student, once an update where gradients accumulate."""
        if not runner.optim_wrapper.should_update():
            return
        if self._ema_started(runner):
            self.teachers[runner.epoch % self.num_teachers].update_parameters(self.src_model)
        else:
            self._copy_student()

    def _copy_student(self) -> None:
        state = self.src_model.state_dict()
        for teacher in self.teachers:
            teacher.module.load_state_dict(state)
        for teacher in self.teachers[1:]:
            teacher.steps.fill_(1)  # with 0, mmengine would make its first update another copy

    def _swap_ema_parameters(self) -> None:
        """Exchange teacher and student around validation and test: mmengine's hook does so in all four places.

        By name, because modules of the student that the teacher shares are no pair. A method that evaluates all
        teachers together finds the others in its ``other_teachers`` meanwhile.
        """
        if self.evaluated == "teacher":
            student = self.src_model.state_dict()
            for name, average in self.ema_model.module.state_dict().items():
                if average.data_ptr() != student[name].data_ptr():
                    kept = average.clone()
                    average.copy_(student[name])
                    student[name].copy_(kept)
            if hasattr(self.src_model, "other_teachers"):
                others = tuple(teacher.module for teacher in self.teachers[1:])
                self.src_model.other_teachers = () if self.src_model.other_teachers else others

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Save both, the evaluated one as ``state_dict``."""
        super().before_save_checkpoint(runner, checkpoint)
        if self.num_teachers > 1:
            checkpoint["other_teachers"] = [teacher.state_dict() for teacher in self.teachers[1:]]
        if self.evaluated == "student":
            self._swap_ema_state_dict(checkpoint)
        checkpoint["meta"]["weights"] = _KINDS[self.evaluated]

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Give a resumed run both back, whichever of them the checkpoint holds as ``state_dict``."""
        if runner._resume and "ema_state_dict" in checkpoint and not holds_average(checkpoint):
            self._swap_ema_state_dict(checkpoint)
        # A training that starts from a checkpoint copies its student to all teachers. Others may not even fit.
        starts = isinstance(runner._train_loop, BaseLoop) and not runner._resume
        others = [] if starts else checkpoint.get("other_teachers", [])
        if runner._resume and len(others) != self.num_teachers - 1:
            raise ValueError(
                f"The checkpoint has {len(others) + 1} teachers, MeanTeacherHook.num_teachers={self.num_teachers}: "
                "resume with the number it was trained with."
            )
        super().after_load_checkpoint(runner, checkpoint)
        for index, teacher in enumerate(self.teachers[1:]):
            if len(others) == self.num_teachers - 1:
                teacher.load_state_dict(others[index], strict=self.strict_load)
            else:
                teacher.load_state_dict(self.ema_model.state_dict())
