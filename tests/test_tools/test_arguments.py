"""The command lines of ``tools/train.py`` and ``tools/test.py``, without running them."""

import os
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger


@pytest.fixture
def config(tiny_project):
    return str(tiny_project / "tiny.py")


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "some.pth"
    torch.save({}, path)
    return str(path)


@pytest.mark.parametrize("spelling", ["--local-rank", "--local_rank"])
def test_train_takes_what_mmseg_users_pass(load_tool, config, spelling):
    line = [config, "--work-dir", "w", "--amp", "--launcher", "pytorch", spelling, "1"]
    args = load_tool("train").parse_args([*line, "--cfg-options", "a.b=1", "c=[1,2]"])
    assert (args.work_dir, args.amp, args.launcher, args.local_rank) == ("w", True, "pytorch", 1)
    assert args.cfg_options == {"a.b": 1, "c": [1, 2]}


@pytest.mark.parametrize(
    ("tool", "words", "message"),
    [
        ("train", ["no/such/config.py"], "config not found: no/such/config.py"),
        ("train", ["CONFIG", "--resume", "lost.pth"], "checkpoint to resume not found: lost.pth"),
        ("test", ["CONFIG", "lost.pth"], "checkpoint not found: lost.pth"),
    ],
)
def test_missing_files_are_named(load_tool, config, capsys, tool, words, message):
    with pytest.raises(SystemExit) as stop:
        load_tool(tool).parse_args([config if word == "CONFIG" else word for word in words])
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_work_dir_is_argument_then_config_then_name(load_tool, tmp_path):
    train = load_tool("train")
    config = str(tmp_path / "small.py")
    Path(config).write_text("model = dict(type='EncoderDecoder')\n")
    from_argument = train.parse_args([config, "--work-dir", "here", "--cfg-options", "work_dir=there"])
    from_config = train.parse_args([config, "--cfg-options", "work_dir=there"])
    assert train.load_config(from_argument).work_dir == "here"
    assert train.load_config(from_config).work_dir == "there"
    assert train.load_config(train.parse_args([config])).work_dir == "work_dirs/small"


@pytest.mark.parametrize("options", [["--work-dir", "b"], ["--cfg-options", "work_dir=b"]])
@pytest.mark.parametrize(
    ("settings", "name"),
    [("work_dir = 'a'; experiment_name = 'a'", "b"), ("work_dir = 'a'; experiment_name = 'mine'", "mine"), ("", "b")],
)
def test_a_run_in_another_work_dir_has_another_name(load_tool, tmp_path, options, settings, name):
    """A run's own config has both; a name that the user chose stays."""
    train, path = load_tool("train"), tmp_path / "small.py"
    path.write_text(f"model = dict(type='EncoderDecoder')\n{settings}\n")
    assert train.load_config(train.parse_args([str(path), *options])).experiment_name == name


@pytest.mark.parametrize(
    ("files", "resume", "expected"),
    [
        ({}, "NAMED", (True, "NAMED")),
        ({"last_checkpoint": "NAMED"}, "auto", (True, "NAMED")),  # start weights are put aside
        ({}, "auto", (False, "start.pth")),  # nothing to resume keeps them
        ({"iter_1.pth": "PK"}, "auto", (False, "start.pth")),  # killed during the first checkpoint
    ],
)
def test_what_resume_picks(load_tool, tmp_path, checkpoint, files, resume, expected):
    for name, text in files.items():
        (tmp_path / name).write_text(text.replace("NAMED", checkpoint))
    cfg = Config(dict(work_dir=str(tmp_path), load_from="start.pth"))
    load_tool("train").set_resume(cfg, resume.replace("NAMED", checkpoint))
    assert (cfg.resume, cfg.load_from) == (expected[0], expected[1].replace("NAMED", checkpoint))


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
    assert f"passed over {tmp_path}/iter_2.pth (is cut off)" in caplog.text
    assert f"goes on from {tmp_path}/iter_1.pth" in caplog.text


def test_resume_from_a_deleted_checkpoint_is_an_error(load_tool, tmp_path):
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "gone.pth"))
    with pytest.raises(FileNotFoundError, match=r"gone\.pth"):
        load_tool("train").set_resume(Config(dict(work_dir=str(tmp_path))), "auto")


OWN_BACKEND = dict(type="CheckpointHook", backend_args=dict(backend="petrel"))


@pytest.mark.parametrize(
    ("hook", "is_replaced"),
    [
        (dict(type="CheckpointHook", interval=5), True),
        (dict(type="mmengine.CheckpointHook", interval=5), True),
        (None, False),
        (dict(type="OwnHook"), False),
        (OWN_BACKEND, False),
        (dict(type="AtomicCheckpointHook"), False),
    ],
)
def test_mmengines_checkpoint_hook_is_replaced_and_no_other(load_tool, hook, is_replaced):
    cfg = Config(dict(default_hooks=dict(checkpoint=hook), custom_imports=dict(imports=["other"])))
    load_tool("train").protect_checkpoints(cfg)
    expected = dict(type="mmseg.AtomicCheckpointHook", interval=5) if is_replaced else hook
    assert cfg.default_hooks.checkpoint == expected
    assert cfg.custom_imports.imports == ["other", *(["mmseg_allspark"] if is_replaced else [])]


