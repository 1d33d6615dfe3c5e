"""The names that ``mmseg_allspark.apis`` had in 0.1.0; they live in :mod:`mmseg_allspark.inference`."""

from mmseg_allspark.inference import *  # noqa: F403
