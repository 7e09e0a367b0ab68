"""The process that measures one composite case: a request on standard input, JSON on output.

In a process of its own, because times of many megabytes a call depend on what the memory allocator
has seen before: glibc keeps blocks of a size that was freed once, and asks the system for others.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from invsearch.bench.case import Result, Settings, measure_case
from invsearch.bench.reach import reach_cases
from invsearch.errors import CheckError, TrialError
from ops.timing import Rule
from ops.timing.fresh_process import ask_fresh_process

__all__ = ["main", "measure_apart"]

DISAGREES = 3  # neither a success, nor Python's own 1 and 2


def measure_apart(name: str, settings: Settings) -> Result:
    """Measures the composite case of that name in a fresh process.

    Raises:
        CheckError: If a candidate computes something else than its oracle.
        TrialError: If the process fails otherwise.
    """
    answer = ask_fresh_process(
        "invsearch.bench.case_worker",
        text=json.dumps({"name": name, "settings": asdict(settings)}),
        environment={"OMP_NUM_THREADS": str(settings.threads)},
    )
    if answer.code == DISAGREES:
        raise CheckError(answer.reason)
    if answer.code:
        raise TrialError(f"{name}: {answer.reason}")
    return Result.from_dict(json.loads(answer.line))


def main(request: dict[str, Any]) -> int:
    """Prints the result; the exit status is 3 where a candidate was wrong."""
    plain = request["settings"]
    settings = Settings(**{**plain, "rule": Rule(**plain["rule"])})
    case = dict(reach_cases(settings))[request["name"]]()
    try:
        result = measure_case(case, settings)
    except CheckError as error:
        print(error, file=sys.stderr)
        return DISAGREES
    print(json.dumps(result.as_dict()))
    return 0


if __name__ == "__main__":
    sys.exit(main(json.load(sys.stdin)))
