"""Running a search: from a space file to a run folder with its front."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from invsearch.errors import InputError
from invsearch.plugins import EXECUTORS, STRATEGIES
from invsearch.problem.kinds import problem_of
from invsearch.problem.problem import Problem
from invsearch.runs import RunFolder, describe
from invsearch.search.executors import Executor, Workers
from invsearch.search.live import LiveView
from invsearch.search.session import Session
from invsearch.search.strategies import Strategy
from invsearch.space import SpaceFile

__all__ = ["AUTO", "RunOptions", "run_search"]

AUTO = "auto"
DETERMINISTIC_BATCH = 4  # a laptop's cores; the machine's own would make runs depend on it


@dataclass(frozen=True)
class RunOptions:
    """What the command line adds to a space file.

    Attributes:
        out: The run's folder; None for ``results/<slug of the name>``.
        trials: The budget; None for the space file's.
        resume: Whether to go on with a folder that holds trials.
        executor: Where evaluations run, a row of :data:`invsearch.plugins.EXECUTORS`; ``auto`` is
            in-process where none does work that is worth another process, else Ray.
        address: An existing cluster.
        deterministic: Fixed batches, told in order.
        command: The command line, kept with the run.
    """

    out: Path | None = None
    trials: int | None = None
    resume: bool = False
    executor: str = AUTO
    address: str | None = None
    deterministic: bool = False
    command: Sequence[str] = ()


def run_search(space_file: SpaceFile, options: RunOptions, console: Console) -> RunFolder:
    """Search a space and leave a run folder.

    Args:
        space_file: The space.
        options: The command's options.
        console: Where progress is shown.

    Returns:
        The run folder, complete with its front.

    Raises:
        InputError: If the space, the folder, an evaluator or the cluster cannot be used.
        KeyboardInterrupt: If the search was interrupted; ``resume`` goes on.
    """
    problem = problem_of(space_file)
    _check_strategy(problem)
    problem.check()
    folder = RunFolder(options.out or Path("results") / space_file.slug)
    _check_folder(folder, options, console)
    with ExitStack() as stack:
        stack.enter_context(folder.lock())
        environment = _open_folder(folder, space_file, options)
        problem.prepare(folder, lambda text: console.print(text, soft_wrap=True, highlight=False))
        view = LiveView(console, space_file.name)
        workers = _workers(problem, options, stack)
        deterministic = options.deterministic or space_file.search.deterministic
        if deterministic:
            parallel = space_file.search.parallel
            capacity = parallel if isinstance(parallel, int) else DETERMINISTIC_BATCH
        else:
            capacity = workers.capacity
        session = Session(
            problem,
            folder,
            environment=environment,
            trials=options.trials or space_file.search.trials,
            capacity=capacity,
            deterministic=deterministic,
            on_change=view.update,
        )
        _announce(session, console)
        try:
            with view:
                workers.run(session)
            session.close()
        except KeyboardInterrupt:
            session.interrupted()
            raise
        if session.exhausted:
            console.print(
                f"every feasible architecture was evaluated: {session.counted} trials"
                f" of {session.trials_wanted} asked for"
            )
    return folder


def _check_strategy(problem: Problem) -> None:
    name = problem.file.search.strategy
    endless = [parameter.name for parameter in problem.space.parameters if not parameter.finite]
    if STRATEGIES.get(name, Strategy).enumerates and endless:
        raise InputError(f"search.strategy cannot be {name!r}: {endless[0]!r} is continuous")


def _check_folder(folder: RunFolder, options: RunOptions, console: Console) -> None:
    if folder.path.exists() and not folder.path.is_dir():
        raise InputError(f"{folder.path} is a file: choose a folder with --out")
    if options.resume:
        if not folder.exists or folder.half_made:
            state = "half-made" if folder.exists else "missing"
            console.print(f"{folder.path} is {state}: starting the run")
        return
    if folder.holds_trials or folder.study_path.exists():
        raise InputError(
            f"{folder.path} already holds a run: continue it with --resume, "
            "or choose another folder with --out"
        )


def _open_folder(folder: RunFolder, space_file: SpaceFile, options: RunOptions) -> str:
    environment = describe()
    if folder.study_path.exists():
        folder.add_environment(environment, command=options.command)
    elif folder.holds_trials:
        raise InputError(
            f"{folder.path} holds trials but no {folder.study_path.name}, which is the truth about "
            "them: restore it, or choose another folder with --out"
        )
    else:
        folder.create(space_file.text, environment=environment, command=options.command)
    return str(environment["id"])


def _workers(problem: Problem, options: RunOptions, stack: ExitStack) -> Workers:
    """Where evaluations run: in this process by itself only where none is worth another one."""
    name = options.executor
    if name == AUTO:
        in_process = not problem.needs_workers and options.address is None
        name = "serial" if in_process else "ray"
    executor = EXECUTORS.get(name, Executor)
    if options.address is not None and not executor.takes_address:
        raise InputError(f"--address needs Ray: leave out --executor {name}")
    return stack.enter_context(executor.open(problem, options.address))


def _announce(session: Session, console: Console) -> None:
    if not session.resumed and not session.orphans:
        return
    parts = [f"{session.counted} trials are done"]
    if session.orphans:
        parts.append(f"{session.orphans} were in flight and are evaluated again")
    console.print("resuming: " + ", ".join(parts))
