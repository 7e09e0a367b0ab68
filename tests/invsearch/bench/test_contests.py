"""The comparison of strategies: the score is a share of the truth, and seeds repeat."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from toy import command, invsearch, one_line, passed, write_space

from invsearch.bench import nas_bench_graph
from invsearch.runs import environment


def contest(folder: Path, *arguments: object) -> dict:
    write_space(folder, costs="toy_evaluator:costs")
    common = ("bench-search", "toy.yaml", "--seeds", 2, "--json")
    return json.loads(passed(invsearch(folder, *common, *arguments, OMP_NUM_THREADS="1")).stdout)


def test_whole_space_is_the_whole_hypervolume_and_less_is_less(tmp_path: Path) -> None:
    """18 architectures: a search of 18 trials has found everything, whatever the strategy."""
    found = contest(tmp_path, "--trials", 18, "--strategies", "random,cost_aware")
    for standing in found["standings"]:
        for shares in standing["shares"]:
            assert shares[-1] == pytest.approx(1)
            assert shares == sorted(shares), "the hypervolume never shrinks"
            assert shares[0] < 1
    assert found["environment"]["id"]


def test_a_comparison_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    """What it had found is not searched again, and the file is as one that nothing disturbed."""
    write_space(tmp_path, costs="toy_evaluator:costs")
    common = ("bench-search", "toy.yaml", "--seeds", 2, "--trials", 9, "-o", "found.json")
    names = ("--strategies", "random,nsga2")
    part = tmp_path / ".found.json.part"
    with subprocess.Popen(command(*common, *names), cwd=tmp_path, stderr=subprocess.DEVNULL) as run:
        while not part.exists() or not json.loads(part.read_text())["standings"]:
            assert run.poll() is None
            time.sleep(0.01)
        run.kill()
    kept = json.loads(part.read_text())
    kept["standings"][0]["ask_ms"] = [1234.0, 1234.0]  # none other would say so
    part.write_text(json.dumps(kept))
    one_line(invsearch(tmp_path, *common, "--strategies", "tpe"), "another comparison")
    passed(invsearch(tmp_path, *common, *names))
    assert not part.exists()
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["standings"][0]["ask_ms"] == 1234.0
    whole = contest(tmp_path, "--trials", 9, *names)
    for ours, other in zip(found["standings"], whole["standings"], strict=True):
        assert ours["shares"] == other["shares"]
    damaged = [{**kept["standings"][0], "shares": wrong} for wrong in ([], [[0.5]], None, ["no"])]
    for text in ("{", *(json.dumps({**kept, "standings": [one]}) for one in damaged)):
        part.write_text(text)
        one_line(invsearch(tmp_path, *common, *names), "damaged")
    part.write_text(json.dumps(kept))
    space = tmp_path / "toy.yaml"
    space.write_text(space.read_text() + "# and another space\n")
    one_line(invsearch(tmp_path, *common, *names), "another comparison")


def test_where_a_file_cannot_be_is_said_before_anything_is_searched(tmp_path: Path) -> None:
    write_space(tmp_path, costs="toy_evaluator:costs")
    common = ("bench-search", "toy.yaml", "--seeds", 2, "--trials", 5, "--strategies", "random")
    done = invsearch(tmp_path, *common, "-o", "/proc/found.json")
    one_line(done, "/proc")
    assert "random found" not in done.stderr
    passed(invsearch(tmp_path, *common, "-o", "a/new/folder.json"))
    assert [path.name for path in (tmp_path / "a" / "new").iterdir()] == ["folder.json"]
    said = passed(invsearch(tmp_path, *common, "-o", "-")).stdout
    assert json.loads(said)["kind"] == "strategies"
    assert not list(tmp_path.glob(".-*"))


@pytest.mark.parametrize(
    "changes",
    [
        {"constraints": "{size: {max: 6}}", "costs": "toy_evaluator:costs"},
        {"constraints": "{error: {max: 2}}"},
        {"evaluator": "toy_evaluator:troubled"},
    ],
)
def test_what_breaks_a_bound_or_fails_is_no_part_of_the_truth(
    tmp_path: Path, changes: dict[str, str]
) -> None:
    """Whoever has tried all that there is has found all of it."""
    write_space(tmp_path, **changes)
    common = ("bench-search", "toy.yaml", "--json", "--strategies", "random,tpe")
    whole = json.loads(passed(invsearch(tmp_path, *common, "--seeds", 1, "--trials", 40)).stdout)
    assert all(one["mean"] == pytest.approx(1) for one in whole["standings"])
    few = json.loads(passed(invsearch(tmp_path, *common, "--seeds", 3, "--trials", 5)).stdout)
    for one in few["standings"]:
        assert one["after"] == [1, 2, 3, 4, 5]  # what failed was a trial, too
        assert {len(shares) for shares in one["shares"]} == {5}


def test_a_bound_of_what_is_noisy_is_kept_by_the_truth(tmp_path: Path) -> None:
    """All that there is, tried once each, is a share of one: no luck adds to the front."""
    path = write_space(tmp_path, constraints="{error: {max: 2}}", evaluator="noisy:noisy")
    (tmp_path / "noisy.py").write_text(
        "import random\nfrom toy_evaluator import evaluate\n"
        "def noisy(values, context):\n"
        "    found = evaluate(values)\n"
        "    factor = random.Random(f'{values} {context.seed}').uniform(0.5, 2)\n"
        "    return {**found, 'error': factor * found['error'], 'true_error': found['error']}\n"
    )
    arguments = ("bench-search", path, "--seeds", 3, "--trials", 18, "--json")
    found = json.loads(passed(invsearch(tmp_path, *arguments, "--strategies", "random")).stdout)
    assert all(shares[-1] == pytest.approx(1) for shares in found["standings"][0]["shares"])


def test_where_every_trial_fails_there_is_no_share(tmp_path: Path) -> None:
    """The truth could be had, here from one process; the searches' own cannot evaluate."""
    write_space(tmp_path, evaluator="toy_evaluator:here")
    (tmp_path / "toy_evaluator.py").write_text(
        "import multiprocessing\n"
        "def here(values):\n"
        "    assert multiprocessing.parent_process() is None, 'not here'\n"
        "    return {'error': values['x'], 'size': -values['x']}\n"
    )
    arguments = ("bench-search", "toy.yaml", "--seeds", 2, "--trials", 4)
    done = invsearch(tmp_path, *arguments, "--strategies", "random")
    one_line(done, "every trial of random failed", "not here", code=1)


