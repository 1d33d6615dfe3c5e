"""Losses."""

from .ohem_loss import OhemLoss

__all__ = ["OhemLoss"]
