import numpy as np

from mmseg_allspark.report.label_pictures import GAP, PAPER, TITLE_HEIGHT, class_legend, colour_labels, join_panels

PALETTE = [[10, 20, 30], [200, 0, 0]]


def test_labels_get_their_palette_colour_and_ignored_pixels_are_white():
    labels = np.array([[0, 1, 255]])
    assert colour_labels(labels, PALETTE).tolist() == [[[10, 20, 30], [200, 0, 0], [255, 255, 255]]]
    assert class_legend([labels[:, 1:], labels[:, 2:]], dict(classes="ab", palette=PALETTE)) == dict(b=PALETTE[1])


def test_panels_show_every_picture_in_its_place():
    red, green, small = (np.full((*size, 3), colour, np.uint8) for size, colour in (((40, 50), (255, 0, 0)),
                         ((40, 50), (0, 255, 0)), ((20, 30), (0, 0, 255))))  # fmt: skip
    picture = join_panels(dict(left=[red, small], right=[green]), dict(a=PALETTE[0]))
    for row, column, panel in ((0, 0, red), (0, 1, green), (1, 0, small)):
        top, left = TITLE_HEIGHT + row * (40 + GAP), GAP + column * (50 + GAP)
        assert (picture[top : top + panel.shape[0], left : left + panel.shape[1]] == panel).all()
    assert (picture[TITLE_HEIGHT + 40 + GAP :, GAP + 50 + GAP :] == PAPER).all()
