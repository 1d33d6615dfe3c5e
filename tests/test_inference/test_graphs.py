import json

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModule
from mmseg.apis import init_model
from mmseg.registry import MODELS
from torch import nn

from mmseg_allspark.inference import LogitsNet, compare_outputs, export_onnx, export_torch, make_plain
from mmseg_allspark.inference.graphs import load_graph
from mmseg_allspark.utils.safe_checkpoints import load_checkpoint

SIZES = ((2, (65, 65)), (1, (96, 130)), (3, (77, 64)))


def needs_onnx():
    for module in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(module, reason=f"{module} is not installed: pip install 'mmseg-allspark[export]'")


def make_net(folder, **options):
    checkpoint = load_checkpoint(folder / "iter_2.pth")
    plain, _ = make_plain(Config.fromfile(folder / "config.py"), checkpoint, "x.pth")
    return LogitsNet(plain.model, plain.cfg.model.data_preprocessor, **options)


def predict(folder, images):
    """mmseg's own prediction, preprocessing and all, of (B, 3, H, W) uint8 images."""
    model = init_model(str(folder / "config.py"), str(folder / "iter_2.pth"), device="cpu")
    with torch.no_grad():
        batch = model.data_preprocessor(dict(inputs=list(images)), False)["inputs"]
        samples = model.predict(batch)
    return torch.stack([sample.seg_logits.data for sample in samples])


@pytest.mark.parametrize("shape", SIZES)
def test_the_net_is_mmsegs_prediction(trained, shape):
    net = make_net(trained)
    images = net.example(*shape)
    torch.testing.assert_close(net(images), predict(trained, images), rtol=0.0, atol=1e-6)
    torch.testing.assert_close(net(images)[:1], net(images[:1]))  # images of a batch do not influence each other
    assert torch.equal(make_net(trained, output_kind="labels")(images), net(images).argmax(dim=1))


def test_normalized_input(trained):
    net, bare = make_net(trained), make_net(trained, input_kind="normalized")
    images = net.example()
    rgb = images.flip(1).float()
    assert torch.equal(bare((rgb - 127.0) / 64.0), net(images))  # the config of builders.py


def test_what_cannot_be_exported(trained):
    with pytest.raises(ValueError, match="input_kind"):
        make_net(trained, input_kind="rgb")
    net = make_net(trained)
    with pytest.raises(ValueError, match="--input normalized"):
        LogitsNet(net.model, dict(type="Other"))
    net.model.out_channels = 1
    with pytest.raises(ValueError, match="sigmoid"):
        LogitsNet(net.model, dict(type="SegDataPreProcessor"))


def test_differences_are_found(trained):
    net = make_net(trained)
    inputs = [net.example(1, (65, 65))]
    same, off = (compare_outputs(net, graph, inputs, repeat=1)[0] for graph in (net, lambda x: net(x) + 1e-3))
    assert (same.difference, same.equal) == (0.0, 1.0)
    assert off.difference == pytest.approx(1e-3, rel=1e-2) and off.equal == 1.0
    other = compare_outputs(net, lambda x: net(x).flip(1), inputs, repeat=1)[0]
    assert other.equal < 1.0
    with pytest.raises(ValueError, match="the graph"):
        compare_outputs(net, lambda x: net(x)[..., :-1], inputs)


@MODELS.register_module()
class OneConvolution(BaseModule):
    """As little as a backbone can be: graphs of real ones take a minute."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 8, 3, stride=4, padding=1)

    def forward(self, images):
        return [self.layer(images)]


def small_net():
    preprocessor = dict(type="SegDataPreProcessor", mean=[127.0] * 3, std=[64.0] * 3, bgr_to_rgb=True)
    head = dict(type="FCNHead", in_channels=8, channels=8, num_convs=1, num_classes=4, norm_cfg=dict(type="SyncBN"))
    neck = dict(type="AllSparkNeck", in_channels=8, num_classes=4, memory=False, inference_keys="batch")
    backbone = dict(type="OneConvolution")
    parts = dict(backbone=backbone, neck=neck, decode_head=head, data_preprocessor=preprocessor)
    return LogitsNet(MODELS.build(dict(type="EncoderDecoder", test_cfg=dict(mode="whole"), **parts)), preprocessor)


def check_onnx(net, path):
    export_onnx(net, path, dict(classes=["a", "b"], input="uint8"))
    rows = compare_outputs(net, load_graph(path, 1), [net.example(*shape) for shape in SIZES], repeat=1)
    assert [row.shape for row in rows] == [(batch, 3, *size) for batch, size in SIZES]
    assert max(row.difference for row in rows) < 1e-4


def check_torch(net, path):
    export_torch(net, path, dict(classes=["a"]))
    inputs = [net.example(1, size) for _, size in SIZES]
    assert all(row.difference < 1e-4 for row in compare_outputs(net, load_graph(path), inputs, repeat=1))
    extra = {"metadata.json": ""}
    torch.export.load(str(path), extra_files=extra)
    assert json.loads(extra["metadata.json"]) == dict(classes=["a"])


@pytest.mark.slow
def test_onnx(tmp_path):
    needs_onnx()
    import onnxruntime

    check_onnx(small_net(), tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    (image,), (logits,) = session.get_inputs(), session.get_outputs()
    assert (image.name, image.type, image.shape) == ("image", "tensor(uint8)", ["batch", 3, "height", "width"])
    assert (logits.name, logits.shape) == ("logits", ["batch", 4, "height", "width"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == ["a", "b"] and metadata["input"] == "uint8"


@pytest.mark.slow
def test_torch_export(tmp_path):
    check_torch(small_net(), tmp_path / "m.pt2")
