"""Data that are not arrays in memory: files larger than memory, iterables of batches; and changes made to batches."""

from fastnn.feeds.arrays import Arrays, Npy
from fastnn.feeds.arrow import Arrow, Parquet
from fastnn.feeds.augmentation import Augmentation, MixUp, Noise
from fastnn.feeds.batches import Batches
from fastnn.feeds.contract import Blocks, Feed, Piece

__all__ = [
    "Arrays",
    "Arrow",
    "Augmentation",
    "Batches",
    "Blocks",
    "Feed",
    "MixUp",
    "Noise",
    "Npy",
    "Parquet",
    "Piece",
]
