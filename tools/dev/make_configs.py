"""Write the configs that differ from a hand-written one by their split only, and the tables made of all of them.

    python tools/dev/make_configs.py            # write
    python tools/dev/make_configs.py --check    # only say what is not up to date (exit code 1)

From configs/families.yaml it writes configs/<method>/<name>.py, the table between the two markers of
configs/<method>/README.md, and configs/<method>/metafile.yaml.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
SOURCE = "configs/families.yaml"
MARK = "this file: tools/dev/make_configs.py"
BEGIN, END = "<!-- table: tools/dev/make_configs.py -->", "<!-- end of table -->"


@dataclass(frozen=True)
class Cell:
    """One cell of a table of the paper, and the config that trains it."""

    method: str
    what: str
    name: str
    lead: str
    title: str
    crop: int
    split_list: str
    num_labeled: int
    source: str
    paper: float | None
    measured: float | None
    absent: str
    command: str

    @property
    def paper_text(self) -> str:
        """The paper's figure and where it is printed."""
        return self.absent if self.paper is None else f"paper mIoU {self.paper:g} ({self.source})"


def read_cells(source: Path) -> Iterator[Cell]:
    """Yield the cells of configs/families.yaml.

    Args:
        source: That file.

    Raises:
        KeyError: If a family names data or a split that the file does not describe.
    """
    tree = yaml.safe_load(source.read_text())
    for family in tree["families"]:
        data = tree["data"][family["data"]]
        for split, paper in family["paper"].items():
            split_list, num_labeled = data["splits"][split]
            yield Cell(
                method=family["method"],
                what=family["what"],
                name=f"{family['stem']}_{family['data']}_{split}{family.get('suffix', '')}",
                lead=family["lead"],
                title=data["title"],
                crop=family.get("crop", data["crop"]),
                split_list=split_list,
                num_labeled=num_labeled,
                source=f"table {family['table']}" if isinstance(family["table"], int) else family["table"],
                paper=paper,
                measured=family.get("measured", {}).get(split),
                absent=family.get("absent", "not in the paper"),
                command=family.get("command", "tools/dist_train.sh {config} 4"),
            )


def config_text(cell: Cell) -> str:
    """The config of a cell: its lead with other lists."""
    lists = f"splits/{cell.split_list}"
    lines = [
        f"# {cell.what}, {cell.title}, {cell.num_labeled} labeled images.",
        f"# {cell.command.format(config=f'configs/{cell.method}/{cell.name}.py')}",
        f"# {cell.paper_text}; {MARK}",
        f'_base_ = "{cell.lead}.py"',
        f'train_dataloader = dict(dataset=dict(ann_file="{lists}/labeled.txt"))',
    ]
    if cell.method != "supervised":
        lines.append(f'unlabeled_dataloader = dict(dataset=dict(ann_file="{lists}/unlabeled.txt"))')
    return "\n".join(lines) + "\n"


def table_text(cells: list[Cell]) -> str:
    """The README's table of one method."""
    none_run = " (none run yet)" if all(cell.measured is None for cell in cells) else ""
    lines = [f"| | data | labeled | config | mIoU, paper | mIoU, measured{none_run} |", "|---|---|---|---|---|---|"]
    for cell in cells:
        paper = "–" if cell.paper is None else f"{cell.paper:.2f} ({cell.source})"
        measured = "not run" if cell.measured is None else f"{cell.measured:.2f}"
        link = f"[`{cell.name}`]({cell.name}.py)"
        lines.append(f"| {cell.what} | {cell.title} | {cell.num_labeled} | {link} | {paper} | {measured} |")
    return "\n".join(lines)


def metafile_text(cells: list[Cell], collection: dict) -> str:
    """The metafile of one method, as mim reads it."""
    models = []
    for cell in cells:
        metrics = {"mIoU (paper)": cell.paper} | ({} if cell.measured is None else {"mIoU": cell.measured})
        training = f"{cell.title}, {cell.num_labeled} labeled images"
        results = dict(Task="Semi-Supervised Semantic Segmentation", Dataset=f"{cell.title} val", Metrics=metrics)
        models.append(
            {
                "Name": f"{cell.method}_{cell.name}",
                "In Collection": collection["Name"],
                "Config": f"configs/{cell.method}/{cell.name}.py",
                "Metadata": {"Training Data": training, "Crop Size": cell.crop},
                "Results": [results] if any(value is not None for value in metrics.values()) else [],
            }
        )
    note = (
        "# Written by tools/dev/make_configs.py. 'mIoU (paper)' is the figure printed in the paper, not a result of "
        "this\n# code base; no trained weights are offered.\n"
    )
    tree = {"Collections": [collection], "Models": models}
    return note + yaml.safe_dump(tree, sort_keys=False, width=110, allow_unicode=True)


def with_table(readme: Path, table: str) -> str:
    """A README with its table replaced.

    Raises:
        ValueError: If the README has not the two marker lines.
    """
    text = readme.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"{readme} needs the lines {BEGIN!r} and {END!r} once each.")
    return f"{text.split(BEGIN)[0]}{BEGIN}\n\n{table}\n\n{END}{text.split(END)[1]}"


def make_files(root: Path) -> dict[Path, str | None]:
    """All files with their text; None: a config that an earlier families.yaml asked for and this one does not."""
    tree, cells = yaml.safe_load((root / SOURCE).read_text()), list(read_cells(root / SOURCE))
    files = {path: None for path in (root / "configs").glob("*/*.py") if MARK in path.read_text()}
    for method, collection in tree["collections"].items():
        folder, of_method = root / "configs" / method, [cell for cell in cells if cell.method == method]
        files |= {folder / f"{cell.name}.py": config_text(cell) for cell in of_method if cell.name != cell.lead}
        files[folder / "README.md"] = with_table(folder / "README.md", table_text(of_method))
        files[folder / "metafile.yaml"] = metafile_text(of_method, collection)
    return files


def main(argv: list[str] | None = None) -> int:
    """Write or check; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if a file is not up to date")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout (default: this one)")
    args = parser.parse_args(argv)
    files = make_files(args.root)
    stale = {
        path: text for path, text in files.items() if text is None or not path.exists() or path.read_text() != text
    }
    for path, text in sorted(stale.items()):
        print(f"{'in no family' if text is None else 'not up to date'}: {path.relative_to(args.root)}")
        if args.check:
            continue
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
    print(f"{len(files)} files, {len(stale)} {'to mend' if args.check else 'mended'}")
    return int(args.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
