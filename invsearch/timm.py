"""Networks of ours for timm: importing this registers them with ``timm.create_model``.

RedNets are there by name, ``rednet26`` to ``rednet152``; what ``invsearch train -o FOLDER`` keeps
is ``timm.create_model("local-dir:FOLDER", pretrained=True)``, and from a hub likewise. Both take
``num_classes``, ``in_chans``, ``global_pool``, ``features_only`` and ``out_indices``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from invsearch.models import (
    ModuleSpec,
    Network,
    NetworkSpec,
    build_searched,
    from_official,
    import_timm,
    rednet_spec,
    spec_from_json,
)
from invsearch.models.families.rednet import FAMILY
from invsearch.models.official import is_official
from invsearch.models.timm_config import ENTRY, pretrained_cfg
from invsearch.space.sources import SOURCES

_timm = import_timm()

from timm.models import (  # noqa: E402 - what it imports has to be made whole first
    build_model_with_cfg,
    generate_default_cfgs,
    register_model,
)
from timm.models._features import feature_take_indices  # noqa: E402

__all__ = ["TimmNetwork"]

_LARGE = 1024  # pixels: a power of two that no network here reduces to a part of a pixel
_NAMES = tuple(f"rednet{depth}" for depth in FAMILY.presets)


class TimmNetwork(Network):
    """A network of ours as timm's tools take them; the same state dict.

    Attributes:
        feature_info: Of each stage: channels, reduction, module.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        self.feature_info = [
            {
                "num_chs": entrance.stage.out_channels,
                "reduction": _LARGE // entrance.output_size[0],
                "module": f"stages.{index}",
            }
            for index, entrance in enumerate(spec.entrances(_LARGE, _LARGE))
        ]

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | list[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> Any:
        """The stages' feature maps, as :class:`timm.models.FeatureGetterNet` asks for them.

        Args:
            x: Images (B, C, H, W).
            indices: Of the stages, from 0; a number takes the last so many, None all.
            norm: Has no effect: every stage ends normalised.
            stop_early: Whether stages after the last one that is wanted do not run.
            output_fmt: ``NCHW`` alone.
            intermediates_only: Whether the last feature map is left out of the result.

        Returns:
            The maps (B, num_chs, h, w); with the last feature map before them, where it is wanted.
        """
        assert output_fmt == "NCHW", "the feature maps are images"
        taken, last = feature_take_indices(len(self.stages), indices)
        x, found = self.stem(x), []
        for index, stage in enumerate(self.stages):
            if index > last and (stop_early or intermediates_only):
                break
            x = stage(x)
            if index in taken:
                found.append(x)
        return found if intermediates_only else (self.final(x), found)


def _entry(
    name: str, spec: NetworkSpec | ModuleSpec, pretrained: bool, settings: Mapping[str, Any]
) -> nn.Module:
    """Build by timm's own builder: it sets the attributes, loads weights, wraps features."""

    def build(
        num_classes: int = spec.num_classes, in_chans: int = spec.in_channels, **more: Any
    ) -> nn.Module:
        if isinstance(spec, ModuleSpec):
            more.pop("global_pool", None)  # it is the builder's
        mine = replace(spec, num_classes=num_classes, in_channels=in_chans, **more)
        return TimmNetwork(mine) if isinstance(mine, NetworkSpec) else build_searched(mine)

    feature_cfg: dict[str, Any] = {}
    if isinstance(spec, NetworkSpec):
        feature_cfg = {"out_indices": tuple(range(len(spec.stages))), "feature_cls": "getter"}
    made: nn.Module = build_model_with_cfg(
        build,
        name,
        pretrained,
        feature_cfg=feature_cfg,
        pretrained_filter_fn=_filtered,
        **settings,
    )
    return made


def _filtered(state: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """The weights of a released checkpoint by our names; others as they are."""
    if not is_official(state):
        return state
    return dict(from_official(state).state_dict())


def invsearch_network(pretrained: bool = False, **settings: Any) -> nn.Module:
    """A network that a search found: ``network`` is its spec, as ``config.json`` has it.

    Raises:
        InputError: If it is missing or cannot be built.
    """
    spec = spec_from_json(settings.pop("network"))
    known = settings.get("pretrained_cfg")
    if isinstance(spec, ModuleSpec) and isinstance(known, Mapping) and known.get("file"):
        spec = spec.at(Path(known["file"]) / SOURCES)  # of local-dir: its module is kept there
    assert isinstance(spec, NetworkSpec | ModuleSpec), "a segmenter has no architecture in timm"
    return _entry(ENTRY, spec, pretrained, settings)


def _rednet(depth: int) -> Callable[..., nn.Module]:
    def entry(pretrained: bool = False, **settings: Any) -> nn.Module:
        spec = rednet_spec(depth, stem_kernel_size=settings.pop("stem_kernel_size", 7))
        return _entry(f"rednet{depth}", spec, pretrained, settings)

    entry.__name__ = entry.__qualname__ = f"rednet{depth}"
    entry.__doc__ = f"RedNet-{depth} (Li et al., CVPR 2021)."
    return entry


default_cfgs = generate_default_cfgs({name: pretrained_cfg() for name in (*_NAMES, ENTRY)})
"""By name; no weights are behind them: ``pretrained_cfg_overlay={"file": ...}`` names some."""

for _depth in FAMILY.presets:
    register_model(_rednet(_depth))
register_model(invsearch_network)
