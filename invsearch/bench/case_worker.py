"""The process that measures one composite case: a request on standard input, JSON on output.

In a process of its own, because times of many megabytes a call depend on what the memory allocator
has seen before: glibc keeps blocks of a size that was freed once, and asks the system for others.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from invsearch.bench.case import Result, Settings, measure_case
from invsearch.bench.reach import reach_cases
from invsearch.errors import CheckError, TrialError
from ops.timing import Rule

__all__ = ["main", "measure_apart"]

DISAGREES = 3


def measure_apart(name: str, settings: Settings) -> Result:
    """Measures the composite case of that name in a fresh process.

    Raises:
        CheckError: If a candidate computes something else than its oracle.
        TrialError: If the process fails otherwise.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(settings.threads)}
    environment["PYTHONPATH"] = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    done = subprocess.run(
        [sys.executable, "-m", "invsearch.bench.case_worker"],
        input=json.dumps({"name": name, "settings": asdict(settings)}),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode == 0:
        return Result.from_dict(json.loads(done.stdout.splitlines()[-1]))
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    raise CheckError(last) if done.returncode == DISAGREES else TrialError(f"{name}: {last}")


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
