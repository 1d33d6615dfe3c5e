"""What a run did, as one HTML page, and what a model sees, as pictures and figures."""

from .report import write_report

__all__ = ["write_report"]
