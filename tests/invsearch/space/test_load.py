"""Reading space files: what is accepted, what each mistake says, and where."""

from __future__ import annotations

import json
import os
import pickle
import sys
from pathlib import Path

import pytest

from invsearch.errors import InputError
from invsearch.space import load_space_file, shipped_spaces
from invsearch.space.load import slug
from ops import registry

HEAD = "name: t\nobjectives: {macs: minimize}\n"
NET = HEAD + "model: {family: rednet}\n"
DEPTH = NET + "space: {depth: {choice: [26, 50]}}\n"
FUNC = "name: t\nobjectives: {x: minimize}\nevaluator: a.b:c\n"

BASES = {"@head\n": HEAD, "@net\n": NET, "@depth\n": DEPTH, "@function\n": FUNC}


def mistakes() -> list[tuple[str, str]]:
    """The texts of mistakes.txt, each with what the error says: ``=== expected``, then the text."""
    pairs = [("", "1:1: the file is empty"), ("# nothing\n", "1:1: the file is empty")]
    pairs.append(("name: \x07\n", "1:7: the character U+0007 is not allowed"))
    for block in (Path(__file__).parent / "mistakes.txt").read_text().split("=== ")[1:]:
        expected, _, text = block.partition("\n")
        for short, base in BASES.items():
            text = base + text.removeprefix(short) if text.startswith(short) else text
        pairs.append((text.rstrip("\n") + "\n", expected))
    return pairs


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder of its own; what it registers and adds to the path is gone afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(registry, "_OPERATORS", dict(registry._OPERATORS))


def write(text: str, name: str = "my.yaml") -> str:
    Path(name).write_text(text)
    return name


