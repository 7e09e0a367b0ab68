"""Providers of metrics: ours pass their suite, and a third party's is used like them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from invsearch.errors import InputError
from invsearch.explain import explain
from invsearch.metrics import KNOWN_METRICS, Metric, MetricInfo, Source
from invsearch.plugins import PROVIDERS, PluginError
from invsearch.problem import problem_of
from invsearch.provider import Provider, Setting, When
from invsearch.space import load_space_file
from invsearch.space.architecture import Architecture
from invsearch.testing import ProviderConformance

SPACE = """
name: providers
objectives: {{{objectives}}}
model: {{family: rednet, depth: 26, num_classes: 10, in_channels: 1, resolution: 32}}
space: {{width: {{choice: [0.25, 0.5]}}}}
{more}
"""


@pytest.fixture(scope="class")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spaces")


def written(folder: Path, objectives: str, more: str = "") -> str:
    path = folder / "space.yaml"
    path.write_text(SPACE.format(objectives=objectives, more=more))
    return str(path)


class _Ours(ProviderConformance):
    objectives = "params: minimize"
    more = ""

    @pytest.fixture(autouse=True)
    def _written(self, folder: Path) -> None:
        self.space = written(folder, self.objectives, self.more)


class TestCounted(_Ours):
    provider = "counted"


class TestPeakMemory(_Ours):
    provider = "peak_memory"
    objectives = "peak_memory_bytes: minimize"


class TestMeasured(_Ours):
    provider = "measured"
    objectives = "latency_ms: minimize"


class TestTrained(_Ours):
    provider = "trained"
    objectives = "val_loss: minimize"
    more = "accuracy: {epochs: 2, dataset: digits}"


class Widths(Provider):
    """A third party's: the widths of the stages, summed."""

    metrics: ClassVar[tuple[str, ...]] = ("widths",)
    source: ClassVar[Source] = "counted"
    when: ClassVar[When] = "before"
    infos: ClassVar[Mapping[str, MetricInfo]] = {
        "widths": MetricInfo("minimize", "widths", "counted", "widths")
    }

    @classmethod
    def serves(cls, setting: Setting) -> bool:
        return "widths" in setting.wanted

    def give(self, architecture: Architecture, earlier: Mapping[str, Metric]) -> dict[str, Metric]:
        total = sum(stage.width for stage in self.setting.spec(architecture).stages)
        return {"widths": Metric("widths", total, "counted")}


@pytest.fixture
def widths() -> Iterator[None]:
    PROVIDERS.add("widths", Widths)
    yield
    PROVIDERS.remove("widths")
    KNOWN_METRICS.pop("widths", None)


def test_a_third_partys_metric_is_searched_like_ours(widths: None, tmp_path: Path) -> None:
    file = load_space_file(written(tmp_path, "widths: minimize"))
    problem = problem_of(file)
    values = [problem.known(one)["widths"].value for one in problem.space.enumerate()]
    assert values == [240.0, 480.0]
    assert explain(file).objectives["widths"] == "minimize, counted"


def test_a_metric_that_nobody_gives_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing evaluates it"):
        load_space_file(written(tmp_path, "widths: minimize"))


def test_what_is_no_provider_is_one_line(tmp_path: Path) -> None:
    PROVIDERS.add("wrong", int)
    try:
        with pytest.raises(PluginError, match="provider of metrics 'wrong' is int, no Provider"):
            load_space_file(written(tmp_path, "params: minimize, unheard: minimize"))
    finally:
        PROVIDERS.remove("wrong")
