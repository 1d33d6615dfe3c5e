"""The figures hold the values that they were given, where their titles say."""

import numpy as np

from mmseg_allspark.report.paper_figures import (
    ChannelBlock,
    MemoryEntry,
    class_shares,
    draw_bars,
    draw_channels,
    draw_memory,
    match_classes,
)

IMAGE = np.full((4, 6, 3), 200, np.uint8)


def maps_of(axis):
    return axis.get_images()[0].get_array()


def test_shares_count_pixels_of_each_cell():
    labels = np.array([[0, 0, 1, 1], [0, 2, 1, 255]])
    shares = class_shares(labels, 3, (1, 2))
    np.testing.assert_allclose(shares, [[[0.75, 0]], [[0, 0.75]], [[0.25, 0]]])


def test_a_channel_matches_the_class_it_varies_with():
    shares = np.zeros((4, 2, 2))
    shares[0] = 1  # everywhere alike
    shares[1], shares[2] = [[1, 1], [0, 0]], [[0, 1], [0, 1]]
    channels = np.stack([3 * shares[1] - 7, -shares[2] + 2 * shares[1], np.full((2, 2), 5.0)])
    best, correlation = match_classes(channels, shares)
    assert best[:2].tolist() == [1, 1]
    np.testing.assert_allclose(correlation, [1.0, 2 / np.sqrt(5), 0.0], atol=1e-9)
    best, correlation = match_classes(channels, np.ones((1, 2, 2)))  # no class varies
    assert best.tolist() == [-1] * 3 and np.isnan(correlation).all()


def channels_figure(same_scale):
    maps = [np.arange(8.0).reshape(2, 2, 2), 10 * np.arange(12.0).reshape(2, 2, 3)]
    block = ChannelBlock([IMAGE, None], maps, [["road 0.1", "car 0.2"], ["sky 0.3", "tree 0.4"]])
    figure = draw_channels(
        [block, block], ("before", "after"), ["channel 3", "channel 9"], title="t", same_scale=same_scale
    )
    return maps, np.reshape(figure.axes, (4, 3))


def test_channels_stand_at_their_place_with_their_caption():
    maps, axes = channels_figure(same_scale=False)
    for row in range(4):
        for column in (0, 1):
            np.testing.assert_array_equal(maps_of(axes[row, column + 1]), maps[row % 2][column])
    assert [axis.get_ylabel() for axis in axes[:, 0]] == ["before", "after"] * 2
    assert [axis.get_title() for axis in axes[0]] == ["", "channel 3", "channel 9"]
    assert [axis.get_xlabel() for axis in axes[1, 1:]] == ["sky 0.3", "tree 0.4"]
    np.testing.assert_array_equal(maps_of(axes[0, 0]), IMAGE)
    assert not axes[1, 0].get_images()


def test_memory_shows_rows_sources_and_what_was_never_written():
    values = np.arange(9.0).reshape(3, 3)
    entries = [[MemoryEntry(values, IMAGE), MemoryEntry(None)], [MemoryEntry(2 * values, IMAGE)] * 2]
    axes = draw_memory(entries, ["sky", "road"], title="t").axes
    np.testing.assert_array_equal(maps_of(axes[0]), values)
    assert [text.get_text() for text in axes[1].texts] == ["not written"] and not axes[1].get_images()
    np.testing.assert_array_equal(maps_of(axes[2]), IMAGE)
    np.testing.assert_array_equal(maps_of(axes[4]), 2 * values)
    assert (axes[0].get_ylabel(), axes[4].get_ylabel()) == ("sky", "road")
    assert len(draw_memory([[MemoryEntry(values)]] * 3, list("abc"), title="t").axes) == 3


def test_bars_are_the_shares_of_each_class():
    shares = dict(channels=np.array([0.25, 0.75]), pixels=np.array([0.9, 0.1]))
    axis = draw_bars(shares, ["sky", "road"], label="x", title="t", horizontal=True).axes[0]
    np.testing.assert_allclose([bar.get_width() for bar in axis.patches], [25, 75, 90, 10])
    # the bars of a class stand side by side around its tick
    np.testing.assert_allclose([bar.get_y() for bar in axis.patches], [-0.4, 0.6, 0, 1], atol=1e-9)
    assert [label.get_text() for label in axis.get_yticklabels()] == ["sky", "road"]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["channels", "pixels"]


def test_what_is_not_known_has_no_bar():
    rates = dict(plain=[0.05, None, 0.3], ours=[0.1, 0.2, 0.25])
    axis = draw_bars(rates, ["labeled", "unlabeled", "val"], label="wrong", title="t", missing="no masks").axes[0]
    np.testing.assert_allclose([bar.get_height() for bar in axis.patches], [5, 0, 30, 10, 20, 25])
    np.testing.assert_allclose([bar.get_x() for bar in axis.patches], [-0.4, 0.6, 1.6, 0, 1, 2], atol=1e-9)
    assert [text.get_text() for text in axis.texts] == ["5.0", "no masks", "30.0", "10.0", "20.0", "25.0"]
