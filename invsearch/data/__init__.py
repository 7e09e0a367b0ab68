"""Labelled images: a row for each data set that has a name, a file for each format of a folder.

The way of the data: a format (``formats/``) opens a path as :class:`Splits`, which completes its
three parts; ``decode.py`` makes an :class:`ImageData` of it. The table of those that have a name is
:data:`invsearch.plugins.DATASETS`.
"""

from invsearch.data.dataset import DataFormat, Dataset, Wanted
from invsearch.data.decode import image_data
from invsearch.data.formats import FORMATS
from invsearch.data.images import ImageData, Part, Scale, standardise, stratified_subset
from invsearch.data.load import load_dataset, open_splits, resolve_dataset
from invsearch.data.masks import IGNORED, Masks
from invsearch.data.splits import Labelled, Splits
from invsearch.data.stream import Encoded
from invsearch.plugins import DATASETS

__all__ = [
    "DATASETS",
    "FORMATS",
    "IGNORED",
    "DataFormat",
    "Dataset",
    "Encoded",
    "ImageData",
    "Labelled",
    "Masks",
    "Part",
    "Scale",
    "Splits",
    "Wanted",
    "image_data",
    "load_dataset",
    "open_splits",
    "resolve_dataset",
    "standardise",
    "stratified_subset",
]
