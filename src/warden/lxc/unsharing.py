"""A program in namespaces of its own that are no container: what lxc-unshare and lxc-usernsexec have in common.

The child makes the namespaces and waits; this process, which has its old rights, does what needs them (id maps, network
interfaces) and lets it go on. In a new pid namespace a further child is PID 1.
"""

from __future__ import annotations

import os
import sys

from warden.errors import KernelRefused, WardenError
from warden.kernel import mounts
from warden.light import TYPE_CHECKING, signal
from warden.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

NOT_FOUND, NOT_EXECUTABLE, FAILED = 127, 126, 1


@dataclass(frozen=True, slots=True)
class Unsharing:
    """*flags* of clone(2). *outside*: is called with the child's pid when its namespaces are there; *inside*: by the child
    just before *argv* is executed. *wait*: for its end."""

    tool: str
    flags: int
    argv: tuple[str, ...]
    outside: Callable[[int], None]
    inside: Callable[[], None]
    wait: bool = True


def run(order: Unsharing) -> int:
    """The program's exit code, 128 and the number of the signal that ended it; 126 and 127 as a shell has them. Raises
    WardenError for what *outside* refuses, KernelRefused when the kernel refuses the namespaces."""
    ready, go = os.pipe(), os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if not child:
        os.close(ready[0])
        os.close(go[1])
        _child(order, ready[1], go[0])
    os.close(ready[1])
    os.close(go[0])
    try:
        _prepare(order, child, ready[0], go[1])
    except WardenError:
        os.close(go[1])  # it ends, for nobody lets it go on
        os.waitpid(child, 0)
        raise
    return _exit_code(child) if order.wait else 0


def _prepare(order: Unsharing, child: int, ready: int, go: int) -> None:
    with open(ready, "rb") as file:
        said = file.read()
    if said != b"ok":
        hint = "is it allowed here? sysctl user.max_user_namespaces"
        raise KernelRefused("unshare", "", int(said or b"1"), hint=hint)
    order.outside(child)
    os.write(go, b"g")
    os.close(go)


def _child(order: Unsharing, ready: int, go: int) -> None:
    """Never comes back."""
    code = FAILED
    try:
        if not order.wait:
            os.setsid()
        try:
            mounts.unshare(order.flags)
        except OSError as error:
            os.write(ready, str(error.errno).encode())
            os._exit(FAILED)
        os.write(ready, b"ok")
        os.close(ready)
        if os.read(go, 1) == b"g":
            os.close(go)
            code = _first(order)
    except OSError as error:
        print(f"{order.tool}: {error.strerror}", file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _first(order: Unsharing) -> int:
    """unshare(2) of the pid namespace is for children to come: the first of them is PID 1."""
    if order.flags & mounts.CLONE_NEWPID:
        child = os.fork()
        if child:
            return _exit_code(child)
    try:
        order.inside()
    except OSError as error:
        print(f"{order.tool}: {error.strerror}", file=sys.stderr)
        return FAILED
    except WardenError as error:
        print(f"{order.tool}: {error}", file=sys.stderr)
        return FAILED
    return _execute(order.tool, order.argv)


def _execute(tool: str, argv: tuple[str, ...]) -> int:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and that would be inherited
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        print(f"{tool}: {argv[0]}: {error.strerror}", file=sys.stderr)
        return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE


def _exit_code(child: int) -> int:
    """A signal of the terminal is for the program: it decides."""
    before = [(number, signal.signal(number, signal.SIG_IGN)) for number in (signal.SIGINT, signal.SIGQUIT)]
    try:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        for number, handler in before:
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code
