"""tools/train.py --resume of a run whose last validation is missing; all its iterations are done."""

import pytest
from builders import model_config, run_config
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from mmseg_allspark.report.run_record import read_run


@HOOKS.register_module(force=True)
class StopInValidation(Hook):
    def before_val_epoch(self, runner):
        raise KeyboardInterrupt


@pytest.mark.parametrize("length", [dict(max_iters=2), dict(max_epochs=2)])
def test_a_supervised_run_is_validated_and_not_trained_again(load_tool, data, tmp_path, length):
    tool, by_epoch = load_tool("train"), "max_epochs" in length
    loader = dict(sampler=dict(type="DefaultSampler" if by_epoch else "InfiniteSampler", shuffle=True))
    options = dict(
        loop=length,
        validate=True,
        model=model_config(type="EncoderDecoder", neck=None),
        train_cfg=dict(length, type="EpochBasedTrainLoop" if by_epoch else "IterBasedTrainLoop", val_interval=2),
        visualizer=dict(type="SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")]),
    )

    def start(*hooks):
        cfg = run_config(data, tmp_path, custom_hooks=hooks, **options)
        cfg.train_dataloader.update(loader)
        cfg.default_hooks.checkpoint.interval = 2
        tool.train(cfg, tool.parse_args([__file__, "--resume"]))

    with pytest.raises(KeyboardInterrupt):
        start(dict(type="StopInValidation"))
    next(tmp_path.glob("*/vis_data")).parent.rename(tmp_path / "0")  # named after the second in which it began
    start()
    run = read_run(tmp_path)
    assert list(run.metrics["mIoU"]) == [2] and list(run.scalars["loss"]) == [1, 2]
