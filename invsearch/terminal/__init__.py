"""The terminal: what is shown there is text as it is, and never a reason to fail."""

from __future__ import annotations

from invsearch.terminal.console import make_console, working
from invsearch.terminal.signals import ended_by, sigterm_as_interrupt, tell_sigterm
from invsearch.terminal.streams import Streams, guarded_streams
from invsearch.terminal.words import as_argument, printable

__all__ = ["Streams", "as_argument", "ended_by", "guarded_streams", "make_console", "printable"]
__all__ += ["sigterm_as_interrupt", "tell_sigterm", "working"]
