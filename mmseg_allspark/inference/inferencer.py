"""SegInferencer: mmseg's inferencer for our configs, for files of any size and number."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose, pseudo_collate
from mmseg.apis import MMSegInferencer
from mmseg.datasets.transforms import LoadImageFromNDArray
from mmseg.structures import SegDataSample
from mmseg.utils import get_palette
from mmseg.visualization import SegLocalVisualizer
from torch import Tensor, nn

from mmseg_allspark.datasets.transforms import DataFileError, LoadImage
from mmseg_allspark.datasets.unlabeled import IMAGE_SUFFIXES
from mmseg_allspark.utils.checks import check_choice, check_positive_int
from mmseg_allspark.utils.images import as_8bit, input_channels, loads_8bit, to_picture
from mmseg_allspark.utils.safe_checkpoints import load_checkpoint, load_safely_from_now_on

from .image_files import find_images
from .models import load_config, load_model, read_dataset_meta, reduces_zero_label

Image = str | os.PathLike | np.ndarray
_LOADERS = ("LoadImage", "LoadImageFromFile", "LoadImageFromNDArray", "InferencerLoader")


@dataclass
class Prediction:
    """What the model says about one image.

    Args:
        source: Path of the image, or its position among arrays.
        loaded: (H, W) or (H, W, C) image as the config loads it; None if it could not be loaded.
        labels: (H, W) int64 class numbers, 0 ... K-1; None if the image could not be loaded.
        seconds: Of preprocessing and network, of this image's part of the batch.
        error: Why there are no labels.
        confidence: (H, W) float32 in [0, 1], the probability of each label; None if it was not asked for.
    """

    source: str | int
    loaded: np.ndarray | None = None
    labels: np.ndarray | None = None
    seconds: float = 0.0
    error: DataFileError | None = None
    confidence: np.ndarray | None = None

    @cached_property
    def image(self) -> np.ndarray | None:
        """(H, W, 3) uint8 to paint on, BGR, see ``as_8bit``; None if the image could not be loaded."""
        return None if self.loaded is None else as_8bit(self.loaded)


class SegInferencer(MMSegInferencer):
    """mmseg's ``MMSegInferencer`` for the configs of this package, with the same call.

    ``SegInferencer(config, checkpoint)('image.jpg')['predictions']`` is the (H, W) label map. What differs from mmseg:
    pipelines that begin with ``LoadImage`` work; checkpoints and the configs inside them are read without running
    code (from then on in the whole process, see ``load_safely_from_now_on``); folders and globs; a batch may hold
    images of several sizes; ``palette`` is obeyed; :meth:`stream` holds one batch at a time in memory.

    Args:
        model: Config file, ``Config``, or None: the config inside the checkpoint.
        weights: The checkpoint.
        palette: (R, G, B) of each class, or the name of a data set of mmseg. Default None: the checkpoint's.
        device: E.g. ``'cpu'``, ``'cuda:0'``. Default None: a GPU if there is one.
        cfg_options: Changes of the config, nested keys with dots. Default None.
        show_progress: Whether a call shows a progress bar. Default False.
        which: ``'ema'``, ``'model'`` (as trained), or None: those stored as ``state_dict``, which the run evaluated.
            :attr:`which` says what it is. Default None.

    Attributes:
        reduce_zero_label: Whether class k has the number k + 1 in the mask files; labels given here are class numbers.

    Raises:
        FileNotFoundError: If config or checkpoint do not exist.
        UnsafeCheckpointError, EmbeddedConfigError: If reading them could run code.
        ValueError: If the checkpoint does not fit the config, ``palette`` has not one colour per class, or the config
            has no test pipeline.
    """

    def __init__(
        self,
        model: str | os.PathLike | Config | None,
        weights: str | os.PathLike,
        *,
        palette: str | Sequence[Sequence[int]] | None = None,
        device: str | None = None,
        cfg_options: dict | None = None,
        show_progress: bool = False,
        which: str | None = None,
    ) -> None:
        load_safely_from_now_on()
        checkpoint = load_checkpoint(weights, map_location="cpu")
        if not isinstance(checkpoint, dict):
            raise ValueError(f"{weights} is no checkpoint of mmengine: it holds a {type(checkpoint).__name__}.")
        cfg = load_config(model, checkpoint, str(weights), cfg_options)
        self.reduce_zero_label = reduces_zero_label(cfg)
        self._meta = read_dataset_meta(cfg, checkpoint.get("meta") or {})
        if palette is not None:
            self._meta["palette"] = _as_palette(palette, len(self._meta["classes"]))
        loaded, self.which = load_model(cfg, checkpoint, str(weights), which)
        self._loaded: list[nn.Module] = [loaded]
        del checkpoint, loaded
        super().__init__(cfg, None, device=device, scope=cfg.get("default_scope", "mmseg"))
        self.show_progress = show_progress

    def _init_model(self, cfg: Config, weights: str | None, device: str = "cpu") -> nn.Module:
        model = self._loaded.pop()  # mmseg's would read the file a second time
        model.cfg, model.dataset_meta = cfg, self._meta
        return model.to(device)

    def _init_visualizer(self, cfg: Config) -> SegLocalVisualizer:
        return SegLocalVisualizer(name=f"{type(self).__name__}{id(self)}")  # a config's writes files of its own

    def _init_pipeline(self, cfg: Config) -> Compose:
        dataset = (cfg.get("test_dataloader") or {}).get("dataset") or {}
        steps = dataset.get("pipeline") or cfg.get("test_pipeline") or []
        steps = [step for step in steps if "Annotation" not in step["type"] and step["type"] != "LoadSegMask"]
        if not steps or steps[0]["type"] not in _LOADERS:
            raise ValueError(
                "The config's test_dataloader.dataset.pipeline (or test_pipeline) has to begin with LoadImage or "
                f"LoadImageFromFile, it has {[step['type'] for step in steps]}."
            )
        self._load, self._transforms = _loader(steps[0], input_channels(self.model)), Compose(steps[1:])
        self._is_colour = loads_8bit(steps[0]) and steps[0].get("color_type", "color").startswith("color")
        return Compose([self._load, self._transforms])

    def _init_collate(self, cfg: Config) -> Callable:
        named = (cfg.get("test_dataloader") or {}).get("collate_fn")
        return super()._init_collate(cfg) if named else pseudo_collate  # mmengine warns where there is no name

    def _inputs_to_list(self, inputs: Image | Sequence[Image]) -> list[str | np.ndarray]:
        listed = []
        for item in inputs if isinstance(inputs, (list, tuple)) else [inputs]:
            keep = not isinstance(item, (str, os.PathLike)) or "://" in str(item)
            listed += [item] if keep else find_images(item, suffixes=IMAGE_SUFFIXES)
        return listed

    def forward(self, inputs: dict, **kwargs: object) -> list[SegDataSample]:
        """Predict a collated batch; images of one size go through the network together.

        Returns one sample for each image, in their order.
        """
        groups: dict[tuple, list[int]] = {}
        for index, image in enumerate(inputs["inputs"]):
            groups.setdefault(tuple(image.shape), []).append(index)
        if len(groups) == 1:
            return super().forward(inputs, **kwargs)
        samples = {}
        for members in groups.values():
            part = {key: [values[index] for index in members] for key, values in inputs.items()}
            samples.update(zip(members, super().forward(part, **kwargs), strict=True))
        return [samples[index] for index in range(len(samples))]

    def visualize(self, inputs: list, preds: list[SegDataSample], **kwargs: object) -> list[np.ndarray] | None:
        """Draw predictions as mmseg does.

        mmseg cannot read files that the config does not load as 8-bit colour: they are drawn as arrays, and numbered in
        ``out_dir``.
        """
        if not self._is_colour and any(kwargs.get(key) for key in ("return_vis", "show", "img_out_dir")):
            inputs = [to_picture(self._load(source)["img"]) for source in inputs]
        return super().visualize(inputs, preds, **kwargs)

    def stream(
        self, sources: Iterable[Image], *, batch_size: int = 1, unreadable: str = "stop", confidence: bool = False
    ) -> Iterator[Prediction]:
        """Predict images one batch after the other, without keeping logits.

        Args:
            sources: Image files, or arrays (H, W, C) as the config's pipeline loads them: for most configs uint8 BGR.
                Any number of them; one alone is a list of one.
            batch_size: Images in one batch. Default 1.
            unreadable: ``'stop'``: an image that cannot be loaded raises. ``'skip'``: its prediction has an ``error``
                and no labels. Default ``'stop'``.
            confidence: Whether predictions have the probability of each label, too. Default False.

        Returns:
            An iterator: a prediction for each source, in their order.

        Raises:
            DataFileError: With ``unreadable='stop'``; names the file.
            ValueError: On another ``batch_size`` or ``unreadable``, or an array that is no image.
        """
        check_positive_int("batch_size", batch_size)
        check_choice("unreadable", unreadable, ("stop", "skip"))
        if isinstance(sources, (str, os.PathLike, np.ndarray)):
            sources = [sources]
        return self._stream(sources, batch_size, unreadable, confidence)

    def _stream(
        self, sources: Iterable[Image], batch_size: int, unreadable: str, confidence: bool
    ) -> Iterator[Prediction]:
        numbered = enumerate(sources)
        while batch := list(islice(numbered, batch_size)):
            predictions, samples = [], []
            for number, source in batch:
                prediction = Prediction(number if isinstance(source, np.ndarray) else str(source))
                predictions.append(prediction)
                try:
                    samples.append(self._load(source))
                    prediction.loaded = samples[-1]["img"]
                except DataFileError as error:
                    if unreadable == "stop":
                        raise
                    prediction.error = error
            if samples:
                start = perf_counter()
                outputs = self.forward(self.collate_fn([self._transforms(sample) for sample in samples]))
                labels = [output.pred_sem_seg.data[0].cpu().numpy() for output in outputs]
                loaded = [prediction for prediction in predictions if prediction.loaded is not None]
                for prediction, prediction.labels in zip(loaded, labels, strict=True):
                    prediction.seconds = (perf_counter() - start) / len(loaded)
                if confidence:
                    for prediction, output in zip(loaded, outputs, strict=True):
                        prediction.confidence = label_confidence(output).cpu().numpy()
            yield from predictions


@torch.no_grad()
def label_confidence(sample: SegDataSample) -> Tensor:
    """Probability (H, W) float32 of each label of a prediction.

    The classes are added up one after the other, so that no second map of all classes is made.

    Args:
        sample: With ``seg_logits``, from which ``pred_sem_seg`` was decided; of one class it holds its probability.
    """
    logits = sample.seg_logits.data
    if len(logits) == 1:  # a sigmoid output, to which mmseg has applied the sigmoid
        return torch.where(sample.pred_sem_seg.data[0] > 0, logits[0], 1 - logits[0]).float()
    highest = logits.amax(dim=0).float()
    return 1 / sum((plane - highest).exp_() for plane in logits)


def _loader(step: ConfigDict, channels: int) -> Callable[[Image], dict]:
    """Build the first step of a pipeline: a path or an image of so many channels becomes a sample."""
    options = {key: value for key, value in step.items() if key not in ("type", "unreadable", "ignore_empty")}
    from_file, from_array = LoadImage(**options), LoadImageFromNDArray(to_float32=options.get("to_float32", False))

    def load(source: Image) -> dict:
        if isinstance(source, np.ndarray):
            _check_array(source, channels, not loads_8bit(options))
            return from_array(dict(img=source))
        return from_file(dict(img_path=str(Path(source)) if "://" not in str(source) else source))

    return load


def _check_array(array: np.ndarray, channels: int, any_type: bool) -> None:
    found = 1 if array.ndim == 2 else array.shape[2] if array.ndim == 3 else None
    if found != channels or not array.size or not (any_type or array.dtype == np.uint8):
        needed = f"(H, W, {channels})" + (" as its config loads it" if any_type else " uint8")
        if channels == 3 and not any_type:
            needed += " in BGR order, as cv2.imread gives it (grey: cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))"
        raise ValueError(
            f"An array of shape {array.shape} and dtype {array.dtype} is no image for this model: {needed} is needed."
        )


def _as_palette(palette: str | Sequence[Sequence[int]], num_classes: int) -> tuple[tuple[int, ...], ...]:
    colours = get_palette(palette) if isinstance(palette, str) else palette
    if len(colours) != num_classes or any(len(c) != 3 or not all(0 <= v <= 255 for v in c) for c in colours):
        raise ValueError(
            f"palette={palette!r} has {len(colours)} colours; the model has {num_classes} classes, and each needs "
            "(R, G, B) from 0 to 255."
        )
    return tuple(tuple(int(value) for value in colour) for colour in colours)
