"""Losses."""

from .ohem_loss import OhemLoss
from .pixel_losses import PixelCrossEntropyLoss, PixelMSELoss, SigmoidFocalLoss

__all__ = ["OhemLoss", "PixelCrossEntropyLoss", "PixelMSELoss", "SigmoidFocalLoss"]
