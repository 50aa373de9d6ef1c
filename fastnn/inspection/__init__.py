"""What people look at: a model line by line, one batch of it in numbers, and in words what looks wrong."""

from fastnn.inspection.check import Check
from fastnn.inspection.findings import Finding

__all__ = ["Check", "Finding"]
