"""What people look at: a model line by line, one batch of it in numbers, and in words what looks wrong."""

from fastnn.callbacks.finding import Finding
from fastnn.inspection.check import Check

__all__ = ["Check", "Finding"]
