"""A hook that writes down what a run does."""

from builders import train
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmseg_allspark.methods import SemiBatch


@HOOKS.register_module(force=True)
class RecordHook(Hook):
    """Calls with (name, epoch, iter, batch_idx), and per step the images, the arguments and the batch itself."""

    priority = "LOWEST"

    def __init__(self):
        self.calls, self.seen, self.steps, self.batches, self.states, self.modes = [], [], [], [], [], []

    def _write(self, name, runner, batch_idx=None):
        self.calls.append((name, runner.epoch, runner.iter, batch_idx))

    @property
    def names(self):
        return [call[0] for call in self.calls]

    def before_train(self, runner):
        self._write("before_train", runner)

    def before_train_epoch(self, runner):
        self._write("before_train_epoch", runner)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        assert {"labeled", "unlabeled", "step"} == set(data_batch)
        self._write("before_train_iter", runner, batch_idx)
        self.modes.append(runner.model.training)
        self.states.append(_copy(runner.model))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        assert isinstance(data_batch, SemiBatch)
        assert "loss" in outputs
        self._write("after_train_iter", runner, batch_idx)
        samples = data_batch["data_samples"]
        self.seen.append({part: [_stem(sample) for sample in samples[part]] for part in samples})
        self.steps.append(dict(unsup_scale=data_batch["step"].unsup_scale, **data_batch["step"].options))
        self.batches.append(data_batch)

    def after_train_epoch(self, runner):
        self._write("after_train_epoch", runner)

    def after_val_epoch(self, runner, metrics=None):
        self._write("after_val_epoch", runner)

    def after_train(self, runner):
        self._write("after_train", runner)


def _stem(sample):
    return sample.img_path.rsplit("/", 1)[1].removesuffix(".png")


def _copy(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def record(data, work_dir, hooks=(), **options):
    """Train with ``hooks`` and return the runner and the record."""
    runner = train(data, work_dir, custom_hooks=[*hooks, dict(type="RecordHook")], **options)
    return runner, next(hook for hook in runner.hooks if isinstance(hook, RecordHook))
