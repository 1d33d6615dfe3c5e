"""``tools/analysis/figures.py`` on a tiny model: every figure holds what model, data and memory say."""

import importlib

import numpy as np
import pytest
import torch
from builders import CLASSES, MEMORY_SIZE, build_model, model_config, run_config
from mmengine.runner import CheckpointLoader
from PIL import Image

from mmseg_allspark.report.paper_figures import class_shares, match_classes

PALETTE = [[200, 0, 0], [0, 200, 0], [0, 0, 200], [120, 60, 0]]


@pytest.fixture(autouse=True)
def _loaders_as_before(monkeypatch):
    monkeypatch.setattr(CheckpointLoader, "_schemes", dict(CheckpointLoader._schemes))


@pytest.fixture
def tool(load_tool):
    return load_tool("analysis/figures")


@pytest.fixture
def inputs(tool):
    """The module that the tool takes its values from."""
    return importlib.import_module("_figure_inputs")


@pytest.fixture
def project(data, tmp_path):
    """Return a function that writes config and checkpoint of a model; ``change(model)`` sets weights before."""

    def write(name="model", change=None, ema=None, data_root=data, **model):
        config = run_config(data_root, tmp_path, loop=dict(max_iters=1), validate=True, model=model_config(**model))
        for key in ("train_dataloader", "unlabeled_dataloader", "val_dataloader"):
            config[key].dataset.metainfo = dict(classes=CLASSES, palette=PALETTE)
        built = build_model(**model)
        with torch.no_grad():
            (change or (lambda _: None))(built)
        checkpoint = dict(state_dict=built.state_dict())
        if ema is not None:
            checkpoint["ema_state_dict"] = ema
        config.dump(tmp_path / f"{name}.py")
        torch.save(checkpoint, tmp_path / f"{name}.pth")
        return [str(tmp_path / f"{name}.py"), str(tmp_path / f"{name}.pth")]

    return write


def predict(label):
    """Make a model predict one class everywhere."""

    def change(model):
        model.decode_head.conv_seg.weight.zero_()
        model.decode_head.conv_seg.bias.copy_(torch.eye(len(CLASSES))[label])

    return change


@pytest.fixture
def draw(tool, tmp_path):
    """Return a function that draws a figure and gives it back."""

    def run(figure, *arguments):
        args = tool.parse_args([figure, *map(str, arguments), "--out", str(tmp_path / "unused.png")])
        return args.draw(args, tool.read_config(args.config))

    return run


def maps(figure):
    return [np.asarray(axis.get_images()[0].get_array()) if axis.get_images() else None for axis in figure.axes]


def image_of(data, name):
    return np.asarray(Image.open(data / "img" / name))


def test_channels_are_those_before_and_after_the_attention(draw, project, data):
    paths = project()
    figure = draw("channels", *paths, "--images", "2", "--channels", "3", "31", "--seed", "1")
    names = {path.name for path in (data / "img").glob("val*")}
    for block in (slice(0, 6), slice(6, 12)):  # an image
        names.remove(check_block(figure.axes[block], maps(figure)[block], data))
    assert not names and [axis.get_title() for axis in figure.axes[1:3]] == ["channel 3", "channel 31"]


def check_block(axes, drawn, data):
    """An image, two channels before and after, its mask and captions; returns the image's name."""
    names = [path.name for path in (data / "img").glob("val*")]
    (name,) = [name for name in names if (image_of(data, name) == drawn[0]).all()]
    model = build_model().eval()
    image = torch.from_numpy(image_of(data, name)[..., ::-1].copy()).permute(2, 0, 1)
    with torch.no_grad():
        level = model.backbone(model.data_preprocessor(dict(inputs=[image]), False)["inputs"])[-1]
        neck = model.neck
        residual = neck.map_in(level).flatten(2).transpose(1, 2)
        before = neck.token_norm(residual)
        after = neck.out_norm(neck.labeled_attention(before, before, shared=False) + residual)
    for first, tokens in ((1, before), (4, after)):
        for place, channel in ((first, 3), (first + 1, 31)):
            np.testing.assert_allclose(drawn[place], tokens[0, :, channel].view(3, 3), rtol=1e-4, atol=1e-5)
    mask = np.asarray(Image.open(data / "mask" / name))
    np.testing.assert_array_equal(drawn[3], np.asarray(PALETTE)[mask])
    shares = class_shares(mask, len(CLASSES), (3, 3))
    for first, tokens in ((1, before), (4, after)):
        best, correlation = match_classes(tokens[0].T.reshape(-1, 3, 3).numpy(), shares)
        for place, channel in ((first, 3), (first + 1, 31)):
            assert axes[place].get_xlabel() == f"{CLASSES[best[channel]]} {correlation[channel]:.2f}"
    assert (axes[0].get_ylabel(), axes[3].get_ylabel()) == ("before", "after")
    return name


