"""tools/export.py and tools/publish.py as they are called; what they write is looked at in tests/test_deploy."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
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
        ([config, checkpoint, str(tmp_path / "m.tar")], "m.tar: .pth for plain, .onnx for onnx"),
        ([config, checkpoint, str(tmp_path / "m.pth"), "--format", "onnx"], ".onnx for onnx"),
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
