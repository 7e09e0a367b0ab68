"""Ways to spend epochs on a space of trainings: what a kill leaves, and the arithmetic."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from invsearch.bench import fidelity_trained
from invsearch.bench.fidelity import FULL
from invsearch.bench.fidelity_trained import WAYS, Search, curves, main, searched
from invsearch.space import load_space_file

TINY = ["accuracy.epochs=4", "accuracy.data_fraction=0.1", "space.width={choice: [0.25, 0.5]}"]
ASKED = ["--space", "quick", *(part for one in TINY for part in ("--set", one))]


def test_a_search_spends_its_epochs() -> None:
    """Full training ends a trial each four epochs; what stops ends none, and costs less."""
    space = load_space_file("quick", [*TINY, "search.strategy=random"])  # whatever ours proposes
    full = searched(space, FULL, 1, 12)
    assert [epochs for epochs, _ in full.found] == [4, 8, 12]
    stopped = searched(space, WAYS[1], 1, 40)
    assert stopped.found[0] == full.found[0]
    assert any(epochs % 4 for epochs, _ in stopped.found)


def test_after_a_kill_the_rest_is_searched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file of what was done, cut within a line, leads to the same document."""
    output, part = tmp_path / "found.json", tmp_path / "found.part"
    asked = [*ASKED, "--seeds", "1", "--trials", "2", "-o", str(output)]
    kept: list[bytes] = []

    class Watched(fidelity_trained.Kept):
        def done(self) -> None:
            kept.append(part.read_bytes())
            super().done()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fidelity_trained, "Kept", Watched)
        assert main(asked) == 0
    assert not part.exists()
    whole = json.loads(output.read_text())
    lines = kept[0].splitlines(keepends=True)
    part.write_bytes(b"".join(lines[:2]) + lines[2][:20])
    capsys.readouterr()
    assert main(asked) == 0
    assert len(capsys.readouterr().err.splitlines()) == len(WAYS) - 1  # what was searched
    assert json.loads(output.read_text())["ways"] == whole["ways"]
    part.write_bytes(b"".join(lines))
    capsys.readouterr()
    for bad, said in [
        ([*asked, "--trials", "4"], "another comparison"),
        ([*asked, "--seeds", "0"], "--seeds"),
        (["--space", "quik"], "quik"),
    ]:
        assert main(bad) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
    part.write_bytes(lines[0] + b'{"way": 1}\n')
    assert main(asked) == 2
    assert "damaged" in capsys.readouterr().err


def test_the_share_is_of_what_all_found() -> None:
    """One search finds half of the front after two epochs, the other all of it after three."""
    half = Search("a", 0, ((2, (0.0, 1.0)),))
    whole = Search("b", 0, ((2, (0.0, 1.0)), (3, (1.0, 0.0)), (9, (0.5, 0.5))))
    shares = curves([half, Search("b", 0, whole.found[:2])], 4)
    # up to (1.1, 1.1): each point alone 0.11, both 0.21
    np.testing.assert_allclose(shares["a"][0], [0.0, 0.11 / 0.21, 0.11 / 0.21, 0.11 / 0.21])
    np.testing.assert_allclose(shares["b"][0], [0.0, 0.11 / 0.21, 1.0, 1.0])
    beyond = curves([whole], 4)["b"][0]
    assert beyond[-1] < 1.0  # what came after the budget counts for the whole alone
