"""Losses."""

from .dynamic_soft_label import DynamicSoftLabelLoss, dynamic_soft_label
from .fuzzy_positive_loss import FuzzyPositiveLoss
from .ohem_loss import OhemLoss
from .pixel_losses import PixelCrossEntropyLoss, PixelMSELoss, SigmoidFocalLoss

__all__ = [
    "DynamicSoftLabelLoss",
    "FuzzyPositiveLoss",
    "OhemLoss",
    "PixelCrossEntropyLoss",
    "PixelMSELoss",
    "SigmoidFocalLoss",
    "dynamic_soft_label",
]
