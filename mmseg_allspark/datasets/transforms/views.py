"""Several colour views of one image, and the packing of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.dataset import Compose
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import TRANSFORMS

from mmseg_allspark.utils.checks import check_types

_GEOMETRY_KEYS = frozenset({"flip", "scale", "scale_factor", "pad_shape"})


@TRANSFORMS.register_module()
class MultiView(BaseTransform):
    """Makes several views of the same geometry of one image, each with its own colour transforms.

    Use it after every geometric transform and right before ``PackSemiInputs``. The view named 'weak' is the
    one that pseudo labels come from; ``results['img']`` stays that view.

    Args:
        views: View name to its list of transforms. It has to hold 'weak', e.g.
            ``dict(weak=[], strong=[dict(type='RandomColorJitter')])``.

    Raises:
        ValueError: If there is no view 'weak', or, at a sample, if a view changed the geometry.
    """

    @check_types
    def __init__(self, views: Mapping[str, Sequence[dict | Callable]]) -> None:
        if "weak" not in views:
            raise ValueError(f"MultiView.views={list(views)} has no view named 'weak': pseudo labels come from it.")
        # built here, from mmseg's registry: Compose alone would look in the default scope only
        self.views = {
            name: Compose([TRANSFORMS.build(step) if isinstance(step, dict) else step for step in steps])
            for name, steps in views.items()
        }

    def transform(self, results: dict) -> dict:
        """Adds ``views``, view name to image (H, W, 3), all of the same size; ``img`` is the weak one."""
        views = {name: self._make_view(name, steps, results) for name, steps in self.views.items()}
        results["views"] = views
        results["img"] = views["weak"]
        return results

    def _make_view(self, name: str, steps: Compose, results: dict) -> np.ndarray:
        # Without the keys of the geometry in the sample, a step that puts one there gives itself away, even
        # when by chance it has not moved anything this time.
        view = steps(dict(img=results["img"].copy(), img_path=results.get("img_path")))
        image = view["img"]
        if image.shape != results["img"].shape or not _GEOMETRY_KEYS.isdisjoint(view):
            raise ValueError(
                f"The view '{name}' of MultiView changed the geometry of {results.get('img_path')}: views "
                "may change colours only. Put resizing, cropping and flipping before MultiView."
            )
        return image


@TRANSFORMS.register_module()
class PackSemiInputs(PackSegInputs):
    """mmseg's ``PackSegInputs`` that also packs several views.

    Without ``MultiView`` the sample is exactly that of ``PackSegInputs``: ``inputs`` is a uint8 tensor (3, H,
    W). After ``MultiView``, ``inputs`` is a dict of view name to such a tensor. ``data_samples`` has
    ``gt_sem_seg`` only where a mask was loaded, and ``img_path``, ``seg_map_path`` (where known),
    ``ori_shape``, ``img_shape``, ``pad_shape``, ``scale_factor``, ``flip`` in its metainfo. After ``PadAndMark`` it
    also has ``valid``, a bool map (1, H, W), True where the image was not padded; after ``LoadPseudoLabel``
    ``pseudo_seg_map`` and perhaps ``pseudo_confidence``, both uint8 (1, H, W).

    Args:
        meta_keys: As in ``PackSegInputs``.
    """

    def transform(self, results: dict) -> dict:
        """Packs a sample into dict(inputs=Tensor or dict of view name to Tensor, data_samples=SegDataSample)."""
        packed = super().transform(results)
        if "valid" in results:
            valid = torch.from_numpy(np.ascontiguousarray(results["valid"])).bool()
            packed["data_samples"].valid = PixelData(data=valid[None])
        for key in ("pseudo_seg_map", "pseudo_confidence"):
            if key in results:
                values = torch.from_numpy(np.ascontiguousarray(results[key]))
                packed["data_samples"].set_data({key: PixelData(data=values[None])})
        if "views" in results:
            packed["inputs"] = {
                name: super(PackSemiInputs, self).transform(dict(img=image))["inputs"]
                for name, image in results["views"].items()
            }
        return packed
