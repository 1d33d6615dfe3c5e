"""One HTML page per run: what it was, how it went, what it sees. The page itself is ``report.html.j2``."""

import base64
import io
from datetime import datetime, timedelta
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from mmseg_allspark.datasets.data_report import is_semi_supervised
from mmseg_allspark.utils.files import write_whole
from mmseg_allspark.utils.metric_names import MAIN, find_best, find_metric

from .curves import HEIGHT, WIDTH, Chart, draw_curves, thin
from .run_record import Curve, Run, read_run

_VALIDATION = (*MAIN, "mAcc", "aAcc")
_MOST_COLUMNS = 12
_MOST_PICTURES = 6
_MOST_CLASSES = 40  # of a confusion matrix that can still be read
_WIDEST = 1100  # pixels of an embedded picture
_AGREEMENT = (
    "kept: counts in the loss; agreement: equals the ground truth, where masks happen to exist "
    "(agreement_kept: among the kept)."
)

_RIGHT = "right: equals the ground truth, among what is kept."


def write_report(work_dir: Path, out: Path | None = None) -> Path:
    """Write the page of a run, of a running one too, whole; returns the file.

    Args:
        work_dir: Work directory of ``tools/train.py``. One without a run is a ``FileNotFoundError``.
        out: File to write. Default ``<work_dir>/report.html``.
    """
    out = work_dir / "report.html" if out is None else out
    write_whole(make_report(read_run(work_dir)), out)
    return out


