"""Label images, folders, globs and videos with a trained model.

    python tools/infer.py CONFIG CHECKPOINT INPUT [INPUT ...] --out DIR [--labels [--confidence]] [--weights ema|model]

Writes DIR/painted/<name>.png (a video: .mp4) and, with --labels, DIR/labels/<name>.png: one channel with the numbers
of your mask files, as tools/test.py --out writes it: class numbers from 0 on, or from 1 on if the data set has
reduce_zero_label=True. Labels of a video's frames are DIR/labels/<name>.mp4/000000.png and so on. With --confidence,
DIR/confidence/<name>.png has the probability of each label, 255 for 1; another model can then be trained on these
files (LoadPseudoLabel), and what it could not use is refused. Two inputs of one name get different results, and no
input is ever overwritten. Exit code 1 if an image or video could not be read or a folder is empty (the others are
done), 2 if nothing can be done. CONFIG may be '-': the config inside the checkpoint.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

# a checkout needs no installation of the plugin
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import mmseg_allspark  # noqa: F401

# isort: split
import cv2
import mmcv
import numpy as np
from _common import add_weights, require_model_files
from _errors import Parser, errors_in_one_line, say
from mmengine.config import DictAction
from rich.progress import track

from mmseg_allspark.inference import Prediction, SegInferencer, find_images, name_outputs
from mmseg_allspark.inference.image_files import check_label_names, is_video
from mmseg_allspark.inference.models import MEANING
from mmseg_allspark.report.label_pictures import colour_labels

DEFAULT_FPS = 25.0  # of a video that does not say


class Results:
    """Paints and writes what the model says, and keeps count."""

    def __init__(self, out: Path, opacity: float, kinds: Sequence[str]) -> None:
        self.out, self.opacity = out, opacity
        self.kinds = kinds  # what is written beside the painted images: 'labels', and perhaps 'confidence'
        self.palette: Sequence[Sequence[int]] = ()  # (R, G, B) of each class; to be set before anything is painted
        self.first = 0  # number of the first class in written labels
        self.seconds: list[float] = []
        self.unreadable: list[str] = []

    def targets(self, path: str, name: str) -> list[Path]:
        """Files that are written for an input: the painted one, then those of ``kinds``, of a video their folders."""
        painted = self.out / "painted" / f"{name}{'.mp4' if is_video(path) else '.png'}"
        suffix = Path(path).suffix if is_video(path) else ".png"  # no image's labels are in a folder of frames
        file = name if is_video(path) and name.endswith(suffix) else name + suffix
        return [painted, *(self.out / kind / file for kind in self.kinds)]

    def add_unreadable(self, error: Exception) -> None:
        """Count an input that could not be read, and say why."""
        self.unreadable.append(str(error))
        say(f"skipped: {error}")

    def paint(self, prediction: Prediction) -> np.ndarray:
        """Lay the colours of the classes over the image; (H, W, 3) uint8 BGR."""
        colours = colour_labels(prediction.labels, self.palette, ignore_index=None)[..., ::-1]
        return cv2.addWeighted(np.ascontiguousarray(colours), self.opacity, prediction.image, 1 - self.opacity, 0)

    def write(self, prediction: Prediction, painted: Path | None, maps: Sequence[Path]) -> None:
        """Write one image's files: the painted one where it has a path, and those of ``kinds``."""
        self.seconds.append(prediction.seconds)
        if painted is not None:
            write_png(painted, self.paint(prediction))
        for kind, path in zip(self.kinds, maps, strict=True):
            if kind == "confidence":
                write_png(path, np.rint(255 * prediction.confidence).astype(np.uint8))
            else:
                is_small = len(self.palette) + self.first <= 256
                write_png(path, (prediction.labels + self.first).astype(np.uint8 if is_small else np.uint16))


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write a PNG, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coded = cv2.imencode(".png", picture)[1]
    path.write_bytes(coded.tobytes())  # cv2.imwrite fails silently, and at names that are not ASCII on some systems


