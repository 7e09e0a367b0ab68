"""What a recipe does to a training batch before the network sees it: a file and a row each.

The table is :data:`invsearch.plugins.AUGMENTATIONS`; a row's name is the field of
:class:`invsearch.train.recipe.Recipe` that turns it on, or stands in its ``augmentations``.
"""

from invsearch.train.augment.augmentation import About, Augment, Augmentation, Boxing
from invsearch.train.augment.chain import Chain, augmentation_of
from invsearch.train.augment.cutout import cut_out
from invsearch.train.augment.shift import augment

__all__ = [
    "About",
    "Augment",
    "Augmentation",
    "Boxing",
    "Chain",
    "augment",
    "augmentation_of",
    "cut_out",
]
