"""The command line: ``fastnn train``, ``predict``, ``evaluate``, ``show``, ``export``, ``bench`` and others."""

from fastnn.cli.command import main

__all__ = ["main"]
