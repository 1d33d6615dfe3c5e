"""Prepares your own images and labels for training, and writes a config for each method.

    python tools/prepare/own_data.py IMAGES LABELS --out data/NAME [--unlabeled MORE_IMAGES]

IMAGES is a folder with any subfolders. LABELS is a folder of masks (class numbers, 0/255, or colours) or of labelme's
JSON files, or a file exported from a label tool: COCO JSON, "CVAT for images 1.1" (XML), Label Studio JSON. Images
without a label are the unlabeled ones.

OUT gets masks/ (class numbers, 255 = ignored), labeled.txt, val.txt, unlabeled.txt and configs/. The images stay where
they are. Everything is read as training will read it first: if training would refuse the data, nothing is written, and
nothing that is there with other content is replaced without --force.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections.abc import Sequence
from filecmp import cmp
from pathlib import Path
from tempfile import TemporaryDirectory

from _files import PrepareError, join_lines, make_progress, run_tool, say
from _masks import add_workers, read_size, run_parallel, write_png
from _own_configs import (
    DEFAULT_BACKBONE,
    choose_crop,
    choose_iterations,
    list_backbones,
    list_methods,
    make_configs,
    name_config,
    read_backbone,
)
from _own_lists import find_unlabeled, parse_choice, split_labeled
from label_formats import read_labels
from label_formats.common import Images, Labels, NamesMissing
from mmengine.registry import init_default_scope

import mmseg_allspark  # noqa: F401
from mmseg_allspark.datasets.data_report import report_data
from mmseg_allspark.utils.config_files import read_config


def convert(job: tuple) -> None:
    """Draw the mask of an image: function that draws, image, where to."""
    draw, image, path = job
    mask, size = draw(), read_size(image)
    if mask.shape not in (size, size[::-1]):  # the camera may say that the image is to be turned
        raise PrepareError(
            f"The label of {image} is {mask.shape[1]}x{mask.shape[0]} but the image is {size[0]}x{size[1]}: pair them "
            "right, or give the images that were labeled."
        )
    write_png(mask, path)


def name_images(images: Images, labeled: Sequence[Path]) -> tuple[dict[Path, str], str]:
    """Return the ids of labeled images in lists, and their suffix; '' where they have several and ids hold them."""
    suffixes = {image.suffix for image in labeled}
    suffix = suffixes.pop() if len(suffixes) == 1 else ""
    return {image: image.relative_to(images.folder).as_posix().removesuffix(suffix) for image in labeled}, suffix


def check(folder: Path, config: Path, images: Path) -> str:
    """Read every file of the data in a folder, and the images, as training will; returns what there is to say."""
    cfg = read_config(config)
    for part in ("train", "unlabeled", "val"):
        cfg[f"{part}_dataloader"].dataset.data_root = str(folder)
    for part in ("train", "val"):  # images inside OUT are relative to it, and they are not in this folder
        cfg[f"{part}_dataloader"].dataset.data_prefix.img_path = str(images)
    init_default_scope("mmseg")
    report = report_data(cfg, progress=make_progress("read sample"))
    if not report.ok:
        raise PrepareError(report.describe_findings())
    return report.to_text()


def put_in_place(files: dict[Path, Path], force: bool) -> None:
    """Move files (target to where it is), or none if one is there with other content and may not be replaced."""
    new = {target: path for target, path in files.items() if not (target.is_file() and cmp(target, path, False))}
    if (there := [target for target in new if target.exists()]) and not force:
        raise PrepareError(
            f"{there[0]} and {len(there) - 1} more files exist with other content, such as of another seed or edited. "
            "Nothing was written: choose another --out, or replace them with --force."
        )
    for target, path in new.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)


def describe_next(folder: Path, options: argparse.Namespace, name: str) -> str:
    """The commands that come next."""
    names = {method: name_config(name, method, options.backbone) for method in list_methods()}
    paths = {method: shlex.quote(str(folder / f"{file}.py")) for method, file in names.items()}
    runs = {method: shlex.quote(f"work_dirs/{names[method]}") for method in ("supervised", "pseudo_label")}
    twice = shlex.quote(f"work_dirs/{names['supervised']}_twice")
    start = f'--cfg-options load_from="$(cat {runs["supervised"]}/last_checkpoint)"'
    others = ", ".join(method for method in paths if method not in runs)
    return "\n".join(
        [
            f"Ready: {options.out}, configs in {folder}. Next:",
            f"  python tools/analysis/browse_semi_dataset.py {paths['pseudo_label']} --out work_dirs/browse   # look",
            f"  python tools/train.py {paths['supervised']}   # the baseline",
            f"  python tools/train.py {paths['pseudo_label']} {start} train_cfg.burn_in_iters=0   # then this",
            f"  python tools/train.py {paths['supervised']} --work-dir {twice} {start}   # without unlabeled images",
            f"  python tools/analysis/compare.py supervised={twice} pseudo_label={runs['pseudo_label']} "
            f"--out work_dirs/compare/{name}",
            f"Other methods: {others}; the second line of each config is its command.",
        ]
    )


def write(stage: Path, labels: Labels, images: Images, options: argparse.Namespace) -> None:
    """Write everything into the folder ``stage``, check it, and put it in place."""
    out, configs = options.out, options.out / "configs"
    train, val = split_labeled(list(labels.draw), images, options.train, options.val, options.seed)
    names, suffix = name_images(images, [*train, *val])
    unlabeled = find_unlabeled(options.unlabeled, images, names)
    jobs = [(labels.draw[image], image, stage / f"masks/{name}.png") for image, name in names.items()]
    run_parallel(convert, jobs, options.workers, "wrote mask")
    lists = dict(labeled=(names[i] for i in train), val=(names[i] for i in val), unlabeled=map(str, unlabeled))
    for part, ids in lists.items():
        (stage / f"{part}.txt").write_text(join_lines(ids), encoding="utf-8")
    folder, root = images.folder, out.absolute()
    values = dict(
        data_root=str(root),
        images=str(folder.relative_to(root) if folder.is_relative_to(root) else folder),
        unlabeled="unlabeled.txt",
        classes=labels.classes,
        palette=list(labels.palette),
        img_suffix=suffix,
        crop_size=(choose_crop([read_size(image) for image in names], read_backbone(options.backbone)),) * 2,
        max_iters=choose_iterations(len(unlabeled)),
    )
    name = re.sub(r"\W+", "_", root.name)
    (stage / "configs").mkdir()
    for file, text in make_configs(name, values, configs, options.backbone).items():
        (stage / "configs" / file).write_text(text, encoding="utf-8")
    say(check(stage, stage / "configs" / f"{name_config(name, 'allspark', options.backbone)}.py", folder))
    staged = {path.relative_to(stage): path for path in sorted(stage.rglob("*")) if path.is_file()}
    put_in_place({out / inner: path for inner, path in staged.items()}, options.force)
    say(describe_next(configs, options, name))


def prepare(options: argparse.Namespace, command: str) -> None:
    """Do everything; see the top of this file."""
    out, source = options.out.absolute(), options.labels.absolute()
    if source.is_relative_to(out / "masks"):
        raise PrepareError(f"{source} is where the prepared masks would be written: choose another --out.")
    if options.colours is not None and not options.colours.is_file():
        raise PrepareError(
            f"--colours: {options.colours} does not exist. Without --colours, OUT/colours.json is written."
        )
    images = Images(options.images.absolute(), (source, out), options.mask_ending)
    try:
        labels = read_labels(source, images, options)
    except NamesMissing as question:
        say(f"{question}\n  {command} --colours {shlex.quote(str(options.out / 'colours.json'))}")
        return
    for note in labels.notes:
        say(f"note: {note}")
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as stage:  # the same disk: moving is renaming
        write(Path(stage), labels, images, options)


def parse_args(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("images", metavar="IMAGES", type=Path)
    add("labels", metavar="LABELS", type=Path)
    add("--out", type=Path, required=True, help="folder of the prepared data; its name is that of the data set")
    add("--unlabeled", nargs="+", default=[], metavar="MORE", help="more images: folders, globs, lists")
    add("--colours", type=Path, metavar="JSON", help="names of the colours (or numbers) in the masks")
    add("--classes", nargs="+", default=[], metavar="NAME", help="names of the classes, in the order of their numbers")
    add("--ignore", nargs="+", default=[], metavar="NAME", help="classes that do not count")
    what = "class of what is outside all shapes, 'ignore' if it does not count (default: background)"
    add("--rest", default="background", metavar="NAME", help=what)
    add("--mask-ending", default="", metavar="TEXT", help="such as _mask, if a_mask.png belongs to a.jpg")
    what = "list, or share of the labeled images whose labels are used (default: all but those of --val)"
    add("--train", type=parse_choice, metavar="LIST|SHARE", help=what)
    what = "list, or share of the labeled images held out (default: 1/5, or with a list --train all others)"
    add("--val", type=parse_choice, metavar="LIST|SHARE", help=what)
    add("--seed", type=int, default=0, help="of what is drawn (default: 0)")
    add("--backbone", choices=list_backbones(), default=DEFAULT_BACKBONE, help="(default: %(default)s)")
    add_workers(parser)
    add("--force", action="store_true", help="replace files of other content in OUT")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the tool; the exit code is 1 where the user has to correct something."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    return run_tool(prepare, parse_args(arguments), f"python tools/prepare/own_data.py {shlex.join(arguments)}")


if __name__ == "__main__":
    sys.exit(main())
