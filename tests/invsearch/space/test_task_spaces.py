"""Spaces of detectors, counted, and of segmenters, trained too: any operator anywhere."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from invsearch import cost
from invsearch.errors import InputError
from invsearch.explain import explain, explain_layers
from invsearch.explain.explanation import costs_of
from invsearch.models import TaskSpec, detector_spec, rednet_spec, searched_spec
from invsearch.problem import problem_of
from invsearch.space import load_space_file

HEAD = """\
name: t
objectives: {macs: minimize}
model: {family: rednet, num_classes: 80%s}
space:
  depth: {choice: [26, 50]}
"""
TASK = "  task: {choice: [retinanet, mask_rcnn]}\n"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def write(body: str, model: str = "", objective: str = "macs") -> str:
        path = tmp_path / "t.yaml"
        path.write_text((HEAD % model).replace("macs", objective) + body, encoding="utf-8")
        return str(path)

    return write


def test_the_costs_are_the_detectors() -> None:
    """The shipped space holds the paper's Faster R-CNN with involution everywhere."""
    file = load_space_file("detection")
    values = {f"stage{i}.operator": "involution" for i in range(1, 5)}
    values |= {"neck": "involution", "head": "involution"}
    arch = file.space.canonical({"task": "faster_rcnn", "family": "rednet", "depth": 50, **values})
    spec = detector_spec("faster_rcnn", rednet_spec(50), neck="involution", head="involution")
    counted = cost.task_count(spec)
    assert costs_of(file)(arch) == {"params": counted.params, "macs": counted.macs}
    assert round(counted.params / 1e6, 1) == 29.0


@pytest.mark.parametrize("name", ["detection", "segmentation"])
def test_shipped_spaces_sample_and_count(name: str) -> None:
    """Every sample is a task with its own costs."""
    file = load_space_file(name)
    rng, seen = random.Random(0), set()
    assert file.model is not None
    for _ in range(12):
        architecture = file.space.sample(rng)
        spec = searched_spec({**file.model.constants(), **file.space.constants}, architecture)
        assert isinstance(spec, TaskSpec)
        seen.add(costs_of(file)(architecture)["macs"])
    assert len(seen) > 8


def test_layers_add_up_to_the_detector() -> None:
    """``explain --layers``: the columns are the counts of the first network of the space."""
    file = load_space_file("detection")
    explanation = explain_layers(file)
    costs = costs_of(file)(explanation.architecture)
    assert explanation.resolution == (800, 1280)
    assert sum(layer.params for layer in explanation.layers) == costs["params"]
    assert sum(layer.macs_fvcore for layer in explanation.layers) == costs["macs"]
    assert {"neck.outputs.0", "backbone.stem.conv1"} <= {row.name for row in explanation.layers}
    assert explanation.layers[-1].macs_paper == 0  # only functional interpolation is left


def test_a_task_is_explained_at_the_papers_size(write: Callable[..., str]) -> None:
    text = explain(load_space_file(write(TASK + "  neck: {choice: [convolution, involution]}\n")))
    assert text.size == 8
    assert "paper's size" in text.counted_for
    assert [r.method for r in text.ranges] == ["exact", "exact"]


@pytest.mark.parametrize(
    ("body", "model", "message"),
    [
        ("  neck: {choice: [convolution]}\n", "", "neck has no effect: only a task"),
        (TASK + "  head: {choice: [involutoin]}\n", "", "did you mean 'involution'"),
        (TASK.replace("mask_rcnn", "mask-rcnn"), "", "did you mean 'mask_rcnn'"),
        (TASK, ", resolution: 224", "resolution has no effect with a task"),
    ],
)
def test_mistakes_name_their_place(
    write: Callable[..., str], body: str, model: str, message: str
) -> None:
    with pytest.raises(InputError, match=rf"t\.yaml:\d+:\d+: .*{message}"):
        load_space_file(write(body, model))


@pytest.mark.parametrize("objective", ["latency_ms", "val_loss"])
def test_what_a_search_cannot_evaluate_is_refused(
    write: Callable[..., str], objective: str
) -> None:
    """Detectors are counted; nothing times or trains them in a search."""
    with pytest.raises(InputError, match="nothing evaluates it for a task"):
        load_space_file(write(TASK, objective=objective))


SEGMENTERS = TASK.replace("retinanet, mask_rcnn", "semantic_fpn, upernet")


@pytest.mark.parametrize(
    ("body", "objective", "message"),
    [
        ("", "miou", "it is a segmenter's: give space.task one of semantic_fpn, upernet"),
        (SEGMENTERS, "top1", "such as semantic_fpn: segmenters are counted and trained.*miou"),
        (SEGMENTERS, "latency_ms", "such as semantic_fpn: .*not timed"),
        ("  task: {choice: [upernet, retinanet]}\n", "miou", "such as retinanet: detectors are"),
        ("  task: retinanet\n", "pixel_accuracy", "such as retinanet: detectors are counted"),
    ],
)
def test_a_metric_of_another_task_is_refused(
    write: Callable[..., str], body: str, objective: str, message: str
) -> None:
    direction = "minimize" if objective == "latency_ms" else "maximize"
    path = Path(write(body, objective=objective))
    path.write_text(path.read_text().replace("minimize", direction))
    with pytest.raises(InputError, match=rf"t\.yaml:2:14: objectives.{objective}: .*{message}"):
        load_space_file(str(path))


@pytest.mark.parametrize(
    ("body", "dataset", "message"),
    [
        (SEGMENTERS, "digits", "the data set 'digits' has one of every image: name one with masks"),
        ("", "digit_scenes", "'digit_scenes' has a class for every pixel.*give space.task a seg"),
    ],
)
def test_a_data_set_of_another_task_is_refused(
    write: Callable[..., str], body: str, dataset: str, message: str
) -> None:
    """Before the first trial."""
    more = f"accuracy: {{dataset: {dataset}, proxy: {{resolution: 12}}}}\n"
    problem = problem_of(load_space_file(write(body + more, objective="val_loss")))
    with pytest.raises(InputError, match=message):
        problem.check()


def test_an_augmentation_that_mixes_images_is_refused_before_the_first_trial() -> None:
    settings = ["accuracy.proxy.resolution=12", "accuracy.mixup=0.2"]
    problem = problem_of(load_space_file("segmentation", settings))
    with pytest.raises(InputError, match="mixup mixes images of two classes"):
        problem.check()


def test_the_shipped_segmenters_are_trained_on_what_is_at_hand() -> None:
    """Every operator fits the proxy's width, in backbone, pyramid and head."""
    file = load_space_file("segmentation", ["accuracy.proxy.resolution=12"])
    problem = problem_of(file)
    sources = problem.sources()
    assert (sources["miou"], sources["macs"]) == ("trained", "counted")
    problem.check()
