"""Running a search: from a space file to a run folder with its front."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from rich.console import Console

from invsearch.errors import InputError
from invsearch.problem.kinds import problem_of
from invsearch.problem.problem import Problem
from invsearch.runs import RunFolder, describe
from invsearch.search.live import LiveView
from invsearch.search.session import Session
from invsearch.space import SpaceFile

__all__ = ["Executor", "RunOptions", "run_search"]

Executor = Literal["auto", "ray", "serial"]
EXECUTORS = get_args(Executor)
DETERMINISTIC_BATCH = 4


@dataclass(frozen=True)
class RunOptions:
    """What the command line adds to a space file.

    Attributes:
        out: The run's folder; None for ``results/<slug of the name>``.
        trials: The budget; None for the space file's.
        resume: Whether to go on with a folder that holds trials.
        executor: Where evaluations run; ``auto`` is in-process where none does work that is worth
            another process, else Ray.
        address: An existing Ray cluster.
        deterministic: Fixed batches, told in order.
        command: The command line, kept with the run.
    """

    out: Path | None = None
    trials: int | None = None
    resume: bool = False
    executor: Executor = "auto"
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
    problem.check()
    folder = RunFolder(options.out or Path("results") / space_file.slug)
    _check_folder(folder, options, console)
    with ExitStack() as stack:
        stack.enter_context(folder.lock())
        environment = _open_folder(folder, space_file, options)
        problem.prepare(folder, lambda text: console.print(text, soft_wrap=True, highlight=False))
        view = LiveView(console, space_file.name)
        execute, capacity = _executor(problem, options, stack)
        deterministic = options.deterministic or space_file.search.deterministic
        if deterministic:
            parallel = space_file.search.parallel
            capacity = parallel if isinstance(parallel, int) else DETERMINISTIC_BATCH
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
                execute(session)
            session.close()
        except KeyboardInterrupt:  # it may have cut a write in two: resuming mends the log
            session.derive_front()
            raise
        if session.exhausted:
            console.print(
                f"every feasible architecture was evaluated: {session.counted} trials"
                f" of {session.trials_wanted} asked for"
            )
    return folder


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


def _executor(
    problem: Problem, options: RunOptions, stack: ExitStack
) -> tuple[Callable[[Session], None], int]:
    """Where evaluations run, and how many at a time."""
    cluster = problem.file.cluster
    address = options.address or cluster.address or os.environ.get("RAY_ADDRESS") or None
    if options.executor == "serial" and options.address is not None:
        raise InputError("--address needs Ray: leave out --executor serial")
    in_process = options.executor == "auto" and not problem.needs_workers
    if options.executor == "serial" or (in_process and options.address is None):
        from invsearch.search.serial import run_serial

        return lambda session: run_serial(session, threads=max(1, int(cluster.cpus_per_trial))), 1
    from invsearch.search.ray_cluster import connected

    parallel = problem.file.search.parallel
    cores = _cores()
    wanted = parallel if isinstance(parallel, int) else 0
    cpus = max(cores, int(wanted * cluster.cpus_per_trial)) if address is None else None
    stack.enter_context(connected(address, cpus))
    import ray

    from invsearch.search.ray_executor import run_ray

    available = ray.cluster_resources().get("CPU", 1)
    capacity = wanted or max(1, int(available // cluster.cpus_per_trial))
    return (
        lambda session: run_ray(
            session,
            cpus=cluster.cpus_per_trial,
            gpus=cluster.gpus_per_trial,
            storage=cluster.storage_path,
        ),
        capacity,
    )


def _cores() -> int:
    """CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _announce(session: Session, console: Console) -> None:
    if not session.resumed and not session.orphans:
        return
    parts = [f"{session.counted} trials are done"]
    if session.orphans:
        parts.append(f"{session.orphans} were in flight and are evaluated again")
    console.print("resuming: " + ", ".join(parts))
