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


@pytest.mark.parametrize(
    ("tool", "words", "message"),
    [
        ("train", ["no/such/config.py"], "config not found: no/such/config.py"),
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


@pytest.mark.parametrize(("own", "name"), [("a", "b"), ("mine", "mine")])
def test_a_run_in_another_work_dir_has_another_name(load_tool, tmp_path, own, name):
    """A run's own config has both; a name that the user chose stays."""
    train, path = load_tool("train"), tmp_path / "small.py"
    settings, options = f"work_dir = 'a'; experiment_name = '{own}'", ["--work-dir", "b"]
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
        (None, False),
        (OWN_BACKEND, False),
    ],
)
def test_mmengines_checkpoint_hook_is_replaced_and_no_other(load_tool, hook, is_replaced):
    cfg = Config(dict(default_hooks=dict(checkpoint=hook), custom_imports=dict(imports=["other"])))
    load_tool("train").protect_checkpoints(cfg)
    expected = dict(type="mmseg.AtomicCheckpointHook", interval=5) if is_replaced else hook
    assert cfg.default_hooks.checkpoint == expected
    assert cfg.custom_imports.imports == ["other", *(["mmseg_allspark"] if is_replaced else [])]


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


@pytest.mark.parametrize("kind", [dict(type="OptimWrapper"), {}], ids=["named", "mmengine's default"])
def test_amp_on_the_cpu_is_bfloat16_without_a_loss_scale(load_tool, monkeypatch, kind):
    train = load_train_on(load_tool, monkeypatch, "cpu")
    cfg = Config(dict(optim_wrapper=dict(**kind, loss_scale=512.0, optimizer=dict(type="SGD"))))
    train.enable_amp(cfg)
    train.require_gpu_for_amp(cfg)
    expected = dict(type="AutocastOptimWrapper", dtype="bfloat16", optimizer=dict(type="SGD"))
    assert cfg.optim_wrapper == expected
    train.enable_amp(cfg)
    assert cfg.optim_wrapper == expected


def test_amp_wrapper_in_a_config_without_a_gpu_is_refused_in_words(load_tool, monkeypatch):
    train = load_train_on(load_tool, monkeypatch, "cpu")
    with pytest.raises(RuntimeError, match=r"(?s)needs a GPU.*AutocastOptimWrapper"):
        train.require_gpu_for_amp(Config(dict(optim_wrapper=dict(type="AmpOptimWrapper"))))
    train.require_gpu_for_amp(Config(dict(optim_wrapper=dict(type="OptimWrapper"))))
    train.require_gpu_for_amp(Config(dict(optim_wrapper=dict(type="AutocastOptimWrapper"))))


def test_out_reaches_every_evaluator_that_can_write_and_exists(load_tool, tmp_path):
    cfg = Config(dict(test_evaluator=[dict(type="mmseg.IoUMetric"), dict(type="Other")]))
    out = str(tmp_path / "new" / "predictions")
    load_tool("test").set_output(cfg, out)
    assert cfg.test_evaluator == [dict(type="mmseg.IoUMetric", output_dir=out), dict(type="Other")]
    assert os.path.isdir(out)  # mmseg makes it on rank 0 alone, and another rank may be the first to write
