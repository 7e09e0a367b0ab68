"""What users' evaluators do to a search, by name; copied beside the space file as it is."""

import asyncio
import gc
import locale
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy
import torch


class UnspeakableError(Exception):
    def __str__(self):
        raise RuntimeError("no words")

    __repr__ = __str__


class Worse(BaseException):
    def __str__(self):
        sys.exit(3)

    __repr__ = __str__


def deep(n=0):
    return deep(n + 1)


def raise_(error):
    raise error


def numbers():
    yield {"error": 1.0}


async def later():
    return {"error": 1.0}


class Odd:
    def __float__(self):
        raise SystemExit

    def __repr__(self):
        raise Worse


def forked(child):
    pid = os.fork()
    if pid == 0:
        return child()
    os.waitpid(pid, 0)
    return None


FAILING = {
    "exit": lambda: sys.exit(0),
    "exit_words": lambda: sys.exit("enough"),
    "base": lambda: raise_(BaseException("bottom")),
    "interrupt": lambda: raise_(KeyboardInterrupt()),
    "generator_exit": lambda: raise_(GeneratorExit()),
    "cancelled": lambda: raise_(asyncio.CancelledError()),
    "stop": lambda: next(iter(())),
    "unspeakable": lambda: raise_(UnspeakableError()),
    "worse": lambda: raise_(Worse()),
    "surrogate": lambda: raise_(ValueError("caf\udce9")),
    "controls": lambda: raise_(ValueError("a\0b\x1b[31mc\nd\u2028e")),
    "long": lambda: raise_(ValueError("x" * 2_000_000)),
    "group": lambda: raise_(ExceptionGroup("several", [ValueError("one"), KeyError("two")])),
    "deep": deep,
    "shallow": lambda: (sys.setrecursionlimit(len(__import__("inspect").stack()) + 12), deep()),
    "memory": lambda: raise_(MemoryError()),
    "generator": numbers,
    "coroutine": later,
    "nothing": lambda: None,
    "complex": lambda: {"error": 1 + 2j},
    "text": lambda: {"error": "0.5"},
    "nan": lambda: {"error": float("nan")},
    "huge": lambda: {"error": 10**400},
    "two": lambda: {"error": torch.ones(2)},
    "odd": lambda: {"error": Odd()},
    "strange_name": lambda: {"error": 1.0, "caf\udce9": 1.0},
    "missing": lambda: {"other": 1.0},
    "upside_down": lambda: {"error": {"value": 1.0, "low": 2.0, "high": 3.0}},
    "above": lambda: {"error": {"value": 4.0, "low": 2.0, "high": 3.0}},
    "unknown_key": lambda: {"error": {"value": 1.0, "hihg": 3.0}},
    "valueless": lambda: {"error": {"low": 1.0, "high": 3.0}},
}
"""These end in anything but a result."""


def environment():
    os.environ.clear()
    os.environ["INVSEARCH_SHARED"] = "nowhere"


def replaced():
    class Refusing:
        def write(self, text):
            raise OSError("closed")

        flush = write

    sys.stdout = sys.stderr = Refusing()


def ignored():
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])


def torch_settings():
    torch.set_default_dtype(torch.float16)
    torch.set_grad_enabled(False)
    torch.set_num_threads(7)


def left_behind():
    threading.Thread(target=time.sleep, args=(600,)).start()


def loud():
    print("from print")
    os.write(1, b"from write\n")
    subprocess.run(["echo", "from a process"], check=True)


CHANGING = {
    "chdir": lambda: os.chdir("/"),
    "seterr": lambda: numpy.seterr(all="raise"),
    "warnings": lambda: (warnings.simplefilter("error"), warnings.resetwarnings()),
    "locale": lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8"),
    "handlers": ignored,
    "alarm": lambda: signal.setitimer(signal.ITIMER_REAL, 0.3),
    "environment": environment,
    "path": lambda: setattr(sys, "path", []),
    "streams": replaced,
    "closed": lambda: (sys.stdout.close(), sys.stderr.close()),
    "descriptors": lambda: (os.close(1), os.close(2)),
    "recursion": lambda: sys.setrecursionlimit(len(__import__("inspect").stack()) + 12),
    "torch": torch_settings,
    "umask": lambda: os.umask(0o777),
    "collected": gc.disable,
    "seeds": lambda: (random.seed(0), numpy.random.seed(0), torch.manual_seed(0)),
    "hook": lambda: setattr(sys, "excepthook", None),
    "thread": left_behind,
    "child_returns": lambda: forked(lambda: None),
    "child_exits": lambda: forked(lambda: sys.exit(0)),
    "child_raises": lambda: forked(lambda: raise_(ValueError("in the child"))),
    "loud": loud,
}
"""These change the process, and end well."""


def evaluate(values):
    how = values["how"]
    if how in FAILING:
        return FAILING[how]()
    CHANGING[how]()
    values.clear()
    return {"error": torch.tensor(0.5, requires_grad=True), "order": numpy.float32(1.0)}
