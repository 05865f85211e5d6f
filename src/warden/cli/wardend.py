"""wardend: the daemon's command line, and the one place where its parts are put together.

Owns arguments and exit codes. Everything heavy is imported after the arguments are read.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import warden

if TYPE_CHECKING:
    from warden.server.config import Config

_EXAMPLES = """\
examples:
  sudo wardend                              serve on /run/warden/warden.sock, in the foreground
  sudo wardend /etc/warden/warden.yml       with a configuration file (the original's files work)
  wardend --check /etc/warden/warden.yml    say whether a file is right
  wardend --print-config > warden.yml       every setting with its meaning, to start from

signals: TERM and INT end it at once, USR2 lets requests finish first; containers go on in every case
"""
NOFILE = 32768
#: hashlib's own functions.
_HASHES = (
    "_md5",
    "_sha1",
    "_blake2",
    "_sha3",
    *(("_sha2",) if sys.version_info >= (3, 12) else ("_sha256", "_sha512")),
)
#: What Python itself begins with; entry.py has it collect seldom while modules are loaded.
_COLLECT = (700, 10, 10)


def parser() -> argparse.ArgumentParser:
    """The command line, for the help and the manual."""
    made = argparse.ArgumentParser(
        prog="wardend",
        description="The daemon that keeps containers. Needs root.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("config", nargs="?", metavar="CONFIG.yml", help="configuration file")
    made.add_argument("--check", metavar="CONFIG", help="check a configuration file and end")
    made.add_argument("--print-config", action="store_true", help="print the configuration in force and end")
    made.add_argument("--socket", metavar="PATH", help="listen here instead of where the file says")
    made.add_argument("--depot", metavar="PATH", help="keep containers here instead of where the file says")
    made.add_argument("--foreground", action="store_true", help="stay in the foreground, as it always does")
    made.add_argument("--ready-fd", type=int, metavar="N", help="write one byte to descriptor N once it listens")
    made.add_argument("--version", action="version", version=f"wardend {warden.__version__}")
    return made


def main(argv: list[str] | None = None) -> int:
    """Runs the daemon; returns the exit code."""
    arguments = parser().parse_args(argv)
    _leave_out_openssl()
    from warden.errors import WardenError

    try:
        return _run(arguments)
    except WardenError as error:
        print(f"wardend: {error}", file=sys.stderr)
        return error.exit_code


def _leave_out_openssl() -> None:
    """The daemon needs none of it: asyncio does without `ssl`, hashlib has its own functions, unless Python was built
    without them (--with-builtin-hashlib-hashes). It would be 4 MiB of its memory. A process that has it already, such as
    that of tests, keeps it."""
    left_out = ["_ssl"]
    with contextlib.suppress(ImportError):
        for name in _HASHES:
            import_module(name)  # hashlib's next act
        left_out.append("_hashlib")
    for name in left_out:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # None: an import of it fails (sys.modules)


def _run(arguments: argparse.Namespace) -> int:
    from warden.server.config import load

    config = load(arguments.check or arguments.config).override(
        server__unix_domain_path=_absolute(arguments.socket), server__container_depot_path=_absolute(arguments.depot)
    )
    for warning in config.warnings:
        print(f"wardend: {warning}", file=sys.stderr)
    if arguments.print_config:
        print(config.to_yaml(), end="")
    elif not arguments.check:
        serve(config, ready_fd=arguments.ready_fd)
    return 0


def _absolute(path: str | None) -> str | None:
    return os.path.abspath(path) if path is not None else None


def serve(config: Config, *, ready_fd: int | None = None) -> None:
    """Builds engine and server and serves until a signal. Raises NotPermitted without root."""
    from warden.errors import NotPermitted

    if os.geteuid() != 0:
        raise NotPermitted("wardend: making containers needs root", hint="start it with: sudo wardend")
    import asyncio
    import gc

    from warden.engine.engine import Engine
    from warden.server import logs
    from warden.server.server import Server

    logs.setup(config["logging.level"], config["logging.file"], config["server.log_format"])
    _raise_descriptor_limit()

    async def run() -> None:
        await Server(config, Engine(config.engine_settings())).run(ready_fd=ready_fd)
        # asyncio puts back the default action, which is death: a second USR2 of a drain must not meet it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})

    gc.freeze()  # what was imported stays, so no collection need look at it
    gc.set_threshold(*_COLLECT)
    asyncio.run(run())


def _raise_descriptor_limit() -> None:
    """As far as the hard limit allows: raising that one needs CAP_SYS_RESOURCE (getrlimit(2))."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = NOFILE if hard == resource.RLIM_INFINITY else min(NOFILE, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    sys.exit(main())
