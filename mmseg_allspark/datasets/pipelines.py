"""The pipelines that the configs of all data sets share, as a function of the crop."""

from collections.abc import Sequence

from mmengine.config import ConfigDict

Steps = list[dict]
COLOUR = (
    dict(type="RandomColorJitter", brightness=0.5, contrast=0.5, saturation=0.5, hue=0.25, prob=0.8),
    dict(type="RandomGray", prob=0.2),
    dict(type="RandomGaussianBlur", sigma=(0.1, 2.0), prob=0.5),
)
CUTOUT = dict(type="RandomNoiseCutOut")
TTA_RATIOS = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)  # mmseg's


def semi_pipelines(
    crop_size: tuple[int, int],
    *,
    num_classes: int | None = None,
    ratio_range: tuple[float, float] = (0.5, 2.0),
    colour: Sequence[dict] = COLOUR,
    unlabeled_masks: bool = True,
) -> ConfigDict:
    """Pipelines of a data set, for config files.

    Args:
        crop_size: Height and width of all training images.
        num_classes: Masks with larger numbers (but 255) are refused. Default None, no check while loading.
        ratio_range: Range of the long side's random scale. Default (0.5, 2.0), the releases'.
        colour: Colour changes. Default those of the AllSpark and UniMatch releases.
        unlabeled_masks: Read masks of unlabeled images where there are any. They serve the agreement statistic in the
            log and nothing else. Default True.

    Returns:
        Steps by name: ``labeled`` with colour changes, ``weak_labeled`` without; ``unlabeled`` without colour changes,
        ``strong_unlabeled`` with a second view that has them, ``two_strong_unlabeled`` with two such views;
        ``pseudo_labeled`` with colour changes, CutOut and labels from files, whose folder is still to be set; ``test``;
        ``tta`` for ``tools/test.py --tta``: six scales, each image as it is and mirrored.
    """
    masks = {} if num_classes is None else dict(num_classes=num_classes)
    image, mask = dict(type="LoadImage"), dict(type="LoadSegMask", **masks)
    optional_mask = [dict(mask, optional=True)] if unlabeled_masks else []
    pack = dict(type="PackSemiInputs")
    # the releases pad before they crop; cropping first and then padding right and bottom gives the same
    weak = [
        dict(type="RandomResizeLongSide", ratio_range=ratio_range),
        dict(type="RandomCrop", crop_size=crop_size, cat_max_ratio=1.0),
        dict(type="PadAndMark", size=crop_size[::-1], pad_val=dict(img=0, seg=255)),
        dict(type="RandomFlip", prob=0.5),
    ]

    def unlabeled(**strong_views: Sequence[dict]) -> Steps:
        views = [dict(type="MultiView", views=dict(weak=[], **strong_views))] if strong_views else []
        return [image, *optional_mask, *weak, *views, pack]

    return ConfigDict(
        labeled=[image, mask, *weak, *colour, pack],
        weak_labeled=[image, mask, *weak, pack],
        unlabeled=unlabeled(),
        strong_unlabeled=unlabeled(strong=list(colour)),
        two_strong_unlabeled=unlabeled(strong1=list(colour), strong2=list(colour)),
        pseudo_labeled=[image, dict(type="LoadPseudoLabel", folder="", **masks), *weak, *colour, CUTOUT, pack],
        test=[image, mask, pack],
        tta=_augmented_test(image, [dict(scale_factor=ratio) for ratio in TTA_RATIOS], mask, pack),
    )


def _augmented_test(image: dict, scales: list[dict], mask: dict, pack: dict) -> Steps:
    """Test pipeline that gives an image once at each scale, and again mirrored; ``scales`` are options of Resize."""
    resizings = [dict(type="Resize", keep_ratio=True, **scale) for scale in scales]
    flips = [dict(type="RandomFlip", prob=prob, direction="horizontal") for prob in (0.0, 1.0)]
    return [image, dict(type="TestTimeAug", transforms=[resizings, flips, [mask], [pack]])]


def guidedmix_pipelines(scale: tuple[int, int], crop_size: tuple[int, int], num_classes: int) -> ConfigDict:
    """Pipelines of GuidedMix-Net's release, which changes colours in labeled and unlabeled images.

    Unlike the release no mask chooses the crop of an unlabeled image.

    Args:
        scale: Long and short side that images are trained around and tested at; masks keep their own size in tests.
        crop_size: Height and width of all training images.
        num_classes: Masks with larger numbers (but 255) are refused.

    Returns:
        Steps by name: ``labeled``, ``unlabeled``, ``test``, ``tta`` as in :func:`semi_pipelines`.
    """
    image, mask = dict(type="LoadImage"), dict(type="LoadSegMask", num_classes=num_classes)
    resize = dict(type="RandomResize", scale=scale, ratio_range=(0.5, 2.0), keep_ratio=True)
    pack = dict(type="PackSemiInputs")

    def training(mask: dict, cat_max_ratio: float) -> Steps:
        return [
            image,
            mask,
            resize,
            dict(type="RandomCrop", crop_size=crop_size, cat_max_ratio=cat_max_ratio),
            dict(type="RandomFlip", prob=0.5),
            dict(type="PhotoMetricDistortion"),
            # with the mean colour (BGR): the release pads after it has normalised
            dict(type="PadAndMark", size=crop_size[::-1], pad_val=dict(img=(104, 116, 124), seg=255)),
            pack,
        ]

    return ConfigDict(
        labeled=training(mask, 0.75),
        unlabeled=training(dict(mask, optional=True), 1.0),
        test=[image, dict(type="Resize", scale=scale, keep_ratio=True), mask, pack],
        tta=_augmented_test(
            image, [dict(scale=tuple(round(side * ratio) for side in scale)) for ratio in TTA_RATIOS], mask, pack
        ),
    )
