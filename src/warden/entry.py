"""How warden's programs start and end: what the scripts in bin/ call (setup.py writes them). Imports nothing heavy.

A tool of LXC's lives for some 20 ms. Collecting garbage while modules are loaded, and taking every object apart at the
end, would be a fifth of that.
"""

from __future__ import annotations

import gc
import os
import sys

from warden import loading

#: So many objects more than were freed start a collection; the usual 700 make a hundred of them while modules are loaded.
COLLECT_AFTER = 50_000


def run(module: str) -> None:
    """Calls `main()` of *module* and ends the process with what it returns."""
    gc.set_threshold(COLLECT_AFTER)
    loading.prefer()
    __import__(module)
    code: object
    try:
        code = sys.modules[module].main()
    except SystemExit as error:
        code = error.code
    if not (code is None or isinstance(code, int)) or not _is_simple():
        sys.exit(code)  # type: ignore[arg-type]
    os._exit((code or 0) & 0xFF)


def _is_simple() -> bool:
    """Nothing is left to do at the end: no threads, nothing registered (as by logs), and what was printed has arrived."""
    if "threading" in sys.modules or "atexit" in sys.modules:
        return False
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except OSError:
        return False  # the interpreter meets it again, and says so as always
    return True