def label_images(inferencer: SegInferencer, names: dict[str, str], results: Results, batch_size: int) -> None:
    """Label image files and write what comes out; unreadable ones are skipped."""
    confidence = "confidence" in results.kinds
    stream = inferencer.stream(names, batch_size=batch_size, unreadable="skip", confidence=confidence)
    for prediction in track(stream, description="images", total=len(names)):
        if prediction.error is not None:
            results.add_unreadable(prediction.error)
            continue
        painted, *maps = results.targets(prediction.source, names[prediction.source])
        results.write(prediction, painted, maps)


def label_video(inferencer: SegInferencer, path: str, name: str, results: Results, batch_size: int) -> None:
    """Label a video frame by frame: a painted video, and with labels a folder of PNGs by frame number."""
    reader = mmcv.VideoReader(path)
    painted, *folders = results.targets(path, name)
    painted.parent.mkdir(parents=True, exist_ok=True)
    writer, count = None, 0
    confidence = "confidence" in results.kinds
    stream = inferencer.stream(read_frames(reader), batch_size=batch_size, confidence=confidence)
    try:
        for prediction in track(stream, description=Path(path).name, total=reader.frame_cnt or None):
            if writer is None:
                height, width = prediction.image.shape[:2]
                fps = reader.fps if reader.fps and np.isfinite(reader.fps) else DEFAULT_FPS
                writer = cv2.VideoWriter(str(painted), cv2.VideoWriter_fourcc(*"mp4v"), fps, (width, height))
                if not writer.isOpened():
                    raise RuntimeError(f"{painted} cannot be written: this OpenCV has no encoder for mp4 (mp4v).")
            writer.write(results.paint(prediction))
            results.write(prediction, None, [folder / f"{count:06d}.png" for folder in folders])
            count += 1
    finally:
        if writer is not None:
            writer.release()
    if not count:
        results.add_unreadable(ValueError(f"The video {path} cannot be decoded: it is damaged or not a video."))


def read_frames(reader: mmcv.VideoReader) -> Iterator[np.ndarray]:
    """Yield the frames of a video until there is none; what the header says of their number may be wrong."""
    while (frame := reader.read()) is not None:
        yield frame


def collect(inputs: Sequence[str], results: Results, recursive: bool) -> dict[str, str]:
    """List the inputs' files with a name for each one's results; results of an earlier run are left out."""
    files = []
    for source in inputs:
        try:
            found_images = find_images(source, recursive=recursive)
        except FileNotFoundError as error:
            if len(inputs) == 1 or not Path(source).is_dir():
                raise  # a misspelled name; nothing has been done yet
            results.add_unreadable(error)
            continue
        earlier = [(results.out / part).resolve() for part in ("painted", "labels", "confidence")]
        for path, name in found_images.items():
            if path == source or not any(Path(path).resolve().is_relative_to(part) for part in earlier):
                files.append((path, name))
    if not files:
        raise FileNotFoundError(f"There is no image or video in {', '.join(inputs)}.")
    return name_outputs(files)


def refuse_overwriting(names: dict[str, str], results: Results) -> None:
    """Raise if a result, or a frame of one, would take the place of an input."""
    targets = {target.resolve() for path, name in names.items() for target in results.targets(path, name)}
    for path in names:
        source = Path(path).resolve()
        for target in targets.intersection((source, *source.parents)):
            raise ValueError(f"The result {target} would overwrite the input {path}: give another --out.")


def refuse_other_numbers(results: Results) -> None:
    """Raise if LoadPseudoLabel would read other classes from the label files than the model gave."""
    if results.first:
        raise ValueError(
            "--confidence: LoadPseudoLabel reads class numbers from 0 on, but the masks of this data set begin with 1 "
            "(reduce_zero_label=True): add --label-numbers classes."
        )
    if len(results.palette) > 255:
        raise ValueError(
            f"--confidence: LoadPseudoLabel reads 8 bits, of which 255 is 'unknown', and the model has "
            f"{len(results.palette)} classes: there is room for 255."
        )


