"""Graphs that run without mmseg: ONNX and torch.export, and whether they compute what torch computes."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from mmengine.model import revert_sync_batchnorm
from mmengine.utils import digit_version
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.utils import resize
from torch import Tensor, nn

from mmseg_allspark.models import AllSparkNeck
from mmseg_allspark.utils.checks import check_choice
from mmseg_allspark.utils.images import input_channels

INPUTS = ("image", "normalized")
OUTPUTS = ("logits", "labels")
_TRACED = 2, (192, 256)  # two images and no square: no two sizes are the same by chance


class LogitsNet(nn.Module):
    """A segmentor from images to logits at the size of the images, as :meth:`EncoderDecoder.predict` computes them.

    Windows (``test_cfg.mode='slide'``) and padding of the preprocessor are not part of it: the whole image goes through
    the network as it comes. An :class:`AllSparkNeck` lets each image attend to itself, whatever its
    ``inference_keys``, so images of a batch do not influence each other.

    Args:
        model: A plain model, see :func:`mmseg_allspark.inference.make_plain`; from then on it is this module's.
        preprocessor: Config of its ``SegDataPreProcessor``.
        input_kind: ``'image'``: (B, C, H, W) uint8, of three channels in the order of ``cv2.imread``, BGR; the
            config's conversion and normalisation are part of the graph. ``'normalized'``: (B, C, H, W) float32 as the
            backbone takes it.
        output_kind: ``'logits'``: (B, K, H, W) float32. ``'labels'``: (B, H, W) int64.

    Attributes:
        channels: Channels C of the images.

    Raises:
        ValueError: On another kind, a preprocessor of another type, or a model with a sigmoid output.
    """

    def __init__(
        self, model: EncoderDecoder, preprocessor: dict, *, input_kind: str = "image", output_kind: str = "logits"
    ) -> None:
        super().__init__()
        check_choice("input_kind", input_kind, INPUTS)
        check_choice("output_kind", output_kind, OUTPUTS)
        if input_kind == "image" and preprocessor.get("type") != "SegDataPreProcessor":
            raise ValueError(
                f"model.data_preprocessor.type={preprocessor.get('type')!r} is not known: export with --input "
                "normalized."
            )
        if model.out_channels == 1:
            raise ValueError("A model with one output (a sigmoid) cannot be exported: its logits are no class scores.")
        self.input_kind, self.output_kind, self.channels = input_kind, output_kind, input_channels(model)
        self.model = revert_sync_batchnorm(model).eval().requires_grad_(False)
        for module in self.model.modules():
            if isinstance(module, AllSparkNeck):
                module.inference_keys = "image"
        # SegDataPreProcessor leaves images of other numbers of channels in their order
        self.swap = self.channels == 3 and bool(preprocessor.get("bgr_to_rgb") or preprocessor.get("rgb_to_bgr"))
        mean, std = (preprocessor.get(key) for key in ("mean", "std"))
        self.normalize = mean is not None
        self.register_buffer("mean", torch.tensor(mean or [0.0], dtype=torch.float32).view(-1, 1, 1), False)
        self.register_buffer("std", torch.tensor(std or [1.0], dtype=torch.float32).view(-1, 1, 1), False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits or labels of a batch; see the class."""
        size = images.shape[2:]
        if self.input_kind == "image":
            images = (images.flip(1) if self.swap else images).float()
            images = (images - self.mean) / self.std if self.normalize else images
        logits = self.model(images, mode="tensor")
        logits = resize(logits, size=size, mode="bilinear", align_corners=self.model.align_corners, warning=False)
        return logits if self.output_kind == "logits" else logits.argmax(dim=1)

    def example(self, batch_size: int = _TRACED[0], size: tuple[int, int] = _TRACED[1], seed: int = 0) -> Tensor:
        """Return a batch of noise, the same for the same seed; ``size`` is (H, W)."""
        generator, shape = torch.Generator().manual_seed(seed), (batch_size, self.channels, *size)
        if self.input_kind == "image":
            return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        return torch.randn(shape, generator=generator)


