"""What a run did, as one HTML page, and what a model sees, as pictures and figures."""

from .recorder import Recorder
from .report import write_report

__all__ = ["Recorder", "write_report"]
