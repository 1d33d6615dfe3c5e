"""The sections of a report: what is known of a run, as HTML; nothing where nothing is known."""

from html import escape

from mmseg_allspark.utils.metric_names import MAIN, find_metric
from mmseg_allspark.visualization.charts import STYLES, Curve, heat_map, line_chart, thin
from mmseg_allspark.visualization.page import colour_key, paragraph, picture
from mmseg_allspark.visualization.work_dir import Run

VALIDATION = (*MAIN, "mAcc", "aAcc")
MOST_COLUMNS = 12
MOST_PICTURES = 6
MOST_CLASSES = 40  # of a confusion matrix that can still be read


def curves(run: Run) -> str:
    """Losses, validation, learning rate, pseudo labels, memory."""
    scalars, last = run.scalars, run.last_iter
    losses = {name: curve for name, curve in scalars.items() if "loss" in name and "/" not in name}
    shares_of_pixels = ("pseudo/kept", "pseudo/agreement", "pseudo/agreement_kept")
    note = "kept: counts in the loss; agreement: equals the ground truth, where masks happen to exist "
    note += "(agreement_kept: among the kept)."
    validation = {
        name: curve for kind in VALIDATION for name, curve in run.metrics.items() if name.rpartition("/")[2] == kind
    }
    charts = [
        ("validation (%)", dict(list(validation.items())[:STYLES]), 0, ""),
        ("loss", dict(list(losses.items())[:STYLES]), 0, ""),
        ("pseudo labels, share of pixels", _some(scalars, shares_of_pixels), 1, note),
        ("entropy of the pseudo labels (nats)", _some(scalars, ("pseudo/entropy",)), 0, ""),
        ("fill of the semantic memory, share of its slots", _memory(scalars), 1, ""),
        ("learning rate", _some(scalars, ("lr",)), 0, ""),
        ("time of an iteration (s)", _some(scalars, ("time", "data_time")), 0, ""),
    ]
    marks = [start for _, start in run.starts if start]
    drawn = [
        line_chart(title, found, last=last, most=most, marks=marks, note=text) for title, found, most, text in charts
    ]
    return f'<div class="charts">{"".join(drawn)}</div>' if any(drawn) else ""


def class_table(run: Run) -> str:
    """IoU of each class at each validation."""
    entries = {step: entry for step, entry in run.validations.items() if entry.get("iou")}
    if not entries:
        return ""
    metric = find_metric(run.metrics)
    best = find_best(run.metrics.get(metric, {}))
    starred = {best} & set(entries) if len(entries) > 1 else set()
    steps = sorted({*thin(sorted(entries), MOST_COLUMNS), *starred})
    classes = entries[steps[-1]]["classes"]
    rows = {name: [entries[step]["iou"][index] for step in steps] for index, name in enumerate(classes)}
    columns = [f"{step} ★" if step in starred else str(step) for step in steps]
    note = "Percent, by iteration; – where neither ground truth nor prediction has the class."
    note += f" ★ best {metric}." if starred else ""
    return paragraph(note, "soft") + heat_map(
        "IoU of each class", "class", columns, rows, most=100, form="{:.1f}".format
    )


def confusion(run: Run) -> str:
    """Confusion matrix of the last validation, each row 100 %."""
    steps = [step for step, entry in run.validations.items() if entry.get("confusion")]
    if not steps:
        return ""
    entry = run.validations[max(steps)]
    classes, counts = entry["classes"], entry["confusion"]
    shares = [[100 * count / max(sum(row), 1) for count in row] for row in counts]
    errors = [
        (shares[i][j], name, other) for i, name in enumerate(classes) for j, other in enumerate(classes) if i != j
    ]
    worst = "; ".join(
        f"{name} taken for {other} {share:.0f} %" for share, name, other in sorted(errors)[:-4:-1] if share
    )
    note = f"Validation at iteration {max(steps)}. Rows: ground truth, 100 % each; columns: prediction. "
    note += f"Largest confusions: {worst}." if worst else "No pixel is confused."
    if len(classes) > MOST_CLASSES:
        return paragraph(f"{note} The matrix of {len(classes)} classes is in {run.starts[-1][0]}/validations.json.")
    rows = {
        name: row if sum(count) else [None] * len(row) for name, row, count in zip(classes, shares, counts, strict=True)
    }
    return paragraph(note, "soft") + heat_map(
        "Confusion matrix", "truth", classes, rows, most=100, form=lambda value: f"{value:.0f}" if value >= 0.5 else ""
    )


