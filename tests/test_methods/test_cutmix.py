import pytest
import torch

from mmseg_allspark.labels import CutMix

HEIGHT, WIDTH = 24, 36


def tagged(batch):
    """Tensors of a batch, every pixel of which says where it came from: image, row and column."""
    image, row, column = torch.meshgrid(torch.arange(batch), torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    return torch.stack([image, row, column], dim=1)


def test_every_pixel_stays_in_place_and_comes_from_the_image_or_its_partner():
    batch, pasted = 4, 0
    mix = CutMix(prob=1.0)
    for _ in range(20):
        source, row, column = mix([tagged(batch)])[0].unbind(dim=1)
        assert torch.equal(row, tagged(batch)[:, 1])
        assert torch.equal(column, tagged(batch)[:, 2])
        for image in range(batch):
            foreign = source[image] != image
            assert set(source[image][foreign].tolist()) == {(image + 1) % batch}
            rows, columns = foreign.any(dim=1).sum(), foreign.any(dim=0).sum()
            assert foreign.sum() == rows * columns  # one full rectangle
            share = foreign.float().mean().item()
            assert 0.01 < share < 0.45  # the area is drawn from 0.02 .. 0.4 and rounded to pixels
            pasted += 1
    assert pasted == 80


def test_one_image_is_returned_as_it_is():
    assert torch.equal(CutMix(prob=1.0)([tagged(1)])[0], tagged(1))


def test_all_tensors_are_mixed_alike_and_the_input_is_not_changed():
    tags = tagged(3)
    image, label, weight, logits = CutMix(prob=1.0)(
        [tags.float(), tags[:, 0], tags[:, 0].float() + 0.5, tags[:, :1].float().expand(-1, 7, -1, -1)]
    )
    assert torch.equal(image[:, 0].long(), label)
    assert torch.equal(weight - 0.5, label.float())
    assert torch.equal(logits, label[:, None].float().expand(-1, 7, -1, -1))
    assert label.dtype == torch.int64
    assert torch.equal(tags, tagged(3))


@pytest.mark.parametrize("prob", [0.0, 0.3])
def test_share_of_mixed_images_is_the_probability(prob):
    mix, runs, changed = CutMix(prob=prob), 150, 0
    for _ in range(runs):
        (mixed,) = mix([tagged(4)])
        changed += (mixed != tagged(4)).flatten(1).any(dim=1).sum().item()
    assert changed / (4 * runs) == pytest.approx(prob, abs=0.06)


@pytest.mark.parametrize("aspect", [(0.2, 0.25), (4.0, 5.0)])
def test_aspect_is_height_by_width(aspect):
    """On a large enough image, so that the rectangle is not clipped."""
    mix = CutMix(prob=1.0, area=(0.04, 0.05), aspect=aspect)
    for _ in range(20):
        rows, columns = mix._rectangle(400, 400)
        assert (rows.stop - rows.start) / (columns.stop - columns.start) == pytest.approx(sum(aspect) / 2, rel=0.15)


@pytest.mark.parametrize(
    "options", [dict(prob=1.5), dict(area=(0.5, 0.2)), dict(area=(0.1, 1.2)), dict(aspect=(0.0, 1.0))]
)
def test_bad_options_are_named(options):
    with pytest.raises(ValueError, match=f"(?i)cutmix.{next(iter(options))}"):
        CutMix(**options)


def test_a_batch_is_mixed_as_a_whole_or_not_at_all():
    mix, changed = CutMix(prob=0.5, per="batch"), []
    for _ in range(60):
        changed.append((mix([tagged(4)])[0] != tagged(4)).flatten(1).any(dim=1).tolist())
    assert {len(set(one)) for one in changed} == {1}
    assert 15 < sum(one[0] for one in changed) < 45
