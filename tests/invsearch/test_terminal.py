"""What a terminal shows: text as it is, in its own characters, and never a reason to fail."""

from __future__ import annotations

import functools
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest
from toy import SPACE, command, invsearch, one_line, passed, trial_lines, write_space

RUN = ("--executor", "serial", "--trials", 4, "--out", "run")
ODD = '"[/red] [bold]:rocket: \N{GREEK SMALL LETTER MU}[1]"'


def shell(folder: Path, text: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of shell in which ``invsearch`` is ours."""
    line = text.replace("invsearch", " ".join(command()))
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=folder,
        env={**{k: v for k, v in os.environ.items() if k != "LC_ALL"}, **environment},
        capture_output=True,
        timeout=120,
        check=False,
    )


def odd_space(folder: Path) -> Path:
    """Markup and signs in every name: of the space, a metric, a parameter, a value, a failure."""
    text = SPACE.replace("error: minimize", "'[red]error[/red]': minimize")
    path = write_space(folder, text, name=ODD, evaluator="odd:evaluate")
    path.write_text(path.read_text().replace("x:", "'[x]':").replace("[a, b]", "['[/a]', ':b:']"))
    (folder / "odd.py").write_text(
        "def evaluate(values):\n"
        "    if values['[x]'] % 2:\n"
        "        raise ValueError('[/not] a tag \\N{SNOWMAN}')\n"
        "    return {'[red]error[/red]': values['[x]'], 'size': 1.5}\n"
    )
    return path


def test_brackets_are_text_everywhere(tmp_path: Path) -> None:
    space = odd_space(tmp_path)
    explained = passed(invsearch(tmp_path, "explain", space)).stdout
    for word in ("[/red] [bold]:rocket:", "[x]", "[/a]", ":b:", "[red]error[/red]"):
        assert word in explained, word
    result = passed(invsearch(tmp_path, "run", space, *RUN[:-1], "[exp1]/[/b]"))
    assert "[/not] a tag" in result.stderr
    assert "[x]=" in result.stdout
    assert "[red]error[/red]" in result.stdout
    assert "[exp1]/[/b]/front.csv" in result.stdout
    assert "next: invsearch report '[exp1]/[/b]'" in result.stdout
    told = passed(invsearch(tmp_path, "report", "[exp1]/[/b]", "-o", "[p].html")).stdout
    assert told == "[p].html\n"
    again = invsearch(tmp_path, "run", space, *RUN[:-1], "[exp1]/[/b]", "--resume", "--trials", 6)
    assert "resuming: 4 trials are done" in passed(again).stderr
    one_line(invsearch(tmp_path, "run", space, "--out", "[exp1]/[/b]"), "[exp1]/[/b]")
    one_line(invsearch(tmp_path, "run", "[/nowhere].yaml"), "[/nowhere].yaml")


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"LANG": "C"},
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"},
        {"TERM": "dumb"},
    ],
    ids=str,
)
def test_an_ascii_terminal_gets_ascii(tmp_path: Path, environment: dict[str, str]) -> None:
    odd_space(tmp_path)
    line = "invsearch run toy.yaml --executor serial --trials 4 --out run-$'\\u00e9'"
    done = shell(tmp_path, line, **environment)
    assert done.returncode == 0, done.stderr
    for stream in (done.stdout, done.stderr):
        assert stream
        assert stream.isascii(), stream
    assert b"a tag \\u2603" in done.stderr
    assert b"error[/red] v" in done.stdout


def test_any_other_terminal_gets_what_is_written(tmp_path: Path) -> None:
    odd_space(tmp_path)
    done = shell(tmp_path, "invsearch run toy.yaml --executor serial --trials 4", LANG="C.UTF-8")
    assert done.returncode == 0, done.stderr
    assert "a tag \N{SNOWMAN}" in done.stderr.decode()
    assert "error[/red] \N{DOWNWARDS ARROW}" in done.stdout.decode()


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "where",
    [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "> /dev/full", "2> /dev/full", "&> /dev/full",
     "| true", "2>&1 | true"],
)  # fmt: skip
def test_a_finished_search_never_fails_for_its_display(tmp_path: Path, where: str) -> None:
    write_space(tmp_path)
    line = f"invsearch run toy.yaml --executor serial --trials 4 --out run {where}"
    done = shell(tmp_path, line, COLUMNS="1")
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr
    assert len(trial_lines(tmp_path / "run")) == 4
    assert (tmp_path / "run" / "front.csv").read_text().startswith("trial,")


@pytest.mark.parametrize("arguments", ["explain quick", "explain --schema", "--help"])
def test_a_reader_that_leaves_is_quiet(tmp_path: Path, arguments: str) -> None:
    done = shell(tmp_path, f"invsearch {arguments} | head -1")
    assert done.returncode == 0
    assert done.stderr == b""
    assert done.stdout.count(b"\n") == 1


def test_output_that_is_owed_and_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    done = shell(tmp_path, "invsearch explain quick --json > /dev/full")
    assert done.returncode == 2
    assert done.stderr.decode().strip() == (
        "invsearch: standard output: cannot be written: No space left on device"
    )


@pytest.mark.parametrize("terminal", ["xterm", "dumb"])
def test_a_live_view_leaves_no_trace_and_no_fault(tmp_path: Path, terminal: str) -> None:
    """On a terminal of one column, and on one that cannot move."""
    space = odd_space(tmp_path)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command("run", space, *RUN), cwd=tmp_path, stderr=theirs, stdout=theirs,
        env={**os.environ, "TERM": terminal, "COLUMNS": "1", "LINES": "3"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # how a terminal of Linux says that nobody writes any more
            break
        shown += piece
    os.close(ours)
    assert process.wait(timeout=60) == 0, shown
    assert b"Traceback" not in shown
    assert len(trial_lines(tmp_path / "run")) == 4


@pytest.mark.parametrize(
    ("number", "code", "interrupts"),
    [
        (signal.SIGTERM, 143, signal.SIG_DFL),
        (signal.SIGINT, 130, signal.SIG_DFL),
        (signal.SIGTERM, 143, signal.SIG_IGN),  # as a script starts a job in the background
    ],
)
def test_a_signal_ends_a_search_in_one_line_and_it_goes_on(
    tmp_path: Path, number: signal.Signals, code: int, interrupts: signal.Handlers
) -> None:
    space = write_space(tmp_path)
    process = subprocess.Popen(
        command("run", space, *RUN[:-1], tmp_path / "run", "--trials", 8), cwd=tmp_path,
        stderr=subprocess.PIPE, text=True, env={**os.environ, "TOY_SECONDS": "0.3"},
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, interrupts),
    )  # fmt: skip
    log = tmp_path / "run" / "trials.jsonl"
    deadline = time.monotonic() + 60
    while not log.exists() or not log.read_text():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == code, errors
    word = {143: "terminated", 130: "interrupted"}[code]
    assert errors.splitlines()[-1] == (f"invsearch: {word}: the same command with --resume goes on")
    assert "Traceback" not in errors
    assert (tmp_path / "run" / "front.csv").exists()
    passed(invsearch(tmp_path, "run", space, *RUN, "--resume", "--trials", 8))
    assert [trial["number"] for trial in trial_lines(tmp_path / "run")] == list(range(8))


def test_a_program_that_calls_us_keeps_its_signals(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    passed(invsearch(tmp_path, "explain", "quick", "--json"))
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_error_is_one_line_whatever_is_in_it(tmp_path: Path) -> None:
    line = one_line(invsearch(tmp_path, "report", "a\x1b[31m\nb\x07\udce9"))
    assert line.isprintable()
