"""Running a search: from a space file to a run folder with its front."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from invsearch.errors import DiskError, InputError
from invsearch.plugins import EXECUTORS, STRATEGIES
from invsearch.problem.kinds import problem_of
from invsearch.problem.problem import Problem
from invsearch.problem.ranges import check_feasible
from invsearch.runs import RunFolder, describe
from invsearch.runs.files import write_atomic
from invsearch.runs.keep import keep_sources
from invsearch.runs.load import RESULTS
from invsearch.runs.mark import check_place
from invsearch.search.agreement import check_agreement
from invsearch.search.audit import audit_front
from invsearch.search.callbacks import Followers, followers_of
from invsearch.search.executors import Executor, Workers
from invsearch.search.final import judge_front
from invsearch.search.limits import Limits
from invsearch.search.live import LiveView
from invsearch.search.points import Brought, brought
from invsearch.search.server import pointer, serving
from invsearch.search.session import Session
from invsearch.search.stopping import Stopping
from invsearch.search.strategies import Strategy
from invsearch.space import SpaceFile

__all__ = ["AUTO", "RunOptions", "default_folder", "run_search"]

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
            in-process where none does work that is worth another process, else Ray; None for the
            space file's.
        address: An existing cluster.
        deterministic: Fixed batches, told in order.
        timeout_s: Seconds of the whole search; None for the space file's.
        command: The command line, kept with the run.
        storage: A PostgreSQL server's URL, for a study that several drivers share.
        callbacks: Who follows the search, besides those that the space file names.
        imports: Tables of points and runs that the search begins with.
    """

    out: Path | None = None
    trials: int | None = None
    resume: bool = False
    executor: str | None = None
    address: str | None = None
    deterministic: bool = False
    timeout_s: float | None = None
    command: Sequence[str] = ()
    storage: str | None = None
    callbacks: Sequence[str] = ()
    imports: Sequence[str] = ()


_MENDED = "the same command with --resume goes on when that is mended"


def default_folder(out: Path | None, slug: str) -> Path:
    """Return where a run goes: where the user says, or under ``results/``."""
    return out or RESULTS / slug


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
    folder = RunFolder(default_folder(options.out, space_file.slug))
    check_place(folder.path)
    problem = problem_of(space_file)
    _check_strategy(problem)
    problem.check()
    check_feasible(problem)
    _check_folder(folder, options, console)
    found = brought(problem, options.imports)
    followers = followers_of(
        [*space_file.search.callbacks, *options.callbacks],
        space_file.search_paths,
        lambda line: _say(console, line),
    )
    for notice in space_file.notices:
        console.print(notice, soft_wrap=True)
    try:
        _search(problem, folder, options, Beside(found, followers), console)
    except DiskError as error:  # of a checkpoint, here or on a node
        raise DiskError(f"{error}; {_MENDED}") from error
    except OSError as error:
        raise DiskError.of(error, error.filename or folder.path, "written", _MENDED) from error
    return folder


@dataclass(frozen=True)
class Beside:
    """What a search is given beside its problem.

    Attributes:
        brought: Points and results of the user's own.
        followers: The callbacks.
    """

    brought: Brought
    followers: Followers


def _search(
    problem: Problem, folder: RunFolder, options: RunOptions, beside: Beside, console: Console
) -> None:
    found, followers = beside.brought, beside.followers
    space_file = problem.file
    with ExitStack() as stack:
        stack.enter_context(folder.lock(needed=not _guards(problem, options)))
        environment = _open_folder(folder, space_file, options, console)
        problem.prepare(folder, lambda text: console.print(text, soft_wrap=True))
        view = LiveView(console, space_file.name)
        workers = _workers(problem, options, stack)
        deterministic = options.deterministic or space_file.search.deterministic
        url = options.storage or space_file.search.storage
        server = stack.enter_context(
            serving(folder.path, url, space_file.slug, alone=deterministic)
        )
        if deterministic:
            parallel = space_file.search.parallel
            capacity = parallel if isinstance(parallel, int) else DETERMINISTIC_BATCH
        else:
            capacity = workers.capacity

        def changed(session: Session) -> None:
            view.update(session)
            followers.update(session)

        session = Session(
            problem,
            folder,
            environment=environment,
            trials=options.trials or space_file.search.trials,
            capacity=capacity,
            deterministic=deterministic,
            limits=_limits(space_file, options),
            on_change=changed,
            server=server,
            say=lambda text: _say(console, text),
        )
        _announce(session, console)
        followers.start(session)
        stack.callback(followers.close)
        for described in found.environments:
            folder.add_environment(described)
        session.bring(found)
        for line in found.told:
            _say(console, line)
        if space_file.search.rungs and space_file.evaluator and not problem.reports:
            _say(console, "search.rungs has no effect: the evaluator takes no context to report by")
        try:
            with view:
                workers.run(session)
            session.close()
            followers.update(session)
            audited = not session.watch.out_of_time and audit_front(
                problem, folder, environment, lambda text: _say(console, text)
            )
            if judge_front(problem, folder, environment) or audited:
                session.log.derive_front()
            problem.compare(folder.trials(), lambda text: _say(console, text))
        except KeyboardInterrupt:
            session.interrupted()
            raise
        _conclude(session, console)


