"""``tools/analysis/figures.py gain``: points, bars and names of hand-written comparisons."""

import json
from itertools import combinations

import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text
from PIL import Image

ABOVE, WITHIN = "above noise", "within noise"


@pytest.fixture
def tool(load_tool):
    return load_tool("analysis/figures")


def row(name, seconds, mean, gain=None):
    """A row of a comparison as far as the figure reads it; ``gain``: number of seeds, mean, deviation, verdict."""
    gain = gain and dict(zip(("n", "mean", "std", "verdict"), gain, strict=True))
    last = dict(n=3, mean=mean, std=1.0)
    return dict(name=name, metric="val/mIoU", last=last, training_seconds=seconds, difference_to_first_row=gain)


@pytest.fixture
def write(tmp_path):
    """A function that writes a comparison's rows to a file."""

    def to_file(*rows, name="comparison.json"):
        path = tmp_path / name
        path.write_text(json.dumps(dict(rows=rows)))
        return path

    return to_file


ROWS = (
    row("supervised", 200.0, 36.04),
    row("A", 500.0, 41.5, (3, 5.5, 2.5, ABOVE)),
    row("B", 300.0, 35.0, (3, -1.0, 2.0, WITHIN)),
    row("C", 400.0, 38.0, (1, 2.0, None, "one seed")),
)


def markers(axis):
    return [line for line in axis.lines if line.get_marker() in ("o", "D")]


def test_points_bars_and_names_are_those_of_the_comparison(tool, write):
    (axis,) = tool.draw_gains([write(*ROWS)]).axes
    points = [(*line.get_xdata(), *line.get_ydata()) for line in markers(axis)]
    assert points == [(1, 0), (2.5, 5.5), (1.5, -1), (2, 2)]
    bars = [part.get_segments()[0][:, 1].tolist() for part in axis.collections]
    assert bars == [[3, 8], [-3, 1]]
    assert [text.get_text() for text in axis.texts] == ["supervised: 36.0", "A +5.5", "B \u22121.0", "C +2.0"]
    hollow = [to_hex(line.get_markerfacecolor()) == "#ffffff" for line in markers(axis)]
    assert hollow == [False, False, True, True]
    assert axis.get_xlabel() == "training time, times supervised"
    assert axis.get_ylabel() == "gain in mIoU (points)"


def test_each_file_is_a_panel_and_a_method_has_one_colour(tool, write, tmp_path):
    paths = [write(*ROWS), write(ROWS[0], ROWS[2], ROWS[1], name="other.json")]
    axes = tool.draw_gains(paths).axes
    assert [axis.get_title() for axis in axes] == [tmp_path.name, "other"]
    first, second = ([to_hex(line.get_color()) for line in markers(axis)] for axis in axes)
    assert len(set(first)) == 4 and second == [first[0], first[2], first[1]]
    assert [axis.get_title() for axis in tool.draw_gains(paths, ["x", "y"]).axes] == ["x", "y"]


def test_names_of_close_points_cover_neither_each_other_nor_points(tool, write):
    close = [row(f"method {n}", 1000.0 + 30 * n, 40.0, (3, 5 + 0.3 * n, 0.5, ABOVE)) for n in range(6)]
    figure = tool.draw_gains([write(ROWS[0], *close)])
    figure.draw_without_rendering()
    (axis,) = figure.axes
    boxes = [Text.get_window_extent(label) for label in axis.texts]  # of the letters, without the line
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    places = axis.transData.transform([(*line.get_xdata(), *line.get_ydata()) for line in markers(axis)])
    assert not [1 for box in boxes for place in places if box.contains(*place)]
    window = axis.get_window_extent().padded(1)
    assert all(window.contains(*corner) for box in boxes for corner in box.corners())


def test_the_command_writes_the_file_and_says_what_is_left_out(tool, write, tmp_path, capsys):
    path = write(*ROWS, row("D", 100.0, 30.0, (0, None, None, "no common seed")))
    tool.main(["gain", str(path), "--out", str(tmp_path / "new/figure.png")])
    assert Image.open(tmp_path / "new/figure.png").size[0] == 836  # 3.8 inches of 220 dots
    assert "D has no seed in common with supervised and is left out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ROWS[0], row("A", None, 41.5, (3, 5.5, 2.5, ABOVE))], "no training_seconds of A: write it with"),
        ([row("supervised", 200.0, None) | dict(last=dict(n=0, mean=None, std=None))], "first row, supervised, is fin"),
        ([dict(name="A")], "is no comparison.json"),
        ([], "is no comparison.json"),
    ],
)
def test_a_file_that_cannot_be_drawn_is_named(tool, write, capsys, rows, message):
    path = write(*rows)
    with pytest.raises(SystemExit) as stop:
        tool.main(["gain", str(path), "--out", "x.png"])
    printed = capsys.readouterr().err
    assert stop.value.code == 2 and message in printed and str(path) in printed


def test_a_wrong_number_of_names_and_a_missing_file_are_said(tool, write, capsys):
    for arguments, message in (
        ([str(write(*ROWS)), "--names", "x", "y"], "--names x y: give 1, one for each file"),
        (["lost.json"], "file not found: lost.json"),
    ):
        with pytest.raises(SystemExit):
            tool.main(["gain", *arguments, "--out", "x.png"])
        assert message in capsys.readouterr().err
