"""Spaces of somebody else's networks: conditions, rules, and one line about each mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from invsearch.errors import InputError
from invsearch.space import SpaceFile, json_schema, load_space_file
from invsearch.space.own_model import module_spec, unchanged

SPACE = """
name: own
objectives: {macs: minimize}
model:
  builder: nets:build
  arguments: {depth: 3}
  replace:
    - {match: "late.*", operator: $late, kernel_size: $kernel, group_channels: 8}
    - {match: "*", operator: $early, kernel_size: 3}
space:
  late: {choice: [keep, involution, convolution]}
  early: {choice: [keep, involution]}
  kernel: {choice: [3, 5]}
  width: {range: [0.5, 1], step: 0.25}
  groups: 4
"""


def written(folder: Path, text: str = SPACE, **changed: Any) -> Path:
    data = yaml.safe_load(text)
    for path, value in changed.items():
        *parents, last = path.split("__")
        inside = data
        for parent in parents:
            inside = inside[int(parent) if parent.isdigit() else parent]
        inside[last] = value
    (folder / "own.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    return folder / "own.yaml"


def loaded(folder: Path, **changed: Any) -> SpaceFile:
    return load_space_file(written(folder, **changed))


def test_a_rules_setting_has_an_effect_where_its_operator_has_it(tmp_path: Path) -> None:
    file = loaded(tmp_path)
    assert file.space.size() == (1 + 2 * 2) * 2 * 3
    kept = file.space.canonical({"late": "keep", "early": "keep", "kernel": 5, "width": 0.5})
    assert "kernel" not in kept
    literal = loaded(tmp_path, model__replace=[{"match": "*", "operator": "involution",
                                                "kernel_size": "$kernel"}])  # fmt: skip
    assert literal.space.size() == 3 * 2 * 2 * 3, "late and early are the builder's own now"


def test_a_spec_has_the_values_and_what_nothing_reads_is_the_builders(tmp_path: Path) -> None:
    file = loaded(tmp_path)
    chosen = {"late": "involution", "early": "keep", "kernel": 5, "width": 0.75}
    architecture = file.space.canonical(chosen)
    assert file.model is not None
    spec = module_spec(file.model, file.space.constants, architecture)
    assert dict(spec.parameters) == {"depth": 3, "groups": 4, "width": 0.75}
    late, early = spec.replace
    assert (late.match, late.operator) == ("late.*", "involution")
    assert late.hyperparameters == (("group_channels", 8), ("kernel_size", 5))
    assert (early.operator, early.hyperparameters) == ("keep", ())


def test_the_network_with_nothing_replaced(tmp_path: Path) -> None:
    file = loaded(tmp_path)
    assert file.model is not None
    found = unchanged(file.model, file.space)
    assert found == {"late": "keep", "early": "keep", "width": 0.5}
    always = loaded(tmp_path, space__late={"choice": ["involution", "convolution"]})
    assert always.model is not None
    assert unchanged(always.model, always.space) is None


def test_a_space_file_is_valid_for_editors_and_a_familys_is_as_closed_as_before(
    tmp_path: Path,
) -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.validate(yaml.safe_load(SPACE))
    data = yaml.safe_load(SPACE)
    data["model"] = {"family": "rednet"}
    assert not validator.is_valid(data)


def test_an_identity_says_what_is_built_and_a_familys_is_what_it_was(tmp_path: Path) -> None:
    own, other = loaded(tmp_path), loaded(tmp_path, model__canonical="built")
    assert own.identity() != other.identity()
    family = load_space_file("quick").identity()["model"]
    assert not {"builder", "timm", "replace", "arguments", "canonical"} & family.keys()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"model__timm": "resnet18"}, ["own.yaml:", "builder and model.timm exclude each other"]),
        ({"model__family": "rednet"}, ["model.family and model.builder exclude each other"]),
        ({"model__operator": "involution"}, ["unknown key 'operator'", "model.arguments"]),
        ({"model__builder": "nets"}, ["package.module:function"]),
        ({"model__replace__0__operator": "$lat"}, ["no parameter 'lat'", "did you mean 'late'"]),
        ({"model__replace__0__operator": "involutoin"}, ["operator 'involutoin' is unknown"]),
        ({"model__replace__0__kernel": 3}, ["unknown key 'kernel'", "kernel_size"]),
        ({"model__replace__0__kernel_size": 4}, ["kernel_size: kernel_size = 4"]),
        ({"model__replace__0__kernel_size": [3]}, ["must be a value or $NAME"]),
        ({"space__late": {"choice": ["kep"]}}, ["operator 'kep' is unknown", "'keep'"]),
        ({"space__kernel": {"range": [0.5, 1.5]}}, ["continuous"]),
        ({"space__depth": 5}, ["given already, as model.arguments.depth"]),
        ({"space__task": 5}, ["another name"]),
        ({"space__width": {"choices": [1]}}, ["unknown key 'choices'"]),
        ({"latency": {"table": True}, "objectives__latency_ms": "minimize"}, ["measured whole"]),
        ({"accuracy": {"source": "published"}, "objectives__top1": "maximize"}, ["published"]),
    ],
    ids=lambda one: next(iter(one), "") if isinstance(one, dict) else None,
)
def test_mistakes_are_one_line(tmp_path: Path, changed: dict[str, Any], words: list[str]) -> None:
    path = written(tmp_path, **changed)
    with pytest.raises(InputError) as caught:
        load_space_file(path)
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert word in line


def test_keys_of_own_models_are_refused_with_a_family(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model\.arguments has no effect"):
        load_space_file("quick", ["model.arguments={depth: 3}"])