def _limits(space_file: SpaceFile, options: RunOptions) -> Limits:
    search = space_file.search
    timeout_s = options.timeout_s or search.timeout
    stopping = Stopping(search.stop, space_file.objectives) if search.stop else None
    return Limits(timeout_s, search.trial_timeout, search.max_failures_in_row, stopping)


def _conclude(session: Session, console: Console) -> None:
    """Say why the search ended before its budget was spent, and keep that with the run."""
    reason = session.watch.ended
    if reason is None and session.exhausted:
        reason = "every feasible architecture was evaluated"
    session.folder.note_end(reason)
    if reason is None:
        return
    text = f"{reason}: {session.counted} trials of {session.trials_wanted} asked for"
    if session.running:
        text += f"; {len(session.running)} under way are evaluated again with --resume"
    _say(console, text)


def _say(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def _check_strategy(problem: Problem) -> None:
    name = problem.file.search.strategy
    endless = [parameter.name for parameter in problem.space.parameters if not parameter.finite]
    if STRATEGIES.get(name, Strategy).enumerates and endless:
        raise InputError(f"search.strategy cannot be {name!r}: {endless[0]!r} is continuous")


def _check_folder(folder: RunFolder, options: RunOptions, console: Console) -> None:
    if options.resume:
        if not folder.exists or folder.half_made:
            state = "half-made" if folder.exists else "missing"
            console.print(f"{folder.path} is {state}: starting the run")
        return
    if folder.holds_trials or _studied(folder):
        raise InputError(
            f"{folder.path} already holds a run: continue it with --resume, "
            "or choose another folder with --out"
        )


def _studied(folder: RunFolder) -> bool:
    """Whether the folder has a study, or says where it is."""
    return folder.study_path.exists() or bool(pointer(folder.path))


def _open_folder(
    folder: RunFolder, space_file: SpaceFile, options: RunOptions, console: Console
) -> str:
    environment = describe()
    if options.storage is not None and folder.study_path.exists():
        raise InputError(
            f"{folder.path} has its study in {folder.study_path.name}: leave out --storage, or "
            "choose another folder with --out"
        )
    if _studied(folder):
        if folder.study_path.exists():
            check_agreement(folder)
        if not folder.space_text().strip():
            console.print(f"{folder.space_path} was gone: written anew from {space_file.path}")
            write_atomic(folder.space_path, space_file.text)
        if not folder.environment():
            console.print(f"{folder.environment_path} was gone: it knows this machine alone now")
        folder.add_environment(environment, command=options.command)
    elif folder.holds_trials:
        raise InputError(
            f"{folder.path} holds trials but no {folder.study_path.name}, which is the truth about "
            "them: restore it, or choose another folder with --out"
        )
    else:
        folder.create(space_file.text, environment=environment, command=options.command)
    keep_sources(folder.path, space_file)
    return str(environment["id"])


def _workers(problem: Problem, options: RunOptions, stack: ExitStack) -> Workers:
    """Where evaluations run: in this process by itself only where none is worth another one."""
    name = _executor(problem, options)
    executor = EXECUTORS.get(name, Executor)
    if options.address is not None and not executor.takes_address:
        raise InputError(f"--address needs Ray: leave out --executor {name}")
    return stack.enter_context(executor.open(problem, options.address))


def _executor(problem: Problem, options: RunOptions) -> str:
    name = options.executor or problem.file.search.executor
    if name == AUTO:
        in_process = not problem.needs_workers and options.address is None
        name = "serial" if in_process else "ray"
    return name


def _guards(problem: Problem, options: RunOptions) -> bool:
    """Whether the executor keeps a second driver off the folder, where it cannot be locked."""
    return EXECUTORS.get(_executor(problem, options), Executor).guards


def _announce(session: Session, console: Console) -> None:
    if not session.resumed and not session.orphans:
        return
    parts = [f"{session.counted} trials are done"]
    if session.orphans:
        parts.append(f"{session.orphans} were in flight and are evaluated again")
    console.print("resuming: " + ", ".join(parts))
