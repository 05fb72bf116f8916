"""The command ``osn`` of the wheel: the Rust program's commands that train nothing."""

from __future__ import annotations

import signal
import sys

from osn import _core


def main() -> int:
    """Does what the command line asks for; returns 0, 1 where it failed, 2 where the input is bad."""
    # A signal ends the command or is handled by it, and raises nothing in Python.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _core.command(["osn", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