@pytest.fixture
def data_without_masks(data, tmp_path):
    """The same data, the unlabeled images without masks."""
    root = tmp_path / "data"
    for folder, wanted in (("img", "*.png"), ("mask", "[lv]*.png")):
        (root / folder).mkdir(parents=True)
        for path in (data / folder).glob(wanted):
            (root / folder / path.name).symlink_to(path)
    for path in data.glob("*.txt"):
        (root / path.name).symlink_to(path)
    return root


@pytest.mark.parametrize("split", ["unlabeled", "val"])
def test_channels_without_masks_or_with_a_single_class_match_none(draw, project, data_without_masks, split):
    for path in (data_without_masks / "mask").glob("val*"):
        path.unlink()
        Image.fromarray(np.zeros((65, 65), np.uint8)).save(path)
    figure = draw("channels", *project(data_root=data_without_masks), "--split", split, "--images", "1")
    assert {axis.get_xlabel() for axis in figure.axes} == {""} and "correlation" not in figure.get_suptitle()


def test_grouping_counts_every_channel_once_and_the_pixels_of_the_labels(draw, project, capsys):
    axis = draw("grouping", *project(change=predict(2)), "--images", "3").axes[0]
    widths = [bar.get_width() for bar in axis.patches]
    assert sum(widths[:4]) == pytest.approx(100)
    assert widths[4:] == pytest.approx([0, 0, 100, 0])
    # the bars of a class stand side by side around its tick
    np.testing.assert_allclose([bar.get_y() for bar in axis.patches[::4]], [-0.4, 0], atol=1e-9)
    legend = [text.get_text() for text in axis.get_legend().get_texts()]
    assert legend == ["channels given by grouping", "pixels of pseudo labels"]
    assert [label.get_text() for label in axis.get_yticklabels()] == list(CLASSES)


def written(model):
    """Two rows in class 0, a full ring in class 1, nothing elsewhere; slot s of class k holds 100 k + s."""
    memory = model.neck.memory
    slots = memory.num_slots
    memory.queue.copy_((100 * torch.arange(4)[:, None] + torch.arange(slots))[..., None].expand_as(memory.queue))
    memory.pointer.copy_(torch.tensor([2, 5, 0, 0]))
    memory.enqueued.copy_(torch.tensor([2, 5 + 7 * slots, 0, 0]))


def shown(figure):
    return [None if values is None else values.flat[0] for values in maps(figure)]


def test_memory_shows_the_newest_row_first_and_nothing_that_was_not_written(draw, project):
    figure = draw("memory", *project(change=written), "--count", "3")
    newest, oldest = 100 + 4, 100 + 5  # of a ring of 32 whose next row is 5
    assert shown(figure)[:6] == [1, 0, None, newest, 100 + (4 - 16) % 32, oldest]
    assert shown(figure)[6:] == [None] * 6
    assert maps(figure)[0].shape == MEMORY_SIZE
    assert [text.get_text() for text in figure.axes[2].texts] == ["not written"]
    assert [axis.get_ylabel() for axis in figure.axes[::3]] == list(CLASSES)
    figure = draw("memory", *project(change=written), "--count", "1", "--classes", "b")
    assert shown(figure) == [newest]


def test_the_memory_of_the_trained_model_counts_and_not_its_moving_average(draw, project):
    trained = build_model()
    with torch.no_grad():
        written(trained)
    ema = {f"module.{name}": value for name, value in trained.state_dict().items()} | dict(steps=torch.tensor(3))
    assert shown(draw("memory", *project(ema=ema), "--count", "2"))[:2] == [1, 0]


def test_a_refilled_memory_knows_image_and_channel_of_every_row(inputs, data):
    model = build_model().eval()
    names = [path.name for path in sorted((data / "img").glob("unlabeled*"))]
    images = [torch.from_numpy(image_of(data, name)[..., ::-1].copy()).permute(2, 0, 1) for name in names]
    memory, sources = inputs.refill_memory(model, images)
    assert memory.enqueued.sum() == len(images) * memory.num_slots
    assert torch.equal(memory.enqueued, sources.enqueued)
    grouped = [inputs.group_image(model, image) for image in images]
    for block in range(len(CLASSES)):
        for slot in range(min(int(memory.enqueued[block]), memory.num_slots)):
            number, channel = sources.queue[block, slot].int().tolist()
            assert grouped[number].classes[0, channel] == block
            assert torch.equal(memory.queue[block, slot], grouped[number].tokens[0, :, channel])


