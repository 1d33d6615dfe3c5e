"""Writes lists of labeled and unlabeled images: the published splits, or seeded ones of your own data.

    python tools/prepare/splits.py voc SRC --out data/VOCdevkit/VOC2012 --splits 183 1_8
    python tools/prepare/splits.py cityscapes SRC --out data/cityscapes
    python tools/prepare/splits.py coco SRC --out data/coco
    python tools/prepare/splits.py make --ids data/own/images --out data/own --fractions 1/8 --seed 0

SRC is a clone, or any folder with the lists, of UniMatch, AllSpark, ST++, AugSeg or U2PL (ids, image paths, or
"image mask" lines; any names of folders and files). Without SRC they are downloaded from UniMatch. A list is known by
the SHA-256 of its ids; one that holds anything else, such as an id less, is not taken.
OUT gets splits/<voc|cityscapes|coco>/<split>/{labeled,unlabeled}.txt and info.json, and val.txt beside the splits
if SRC has it. Labeled ids keep the published order; unlabeled are all other training ids, sorted. Those come from SRC,
else from the data prepared in OUT, or from --image-ids.

`make` writes OUT/splits/<1_8>/ (with --counts OUT/splits/<100>/) from a list of ids or a folder of images.
Running any of them again with the same arguments changes nothing.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

from _files import (
    PrepareError,
    draw_labeled,
    join_lines,
    parse_fraction,
    run_tool,
    say,
    write_lists,
    write_texts,
)
from _published import URL, download, find_training_ids, read_ids, read_split, survey

from mmseg_allspark.datasets.published_splits import PUBLISHED
from mmseg_allspark.datasets.unlabeled import IMAGE_SUFFIXES
from mmseg_allspark.utils.files import walk_files

OUT = dict(voc="data/VOCdevkit/VOC2012", cityscapes="data/cityscapes", coco="data/coco")


def prepare_published(options: argparse.Namespace, source: Path) -> None:
    """Check and write published splits from a folder of lists; nothing is written unless all of them are right."""
    dataset = options.command
    table, found = PUBLISHED[dataset], survey(source, dataset)
    missing = [name for name in options.splits or table.labeled if name not in found.labeled]
    if not found.labeled or (missing and options.splits):
        raise PrepareError(
            f"{source} has no list that holds exactly the published labeled ids of {dataset} {', '.join(missing)}. It "
            f"has: {', '.join(found.labeled) or 'none'}. Take the lists again from where they were published."
        )
    train = find_training_ids(found, dataset, options.out, options.image_ids)
    names = [name for name in table.labeled if name in (options.splits or found.labeled)]
    splits = {name: read_split(found.labeled[name], dataset, train) for name in names}
    val = read_ids(found.val, dataset) if found.val else []
    if both := sorted(set(train) & set(val)):
        raise PrepareError(f"{len(both)} training ids are also in {found.val}, such as {both[:3]}: correct one list.")
    folder = options.out / "splits" / dataset
    for name, (labeled, unlabeled) in splits.items():
        counts, sha256 = dict(labeled=len(labeled), unlabeled=len(unlabeled)), table.labeled[name].sha256
        info = dict(dataset=dataset, split=name, **counts, labeled_sha256=sha256)
        write_lists(folder / name, labeled, unlabeled, info, options.force)
        say(f"{folder / name}: {len(labeled)} labeled, {len(unlabeled)} unlabeled, as published")
    if val:
        write_texts(folder, {"val.txt": join_lines(val)}, options.force)
    absent = [*missing, *([] if val else ["val"])]
    say(
        f"Ready: {len(names)} splits of {len(train)} training images in {folder}. "
        + (f"Not in SRC: {', '.join(absent)}." if absent else "")
    )


def fetch_and_prepare(options: argparse.Namespace) -> None:
    """Prepare published splits from SRC, or from a download into a temporary folder."""
    known = PUBLISHED[options.command].labeled
    if unknown := sorted(set(options.splits or ()) - set(known)):
        raise PrepareError(f"--splits {' '.join(unknown)}: {options.command} has {', '.join(known)}.")
    if options.source:
        prepare_published(options, options.source)
        return
    with tempfile.TemporaryDirectory() as folder:
        say(f"downloading from {options.url}")
        names = options.splits or list(known)
        download(options.command, names, options.url, Path(folder), with_unlabeled=options.image_ids is None)
        prepare_published(options, Path(folder))


def is_image(name: str) -> bool:
    """Whether a name ends as those of images do."""
    return Path(name).suffix.lower() in IMAGE_SUFFIXES


def list_own_ids(path: Path) -> list[str]:
    """List the ids of own data, sorted, without image suffix: the lines of a list, or the files of a folder.

    Of a line 'image mask' the image is taken: its first word is the name of an image.
    """
    if path.is_dir():
        names = [p.relative_to(path).as_posix() for p in walk_files(path, IMAGE_SUFFIXES)]
    elif path.is_file():
        lines = [line.strip() for line in path.read_text().splitlines() if line.strip()]
        names = [line.split()[0] if is_image(line.split()[0]) else line for line in lines]
    else:
        raise PrepareError(f"{path} is neither a list of ids nor a folder of images.")
    ids = sorted(name[: -len(Path(name).suffix)] if is_image(name) else name for name in names)
    if not ids:
        raise PrepareError(f"{path} holds no id. A folder needs images ({', '.join(IMAGE_SUFFIXES)}).")
    if twice := sorted({a for a, b in zip(ids, ids[1:], strict=False) if a == b}):
        raise PrepareError(f"{path} holds {len(twice)} ids more than once, such as {twice[:3]}.")
    return ids


def make_own(options: argparse.Namespace) -> None:
    """Write seeded splits of own data."""
    ids = list_own_ids(options.ids)
    shares = {f"{share.numerator}_{share.denominator}": share for share in options.fractions or ()}
    shares |= {str(count): Fraction(count, len(ids)) for count in options.counts or ()}
    drawn = {name: draw_labeled(ids, share, options.seed) for name, share in shares.items()}
    for name, (labeled, unlabeled) in drawn.items():
        folder = options.out / "splits" / options.group / name
        info = dict(fraction=str(shares[name]), seed=options.seed, labeled=len(labeled), unlabeled=len(unlabeled))
        write_lists(folder, labeled, unlabeled, info, options.force)
        say(f"{folder}: {len(labeled)} labeled, {len(unlabeled)} unlabeled (seed {options.seed})")
    say(f"Ready: {len(drawn)} splits of {len(ids)} training images in {options.out / 'splits'}.")


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="{voc,cityscapes,coco,make}")
    for dataset, table in PUBLISHED.items():
        sub = commands.add_parser(dataset, help=f"published splits {' '.join(table.labeled)}")
        sub.add_argument("source", metavar="SRC", type=Path, nargs="?", help="folder with lists (default: download)")
        sub.add_argument("--out", type=Path, default=Path(OUT[dataset]), help="data_root (default: %(default)s)")
        sub.add_argument("--splits", nargs="+", metavar="NAME", help="default: all that SRC has")
        sub.add_argument("--image-ids", type=Path, metavar="PATH", help="all training ids: a list, or an image folder")
        sub.add_argument("--url", default=URL, help="where to download from (default: %(default)s)")
    sub = commands.add_parser("make", help="seeded splits of your own data")
    sub.add_argument("--ids", type=Path, required=True, metavar="PATH", help="list of ids, or folder of images")
    sub.add_argument("--out", type=Path, required=True, help="data_root; gets splits/<fraction>/")
    sizes = sub.add_mutually_exclusive_group(required=True)
    sizes.add_argument("--fractions", type=parse_fraction, nargs="+", metavar="1/8")
    sizes.add_argument("--counts", type=int, nargs="+", metavar="N", help="labeled images; the folder is splits/<N>/")
    sub.add_argument("--group", default="", metavar="NAME", help="the lists go to splits/<NAME>/ (default: splits/)")
    sub.add_argument("--seed", type=int, default=0)
    for sub in commands.choices.values():
        sub.add_argument("--force", action="store_true", help="replace lists of other content")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the tool; the exit code is 1 after an error that has been explained on stderr."""
    options = make_parser().parse_args(arguments)
    return run_tool(make_own if options.command == "make" else fetch_and_prepare, options)


if __name__ == "__main__":
    sys.exit(main())