def export_onnx(net: LogitsNet, path: Path, metadata: dict[str, Any]) -> None:
    """Write an ONNX graph whose batch, height and width are free.

    torch's exporter by tracing is not used: it freezes sizes inside ``nn.MultiheadAttention``.

    Args:
        net: What to export.
        path: File to write, weights inside.
        metadata: Written into the file; values that are no text as JSON.

    Raises:
        ImportError: If onnx, onnxscript or onnxruntime are not installed.
        RuntimeError: If torch is older than 2.7.
    """
    require_graphs(True)
    program = torch.onnx.export(
        net,
        (net.example(),),
        dynamo=True,
        dynamic_shapes=({0: "batch", 2: "height", 3: "width"},),
        input_names=[net.input_kind],
        output_names=[net.output_kind],
        verbose=False,
    )
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    program.model.metadata_props.update(texts)
    program.save(str(path), external_data=False)


def export_torch(net: LogitsNet, path: Path, metadata: dict[str, Any], *, batch_size: int = 1) -> None:
    """Write a ``torch.export`` program whose height and width are free; ``torch.export.load`` reads it.

    Args:
        net: What to export.
        path: File to write, ``.pt2``.
        metadata: Written into the file as ``metadata.json``.
        batch_size: Images at once; fixed, as torch.export tells one image from several.

    Raises:
        RuntimeError: If torch is older than 2.7.
    """
    require_graphs(False)
    dynamic = torch.export.Dim.DYNAMIC
    with torch.no_grad():
        program = torch.export.export(net, (net.example(batch_size),), dynamic_shapes=({2: dynamic, 3: dynamic},))
    torch.export.save(program, str(path), extra_files={"metadata.json": json.dumps(metadata)})


def load_graph(path: Path, threads: int = 0) -> Callable[[Tensor], Tensor]:
    """Return what was written as a function of a tensor on the CPU: ``.pt2``, or ``.onnx``, run by onnxruntime.

    Args:
        path: The file.
        threads: Of onnxruntime. Default 0: its own choice.
    """
    if path.suffix == ".pt2":
        module = torch.export.load(str(path)).module()
        return lambda images: module(images)
    require_graphs(True)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: torch.from_numpy(session.run(None, {name: images.numpy()})[0])


@dataclass
class Comparison:
    """One input through torch and through a graph."""

    shape: tuple[int, ...]  # of the input
    difference: float | None  # largest absolute one of two outputs; None where they are labels
    equal: float  # share of pixels with the same label
    torch_seconds: float  # best of the repetitions
    graph_seconds: float


@torch.no_grad()
def compare_outputs(
    net: LogitsNet, graph: Callable[[Tensor], Tensor], inputs: Sequence[Tensor], *, repeat: int = 3
) -> list[Comparison]:
    """Compare a graph with the model it was made from.

    Args:
        net: The model.
        graph: See :func:`load_graph`.
        inputs: Batches.
        repeat: Times that each is run. Default 3.

    Returns:
        One comparison for each input.

    Raises:
        ValueError: If outputs differ in shape.
    """
    found = []
    for images in inputs:
        (expected, torch_seconds), (got, graph_seconds) = (_timed(side, images, repeat) for side in (net, graph))
        if expected.shape != got.shape:
            raise ValueError(
                f"torch gives {tuple(expected.shape)} for {tuple(images.shape)}, the graph {tuple(got.shape)}."
            )
        logits = net.output_kind == "logits"
        labels = [side.argmax(dim=1) if logits else side for side in (expected, got)]
        difference = float((expected - got).abs().max()) if logits else None
        equal = float((labels[0] == labels[1]).float().mean())
        found.append(Comparison(tuple(images.shape), difference, equal, torch_seconds, graph_seconds))
    return found


def _timed(function: Callable[[Tensor], Tensor], images: Tensor, repeat: int) -> tuple[Tensor, float]:
    seconds = []
    for _ in range(repeat):
        start = perf_counter()
        output = function(images)
        seconds.append(perf_counter() - start)
    return output, min(seconds)


def require_graphs(onnx: bool) -> None:
    """Raise if torch is older than 2.7 or a package is missing without which no graph (of ONNX) can be written."""
    if digit_version(torch.__version__) < digit_version("2.7.0"):
        raise RuntimeError(f"Graphs need torch 2.7 or newer, this is {torch.__version__}: pip install -U 'torch>=2.7'.")
    for module in ("onnx", "onnxscript", "onnxruntime") if onnx else ():
        try:
            import_module(module)
        except ImportError as error:
            raise ImportError(f"{module} is not installed: pip install 'mmseg-allspark[export]'.") from error