def test_what_ended_before_it_found_anything_is_in_nobodys_way(tmp_path: Path) -> None:
    path = write_space(tmp_path, constraints="{error: {max: -1}}")
    common = ("bench-search", path, "--seeds", 2, "--trials", 4, "--strategies", "random")
    one_line(invsearch(tmp_path, *common, "-o", "found.json"), "all break a bound")
    part = tmp_path / ".found.json.part"
    assert not part.exists()
    part.write_text(json.dumps({"comparison": {"of": "another"}, "standings": []}))
    write_space(tmp_path)
    passed(invsearch(tmp_path, *common, "-o", "found.json"))
    assert not part.exists()
    write_space(tmp_path, evaluator="toy_evaluator:raising")
    (tmp_path / "toy_evaluator.py").write_text(
        "def raising(values):\n    raise OSError('no table')\n"
    )
    one_line(invsearch(tmp_path, *common, "-o", "found.json"), "OSError: no table")


def test_a_space_of_which_nothing_is_allowed_is_one_line(tmp_path: Path) -> None:
    write_space(tmp_path, constraints="{error: {max: -1}}")
    one_line(invsearch(tmp_path, "bench-search", "toy.yaml", "--seeds", 1), "within the bounds")


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGKILL])
def test_who_is_ended_takes_the_workers_along(tmp_path: Path, ended_by: signal.Signals) -> None:
    arguments = ("bench-search", "structures/additive", "--trials", 300, "--seeds", 4)
    several = ("--workers", 2, "--strategies", "cost_aware")
    with subprocess.Popen(
        command(*arguments, *several), cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as run:
        workers: list[psutil.Process] = []
        while len(workers) < 2 and run.poll() is None:
            time.sleep(0.1)
            with contextlib.suppress(psutil.NoSuchProcess):  # it also asks git, which is gone soon
                children = psutil.Process(run.pid).children()
                workers = [one for one in children if "spawn_main" in " ".join(one.cmdline())]
        time.sleep(3)  # at work
        run.send_signal(ended_by)
        assert run.wait(20) == (130 if ended_by == signal.SIGINT else -signal.SIGKILL)
        assert run.stderr is not None
        assert "Traceback" not in run.stderr.read()
    assert not psutil.wait_procs(workers, timeout=20)[1]


def test_outside_of_a_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As from a wheel, where no commit is known."""
    monkeypatch.setattr(environment, "_git", lambda *arguments: None)
    environment._describe.cache_clear()
    write_space(tmp_path, costs="toy_evaluator:costs")
    arguments = ("bench-search", "toy.yaml", "--seeds", 1, "--trials", 3, "--json")
    said = passed(invsearch(tmp_path, *arguments, "--strategies", "random")).stdout
    environment._describe.cache_clear()
    assert "commit" not in json.loads(said)["environment"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("graphs", "--trials", 5), "--trials has no effect with graphs"),
        (("--batch", 2), "--batch has no effect"),
        (("toy.yaml", "--draw", 1), "--draw has no effect with toy.yaml"),
    ],
)
def test_an_option_without_effect_is_refused(
    tmp_path: Path, arguments: tuple[object, ...], reason: str
) -> None:
    write_space(tmp_path)
    one_line(invsearch(tmp_path, "bench-search", *arguments), reason)


def test_unknown_strategy_is_one_line(tmp_path: Path) -> None:
    write_space(tmp_path)
    result = invsearch(tmp_path, "bench-search", "toy.yaml", "--strategies", "tpee")
    one_line(result, "tpee", "tpe")


def test_space_without_an_evaluator_is_one_line(tmp_path: Path) -> None:
    one_line(invsearch(tmp_path, "bench-search", "quick", "--seeds", 1), "evaluator")


def test_missing_table_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INVSEARCH_SHARED", raising=False)
    one_line(invsearch(tmp_path, "bench-search", "--seeds", 1), "INVSEARCH_SHARED")
    one_line(invsearch(tmp_path, "bench-search", "graphs", "--seeds", 1), "INVSEARCH_SHARED")


def test_graphs_are_those_of_their_table(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network of each data set; an invalid one has the worst values; latency is of the table."""
    monkeypatch.setenv("INVSEARCH_SHARED", str(shared))
    values = {"link": "l0", "op1": "gat", "op2": "gat", "op3": "gat", "op4": "gcn"}
    assert nas_bench_graph.cora(values) == {"error": 20.3333, "latency_ms": 5.6481}
    known = nas_bench_graph.arxiv_latency(values)["latency_ms"]
    assert known == nas_bench_graph.arxiv(values)["latency_ms"]
    skips = dict.fromkeys(("op1", "op2", "op3", "op4"), "skip")
    worst = max(entry[0] for entry in nas_bench_graph.table("cora").values())
    assert nas_bench_graph.cora({"link": "l0", **skips})["error"] == worst


def test_ours_is_ahead_on_nas_bench_macro(tmp_path: Path, shared: Path) -> None:
    """The promise of the default strategy, with room for two seeds' luck."""
    arguments = ("bench-search", "nas-bench-macro", "--trials", 60, "--seeds", 2, "--json")
    names = ("--strategies", "cost_aware,tpe")
    result = passed(invsearch(tmp_path, *arguments, *names, INVSEARCH_SHARED=str(shared)))
    mean = {s["strategy"]: s["mean"] for s in json.loads(result.stdout)["standings"]}
    assert mean["cost_aware"] > 0.985 > mean["tpe"]