def read_palette(text: str) -> str | list:
    """Read ``--palette``: the name of a data set, or a list of colours."""
    if not text.lstrip().startswith(("[", "(")):
        return text
    try:
        return [tuple(int(value) for value in colour) for colour in ast.literal_eval(text)]
    except (SyntaxError, TypeError, ValueError) as error:
        raise argparse.ArgumentTypeError(f'{text!r} is no list of colours: "[[r,g,b],[r,g,b],...]"') from error


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", metavar="CONFIG", help="config file, or - for the one inside the checkpoint")
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="checkpoint file")
    parser.add_argument("inputs", metavar="INPUT", nargs="+", help="image, video, folder, or glob in quotes")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--labels", action="store_true", help="also write labels, as one-channel PNGs")
    confidence = "with --labels: also write the probability of each label, 255 for 1, as one-channel PNGs"
    parser.add_argument("--confidence", action="store_true", help=confidence)
    numbers = "numbers of --labels: those of your mask files, or classes from 0 on (default: masks)"
    parser.add_argument("--label-numbers", choices=("masks", "classes"), default="masks", help=numbers)
    parser.add_argument("--opacity", type=float, default=0.5, help="of the colours, 0 to 1 (default: 0.5)")
    palette = 'a data set of mmseg (cityscapes, voc ...) or "[[r,g,b],...]" (default: the checkpoint\'s)'
    parser.add_argument("--palette", type=read_palette, help=palette)
    add_weights(parser)
    parser.add_argument("--batch-size", type=int, default=1, help="images of one size at once (default: 1)")
    parser.add_argument("--recursive", action="store_true", help="search folders with their subfolders")
    parser.add_argument("--device", help="cpu, cuda:0 ... (default: a GPU if there is one)")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, help="change settings: nested.key=value ...")
    args = parser.parse_args(argv)
    require_model_files(parser, args)
    if args.confidence and not args.labels:
        parser.error("--confidence belongs to labels: give --labels as well")
    if not 0 <= args.opacity <= 1:
        parser.error(f"--opacity {args.opacity}: 0 to 1")
    if args.batch_size < 1:
        parser.error(f"--batch-size {args.batch_size}: at least 1")
    return args


def summarise(results: Results, out: Path, seconds: float) -> None:
    """Say how many images were labeled, how long all and one take, and how many could not be read."""
    if results.seconds:
        middle, most = median(results.seconds), max(results.seconds)
        times = f"the network takes {1e3 * middle:.0f} ms for each (median; slowest {1e3 * most:.0f} ms)"
        say(f"{len(results.seconds)} images labeled in {seconds:.1f} s with reading and writing; {times}: {out}")
    if results.unreadable:
        say(f"{len(results.unreadable)} inputs could not be read, see above")


@errors_in_one_line
def main(argv: Sequence[str] | None = None) -> int:
    """Label what the command line asks for; exit code 1 if some input could not be read."""
    args = parse_args(argv)
    kinds = ("labels", "confidence")[: args.labels + args.confidence]
    results = Results(args.out, args.opacity, kinds)
    names = collect(args.inputs, results, args.recursive)
    refuse_overwriting(names, results)
    if args.confidence:
        check_label_names(names)
    config = None if args.config == "-" else args.config
    options = dict(palette=args.palette, device=args.device, cfg_options=args.cfg_options, which=args.weights)
    inferencer = SegInferencer(config, args.checkpoint, **options)
    say(f"weights: {MEANING.get(inferencer.which, inferencer.which)}")
    results.palette = inferencer.model.dataset_meta["palette"]
    results.first = int(inferencer.reduce_zero_label and args.label_numbers == "masks")
    if args.confidence:
        refuse_other_numbers(results)
    start = perf_counter()
    images = {path: name for path, name in names.items() if not is_video(path)}
    if images:
        label_images(inferencer, images, results, args.batch_size)
    for path, name in names.items():
        if path not in images:
            label_video(inferencer, path, name, results, args.batch_size)
    summarise(results, args.out, perf_counter() - start)
    return 1 if results.unreadable else 0


if __name__ == "__main__":
    sys.exit(main())
