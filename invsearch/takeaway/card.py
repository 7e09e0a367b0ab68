"""The model card of a kept network: ``README.md``, as hubs show it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from invsearch.metrics import Metric
from invsearch.models import ModuleSpec, NetworkSpec, SearchedSpec

__all__ = ["CARD", "model_card"]

CARD = "README.md"


def model_card(config: Mapping[str, Any], spec: SearchedSpec, metrics: Mapping[str, Metric]) -> str:
    """Say what a network is, how good, trained how, and what it is for.

    Args:
        config: ``config.json``.
        spec: The network.
        metrics: Its own, with their sources.
    """
    classifies = isinstance(spec, NetworkSpec | ModuleSpec)
    task = "image-classification" if classifies else "image-segmentation"
    tags = [task, "invsearch", *(["timm"] if classifies else [])]
    head = ["---", "license: other", f"pipeline_tag: {task}", "tags:", *(f"- {t}" for t in tags)]
    head += ["library_name: timm"] if classifies else []
    training = dict(config["training"] or {})
    training["dataset"] = Path(str(training.get("dataset"))).name  # a path tells of one machine
    return "\n".join(
        [
            *head,
            "---",
            f"# {_title(config)}",
            "",
            *_about(config, spec, training),
            "",
            "## Metrics",
            "",
            *_table(metrics),
            "",
            "The intervals are 95 %, over the images it was judged on and no other seeds or data.",
            "",
            "## Training",
            "",
            *_training(training),
            "",
            "## Intended use",
            "",
            f"Comparing architectures. It was trained on `{training.get('dataset')}`, and is good "
            "for images like those at most: judge it on yours before you rely on it. Nothing was "
            "tested of fairness, safety or robustness.",
            "",
            "## Use",
            "",
            *_use(spec),
            "",
            "## Licence",
            "",
            "The code that builds it is Apache-2.0. The licence of the weights is for whoever "
            "trained them to state, with regard to the data; put it here, and above.",
            "",
        ]
    )


def _title(config: Mapping[str, Any]) -> str:
    run, trial = config["run"], config["trial"]
    return "A network by invsearch" if run is None else f"Trial {trial} of {run}"


def _about(
    config: Mapping[str, Any], spec: SearchedSpec, training: Mapping[str, Any]
) -> Iterator[str]:
    channels, height, width = config["input_shape"][1:]
    settings = ", ".join(f"`{k}={v}`" for k, v in config["parameters"].items())
    yield f"{settings or 'One architecture'}; images {channels} x {height} x {width}, "
    yield f"{spec.num_classes} classes. Found and trained by invsearch, a search around involution"
    yield "(Li et al., CVPR 2021)."
    if training.get("width", 1) != 1:
        yield f"It is a proxy: {training['width']:g} of the width of the network searched for."


def _table(metrics: Mapping[str, Metric]) -> Iterator[str]:
    yield "| metric | value | 95 % interval | source |"
    yield "|---|---|---|---|"
    for name, metric in metrics.items():
        ends = "" if metric.low is None else f"{metric.low:.6g} to {metric.high:.6g}"
        counted = metric.source == "counted"
        value = f"{metric.value:,.0f}" if counted else f"{metric.value:.6g}"
        yield f"| {name} | {value} | {ends} | {metric.source} |"


def _training(training: Mapping[str, Any]) -> Iterator[str]:
    for name in ("dataset", "resolution", "data_fraction", "seed"):
        yield f"- {name}: `{training.get(name)}`"
    recipe = training.get("recipe") or {}
    yield "- recipe: " + ", ".join(f"`{name}={value}`" for name, value in recipe.items())


def _use(spec: SearchedSpec) -> Iterator[str]:
    yield "```python"
    if isinstance(spec, NetworkSpec | ModuleSpec):
        yield "import timm"
        yield ""
        yield "import invsearch.timm"
        yield ""
        yield 'network = timm.create_model("local-dir:FOLDER", pretrained=True)  # or hf-hub:'
    else:
        yield "from invsearch.takeaway.saved import load_network"
        yield ""
        yield 'network = load_network("FOLDER")'
    yield "```"
