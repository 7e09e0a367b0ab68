"""Code that may end its process, each in a child forked from one process that has torch already."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

_PARENT = """
import json, os, sys, tempfile, torch, ops
for code in sys.argv[1:]:
    with tempfile.TemporaryFile() as file:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            os.dup2(file.fileno(), 1)
            exec(code)
            sys.stdout.flush()
            os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        file.seek(0)
        print(json.dumps(file.read().decode() if ended == 0 else f"ended with {ended}"))
"""


def printed(codes: Sequence[str]) -> list[str]:
    """What each code prints, `torch` and `ops` being imported, or "ended with CODE or -SIGNAL".

    A process of its own for each costs seconds, most of them for importing torch.
    """
    done = subprocess.run(
        [sys.executable, "-c", _PARENT, *codes], capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(codes), done.stderr[-2000:]
    return [json.loads(line) for line in lines]