def test_a_refilled_memory_is_drawn_with_the_image_of_each_row(draw, inputs, project):
    drawn = maps(draw("memory", *project(), "--refill", "4", "--count", "2"))
    model, seen = build_model().eval(), set()
    for place in range(0, len(drawn), 4):  # a class: two maps, then their images
        for values, picture in zip(drawn[place : place + 2], drawn[place + 2 : place + 4], strict=True):
            if values is not None:
                image = torch.from_numpy(picture[..., ::-1].copy()).permute(2, 0, 1)
                rows = inputs.group_image(model, image).tokens[0].T
                assert np.isclose(rows, values.ravel(), atol=1e-5).all(axis=1).any()
                seen.add(picture.tobytes())
    assert len(seen) > 1


def test_error_rates_are_those_of_the_masks(draw, project, data, capsys):
    paths = project("first", change=predict(0)), project("second", change=predict(3), neck=None)
    axis = draw("dominance", *paths[0], "--other", *paths[1], "--names", "one", "two").axes[0]
    heights = iter([bar.get_height() for bar in axis.patches])
    np.testing.assert_allclose([bar.get_x() for bar in axis.patches], [-0.4, 0.6, 1.6, 0, 1, 2], atol=1e-9)
    for label in (0, 3):
        for split in ("labeled", "unlabeled", "val"):
            masks = [np.asarray(Image.open(path)) for path in (data / "mask").glob(f"{split}*")]
            assert next(heights) == pytest.approx(100 * np.mean([mask != label for mask in masks]), abs=1e-3)
    printed = capsys.readouterr().out
    assert "one: unlabeled: error" in printed and "two: val: error" in printed and "4 images" in printed


def test_unlabeled_images_without_masks_are_told(draw, project, data_without_masks, capsys):
    axis = draw("dominance", *project(data_root=data_without_masks)).axes[0]
    labeled, unknown, val = (bar.get_height() for bar in axis.patches)
    assert unknown == 0 and [text.get_text() for text in axis.texts] == [f"{labeled:.1f}", "no masks", f"{val:.1f}"]
    assert f"(val \u2212 labeled: {val - labeled:+.1f})" in axis.get_legend().get_texts()[0].get_text()
    assert "model: unlabeled: no masks" in capsys.readouterr().out


def test_the_command_writes_the_file(tool, project, tmp_path, capsys):
    out = tmp_path / "new" / "figure.png"
    tool.main(["grouping", *project(), "--images", "1", "--out", str(out), "--cfg-options", "model.train_cfg=None"])
    assert Image.open(out).size[0] > 300
    assert f"written: {out}" in capsys.readouterr().out


NECK = model_config().neck


@pytest.mark.parametrize(
    ("figure", "model", "more", "message"),
    [
        ("channels", dict(neck=None), "", "the model's neck is none"),
        ("channels", {}, "--channels 32", "--channels 32: choose from 0 to 31"),
        ("grouping", dict(neck=None), "", "the model's neck is none"),
        ("grouping", dict(neck=NECK | dict(memory=False)), "", "memory=False"),
        ("memory", dict(neck=NECK | dict(memory=False)), "", "memory=False"),
        ("memory", dict(neck=NECK | dict(grouping=False)), "--refill 2", "grouping=False"),
        ("memory", {}, "--classes z", "--classes z: choose from a, b, c, d"),
        ("dominance", {}, "--names x y", "give 1 different names"),
        ("grouping", {}, "--cfg-options unlabeled_dataloader=None", "no unlabeled_dataloader"),
    ],
)
def test_what_cannot_be_drawn_is_said(tool, project, tmp_path, capsys, figure, model, more, message):
    with pytest.raises(SystemExit) as stop:
        tool.main([figure, *map(str, project(**model)), *more.split(), "--out", str(tmp_path / "x.png")])
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_a_memory_without_classes_is_shown_by_block(draw, project):
    paths = project(neck=NECK | dict(grouping=False), change=written)
    assert draw("memory", *paths, "--count", "1").axes[1].get_ylabel() == "block 1"


def test_missing_files_and_figures_are_usage_errors(tool, project, capsys):
    config, _ = project()
    for arguments, message in (
        (["memory", config, "lost.pth", "--out", "x.png"], "file not found: lost.pth"),
        (["grouping", config, config, "--images", "0", "--out", "x.png"], "'0' is not a number of at least 1"),
        (["portrait", config], "invalid choice"),
    ):
        with pytest.raises(SystemExit) as stop:
            tool.main(arguments)
        assert stop.value.code == 2 and message in capsys.readouterr().err
