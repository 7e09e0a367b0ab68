"""Labelled images in memory, a file each: digits (in a package), CIFAR-10, folders of parquet.

The table of those that have a name is :data:`invsearch.plugins.DATASETS`.
"""

from invsearch.data.dataset import Dataset, FolderFormat, Wanted
from invsearch.data.images import ImageData, Scale, standardise, stratified_subset
from invsearch.data.load import FOLDERS, load_dataset, resolve_dataset
from invsearch.plugins import DATASETS

__all__ = [
    "DATASETS",
    "FOLDERS",
    "Dataset",
    "FolderFormat",
    "ImageData",
    "Scale",
    "Wanted",
    "load_dataset",
    "resolve_dataset",
    "standardise",
    "stratified_subset",
]
