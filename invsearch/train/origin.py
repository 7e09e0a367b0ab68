"""Origin: what decides a training's images beside its recipe and its seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

from invsearch.errors import InputError

__all__ = ["Origin"]

_WHY = {
    "decoder": "accuracy.decoder was another",
    "crop": "accuracy.stream was another, or null and the machine's memory was",
    "order": "the machine's memory was another, by which parquet is held or read by row groups",
}


@dataclass(frozen=True)
class Origin:
    """How images come to a training; one that goes on must have them alike.

    Attributes:
        decoder: What decodes them.
        crop: Whether boxes are cut from an image's own pixels or from those that it is held in.
        order: Whether rows are shuffled one by one, or by blocks that are read together.
    """

    decoder: str = "pillow"
    crop: Literal["held", "original"] = "held"
    order: Literal["rows", "blocks"] = "rows"

    def check(self, said: Mapping[str, str]) -> None:
        """Refuse to go on from a checkpoint whose images came otherwise.

        Args:
            said: What the checkpoint says; one of a version before said nothing.

        Raises:
            InputError: If one differs; it names it and the setting that decides it.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            its = said.get(field.name, field.default)  # the defaults are what all did before
            if its != value:
                raise InputError(
                    f"checkpoint has images of {field.name} {its!r}, this training of {value!r}: "
                    f"{_WHY[field.name]}"
                )
