"""Images of other channels and ranges than 8-bit colour, by the tools that use a trained model."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmseg.registry import DATASETS, MODELS

from mmseg_allspark.inference import SegInferencer
from mmseg_allspark.report.label_pictures import GAP, TITLE_HEIGHT

AS_IS = dict(type="LoadImage", color_type="unchanged", to_float32=True)
# channels, highest value, how they are loaded
KINDS = dict(
    uint16=(3, 4095, AS_IS),
    infrared=(4, 255, AS_IS),
    grey=(1, 255, dict(type="LoadImage", color_type="grayscale")),
    grey16=(1, 60000, AS_IS),
    float_tiff=(1, 4095, dict(type="LoadImage", imdecode_backend="tifffile")),
)


RARE = ("grey", "grey16", "infrared", "float_tiff")


@pytest.fixture(params=[pytest.param(kind, marks=pytest.mark.slow) if kind in RARE else kind for kind in KINDS])
def kind(request, trained, tmp_path):
    """Channels and highest value of one kind of images, ``tmp_path`` with config.py, model.pth and img/ of them."""
    channels, highest, load = KINDS[request.param]
    is_tiff = "imdecode_backend" in load
    if is_tiff:
        pytest.importorskip("tifffile")
    suffix, kind = (".tif", np.float32) if is_tiff else (".png", np.uint16 if highest > 255 else np.uint8)
    blocks = np.random.default_rng(0).integers(0, highest, (2, 9, 9, channels))
    for folder in ("img", "mask"):
        (tmp_path / folder).mkdir()
    for number, image in enumerate(blocks.astype(kind)):
        options = [cv2.IMWRITE_TIFF_COMPRESSION, 1] if is_tiff else []
        cv2.imwrite(str(tmp_path / f"img/{number}{suffix}"), image.repeat(8, 0).repeat(8, 1), options)
        cv2.imwrite(str(tmp_path / f"mask/{number}.png"), np.zeros((72, 72), np.uint8))
    cfg = Config.fromfile(trained / "config.py")
    cfg.experiment_name = str(tmp_path)  # mmengine's names are exact to the second
    cfg.model.backbone.in_channels = channels
    cfg.model.data_preprocessor.update(mean=[highest / 2], std=[highest / 4])
    dataset = cfg.test_dataloader.dataset
    dataset.update(
        ann_file="", img_suffix=suffix, data_prefix=dict(img_path=f"{tmp_path}/img", seg_map_path=f"{tmp_path}/mask")
    )
    dataset.pipeline[0] = load
    cfg.dump(str(tmp_path / "config.py"))
    model = MODELS.build(cfg.model).eval()
    with torch.no_grad():  # each class is the likeliest somewhere
        logits = model.encode_decode(torch.randn(4, channels, 64, 64), [dict(img_shape=(64, 64))] * 4)
        model.decode_head.conv_seg.bias -= logits.mean(dim=(0, 2, 3))
    torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=cfg.pretty_text)), tmp_path / "model.pth")
    return channels, highest


def evaluate(inferencer, folder):
    """Labels by the evaluation's own data set and model; image files, and what is in them."""
    dataset = DATASETS.build(Config.fromfile(folder / "config.py").test_dataloader.dataset)
    outputs = [inferencer.model.test_step(pseudo_collate([sample]))[0] for sample in dataset]
    files = sorted((folder / "img").iterdir())
    labels = np.stack([output.pred_sem_seg.data[0].numpy() for output in outputs])
    return labels, files, [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in files]


