"""A file or folder with the name of one of our packages is named in one line."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from toy import invsearch, one_line, passed, write_space

from invsearch import shadow

ROOT = Path(__file__).parents[2]
ROOMS = [path.parent.name for path in (ROOT / "invsearch").glob("*/__init__.py")]


@pytest.mark.parametrize("name", ["ops.py", "ops/__init__.py"])
def test_beside_the_users_code(tmp_path: Path, name: str) -> None:
    """In the current folder, where a process of its own finds it before ours."""
    write_space(tmp_path)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine = 1\n")
    result = invsearch(tmp_path, "run", "toy.yaml", "--executor", "serial", TOY="1")
    one_line(result, str(path), "rename it")


@pytest.mark.parametrize("name", ["ops.py", "invsearch.py"])
def test_beside_the_space_file(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "sub"
    folder.mkdir()
    write_space(folder)
    (folder / name).write_text("mine = 1\n")
    one_line(invsearch(tmp_path, "run", "sub/toy.yaml", "--executor", "serial"), name, "hides")
    assert str(folder) not in sys.path


def test_a_bare_folder_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "ops").mkdir()
    passed(invsearch(tmp_path, "explain", "quick", "--json", PYTHONPATH=str(ROOT)))


def test_a_bare_folder_beside_the_space_file_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "sub" / "ops").mkdir(parents=True)
    write_space(tmp_path / "sub")
    passed(invsearch(tmp_path, "run", "sub/toy.yaml", "--executor", "serial", "--trials", 1))


def python(
    folder: Path, code: str, *arguments: str, path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own whose import path begins with its folder or ``path``."""
    places = f"{path or folder}{os.pathsep}{ROOT}"
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


MAIN = "from invsearch.cli import main; main()"


@pytest.mark.parametrize("executor", ["serial", "ray"])
def test_the_console_script(tmp_path: Path, executor: str) -> None:
    """What pip writes: the current folder is not on its path, but on that of what it starts."""
    write_space(tmp_path)
    (tmp_path / "ops.py").write_text("mine = 1\n")
    code = f"import sys; sys.path = [p for p in sys.path if p != {str(tmp_path)!r} and p]; {MAIN}"
    result = python(tmp_path, code, "run", "toy.yaml", "--executor", executor, path=tmp_path / "no")
    one_line(result, str(tmp_path / "ops.py"), "hides", "rename it")


@pytest.mark.parametrize("record", ["RECORD", "top_level.txt", None])
def test_a_distribution_is_named(tmp_path: Path, record: str | None) -> None:
    """PyPI's `ops`, whichever of its files the installer left."""
    site = tmp_path / "site-packages"
    info = site / "ops-2.21.0.dist-info"
    (site / "ops").mkdir(parents=True)
    info.mkdir()
    (site / "ops" / "__init__.py").write_text("class CharmBase: ...\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ops\nVersion: 2.21.0\n")
    if record is not None:
        (info / record).write_text({"RECORD": "ops/__init__.py,,\n"}.get(record, "ops\n"))
    path = str(site / "ops" / "__init__.py")
    shown = python(tmp_path, MAIN, "explain", "quick", "--json", path=site)
    one_line(shown, path, "'ops' 2.21.0", "uninstall")
    library = python(tmp_path, "import invsearch.models", path=site)
    assert f"HiddenError: {path} hides" in library.stderr.splitlines()[-1]


def test_another_distributions_file_is_not_blamed_on_its_neighbour(tmp_path: Path) -> None:
    info = tmp_path / "vicinity-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vicinity\nVersion: 1.0\n")
    (tmp_path / "ops.py").write_text("mine = 1\n")
    shown = python(tmp_path, MAIN, "explain", "quick")
    assert "vicinity" not in one_line(shown, "ops.py", "rename it")


@pytest.mark.parametrize("room", shadow._ROOMS)
@pytest.mark.parametrize("before", ["", "import ops; "])
def test_a_library_that_finds_another_says_so(tmp_path: Path, room: str, before: str) -> None:
    """A script beside a file of that name, which it may have imported: one error, of both kinds."""
    (tmp_path / "ops.py").write_text("mine = 1\n")
    code = f"""
        {before}
        from invsearch.errors import InputError
        try:
            import invsearch.{room}
        except ImportError as error:
            assert isinstance(error, InputError), repr(error)
            print(error)
    """
    result = passed(python(tmp_path, code))
    (line,) = result.stdout.splitlines()
    assert line.startswith(f"{tmp_path / 'ops.py'} hides")


def test_one_that_is_imported_already(tmp_path: Path) -> None:
    """From a folder that is on the path no more, or from nowhere."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "ops.py").write_text("mine = 1\n")
    gone = "import sys; sys.path.insert(0, 'lib'); import ops; del sys.path[0]; "
    nowhere = "import sys, types; sys.modules['ops'] = types.ModuleType('ops'); "
    for before, name in ((gone, "ops.py"), (nowhere, "<module ops>")):
        shown = python(tmp_path, before + MAIN, "explain", "quick")
        one_line(shown, name, "hides")


def test_every_room_that_imports_ops_at_once_is_watched() -> None:
    """One after the other in one process, in which the first import of `ops` ends each."""
    code = """
        import importlib, sys

        class Wanted(Exception): ...

        class Finder:
            def find_spec(self, name, path=None, target=None):
                if name == "ops":
                    raise Wanted

        sys.meta_path.insert(0, Finder())
        for room in sys.argv[1:]:
            for name in [name for name in sys.modules if name.startswith("invsearch")]:
                del sys.modules[name]
            try:
                importlib.import_module("invsearch." + room)
            except Wanted:
                print(room)
    """
    found = passed(python(ROOT, code, *ROOMS)).stdout.split()
    assert sorted(found) == sorted(shadow._ROOMS)


def test_a_process_started_from_here_has_ours(tmp_path: Path) -> None:
    """Another comes to lie first on the path, or in the current folder, after ours was imported."""
    (tmp_path / "lib").mkdir()
    for folder in (tmp_path, tmp_path / "lib"):
        (folder / "ops.py").write_text("mine = 1\n")
    (tmp_path / "lib" / "asked.py").write_text("import ops, invsearch.models; print(ops.__file__)")
    code = """
        import os, sys
        from ops.timing.fresh_process import ask_fresh_process
        os.chdir(sys.argv[1])
        sys.path.insert(0, "lib")
        answer = ask_fresh_process("asked")
        print(answer.line or answer.reason)
    """
    result = passed(python(ROOT, code, str(tmp_path)))
    assert result.stdout.strip() == str(ROOT / "ops" / "__init__.py")


EVALUATOR = """
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "lib"))


def evaluate(values):
    import helper  # beside the other `ops`

    import ops
    from invsearch.models import rednet

    return {"error": helper.one, "size": len(ops.names())}
"""


@pytest.mark.parametrize("executor", ["serial", "ray"])
def test_where_evaluators_run_it_is_ours(tmp_path: Path, executor: str) -> None:
    """The evaluator puts a folder with another on the path: in workers, each apart."""
    path = write_space(tmp_path)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "ops.py").write_text("mine = 1\n")
    (tmp_path / "lib" / "helper.py").write_text("one = 1.0\n")
    (tmp_path / "toy_evaluator.py").write_text(EVALUATOR)
    options = ("--executor", executor, "--trials", 1)
    result = invsearch(tmp_path, "run", path.name, *options, PYTHONPATH=str(ROOT))
    passed(result)
    trials = (tmp_path / "results" / "toy" / "trials.jsonl").read_text()
    assert '"state": "complete"' in trials, trials
