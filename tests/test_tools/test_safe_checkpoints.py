"""What ``tools/train.py`` does so that a killed run can go on: which hook writes, and what ``--resume`` picks."""

import os

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger


@pytest.mark.parametrize(
    "config",
    [
        dict(),
        dict(default_hooks=dict()),
        dict(default_hooks=dict(checkpoint=dict(type="CheckpointHook", interval=5))),
        dict(default_hooks=dict(checkpoint=dict(type="mmengine.CheckpointHook", interval=5))),
        dict(custom_imports=dict(imports=["other"], allow_failed_imports=False)),
    ],
)
def test_mmengines_hook_is_replaced(load_tool, config):
    cfg = Config(config)
    load_tool("train").protect_checkpoints(cfg)
    hook = dict(cfg.default_hooks.checkpoint)
    assert hook.pop("type") == "mmseg.AtomicCheckpointHook"
    assert hook == ({"interval": 5} if config.get("default_hooks") else {})
    assert cfg.custom_imports.imports == [*config.get("custom_imports", {}).get("imports", []), "mmseg_allspark"]


@pytest.mark.parametrize(
    "hook",
    [
        None,
        dict(type="OwnHook"),
        dict(type="CheckpointHook", backend_args=dict(backend="petrel")),
        dict(type="AtomicCheckpointHook"),
    ],
)
def test_other_hooks_are_left_alone(load_tool, hook):
    cfg = Config(dict(default_hooks=dict(checkpoint=hook)))
    load_tool("train").protect_checkpoints(cfg)
    assert cfg.default_hooks.checkpoint == hook
    assert "custom_imports" not in cfg


def test_resume_says_what_it_picks_and_what_it_passes_over(load_tool, tmp_path, caplog):
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    for number in (1, 2):
        torch.save(dict(weight=torch.zeros(1000)), tmp_path / f"iter_{number}.pth")
        os.utime(tmp_path / f"iter_{number}.pth", (number, number))
    content = (tmp_path / "iter_2.pth").read_bytes()
    (tmp_path / "iter_2.pth").write_bytes(content[:-100])
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_2.pth"))
    cfg = Config(dict(work_dir=str(tmp_path), load_from="start.pth"))
    try:
        load_tool("train").set_resume(cfg, "auto")
    finally:
        logger.removeHandler(caplog.handler)
    assert (cfg.resume, cfg.load_from) == (True, str(tmp_path / "iter_1.pth"))
    said = caplog.text
    assert f"passed over {tmp_path}/iter_2.pth (is cut off)" in said
    assert f"goes on from {tmp_path}/iter_1.pth" in said


def test_resume_starts_anew_after_a_kill_during_the_first_checkpoint(load_tool, tmp_path):
    (tmp_path / "iter_1.pth").write_bytes(b"PK")
    cfg = Config(dict(work_dir=str(tmp_path), load_from="start.pth"))
    load_tool("train").set_resume(cfg, "auto")
    assert (cfg.resume, cfg.load_from) == (False, "start.pth")
