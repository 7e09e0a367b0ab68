"""Accuracy as published, of the few networks that have one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from invsearch import models
from invsearch.errors import TrialError
from invsearch.evaluation import Evaluation, InstantEvaluation
from invsearch.metrics import Metric, Source
from invsearch.provider import Provider, Setting, When

if TYPE_CHECKING:
    from invsearch.space.architecture import Architecture

__all__ = ["Published"]


class Published(Provider):
    """Top-1 on ImageNet of the paper's networks, looked up; other architectures fail."""

    metrics: ClassVar[tuple[str, ...]] = ("top1", "error")
    source: ClassVar[Source] = "published"
    when: ClassVar[When] = "after"

    @classmethod
    def serves(cls, setting: Setting) -> bool:
        accuracy = setting.accuracy
        wanted = accuracy is not None and accuracy.judge == "published"
        return wanted and setting.wants("accuracy")

    def evaluation(self, architecture: Architecture, seed: int) -> Evaluation:
        return InstantEvaluation(self._metrics(architecture))

    def _metrics(self, architecture: Architecture) -> dict[str, Metric]:
        from invsearch.paper import published

        spec = self.setting.spec(architecture)
        for network in published.networks():
            same = models.network_spec(
                {"stem_kernel_size": 7}, {"family": network.family, "depth": network.depth}
            )
            if same == spec:
                detail = {"status": network.status, "dataset": "ImageNet"}
                return {
                    "top1": Metric("top1", network.top1, "published", detail=detail),
                    "error": Metric("error", 100 - network.top1, "published", detail=detail),
                }
        raise TrialError(f"no accuracy is published for {architecture.key}")
