"""Losses."""

from .fuzzy_positive_loss import FuzzyPositiveLoss
from .ohem_loss import OhemLoss
from .pixel_losses import PixelCrossEntropyLoss, PixelMSELoss, SigmoidFocalLoss

__all__ = ["FuzzyPositiveLoss", "OhemLoss", "PixelCrossEntropyLoss", "PixelMSELoss", "SigmoidFocalLoss"]
