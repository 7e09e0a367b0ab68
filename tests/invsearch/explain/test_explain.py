"""explain and the JSON Schema: what a space file says without running it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from rich.console import Console

from invsearch import cost, models
from invsearch.errors import InputError
from invsearch.explain import explain, explain_layers
from invsearch.space import json_schema, load_space_file
from invsearch.space.load import SpaceFile

ROOT = Path(__file__).parents[3]


def space_file(folder: Path, text: str) -> SpaceFile:
    path = folder / "s.yaml"
    path.write_text("name: '[red]t'\nobjectives: {macs: minimize}\n" + text)
    return load_space_file(path)


def printed(renderable: Any) -> str:
    out = io.StringIO()
    Console(file=out, width=160).print(renderable)
    return out.getvalue()


def test_the_papers_networks_are_ten_with_their_costs() -> None:
    found = explain(load_space_file("paper"))
    assert (found.size, found.exact) == (10, True)
    macs = next(r for r in found.ranges if r.name == "macs")
    assert macs.method == "exact"
    assert macs.cheapest.to_json() == {"family": "rednet", "depth": 26}
    assert macs.dearest.to_json() == {"family": "resnet", "depth": 152}
    params = next(r for r in found.ranges if r.name == "params")
    assert round(params.low / 1e6, 2) == 9.23


def test_sampled_ranges_reach_the_true_ends() -> None:
    loaded = load_space_file("quick")
    exact = {r.name: (r.low, r.high) for r in explain(loaded).ranges}
    from invsearch.explain import explanation

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(explanation, "_ENUMERABLE", 10)
        patch.setattr(explanation, "_SAMPLES", 20)
        sampled = explain(loaded).ranges
    assert {r.method for r in sampled} == {"sampled"}
    assert {r.name: (r.low, r.high) for r in sampled} == exact


def test_unreachable_values_are_named_and_markup_is_not_interpreted(tmp_path: Path) -> None:
    loaded = space_file(
        tmp_path,
        "model: {family: rednet}\n"
        "space:\n  depth: {choice: [26, 38]}\n"
        "  width: {choice: [0.5, 1.0], when: {depth: 26}}\n"
        "  kernel_size: {choice: [3, 5], when: {depth: 38, width: 0.5}}\n",
    )
    found = explain(loaded)
    assert found.unreachable == ("kernel_size = 3", "kernel_size = 5")
    assert found.size == 3
    text = printed(found.text())
    assert "[red]t: 3 architectures" in text
    assert "no possible architecture has: kernel_size = 3" in text
    assert "depth is 38 and width is 0.5" in text


def test_conditions_and_costs_are_shown() -> None:
    text = printed(explain(load_space_file("rednet")).text())
    assert "stageN.operator is involution" in text
    assert "depth is custom" in text
    assert "val_loss (minimize, trained)" in text
    assert "one image of 224 x 224, convention fvcore" in text
    assert "samples, then climbed" in text


def test_json_holds_everything() -> None:
    data = json.loads(json.dumps(explain(load_space_file("quick")).to_json()))
    assert data["size"] == 5184
    assert set(data["ranges"]) == {"params", "macs"}
    assert len(data["samples"]) == 5


def test_a_space_with_an_evaluator_is_explained_by_its_costs(tmp_path: Path) -> None:
    (tmp_path / "costs_of_a_test.py").write_text(
        "def f(v):\n    return {'price': v['a'] * v['b']}\ndef bad(v):\n    return {'x': 1 / 0}\n"
    )
    text = (
        "params: {a: {range: [1, 9], step: 2}, b: {range: [0.5, 2.0]}}\n"
        "evaluator: costs_of_a_test:f\ncosts: costs_of_a_test:f\n"
    )
    found = explain(space_file(tmp_path, text))
    assert found.to_json()["size"] is None
    (price,) = found.ranges
    assert (price.low, price.high) == (0.5, 18.0)
    assert "infinitely many" in printed(found.text())
    with pytest.raises(InputError, match="costs: costs_of_a_test:bad raised ZeroDivisionError"):
        explain(
            space_file(
                tmp_path, text.replace("costs: costs_of_a_test:f", "costs: costs_of_a_test:bad")
            )
        )
    with pytest.raises(InputError, match="needs a space of networks"):
        explain_layers(space_file(tmp_path, text))


def test_layers_add_up_to_the_count() -> None:
    loaded = load_space_file("paper", ["space.depth=38", "space.family=rednet"])
    found = explain_layers(loaded)
    counts = cost.count(
        models.network_spec({"family": "rednet", "depth": 38}, {}), convention="paper"
    )
    assert sum(layer.macs_paper for layer in found.layers) == counts.macs
    assert sum(layer.params for layer in found.layers) == counts.params
    assert "stage1.block1" in printed(found.text())
    json.dumps(found.to_json())


@pytest.mark.parametrize(
    "name",
    ["rednet", "rednet-gpu", "quick", "paper", "operators", "latency", "detection", "segmentation"],
)
def test_shipped_spaces_fit_the_json_schema(name: str) -> None:
    data = yaml.safe_load(
        (ROOT / "spaces" / f"{name}.yaml")
        .read_text()
        .replace("5e-3", "0.005")
        .replace("5e-4", "5.0e-4")
    )
    jsonschema.Draft202012Validator.check_schema(json_schema())
    jsonschema.Draft202012Validator(json_schema()).validate(data)


@pytest.mark.parametrize(
    "change",
    [
        {"objectivs": {}},
        {"space": {"depht": {"choice": [26]}}},
        {"space": {"depth": {"choice": []}}},
        {"space": {"stage": {"kernel_size": [3, 5]}}},
        {"search": {"trials": 0}},
        {"params": {"a": {"choice": [1]}}, "evaluator": "a:b"},
        {"constraints": {"macs": {"maximum": 3}}},
    ],
)
def test_the_json_schema_refuses_mistakes(change: dict[str, Any]) -> None:
    good = {
        "name": "t",
        "objectives": {"macs": "minimize"},
        "constraints": {"macs": {"max": "3G"}},
        "model": {"family": "rednet"},
        "space": {"depth": {"choice": [26, 50]}},
    }
    validator = jsonschema.Draft202012Validator(json_schema())
    assert validator.is_valid(good)
    assert not validator.is_valid({**good, **change})
