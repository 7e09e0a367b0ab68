"""A cost knows its image: nothing is said of 224 x 224 that was counted for another."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from synthetic_runs import make_paper

from invsearch.explain import explain_layers
from invsearch.metrics import Metric
from invsearch.report.page import render
from invsearch.report.plot.compared import compared_fronts
from invsearch.report.shown import PageMaterial
from invsearch.runs import RunData, Trial
from invsearch.space import SpaceFile, load_space_file
from invsearch.space.architecture import Architecture

SPACES = Path(__file__).parents[3] / "spaces"


def counted(number: int, architecture: Architecture, macs: float, image: Any) -> Trial:
    """A trial as a search leaves it, which records the image beside the count."""
    detail = {"convention": "fvcore", "resolution": image} if image else {}
    metrics = {
        "params": Metric("params", 3e7 - number, "counted"),
        "macs": Metric("macs", macs + number, "counted", detail=detail),
    }
    return Trial(number, "complete", architecture, metrics)


def run_of(path: Path, name: str, image: Any, *more: str, count: int = 2) -> RunData:
    """A run of a shipped space: some of its first architectures, with these overrides."""
    text = (SPACES / f"{name}.yaml").read_text(encoding="utf-8")
    for override in more:
        old, _, new = override.partition(" -> ")
        assert old in text
        text = text.replace(old, new)
    (path / "space.yaml").write_text(text, encoding="utf-8")
    space = load_space_file(str(path / "space.yaml")).space
    found = space.enumerate()
    trials = [counted(number, next(found), 1e11, image) for number in range(count)]
    return RunData(path, tuple(trials), space_text=text)


def html_of(run: RunData) -> tuple[str, dict[str, Any]]:
    html = render(PageMaterial([run], make_paper(), {}, (), ()), plotlyjs="directory")
    found = re.search(r'id="report-data">(.*?)</script>', html, re.S)
    assert found is not None
    return html, json.loads(found[1])


def layers_of(run: RunData) -> tuple[SpaceFile, Any]:
    space_file = load_space_file(str(run.path / "space.yaml"))
    return space_file, explain_layers(space_file, run.trials[0].architecture)


def test_a_detector_is_counted_for_its_own_image(tmp_path: Path) -> None:
    """1280 x 800, in the caption, beside each count, and nowhere 224 for its layers."""
    html, data = html_of(run_of(tmp_path, "detection", [800, 1280]))
    assert "Counted for one image of 1280 x 800 pixels" in html
    assert "Counted for one image of 224" not in html
    macs = next(metric for metric in data["runs"][0]["metrics"] if metric["name"] == "macs")
    assert macs["notes"]["levels"] == ["counted, fvcore, 1280 x 800"]
    assert data["runs"][0]["layers"]["images"] == [[800, 1280]]


def test_bytes_mean_what_explain_means_by_them(tmp_path: Path) -> None:
    """Bytes moved, layer by layer, under that name; MACs add up to the network's."""
    run = run_of(tmp_path, "detection", [800, 1280])
    html, data = html_of(run)
    _, explained = layers_of(run)
    network = next(
        one for one in data["runs"][0]["layers"]["networks"] if one["trial"] == run.trials[0].number
    )
    assert network["bytes"] == [layer.bytes for layer in explained.layers]
    assert network["macs"] == [layer.macs_fvcore for layer in explained.layers]
    assert '<option value="bytes">bytes moved</option>' in html
    assert "output bytes" not in html.lower()


def test_networks_of_several_images_each_say_theirs(tmp_path: Path) -> None:
    """A space of detectors and segmenters has no one size to put into a caption."""
    detectors = "[retinanet, faster_rcnn, mask_rcnn]"
    run = run_of(tmp_path, "detection", None, f"{detectors} -> [retinanet, semantic_fpn]", count=1)
    space = load_space_file(str(tmp_path / "space.yaml")).space
    rng = random.Random(0)
    tasks = {one["task"]: one for one in (space.sample(rng) for _ in range(20))}
    assert set(tasks) == {"retinanet", "semantic_fpn"}
    trials = [counted(n, one, 1e11, None) for n, one in enumerate(tasks.values())]
    html, data = html_of(RunData(run.path, tuple(trials), space_text=run.space_text))
    assert "of the size beside the network's name" in html.replace("&#39;", "'")
    labels = [network["label"] for network in data["runs"][0]["layers"]["networks"]]
    sizes = {label.partition(", at ")[2] for label in labels}
    assert "1280 x 800" in sizes
    assert len(sizes) == 2


def test_the_papers_classifiers_are_not_drawn_beside_other_images(tmp_path: Path) -> None:
    """Their MACs are of 224 x 224 pixels; a run that says nothing is taken for one of those."""
    html, data = html_of(run_of(tmp_path, "detection", [800, 1280]))
    traces = data["figures"]["run0-figure0"]["data"]
    assert not [trace for trace in traces if "star" in str(trace.get("marker"))]
    assert "Costs are of one image of 1280 x 800 pixels; the paper" in html
    for image in (None, 224):
        html, _ = html_of(run_of(tmp_path, "detection", image))
        assert "counted here at 224 x 224" in html
        assert "Costs are of one image" not in html


def test_runs_of_different_images_are_told_apart_in_one_figure(tmp_path: Path) -> None:
    runs = []
    for name, image in (("small", 224), ("large", [800, 1280])):
        (tmp_path / name).mkdir()
        runs.append(run_of(tmp_path / name, "detection", image))
    (figure,) = compared_fronts(runs)
    small, large = (entry.text for entry in figure.legend)
    assert "MACs counted at 224 x 224" in small
    assert "MACs counted at 1280 x 800" in large


@pytest.mark.parametrize(
    ("detail", "image"),
    [({}, None), ({"resolution": 224}, (224, 224)), ({"resolution": [800, 1280]}, (800, 1280))],
)
def test_a_metric_says_which_image_it_is_of(detail: dict[str, Any], image: object) -> None:
    """(height, width), through a run's file too."""
    metric = Metric("macs", 1.0, "counted", detail=detail)
    assert metric.image == image
    assert Metric.from_json("macs", json.loads(json.dumps(metric.to_json()))).image == image