def test_the_model_gets_what_evaluation_loads(kind, tmp_path):
    inferencer = SegInferencer(tmp_path / "config.py", tmp_path / "model.pth", device="cpu")
    expected, files, arrays = evaluate(inferencer, tmp_path)
    assert len(np.unique(expected)) > 1
    for sources in (files, arrays):
        predictions = list(inferencer.stream(sources, batch_size=2))
        np.testing.assert_array_equal([prediction.labels for prediction in predictions], expected)
        for prediction in predictions:
            assert prediction.image.shape == (72, 72, 3) and prediction.image.dtype == np.uint8
            assert prediction.image.std() > 30  # neither black nor cut off
    assert not any("image" in vars(prediction) for prediction in inferencer.stream(files))  # made for who looks at it
    drawn = inferencer(list(map(str, files)), return_vis=True)
    np.testing.assert_array_equal(drawn["predictions"], expected)
    assert [picture.shape for picture in drawn["visualization"]] == [(72, 72, 3)] * 2
    with pytest.raises(ValueError, match=rf"\(H, W, {kind[0]}\)"):
        list(inferencer.stream([np.zeros((9, 9, kind[0] + 1), np.uint8)]))


def test_infer_paints_them(kind, tmp_path, load_tool):
    line = [str(tmp_path / name) for name in ("config.py", "model.pth", "img")]
    assert load_tool("infer").main([*line, "--out", str(tmp_path), "--opacity", "0"]) == 0
    assert cv2.imread(str(tmp_path / "painted/0.png")).std() > 30


def painted_config(folder):
    """The config with mmseg's hook that paints, which has to stay mmseg's where others read the config."""
    cfg = Config.fromfile(folder / "config.py")
    cfg.default_hooks.visualization = dict(type="SegVisualizationHook", draw=True, interval=1)
    cfg.visualizer = dict(type="SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")], alpha=0.1)
    cfg.dump(str(folder / "config.py"))
    return cfg


def assert_painted(folder, name):
    painted = [cv2.imread(str(path)) for path in folder.rglob(name)]
    truths = [picture[TITLE_HEIGHT:, GAP:][:72, :72] for picture in painted]
    assert len(truths) == 2 and all(truth.std() > 30 for truth in truths)


def test_test_py_paints_them(kind, tmp_path, load_tool, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    painted_config(tmp_path)
    folders = ["--work-dir", str(tmp_path / "work"), "--show-dir", str(tmp_path / "painted")]
    load_tool("test").main([str(tmp_path / "config.py"), str(tmp_path / "model.pth"), *folders])
    assert_painted(tmp_path / "painted", "?.png")


def test_validation_paints_them(kind, tmp_path, load_tool, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    cfg = painted_config(tmp_path)
    cfg.update(work_dir=str(tmp_path / "work"), load_from=str(tmp_path / "model.pth"))
    cfg.val_dataloader.dataset = cfg.test_dataloader.dataset
    runner = load_tool("_common").build_runner(cfg)
    runner.val()
    assert_painted(tmp_path / "work", "val_?.*_?.png")
    assert runner.cfg.default_hooks.visualization.type == "SegVisualizationHook"


def test_export_says_what_uint8_cannot_carry(kind, tmp_path, load_tool, monkeypatch, capsys):
    line = [str(tmp_path / name) for name in ("config.py", "model.pth")]
    tool, nets = load_tool("export"), []
    assert tool.main([*line, str(tmp_path / "plain.pth"), "--sizes", "64x96"]) == 0
    # a real graph takes minutes
    monkeypatch.setattr(tool, "export_torch", lambda net, path, *_, **__: nets.append(net) or path.write_text(""))
    monkeypatch.setattr(tool, "load_graph", lambda *_: nets[-1])
    said = []
    for options in ([], ["--input", "normalized"]):
        capsys.readouterr()
        assert tool.main([*line, str(tmp_path / "m.pt2"), "--sizes", "64x96", *options]) == 0
        said.append(capsys.readouterr().out)
    is_grey = "grayscale" in (tmp_path / "config.py").read_text()
    assert ("values above 255" in said[0]) != is_grey and "--input normalized" not in said[1]
    assert f"uint8 (B, {kind[0]}, H, W)" in said[0] and f"float32 (B, {kind[0]}, H, W)" in said[1]
    if kind[1] <= 255:
        expected, _, arrays = evaluate(SegInferencer(*line, device="cpu"), tmp_path)
        images = torch.from_numpy(np.stack(arrays).reshape(2, 72, 72, -1)).permute(0, 3, 1, 2)
        np.testing.assert_array_equal(nets[0](images).argmax(dim=1), expected)
