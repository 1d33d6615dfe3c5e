"""Shares of classes and the classes that channels match; what is drawn: tests/test_tools/test_figures.py."""

import numpy as np

from mmseg_allspark.report.paper_figures import (
    class_shares,
    match_classes,
)


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
