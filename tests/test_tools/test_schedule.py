"""tools/_schedule.py: another number of iterations for any config."""

import pytest
from builders import ROOT
from mmengine.config import Config

# one of each schedule, loop and set of hooks
CONFIGS = (
    "allspark/resnet18-tiny_synthetic allspark/segformer_b0_own-data allspark/segformer_b5_voc_1-8 "
    "supervised/segformer_b5_voc_1-8 supervised/segformer_b0_camvid_1-16"
)


@pytest.mark.parametrize("name", CONFIGS.split())
def test_shipped_configs_train_any_number_of_steps(load_tool, name):
    schedule = load_tool("_schedule")
    before, cfg = (Config.fromfile(ROOT / f"configs/{name}.py") for _ in range(2))
    arguments = load_tool("analysis/compare").parse_options(
        schedule.to_arguments({**(parts := schedule.steps_options(cfg, 800))[0], **parts[1]})
    )
    cfg.merge_from_dict(arguments)
    whole = before.train_cfg.get("max_epochs") or before.train_cfg.max_iters
    assert cfg.train_cfg.max_iters == 800 and cfg.train_cfg.get("max_epochs") is None
    assert cfg.train_cfg.val_interval == 100 == cfg.default_hooks.checkpoint.interval
    assert cfg.default_hooks.get("pseudo_label_pictures", dict(interval=100))["interval"] == 100
    assert not cfg.log_processor.by_epoch and not cfg.default_hooks.checkpoint.by_epoch
    for scheduler, old in zip(cfg.param_scheduler, before.param_scheduler, strict=True):
        assert not scheduler.by_epoch and not scheduler.get("convert_to_iter_based")
        assert scheduler.end == pytest.approx(800 * old.end / whole, abs=1)
    assert max(scheduler.end for scheduler in cfg.param_scheduler) == 800
    for key in ("burn_in_iters", "ramp_up_iters"):
        if key in before.train_cfg:
            assert cfg.train_cfg[key] == pytest.approx(800 * before.train_cfg[key] / whole, abs=0.5)
    if hook := cfg.default_hooks.get("semantic_memory"):
        old = before.default_hooks.semantic_memory
        share = (old.get("warmup_epochs") or old.get("warmup_iters")) / whole
        assert not hook.get("warmup_epochs") and hook["warmup_iters"] == pytest.approx(800 * share, abs=0.5)
    assert "EpochBased" not in cfg.train_cfg.type


def test_a_phase_whose_share_is_unknown_is_an_error_unless_it_is_given(load_tool):
    schedule = load_tool("_schedule")
    cfg = Config(dict(train_cfg=dict(type="PseudoLabelLoop", max_epochs=8, burn_in_iters=100)))
    with pytest.raises(ValueError, match="train_cfg.burn_in_iters=100 counts iterations while the training counts ep"):
        schedule.steps_options(cfg, 800)
    assert "train_cfg.burn_in_iters" not in schedule.steps_options(cfg, 800, given=["train_cfg.burn_in_iters"])[1]