@pytest.mark.parametrize(("text", "expected"), mistakes())
def test_a_mistake_is_one_line_with_its_position(text: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        load_space_file(write(text))
    message = str(caught.value)
    assert expected in message
    assert "\n" not in message
    place = message.removeprefix("my.yaml:").split(":", 2)[:2]
    assert message.startswith("my.yaml:")
    assert all(part.isdigit() for part in place)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("nowhere/quick.yaml", "no file 'nowhere/quick.yaml' and no shipped space of that name"),
        ("rednt", "(did you mean 'rednet'?); shipped: cifar10-operators, convnext, detection"),
        ("", "there is no file ''"),
        (".", ". is a directory, not a space file"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_there(path: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        load_space_file(path)
    assert expected in str(caught.value)


def test_a_file_that_is_not_utf8() -> None:
    Path("my.yaml").write_bytes(b"name: t\nobjectives: \xff\n")
    with pytest.raises(InputError, match=r"my\.yaml:2:13: not UTF-8 text"):
        load_space_file("my.yaml")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read() -> None:
    Path(write(DEPTH)).chmod(0)
    with pytest.raises(InputError, match=r"my\.yaml cannot be read: Permission denied"):
        load_space_file("my.yaml")


SHIPPED = [
    "cifar10-operators", "convnext", "detection", "latency", "mobilenet", "nas-bench-graph",
    "nas-bench-macro", "operators", "paper", "quick", "rednet", "rednet-cifar10", "rednet-gpu",
    "rednet-imagenet", "segmentation",
]  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_spaces_load_by_name(name: str) -> None:
    assert list(shipped_spaces()) == SHIPPED
    # these are not everywhere at hand, and looking for them is what loading a space does
    far = any(word in name for word in ("cifar10", "imagenet", "gpu"))
    elsewhere = ["accuracy.dataset=digits"] if far else []
    space_file = load_space_file(name, elsewhere)
    assert space_file.name == space_file.slug == name
    assert space_file.space.size_is_exact


def test_a_file_that_exists_wins_over_a_shipped_name_and_a_folder_does_not() -> None:
    Path("quick").mkdir()
    assert load_space_file("quick").name == "quick"
    Path("quick").rmdir()
    assert load_space_file(write(DEPTH, "quick")).name == "t"


def test_only_name_objectives_model_and_space_are_required() -> None:
    space_file = load_space_file(write(DEPTH.replace("macs", "error")))
    assert space_file.accuracy is not None
    assert space_file.accuracy.dataset == "digits"
    assert space_file.latency is None
    assert load_space_file(write(DEPTH)).accuracy is None
    assert load_space_file(write(DEPTH.replace("macs", "latency_ms"))).latency is not None


def test_numbers_follow_yaml_1_2_and_carry_suffixes() -> None:
    text = DEPTH + "constraints: {macs: {max: 1.5G}, params: {max: 20M}}\naccuracy: {lr: 1e-3}\n"
    space_file = load_space_file(write(text))
    assert space_file.constraints["macs"].max == 1_500_000_000
    assert isinstance(space_file.constraints["params"].max, int)
    assert space_file.accuracy is not None
    assert space_file.accuracy.lr == 0.001
    text = FUNC + "params: {a: {choice: [no, off, yes, 1e-3, true, 2k, '3']}}\n"
    choices = load_space_file(write(text)).space["a"].choices
    assert choices == ("no", "off", "yes", 0.001, True, 2000, "3")


def test_aliases_are_followed() -> None:
    text = FUNC + "params:\n  a: &a {choice: [1, 2]}\n  b: *a\n"
    assert load_space_file(write(text)).space.size() == 4


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "日本", "a/b", "../x", "Ünïté 7"])
def test_any_printable_name_is_accepted_and_its_slug_is_safe(name: str) -> None:
    space_file = load_space_file(write(DEPTH.replace("name: t", f"name: {json.dumps(name)}")))
    assert space_file.name == name
    assert space_file.slug
    assert space_file.slug.isascii()
    assert not set(space_file.slug) - set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert slug("<b>") == "b"


def test_overrides_replace_values_and_are_part_of_the_text() -> None:
    name = write(DEPTH)
    changes = ["search.trials=8", "search.rungs=[2]", "objectives.val_loss=minimize"]
    changes += ["space.depth=26", "name=1.5M is a name"]
    space_file = load_space_file(name, changes)
    assert space_file.search.trials == 8
    assert space_file.search.rungs == (2,)
    assert space_file.space.size() == 1
    again = load_space_file(write(space_file.text, "again.yaml"))
    assert again.resolved() == space_file.resolved()
    assert load_space_file(name).text == DEPTH


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("search.trails=3", "unknown key 'trails' (did you mean 'trials'?)"),
        ("serch.trials=3", "unknown key 'serch' (did you mean 'search'?)"),
        ("search.trials=0", "search.trials must be at least 1, not 0"),
        ("search.trials=", "search.trials must be a whole number, not nothing"),
        ("search", "write --set key=value"),
        ("=3", "write --set key=value"),
        ("name.x=3", "name is 't' and has no 'x'"),
        ("search.trials=[", "not a valid file"),
        ("space.depth={choice: [7]}", "space.depth: depth 7 is unknown"),
    ],
)
def test_a_mistake_in_an_override_names_the_override(override: str, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        load_space_file(write(DEPTH), [override])
    assert str(caught.value).startswith(f"--set {override}: ")
    assert expected in str(caught.value)


def test_identity_ignores_what_may_change_on_resume_and_nothing_else() -> None:
    name = write(DEPTH)
    plain = load_space_file(name).identity()
    assert (
        load_space_file(name, ["search.trials=7", "name=u", "cluster.cpus_per_trial=2"]).identity()
        == plain
    )
    for change in (
        "space.depth={choice: [26, 38]}",
        "model.resolution=32",
        "constraints.macs.max=3G",
    ):
        assert load_space_file(name, [change]).identity() != plain
    json.dumps(load_space_file("rednet").resolved())


def test_operators_of_a_file_beside_the_space_can_be_searched() -> None:
    Path("deep").mkdir()
    Path("deep/my_op.py").write_text(
        "import ops\nfrom torch import nn\n\n"
        "@ops.register('space_test_op', hyperparameters={'sharpness': (1, 2)},\n"
        "              macs=lambda shape, *, stride, sharpness: 0, params=lambda c, sharpness: 0)\n"
        "def build(channels, *, stride, sharpness):\n    return nn.AvgPool2d(stride)\n"
    )
    text = NET.replace("rednet}", "rednet, operators: [my_op.py]}") + (
        "space:\n  depth: 26\n  operator: {choice: [involution, space_test_op]}\n"
        "  sharpness: {choice: [1, 2]}\n"
    )
    space_file = load_space_file(write(text, "deep/my.yaml"))
    assert space_file.space.size() == 3
    assert space_file.operators == (str(Path("deep/my_op.py").resolve()),)
    assert pickle.loads(pickle.dumps(space_file)).space.size() == 3


def test_an_operator_file_that_fails_is_one_line() -> None:
    Path("bad_op.py").write_text("raise RuntimeError('first\\nsecond')\n")
    with pytest.raises(InputError) as caught:
        load_space_file(write(DEPTH.replace("rednet}", "rednet, operators: [bad_op.py]}")))
    assert str(caught.value).endswith("bad_op.py' cannot be imported: RuntimeError: first second")


def test_a_data_set_beside_the_space_file_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path("deep/images")
    folder.mkdir(parents=True)
    for file in ("train.parquet", "test.parquet"):
        (folder / file).touch()
    space_file = load_space_file(write(DEPTH + "accuracy: {dataset: images}\n", "deep/my.yaml"))
    assert space_file.accuracy is not None
    assert space_file.accuracy.dataset == str(folder.resolve())
