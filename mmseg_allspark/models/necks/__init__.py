"""Necks."""

from .allspark_neck import AllSparkNeck

__all__ = ["AllSparkNeck"]