def shares(run: Run) -> str:
    """Share of each class among the pseudo labels over time."""
    prefix = "pseudo/share_"
    found = {name.removeprefix(prefix): curve for name, curve in run.scalars.items() if name.startswith(prefix)}
    if not found:
        return ""
    steps = thin(sorted({step for curve in found.values() for step in curve}), MOST_COLUMNS)
    rows = {name: [_at(curve, step, 100) for step in steps] for name, curve in found.items()}
    note = (
        "Percent of the pixels since the last line of the log, before the confidence decides. A class whose row goes "
        "pale and stays pale is being lost; one that darkens until the others are pale is taking over."
    )
    # the colour is full at a half: most classes are small
    return paragraph(note, "soft") + heat_map(
        "Share of each class among the pseudo labels",
        "class",
        list(map(str, steps)),
        rows,
        most=50,
        form="{:.1f}".format,
    )


def samples(run: Run) -> str:
    """A row per validation image: image, ground truth, predictions."""
    entry = run.validations[max(run.validations)] if run.validations else {}
    body, head, classes = [], [], entry.get("classes", [])
    for sample in entry.get("samples", []):
        name = sample["name"]
        predictions = run.pictures.get(f"{name}_prediction", {})
        steps = thin(sorted(predictions), MOST_PICTURES)
        cells = []
        for part, title in (("image", "image"), ("truth", "ground truth")):
            files = run.pictures.get(f"{name}_{part}", {})
            alt = f"{title} of {sample['image'] or name}"
            cells.append(picture(files[min(files)], alt, photo=part == "image") if files else "")
        cells += [picture(predictions[step], f"prediction at iteration {step}", photo=False) for step in steps]
        head = ["file", "image", "ground truth", *(f"iteration {step}" for step in steps)]
        rest = "".join(f"<td>{cell}</td>" for cell in cells)
        body.append(f'<tr><th scope="row">{escape(sample["image"] or name)}</th>{rest}</tr>')
    if not any(run.pictures.get(f"{sample['name']}_prediction") for sample in entry.get("samples", [])):
        return ""
    heads = "".join(f'<th scope="col">{title}</th>' for title in head)
    return (
        colour_key(classes, entry.get("palette", []))
        + '<div class="scroll" tabindex="0" role="region" aria-label="Predictions over time"><table class="samples">'
        + f"<thead><tr>{heads}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def pseudo_labels(run: Run) -> str:
    """Pictures of the pseudo labels, first to last."""
    files = run.pictures.get("pseudo_labels", {})
    figures = []
    for step in thin(sorted(files), MOST_PICTURES):
        alt = f"Unlabeled images, their pseudo labels and the confidence at iteration {step}"
        figures.append(f"<figure><figcaption>iteration {step}</figcaption>{picture(files[step], alt, True)}</figure>")
    note = (
        "Rows: unlabeled images of that step. White: does not count in the loss, or unknown. Confidence: yellow sure, "
    )
    note += "dark blue unsure."
    label = 'class="wide scroll" tabindex="0" role="region" aria-label="Pseudo labels over time"'
    return f"{paragraph(note, 'soft')}<div {label}>{''.join(figures)}</div>" if figures else ""


def find_best(curve: Curve) -> int | None:
    """The iteration of the largest value, the first of equals."""
    return max(sorted(curve), key=lambda step: (curve[step] == curve[step], curve[step]), default=None)


def _some(found: dict[str, Curve], names: tuple[str, ...]) -> dict[str, Curve]:
    """Curves that are there, by the last part of their name."""
    return {name.rpartition("/")[2]: found[name] for name in names if name in found}


def _memory(scalars: dict[str, Curve]) -> dict[str, Curve]:
    """Mean and least over the classes."""
    fills = [curve for name, curve in scalars.items() if name.startswith("memory/fill_")]
    steps = sorted({step for curve in fills for step in curve})
    at = {step: [curve[step] for curve in fills if step in curve] for step in steps}
    if not fills:
        return {}
    return {
        "mean of the classes": {step: sum(values) / len(values) for step, values in at.items()},
        "emptiest class": {step: min(values) for step, values in at.items()},
    }


def _at(curve: Curve, step: int, factor: float) -> float | None:
    return factor * curve[step] if step in curve else None
