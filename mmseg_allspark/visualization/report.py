"""One HTML page per run: what it was, how it went, what it sees."""

from datetime import datetime, timedelta
from html import escape
from pathlib import Path

from mmseg_allspark.datasets.data_report import is_semi_supervised
from mmseg_allspark.utils.files import write_whole
from mmseg_allspark.utils.metric_names import find_metric
from mmseg_allspark.visualization import report_sections as sections
from mmseg_allspark.visualization.page import page, paragraph, section, table_of_facts
from mmseg_allspark.visualization.work_dir import Run, read_run

_MOST_DAMAGED = 10  # that are named
NO_HOOK = "Not recorded: default_hooks needs validation_record=dict(type='ValidationRecordHook')."
NO_VALIDATION = "There has been no validation yet."
NO_PSEUDO_LABELS = (
    "This run makes no pseudo labels, or does not log them: custom_hooks needs PseudoLabelStatisticsHook."
)
NO_PICTURES = "No pictures: no pseudo labels, no PseudoLabelVisualizationHook, or its interval has not passed yet."


def write_report(work_dir: Path, out: Path | None = None) -> Path:
    """Write the page of a run; a reader sees the old one or the new one, never half of it.

    Args:
        work_dir: Work directory of ``tools/train.py``, of a running training too.
        out: File to write. Default ``<work_dir>/report.html``.

    Returns:
        The file.

    Raises:
        FileNotFoundError: If no run has written there.
    """
    out = work_dir / "report.html" if out is None else out
    write_whole(make_report(read_run(work_dir)), out)
    return out


def make_report(run: Run) -> str:
    """The page of a run, as HTML."""
    no_record = NO_HOOK if run.metrics else NO_VALIDATION
    parts = [
        ("curves", "Curves", sections.curves(run), "Nothing has been logged yet."),
        ("classes", "IoU of each class", sections.class_table(run), no_record),
        ("confusion", "Confusion matrix", sections.confusion(run), no_record),
        ("shares", "Classes among the pseudo labels", sections.shares(run), NO_PSEUDO_LABELS),
        ("samples", "The same images over time", sections.samples(run), no_record),
        ("pseudo", "Pseudo labels over time", sections.pseudo_labels(run), NO_PICTURES),
        ("warnings", "Warnings", warnings(run), ""),
        ("details", "Run", details(run), ""),
    ]
    bodies = [(key, title, section(key, title, body, missing)) for key, title, body, missing in parts]
    return page(f"{_name(run)}: training report", header(run), bodies)


def header(run: Run) -> str:
    """Name and the figures that one looks for first."""
    total = run.facts.get("max_iters")
    cards = {"iterations": f"{run.last_iter} of {total}" if total else str(run.last_iter)}
    if metric := find_metric(run.metrics):
        curve = run.metrics[metric]
        best = sections.find_best(curve)
        cards[f"{metric}, last (%)"] = f"{curve[max(curve)]:.2f}"
        cards[f"{metric}, best (%), iteration {best}"] = f"{curve[best]:.2f}"
    if run.times:
        cards["time, all parts"] = str(sum((last - first for first, last in run.times), timedelta()))
    if number := sum(entry.in_training for entry in run.warnings):
        cards["see below"] = f"{number} warning{'s' if number > 1 else ''}"
    items = "".join(f"<li><b>{escape(value)}</b><span>{escape(name)}</span></li>" for name, value in cards.items())
    written = f"{_method(run)}. Written {datetime.now():%Y-%m-%d %H:%M} from {run.work_dir.resolve()}."
    return f'<h1>{escape(_name(run))}</h1>{paragraph(written, "soft")}<ul class="cards">{items}</ul>'


def warnings(run: Run) -> str:
    """Those of the training, and folded away those of the start."""
    during = [entry for entry in run.warnings if entry.in_training]
    before = [entry for entry in run.warnings if not entry.in_training]
    body = "".join(
        f'<div class="warning"><time>{escape(entry.time)}</time> {escape(entry.text)}</div>' for entry in during
    )
    body = body or paragraph("None since the first iteration.")
    if run.damaged:
        body += paragraph(f"{run.damaged} line(s) of scalars.json or validations.json could not be read; left out.")
        listed = ", ".join(run.damaged_lines[:_MOST_DAMAGED])
        body += paragraph(listed + (", ..." if run.damaged > _MOST_DAMAGED else ""))
    if before:
        items = "".join(f"<li>{escape(entry.text)}</li>" for entry in before)
        body += f"<details><summary>{len(before)} at the start</summary><ul>{items}</ul></details>"
    return body


def details(run: Run) -> str:
    """What it was: config, data, seed, versions, hardware, parts."""
    facts, config = run.facts, run.config or {}
    parts = [f"{name} from iteration {start}" if start else name for name, start in run.starts]
    known = {
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
    text = run.config_text and f"<details><summary>Config</summary><pre>{escape(run.config_text)}</pre></details>"
    if run.config_text and run.config is None:
        text = paragraph("The config cannot be read; its text is below.", "missing") + text
    return table_of_facts(known) + text


def _name(run: Run) -> str:
    """The config's name, by the copy that mmengine leaves in the work directory."""
    copies = sorted(run.work_dir.glob("*.py"))
    return copies[-1].stem if copies else run.work_dir.resolve().name


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