@pytest.mark.parametrize("config", [dict(), dict(default_hooks=dict())])
def test_a_config_without_a_checkpoint_hook_gets_ours(load_tool, config):
    cfg = Config(config)
    load_tool("train").protect_checkpoints(cfg)
    assert cfg.default_hooks.checkpoint == dict(type="mmseg.AtomicCheckpointHook")


def load_train_on(load_tool, monkeypatch, device):
    """``tools/train.py`` on a machine whose device is ``device``."""
    train = load_tool("train")
    for function in (train.enable_amp, train.require_gpu_for_amp):
        monkeypatch.setitem(function.__globals__, "get_device", lambda: device)
    return train


def test_amp_on_a_gpu_switches_the_wrapper_and_keeps_a_given_loss_scale(load_tool, monkeypatch):
    train = load_train_on(load_tool, monkeypatch, "cuda")
    cfg = Config(dict(optim_wrapper=dict(type="OptimWrapper", loss_scale=512.0)))
    train.enable_amp(cfg)
    train.require_gpu_for_amp(cfg)
    assert cfg.optim_wrapper == dict(type="AmpOptimWrapper", loss_scale=512.0)
    with pytest.raises(ValueError, match="OwnWrapper"):
        train.enable_amp(Config(dict(optim_wrapper=dict(type="OwnWrapper"))))


@pytest.mark.parametrize("kind", ["OptimWrapper", "AmpOptimWrapper"])
def test_amp_on_the_cpu_is_bfloat16_without_a_loss_scale(load_tool, monkeypatch, kind):
    train = load_train_on(load_tool, monkeypatch, "cpu")
    cfg = Config(dict(optim_wrapper=dict(type=kind, loss_scale=512.0, optimizer=dict(type="SGD"))))
    train.enable_amp(cfg)
    train.require_gpu_for_amp(cfg)
    expected = dict(type="AutocastOptimWrapper", dtype="bfloat16", optimizer=dict(type="SGD"))
    assert cfg.optim_wrapper == expected
    train.enable_amp(cfg)
    assert cfg.optim_wrapper == expected


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_amp_wrapper_in_a_config_without_a_gpu_is_refused_in_words(load_tool, monkeypatch, device):
    train = load_train_on(load_tool, monkeypatch, device)
    with pytest.raises(RuntimeError, match=r"(?s)needs a GPU.*AutocastOptimWrapper"):
        train.require_gpu_for_amp(Config(dict(optim_wrapper=dict(type="AmpOptimWrapper"))))
    train.require_gpu_for_amp(Config(dict(optim_wrapper=dict(type="OptimWrapper"))))
    train.require_gpu_for_amp(Config(dict(optim_wrapper=dict(type="AutocastOptimWrapper"))))


def test_test_takes_what_mmseg_users_pass(load_tool, config, checkpoint):
    line = [config, checkpoint, "--show", "--show-dir", "s", "--out", "o", "--tta", "--wait-time", "1"]
    args = load_tool("test").parse_args(line)
    assert (args.show, args.show_dir, args.out, args.tta, args.wait_time) == (True, "s", "o", True, 1.0)


def test_show_dir_makes_the_hook_draw(load_tool, config):
    cfg = Config.fromfile(config, import_custom_modules=False)
    load_tool("test").enable_drawing(cfg, show=False, show_dir="painted", wait_time=2)
    hook = cfg.default_hooks.visualization
    assert (hook.type, hook.draw, hook.show_dir) == ("PredictionVisualizationHook", True, "painted")


def test_tta_wraps_the_model_or_says_what_is_missing(load_tool, config):
    cfg = Config.fromfile(config, import_custom_modules=False)
    with pytest.raises(ValueError, match="tta_model and tta_pipeline"):
        load_tool("test").enable_tta(cfg)
    cfg.tta_model, cfg.tta_pipeline = dict(type="SegTTAModel"), [dict(type="LoadImageFromFile")]
    load_tool("test").enable_tta(cfg)
    assert (cfg.model.type, cfg.model.module.type) == ("SegTTAModel", "EncoderDecoder")
    assert cfg.test_dataloader.dataset.pipeline == [dict(type="LoadImageFromFile")]


def test_out_reaches_every_evaluator_that_can_write_and_exists(load_tool, tmp_path):
    cfg = Config(dict(test_evaluator=[dict(type="mmseg.IoUMetric"), dict(type="Other")]))
    out = str(tmp_path / "new" / "predictions")
    load_tool("test").set_output(cfg, out)
    assert cfg.test_evaluator == [dict(type="mmseg.IoUMetric", output_dir=out), dict(type="Other")]
    assert os.path.isdir(out)  # mmseg makes it on rank 0 alone, and another rank may be the first to write
