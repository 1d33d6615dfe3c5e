"""CollapseMonitorHook: a warning when self-training goes wrong, while there is time to do something."""

from collections.abc import Sequence

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor, nn

from mmseg_allspark.engine.hooks.log_steps import class_names
from mmseg_allspark.labels import count_per_class
from mmseg_allspark.utils.checks import PositiveInt, Share, check_types
from mmseg_allspark.utils.metric_names import choose_metric, find_metric, metric_names
from mmseg_allspark.utils.wrappers import bare_model

_STATE = "collapse_monitor"  # in the message hub, which checkpoints hold
_STRIDE = 8  # one pixel in 64 gives the same shares
_REMEDIES = (
    "What to try: train_cfg.pseudo_labels_from='ema', model.alignment=dict(), model.confidence=dict("
    "type='ClassQuantileThreshold'), longer train_cfg.burn_in_iters and ramp_up_iters, a lower "
    "optim_wrapper.optimizer.lr, more labeled images; docs/results_camvid.md says what each does."
)


@HOOKS.register_module()
class CollapseMonitorHook(Hook):
    """Warns, once each time, when a class takes over the pseudo labels, when one is lost, and when validation falls.

    Shares of the classes among the pseudo labels are compared with those in the labeled crops of the same iterations,
    so a large background is no reason to warn. They are those of rank 0, counted on the device and read once a window.
    Without pseudo labels, validation alone is watched.

    Args:
        window: Iterations over which shares are counted; a resumed training begins a new window. Default None: a
            twentieth of the training, 20 to 200.
        patience: Windows in a row that have to be bad. Default 2.
        begin: Share of the training, in [0, 1], before which nothing is said, nor during burn-in: the first labels are
            poor. Default 0.2.
        takeover: A class takes over when, of the pixels that count and that would not be its own by its labeled share,
            it has more than this. With 0.8: more than 94 % for a background of 70 %, 82 % for a class of 10 %.
            Default 0.8.
        missing: A class is lost when its share among all pseudo labels is below this part of its labeled share.
            Default 0.05.
        min_share: Classes with a smaller labeled share are not missed: a window may well be without them. Default
            0.002.
        metric: Figure of the validation, the larger the better, with or without its prefix. Default ``'mIoU'``, for
            which mDice or mFscore stands in.
        drop: Validation has fallen when the figure is more than this part below its best. Default 0.3.
    """

    priority = "NORMAL"

    @check_types
    def __init__(
        self,
        window: PositiveInt | None = None,
        patience: PositiveInt = 2,
        begin: Share = 0.2,
        takeover: Share = 0.8,
        missing: Share = 0.05,
        min_share: Share = 0.002,
        metric: str = "mIoU",
        drop: Share = 0.3,
    ) -> None:
        self.window, self.patience, self.begin = window, patience, begin
        self.takeover, self.missing, self.min_share = takeover, missing, min_share
        self.metric, self.drop = metric, drop
        self._counts: Tensor | int = 0  # (3, K): labeled pixels, all pseudo labels, those that count
        self._steps = 0

    def before_train(self, runner: Runner) -> None:
        """Raise ``ValueError`` if it is known by now that validations will not give the metric."""
        names = metric_names(runner.cfg)
        if names is not None:
            choose_metric(names, self.metric, "CollapseMonitorHook.metric")

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        """Count, and look at the end of a window."""
        if self.window is None:
            self.window = min(200, max(20, runner.max_iters // 20))
        step = data_batch.get("step")
        if not is_main_process() or step is None or "pseudo" not in step.record or not self._is_on(runner):
            return
        if step.unsup_scale == 0.0:  # burn-in
            return
        self._counts = self._counts + _count(bare_model(runner.model), data_batch)
        self._steps += 1
        if self._steps == self.window:
            symptoms = self._judge(self._counts.tolist(), class_names(runner, self._counts.shape[1]))
            self._report(runner, "labels", symptoms, self.patience, runner.iter + 1)
            self._counts, self._steps = 0, 0

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Compare with the best validation so far."""
        if not metrics or not is_main_process():
            return
        name = find_metric(metrics, self.metric)
        if name is None:
            # once: mmengine logs no warning twice that has the same words
            runner.logger.warning(
                f"CollapseMonitorHook.metric={self.metric!r} is not among {', '.join(metrics)}: validations are not "
                "watched. Set it to one of these, the larger the better."
            )
            return
        value = metrics[name]
        state = runner.message_hub.get_info(_STATE, {})
        best = max(state.get("best", 0.0), float(value))  # in this order a NaN is never the best
        runner.message_hub.update_info(_STATE, state | dict(best=best))
        symptoms = {}
        if self._is_on(runner) and not value >= (1.0 - self.drop) * best:
            symptoms["validation"] = f"{name} is {value:.2f}, its best was {best:.2f}"
        self._report(runner, "validation", symptoms, 1, runner.iter)

    def _is_on(self, runner: Runner) -> bool:
        return runner.iter >= self.begin * runner.max_iters

    def _judge(self, counts: list[list[float]], names: Sequence[str]) -> dict[str, str]:
        """Symptoms of a window, each with its description."""
        labeled, every, kept = ([count / max(sum(row), 1.0) for count in row] for row in counts)
        span = f"of the last {self.window} iterations"
        if not sum(counts[2]):
            return {"empty": f"no pixel of the pseudo labels {span} is confident enough to count"}
        symptoms = {}
        for name, true, all_share, share in zip(names, labeled, every, kept, strict=True):
            beside = f"and {true:.3f} of the labeled pixels"
            if true < 1.0 and share - true > self.takeover * (1.0 - true):
                symptoms[f"takeover {name}"] = f"class {name!r} has {share:.3f} of the pseudo labels {span} {beside}"
            if true >= self.min_share and all_share < self.missing * true:
                symptoms[f"missing {name}"] = f"class {name!r} has {all_share:.4f} of the pseudo labels {span} {beside}"
        return symptoms

    def _report(self, runner: Runner, kind: str, symptoms: dict[str, str], patience: int, done: int) -> None:
        """Warn of what has lasted for ``patience`` times now; what has passed may be warned of again."""
        state = runner.message_hub.get_info(_STATE, {})
        lasting = {name: state.get(kind, {}).get(name, 0) + 1 for name in symptoms}
        runner.message_hub.update_info(_STATE, state | {kind: lasting})
        due = [text for name, text in symptoms.items() if lasting[name] == patience]
        if due:
            # with the iteration: mmengine logs no warning twice that has the same words
            text = "; ".join(due)
            runner.logger.warning(f"Iteration {done}, the training may be collapsing: {text}. {_REMEDIES}")


@torch.no_grad()
def _count(model: nn.Module, data_batch: dict) -> Tensor:
    """Pixels per class, (3, K): labeled, pseudo labels, pseudo labels by weight."""
    classes, thin = model.num_classes, (..., slice(None, None, _STRIDE), slice(None, None, _STRIDE))
    masks = torch.stack([sample.gt_sem_seg.data[thin] for sample in data_batch["data_samples"]["labeled"]])
    pseudo = data_batch["step"].record["pseudo"].thin(_STRIDE)
    every = torch.ones_like(pseudo.label, dtype=torch.bool) if pseudo.valid is None else pseudo.valid
    return torch.stack(
        [
            count_per_class(masks != model.decode_head.ignore_index, masks, classes),
            count_per_class(every, pseudo.label, classes),
            count_per_class((pseudo.weight > 0) & every, pseudo.label, classes),
        ]
    )
