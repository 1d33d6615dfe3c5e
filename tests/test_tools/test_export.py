"""tools/export.py and tools/publish.py as they are called; what they write is looked at in tests/test_inference."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.apis import inference_model, init_model

WITHOUT_PLUGIN = """
import sys
sys.modules["mmseg_allspark"] = None  # importing it is an error

import numpy as np
from mmseg.apis import MMSegInferencer, inference_model, init_model

config, checkpoint, image, out = sys.argv[1:]
model = init_model(config, checkpoint, device="cpu")
first = inference_model(model, image).pred_sem_seg.data[0].numpy()
second = MMSegInferencer(config, checkpoint, device="cpu")(image)["predictions"]
assert (first == second).all()
np.save(out, first)
assert not [name for name in sys.modules if name.startswith("mmseg_allspark.")]
"""


@pytest.mark.slow
def test_mmseg_alone_runs_the_baseline(trained_cnn, data, tmp_path, load_tool):
    """The files, in a process that cannot even find this package."""
    out = tmp_path / "out" / "baseline.pth"
    assert load_tool("export").main([str(trained_cnn / "config.py"), str(trained_cnn / "iter_2.pth"), str(out)]) == 0
    image = str(next((data / "img").glob("val*.png")))
    command = [sys.executable, "-c", WITHOUT_PLUGIN, out.with_suffix(".py"), out, image, tmp_path / "labels.npy"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    model = init_model(str(trained_cnn / "config.py"), str(trained_cnn / "iter_2.pth"), device="cpu")
    np.testing.assert_array_equal(
        np.load(tmp_path / "labels.npy"), inference_model(model, image).pred_sem_seg.data[0].numpy()
    )


def test_refusals(load_tool, trained, tmp_path, capsys):
    main, config, checkpoint = load_tool("export").main, str(trained / "config.py"), str(trained / "iter_2.pth")
    for line, message in (
        ([config, checkpoint, str(tmp_path / "m.tar")], "m.tar: its name ends in .pth, .onnx"),
        ([config, checkpoint, checkpoint], "is the checkpoint itself"),
        (["no.py", checkpoint, str(tmp_path / "m.pth")], "config not found: no.py"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(line)
        assert stop.value.code == 2
        assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_choice_of_weights_is_said(load_tool, trained, tmp_path, capsys):
    for options, said, key in (([], "averaged (ema)", "ema"), (["--weights", "model"], "as trained (model)", "model")):
        out = tmp_path / f"{key}.pth"
        assert load_tool("export").main(["-", str(trained / "iter_2.pth"), str(out), *options]) == 0
        text = capsys.readouterr().out
        assert f"weights: {said}" in text and "alignment, neck.memory" in text and "bit by bit" in text
        assert torch.load(out, weights_only=True)["meta"]["weights"] == key


def test_a_plain_model_that_differs_is_not_written(load_tool, trained, tmp_path, monkeypatch, capsys):
    tool = load_tool("export")
    make_plain = tool.make_plain

    def spoiled(*arguments):
        plain, which = make_plain(*arguments)
        next(plain.model.decode_head.parameters()).data.mul_(1 + 1e-6)
        return plain, which

    monkeypatch.setattr(tool, "make_plain", spoiled)
    assert tool.main([str(trained / "config.py"), str(trained / "iter_2.pth"), str(tmp_path / "m.pth")]) == 1
    assert not list(tmp_path.iterdir())
    assert "nothing was written" in capsys.readouterr().out


def test_publish_says_what_it_removed(load_tool, trained, tmp_path, capsys):
    load_tool("publish").main([str(trained / "iter_2.pth"), str(tmp_path / "m.pth")])
    said = capsys.readouterr().out
    assert "weights: ema" in said and "optimizer" in said and "config: work_dir removed" in said
    with pytest.raises(SystemExit):
        load_tool("publish").main([str(trained / "iter_2.pth"), str(tmp_path / "m")])
    assert "does not end in .pth" in capsys.readouterr().err


def export(load_tool, trained, out, *options, config=None):
    return load_tool("export").main(
        [str(config or trained / "config.py"), str(trained / "iter_2.pth"), str(out), *options]
    )


def test_a_plain_model_overwrites_only_plain_models(load_tool, trained, tmp_path, capsys):
    config = tmp_path / "mine.py"
    shutil.copy(trained / "config.py", config)
    before = config.read_bytes()
    for options, message in ((dict(config=config), "would overwrite CONFIG"), (dict(), "is no export")):
        with pytest.raises(SystemExit, match="2"):
            export(load_tool, trained, tmp_path / "mine.pth", **options)
        said = capsys.readouterr().err
        assert message in said and len(said.splitlines()) == 1
    assert config.read_bytes() == before and not (tmp_path / "mine.pth").exists()
    for _ in range(2):  # its own result it may replace
        assert export(load_tool, trained, tmp_path / "plain.pth") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.py", "plain.pth", "plain.py"]
    assert str(trained) not in (tmp_path / "plain.py").read_text()  # where it was trained


@pytest.fixture
def graphs(load_tool, monkeypatch):
    """The tool with a graph that takes no minute; ``error`` is what it is off by."""
    tool, state = load_tool("export"), dict(error=0.0)

    def write(net, path, metadata, **_):
        path.write_text(json.dumps(metadata))
        state["net"] = net

    monkeypatch.setattr(tool, "export_torch", write)
    monkeypatch.setattr(tool, "load_graph", lambda *_: lambda images: state["net"](images) + state["error"])
    return tool, state


def test_a_graph_that_differs_leaves_the_earlier_one(graphs, trained, tmp_path, capsys):
    tool, state = graphs
    line = [str(trained / "config.py"), str(trained / "iter_2.pth"), str(tmp_path / "m.pt2"), "--sizes", "64x64"]
    assert tool.main(line) == 0
    good = (tmp_path / "m.pt2").read_bytes()
    state["error"] = 1.0
    assert tool.main(line) == 1
    assert "was not written" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["m.pt2"] and (tmp_path / "m.pt2").read_bytes() == good


def test_what_is_not_in_the_graph_is_said_and_stored(graphs, trained, tmp_path, capsys):
    cfg = Config.fromfile(trained / "config.py")
    cfg.test_dataloader.dataset.pipeline.insert(1, dict(type="Resize", scale=(80, 60), keep_ratio=True))
    cfg.model.test_cfg = dict(mode="slide", crop_size=(64, 64), stride=(40, 40))
    cfg.dump(str(tmp_path / "config.py"))
    line = [str(tmp_path / "config.py"), str(trained / "iter_2.pth"), str(tmp_path / "m.pt2"), "--sizes", "64x64"]
    assert graphs[0].main(line) == 0
    said = capsys.readouterr().out
    assert "not in the graph: step of the test pipeline: Resize(" in said and "stride=(40, 40)" in said
    assert said.index("equal labels") < said.index("may differ from its labels")
    stored = json.loads((tmp_path / "m.pt2").read_text())
    assert [step["type"] for step in stored["test_pipeline"]] == ["Resize"]
    assert stored["test_cfg"]["stride"] == [40, 40] and stored["padding"] == {}


def test_what_graphs_need_is_asked_for_first(load_tool, trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    tool = load_tool("export")
    monkeypatch.setattr(tool, "load_checkpoint", lambda *_, **__: pytest.fail("too late"))
    with pytest.raises(SystemExit, match="2"):
        tool.main([str(trained / "config.py"), str(trained / "iter_2.pth"), str(tmp_path / "m.onnx")])
    assert re.match(r"export\.py: error: onnx\w* is not installed: pip install", capsys.readouterr().err)