def make_report(run: Run) -> str:
    """The page of a run, as HTML."""
    options = dict(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    template = Environment(loader=PackageLoader("mmseg_allspark.report", ""), **options).get_template("report.html.j2")
    metric = find_metric(run.metrics)
    copies = sorted(run.work_dir.glob("*.py"))  # mmengine leaves the config in the work directory
    return template.render(
        run=run,
        name=copies[-1].stem if copies else run.work_dir.resolve().name,
        method=_method(run),
        written=f"{datetime.now():%Y-%m-%d %H:%M}",
        cards=_cards(run, metric),
        charts=_charts(run),
        chart_size=(WIDTH, HEIGHT),
        classes=_class_table(run, metric),
        metric=metric,
        confusion=_confusion(run),
        shares=_shares(run),
        reliability=_reliability(run),
        samples=_samples(run),
        pseudo_labels=_pictures(run.pictures.get("pseudo_labels", {}), photo=True),
        details=_details(run),
    )


def _cards(run: Run, metric: str | None) -> dict[str, str]:
    """The figures that one looks for first."""
    total = run.facts.get("max_iters")
    cards = {"iterations": f"{run.last_iter} of {total}" if total else str(run.last_iter)}
    if metric:
        curve = run.metrics[metric]
        best = find_best(curve)
        cards[f"{metric}, last (%)"] = f"{curve[max(curve)]:.2f}"
        cards[f"{metric}, best (%), iteration {best}"] = f"{curve[best]:.2f}"
    if run.times:
        cards["time, all parts"] = str(sum((last - first for first, last in run.times), timedelta()))
    if number := sum(entry.in_training for entry in run.warnings):
        cards["see below"] = f"{number} warning{'s' if number > 1 else ''}"
    return cards


def _charts(run: Run) -> list[Chart]:
    """Validation, losses, pseudo labels, memory, learning rate, speed: those of which something is known."""
    found = run.scalars
    validation = {
        name: curve for kind in _VALIDATION for name, curve in run.metrics.items() if name.rpartition("/")[2] == kind
    }
    losses = {name: curve for name, curve in found.items() if "loss" in name and "/" not in name}
    pseudo = _some(found, "pseudo/kept", "pseudo/agreement", "pseudo/agreement_kept")
    held_out = _some(found, "reliability/kept", "reliability/right")
    options = dict(last=run.last_iter, marks=[start for _, start in run.starts if start])
    charts = (
        draw_curves("validation (%)", validation, **options),
        draw_curves("loss", losses, **options),
        draw_curves("pseudo labels, share of pixels", pseudo, most=1, note=_AGREEMENT, **options),
        draw_curves("pseudo labels of held-out images, share of pixels", held_out, most=1, note=_RIGHT, **options),
        draw_curves("entropy of the pseudo labels (nats)", _some(found, "pseudo/entropy"), **options),
        draw_curves("fill of the semantic memory, share of its slots", _memory(found), most=1, **options),
        draw_curves("learning rate", _some(found, "lr"), **options),
        draw_curves("time of an iteration (s)", _some(found, "time", "data_time"), **options),
    )
    return [chart for chart in charts if chart]


def _some(found: dict[str, Curve], *names: str) -> dict[str, Curve]:
    """Curves that are there, by the last part of their name."""
    return {name.rpartition("/")[2]: found[name] for name in names if name in found}


def _memory(scalars: dict[str, Curve]) -> dict[str, Curve]:
    """Mean and least over the classes."""
    fills = [curve for name, curve in scalars.items() if name.startswith("memory/fill_")]
    at = {step: [curve[step] for curve in fills if step in curve] for step in sorted(set().union(*fills))}
    return {
        "mean of the classes": {step: sum(values) / len(values) for step, values in at.items()},
        "emptiest class": {step: min(values) for step, values in at.items()},
    }


def _class_table(run: Run, metric: str | None) -> dict | None:
    """IoU of each class at each validation, the best of them starred."""
    entries = {step: entry for step, entry in run.validations.items() if entry.get("iou")}
    if not entries:
        return None
    starred = {find_best(run.metrics.get(metric, {}))} & set(entries) if len(entries) > 1 else set()
    steps = sorted({*thin(sorted(entries), _MOST_COLUMNS), *starred})
    names = entries[steps[-1]]["classes"]
    rows = {name: [entries[step]["iou"][index] for step in steps] for index, name in enumerate(names)}
    return dict(columns=[f"{step} ★" if step in starred else step for step in steps], rows=rows, starred=bool(starred))


def _confusion(run: Run) -> dict | None:
    """Confusion matrix of the last validation, each row 100 %, and the largest confusions."""
    steps = [step for step, entry in run.validations.items() if entry.get("confusion")]
    if not steps:
        return None
    names, counts = (run.validations[max(steps)][key] for key in ("classes", "confusion"))
    shares = [[100 * count / sum(row) if sum(row) else None for count in row] for row in counts]
    errors = [
        (share, name, other)
        for name, row in zip(names, shares, strict=True)
        for other, share in zip(names, row, strict=True)
        if name != other and share
    ]
    worst = [f"{name} taken for {other} {share:.0f} %" for share, name, other in sorted(errors)[:-4:-1]]
    rows = dict(zip(names, shares, strict=True)) if len(names) <= _MOST_CLASSES else None
    return dict(step=max(steps), worst="; ".join(worst), columns=names, rows=rows)


def _shares(run: Run) -> dict | None:
    """Share of each class among the pseudo labels over time, in percent."""
    prefix = "pseudo/share_"
    found = {name.removeprefix(prefix): curve for name, curve in run.scalars.items() if name.startswith(prefix)}
    steps = thin(sorted(set().union(*found.values())), _MOST_COLUMNS)
    rows = {name: [100 * curve[step] if step in curve else None for step in steps] for name, curve in found.items()}
    return dict(columns=steps, rows=rows) if found else None


def _reliability(run: Run) -> dict | None:
    """Shares kept and right by class and threshold at the last validation, in percent."""
    if not run.reliability:
        return None
    step = max(run.reliability)
    entry = run.reliability[step]
    tables = {}
    for kind in ("right", "kept"):
        rows = {name: [value if value is None else 100 * value for value in row] for name, row in entry[kind].items()}
        tables[kind] = dict(columns=entry["columns"], rows=rows)
    return dict(tables, step=step)


def _samples(run: Run) -> dict | None:
    """Of each validation image: image, ground truth, predictions."""
    entry = run.validations[max(run.validations)] if run.validations else {}
    rows = []
    for sample in entry.get("samples", []):
        image, truth, predictions = (
            run.pictures.get(f"{sample['name']}_{part}", {}) for part in ("image", "truth", "prediction")
        )
        row = dict(name=sample["image"] or sample["name"], predictions=_pictures(predictions, photo=False))
        row["image"] = _embed(image[min(image)], photo=True) if image else None
        row["truth"] = _embed(truth[min(truth)], photo=False) if truth else None
        rows.append(row)
    if not any(row["predictions"] for row in rows):
        return None
    colours = list(zip(entry["classes"], entry["palette"], strict=False))
    return dict(rows=rows, colours=colours, steps=list(rows[-1]["predictions"]))


def _pictures(files: dict[int, Path], photo: bool) -> dict[int, dict]:
    """Some of the files of a picture, first to last, as parts of the page."""
    return {step: _embed(files[step], photo) for step in thin(sorted(files), _MOST_PICTURES)}


def _embed(path: Path, photo: bool) -> dict:
    """A PNG as data, with loss (JPEG) if it is a photograph; None for data if it is just being written."""
    try:
        with Image.open(path) as image:
            image = image.convert("RGB")
    except (OSError, SyntaxError):  # the latter is Pillow's for some broken PNGs
        return dict(name=path.name, data=None)
    if image.width > _WIDEST:
        image = image.resize((_WIDEST, round(image.height * _WIDEST / image.width)))
    file, kind = io.BytesIO(), "jpeg" if photo else "png"
    if photo:
        image.save(file, "JPEG", quality=85)
    else:
        image.quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    data = f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
    return dict(name=path.name, data=data, width=image.width, height=image.height)


def _details(run: Run) -> dict[str, str]:
    """What it was: config, data, seed, versions, hardware, parts; empty where it is not known."""
    facts, config = run.facts, run.config or {}
    parts = [f"{name} from iteration {start}" if start else name for name, start in run.starts]
    return {
        "method": _method(run),
        "labeled data": _dataset(config.get("train_dataloader")),
        "unlabeled data": is_semi_supervised(config) and _dataset(config.get("unlabeled_dataloader")),
        "validation data": _dataset(config.get("val_dataloader")),
        "seed": str(facts.get("seed") or (config.get("randomness") or {}).get("seed", "")),
        "parts": "; resumed: ".join(parts),
        "left out": run.left_out and f"an earlier run in this folder is left out ({', '.join(run.left_out)})",
        "time": "; ".join(f"{first} to {last}" for first, last in run.times),
        "versions": facts.get("versions"),
        "commit": facts.get("commit"),
        "hardware": facts.get("hardware"),
        "work directory": str(run.work_dir.resolve()),
    }


def _method(run: Run) -> str:
    model = (run.config or {}).get("model") or {}
    parts = (model.get(name) for name in ("neck", "backbone", "decode_head"))
    kinds = [str(part["type"]) for part in parts if isinstance(part, dict) and "type" in part]
    return " with ".join(filter(None, (str(model.get("type", "Unknown model")), ", ".join(kinds))))


def _dataset(loader: dict | None) -> str:
    if not loader:
        return ""
    dataset = loader.get("dataset") or {}
    places = (dataset.get(key) for key in ("data_root", "ann_file", "source"))
    where = " ".join(str(place) for place in places if place)
    return f"{dataset.get('type')}: {where}, {loader.get('batch_size')} a step"
