import numpy as np
import pytest
from PIL import Image

from mmseg_allspark.visualization import colour_labels, save_panels

PALETTE = [[10, 20, 30], [200, 0, 0]]


def test_labels_get_their_palette_colour_and_ignored_pixels_are_white():
    coloured = colour_labels(np.array([[0, 1, 255]]), PALETTE)
    assert coloured.dtype == np.uint8
    assert coloured.tolist() == [[[10, 20, 30], [200, 0, 0], [255, 255, 255]]]


def test_panels_show_every_picture_in_its_place(tmp_path):
    def plain(colour):
        return np.full((40, 40, 3), colour, np.uint8)

    red, green, blue, black = plain((255, 0, 0)), plain((0, 255, 0)), plain((0, 0, 255)), plain((0, 0, 0))
    path = tmp_path / "new" / "panels.png"
    save_panels([[red, green], [blue, black]], ["left", "right"], path, classes=["a", "b"], palette=PALETTE)
    picture = np.asarray(Image.open(path).convert("RGB"))
    height, width = picture.shape[:2]
    quarter = [tuple(picture[int(height * y), int(width * x)]) for y in (0.3, 0.65) for x in (0.25, 0.75)]
    assert quarter == [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)]


def test_a_row_without_a_picture_for_each_title_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Row 1 has 1 pictures for 2 titles"):
        image = np.zeros((4, 4, 3), np.uint8)
        save_panels([[image, image], [image]], ["a", "b"], tmp_path / "p.png")
