"""The problem of a space over a model family: what its providers give, and its baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invsearch import models
from invsearch.accuracy.hints import Hints
from invsearch.errors import InputError, InvsearchError, TrialError
from invsearch.evaluation import Evaluation, InstantEvaluation
from invsearch.metrics import Metric
from invsearch.problem.problem import Problem
from invsearch.provider import Provider, Setting, When, providers
from invsearch.space.architecture import Architecture, Value
from invsearch.user_code.failure import describe_failure

if TYPE_CHECKING:
    from invsearch.accuracy.proxies import Subject
    from invsearch.accuracy.trained import Trained
    from invsearch.models import NetworkSpec, SearchedSpec
    from invsearch.runs import RunFolder, Trial

__all__ = ["BASELINES", "NetworkProblem"]

BASELINES: Mapping[str, Mapping[str, Value]] = {
    title: {"family": family.name, "depth": depth}
    for family in models.FAMILIES.values()
    for title, depth in family.baselines.items()
}


class NetworkProblem(Problem):
    """Costs are of the full-size network, accuracy is of the proxy that the space file states."""

    _hints: Hints | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"file": self.file}  # providers are made anew where the problem arrives

    @cached_property
    def providers(self) -> tuple[Provider, ...]:
        """Those that the space file asks for."""
        known, setting = providers(self.wanted), self.setting
        return tuple(provider(setting) for provider in known if provider.serves(setting))

    @cached_property
    def setting(self) -> Setting:
        """What the space file asks of them."""
        assert self.file.model is not None
        return Setting(
            wanted=self.wanted,
            space=self.space,
            spec=self.spec,
            searched=self.searched,
            resolution=self.file.model.resolution,
            latency=self.file.latency,
            accuracy=self.file.accuracy,
            rungs=frozenset(self.file.search.rungs),
        )

    @property
    def needs_workers(self) -> bool:
        return any(one.works or one.elsewhere for one in self.providers)

    @property
    def measures(self) -> bool:
        return bool(self._at("alone"))

    def spec(self, architecture: Mapping[str, Any]) -> NetworkSpec:
        """The network that an architecture of the space stands for, a task's backbone included."""
        return models.network_spec(self._model, architecture)

    def searched(self, architecture: Mapping[str, Any]) -> SearchedSpec:
        """What costs are of: the network, or the detector or segmenter around it."""
        return models.searched_spec(self._model, architecture)

    def sources(self) -> dict[str, str]:
        """By metric that a provider gives, the source of the value that a trial ends with."""
        return {name: one.source for one in self.providers for name in one.names}

    def known(self, architecture: Architecture) -> dict[str, Metric]:
        try:
            return self._given("before", architecture, {})
        except (InvsearchError, KeyboardInterrupt):
            raise
        except BaseException as error:  # an operator's closed form, or a third party's provider
            raise TrialError(f"costs: {describe_failure(error)}") from error

    def explained(self, architecture: Architecture) -> dict[str, Metric]:
        """Parameters and multiply-adds, whether or not they are asked for."""
        from invsearch.cost.provider import Counted

        return Counted(self.setting).give(architecture, {})

    def measure(self, architecture: Architecture) -> dict[str, Metric]:
        names = {name for one in self._at("alone") for name in one.names}
        if not names:
            return {}
        earlier: dict[str, Metric] = {}
        for provider in self._at("before"):
            if names & set(provider.names):
                earlier |= provider.give(architecture, earlier)
        return self._given("alone", architecture, earlier)

    def prepare(self, folder: RunFolder, say: Callable[[str], None]) -> None:
        for provider in self.providers:
            provider.prepare(folder, say)
        accuracy = self.file.accuracy
        if accuracy is not None and accuracy.hints:
            self._hints = Hints(self.trained, accuracy.hints, folder.path)
            self._hints.prepare(say)

    def evaluation(self, architecture: Architecture, seed: int) -> Evaluation:
        for provider in self._at("after"):
            evaluation = provider.evaluation(architecture, seed)
            if evaluation is not None:
                return evaluation
        return InstantEvaluation({})

    def test(self, architecture: Architecture, weights: Path) -> dict[str, Metric]:
        found: dict[str, Metric] = {}
        for provider in self._at("after"):
            found |= provider.test(architecture, weights)
        return found

    @property
    def audited(self) -> tuple[str, ...]:
        return tuple(name for one in self.providers for name in one.audited)

    def unreached(self, name: str, known: Sequence[Metric]) -> str | None:
        return self._auditor(name).unreached(name, known)

    def audit(self, name: str, architectures: Sequence[Architecture]) -> list[Metric]:
        return self._auditor(name).audit(name, architectures)

    def _auditor(self, name: str) -> Provider:
        return next(one for one in self.providers if name in one.audited)

    def compare(self, trials: Iterable[Trial], say: Callable[[str], None]) -> None:
        if self._hints is None:
            return
        complete = [trial for trial in trials if trial.state == "complete"]
        say(f"asking the sources of hints about the {len(complete)} networks that were trained")
        for trial in complete:
            self._hints.ask(trial.architecture)

    def subject(self, architecture: Architecture) -> Subject:
        """What proxies are told of an architecture.

        Raises:
            InputError: If nothing is trained here.
        """
        return self.trained.subject(architecture)

    @property
    def trained(self) -> Trained:
        """What trains the networks.

        Raises:
            InputError: If nothing does.
        """
        from invsearch.accuracy.trained import Trained

        for provider in self.providers:
            if isinstance(provider, Trained):
                return provider
        raise InputError(f"{self.file.path}: nothing is trained, so proxies have no images to see")

    @property
    def hints(self) -> Hints | None:
        return self._hints

    def check(self) -> None:
        for provider in self.providers:
            provider.check()

    def _at(self, when: When) -> list[Provider]:
        return [provider for provider in self.providers if provider.when == when]

    def _given(
        self, when: When, architecture: Architecture, earlier: Mapping[str, Metric]
    ) -> dict[str, Metric]:
        found = dict(earlier)
        given: dict[str, Metric] = {}
        for provider in self._at(when):
            new = provider.give(architecture, found)
            found |= new
            given |= new
        return given

    def baselines(self) -> dict[str, Architecture]:
        if self.file.accuracy is None or not self.file.accuracy.baselines or not self.needs_workers:
            return {}
        found = {name: self._locate(settings) for name, settings in BASELINES.items()}
        return {name: architecture for name, architecture in found.items() if architecture}

    @cached_property
    def _model(self) -> dict[str, Any]:
        assert self.file.model is not None
        return {**self.file.model.constants(), **self.space.constants}

    def _locate(self, settings: Mapping[str, Value]) -> Architecture | None:
        """The point of the space that is the network with these settings, if it has one."""
        family = models.FAMILIES[str(settings["family"])]
        values = family.whole(int(settings["depth"]))
        candidate = {}
        for parameter in self.space.parameters:
            value = values.get(parameter.name.rpartition(".")[2])
            if value is not None and parameter.contains(value):
                candidate[parameter.name] = value
        try:
            architecture = self.space.canonical(candidate)
        except (InputError, KeyError, ValueError):
            return None
        target = models.network_spec({"stem_kernel_size": 7, **self._constants()}, settings)
        return architecture if self.spec(architecture) == target else None

    def _constants(self) -> dict[str, Any]:
        return {k: v for k, v in self._model.items() if k in ("num_classes", "in_channels")}
