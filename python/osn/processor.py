"""Whether this processor can run the compiled part, before an instruction that it does not know ends the interpreter."""

from __future__ import annotations

import platform
from pathlib import Path

#: What Linux calls the features of x86-64-v3, for which `pyproject.toml` has the compiled part built.
NEEDED = ("abm", "avx2", "bmi2", "f16c", "fma", "movbe")

#: What Linux says of the processor.
_CPU_INFO = Path("/proc/cpuinfo")


def check(machine: str = platform.machine(), info: Path = _CPU_INFO) -> None:
    """Raises ImportError on a processor of the x86 kind that Linux says lacks something."""
    if machine not in ("x86_64", "AMD64"):
        return
    try:
        # There is a paragraph for each core, of which the first says enough.
        with info.open() as lines:
            flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), None)
    except OSError:
        return
    if flags is not None and (lacking := [name for name in NEEDED if name not in flags]):
        raise ImportError(f"this processor lacks {', '.join(lacking)}: osn needs one of 2013 or later (x86-64-v3)")
