"""Labelled images in memory: digits (in a package), CIFAR-10, or any folder of parquet."""

from invsearch.data.images import ImageData, Scale
from invsearch.data.load import DATASETS, load_dataset, resolve_dataset

__all__ = ["DATASETS", "ImageData", "Scale", "load_dataset", "resolve_dataset"]
