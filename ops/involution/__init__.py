"""Involution: functional form, module, kernel generators, back ends."""

from ops.involution.functional import involution2d
from ops.involution.module import Involution2d

__all__ = ["Involution2d", "involution2d"]
