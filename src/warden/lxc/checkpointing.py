"""A running container written to a directory by criu(8): its command line, and what of the host the container holds.

A container whose console or terminals belong to the host cannot be taken from it; criu's own documentation asks for
lxc.console.path = none and lxc.tty.max = 0, and so is it here. Descriptors of its first process that lead to files of the
host (its streams, on /dev/null) are written down beside the images, for restoring.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile

from warden.errors import BadInput, EngineFault, NotSupported
from warden.kernel.proc import parse_mountinfo
from warden.light import TYPE_CHECKING
from warden.lxc.place import Running
from warden.lxc.settings import LxcConfig
from warden.model.interfaces import Link
from warden.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

NOTE = "warden.json"  # beside criu's images
_MOST = 400


@dataclass(frozen=True, slots=True)
class Criu:
    """What both ways are told. *directory*: of the images; *verbose*, *script*: criu's own -v4 and --action-script."""

    directory: str
    verbose: bool = False
    script: str = ""

    def options(self, log: str) -> tuple[str, ...]:
        more = [*(["-v4"] if self.verbose else []), *(["--action-script", self.script] if self.script else [])]
        kept = ("--tcp-established", "--file-locks", "--link-remap", "--external", "mnt[]:ms")
        return ("--images-dir", self.directory, "--log-file", log, *kept, "--manage-cgroups=ignore", *more)


@dataclass(frozen=True, slots=True)
class Dump:
    """*stop*: it is gone afterwards; *only_memory*: pre-dump; *before*: images of a pre-dump, relative to the directory."""

    criu: Criu
    stop: bool = False
    only_memory: bool = False
    before: str = ""


def program() -> str:
    """criu's path. Raises NotSupported."""
    found = shutil.which("criu")
    if found is None:
        raise NotSupported("there is no criu here, which checkpoints and restores", hint="install the package criu")
    return found


def check(config: LxcConfig) -> None:
    """Raises NotSupported for what cannot be taken from the host."""
    if config.console_path != "none" or config.tty_max:
        hint = "lxc.console.path = none and lxc.tty.max = 0, and a new start"
        raise NotSupported("checkpoint: its console and its terminals are the host's", hint=hint)
    for net in config.net:
        if net.type not in ("veth", "empty"):
            raise NotSupported(
                f"checkpoint: an interface of type {net.type} cannot be restored", hint="veth or empty can"
            )


def dump(running: Running, config: LxcConfig, order: Dump) -> None:
    """Raises NotSupported, BadInput, EngineFault with the end of criu's log."""
    check(config)
    path = program()
    os.makedirs(order.criu.directory, 0o700, exist_ok=True)
    held = dict(_held(running.pid))
    run_criu(path, dump_options(running.pid, order, held), order.criu.directory, "dump.log")
    if not order.only_memory:
        with open(f"{order.criu.directory}/{NOTE}", "w", encoding="utf-8") as file:
            json.dump({"held": list(held)}, file)


def dump_options(pid: int, order: Dump, held: Mapping[str, str]) -> tuple[str, ...]:
    """criu's arguments; *held*: criu's names of the host's files, and their paths."""
    words = ["pre-dump" if order.only_memory else "dump", "--tree", str(pid), *order.criu.options("dump.log")]
    words += [word for name in held for word in ("--external", name)]
    if order.before:
        words += ["--prev-images-dir", order.before]
    if order.only_memory or order.before:
        words.append("--track-mem")
    if not order.only_memory and not order.stop:
        words.append("--leave-running")
    return tuple(words)


def _held(pid: int) -> Iterator[tuple[str, str]]:
    """Open files of *pid* on mounts that are not its own: "file[MOUNT:INODE]", as criu's --external names them."""
    with open(f"/proc/{pid}/mountinfo", "rb") as file:
        own = {record.mount_id for record in parse_mountinfo(file.read())}
    for name in sorted(os.listdir(f"/proc/{pid}/fd"), key=int):
        link = os.readlink(f"/proc/{pid}/fd/{name}")
        mount = _mount_of(pid, name)
        if link.startswith("/") and mount not in own:
            if link != "/dev/null":
                raise BadInput(f"checkpoint: descriptor {name} of its first process is the host's {link}")
            yield f"file[{mount:x}:{os.stat(f'/proc/{pid}/fd/{name}').st_ino:x}]", link


def _mount_of(pid: int, descriptor: str) -> int:
    with open(f"/proc/{pid}/fdinfo/{descriptor}", encoding="ascii") as file:
        fields = dict(line.split(":", 1) for line in file if ":" in line)
    return int(fields["mnt_id"])


def held_files(directory: str) -> tuple[str, ...]:
    """What `dump` wrote down; () for images of somebody else. Raises BadInput."""
    try:
        with open(f"{directory}/{NOTE}", encoding="utf-8") as file:
            return tuple(map(str, json.load(file)["held"]))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{directory}/{NOTE} is not what was written there: {error}") from error


def restore_options(
    criu: Criu, places: tuple[str, str], links: Sequence[Link], streams: Sequence[str]
) -> tuple[str, ...]:
    """criu's arguments; *places*: its root, and the file for its first process's number; *streams*: of --inherit-fd."""
    words = ["restore", *criu.options("restore.log"), "--root", places[0], "--pidfile", places[1]]
    words += ["--restore-detached", "--restore-sibling"]
    for link in links:
        if link.host_name:
            words += ["--external", f"veth[{link.name}]:{link.host_name}@{link.bridge or link.parent}"]
    return (*words, *(word for stream in streams for word in ("--inherit-fd", stream)))


def run_criu(
    path: str,
    words: tuple[str, ...],
    directory: str,
    log: str,
    passed: tuple[int, ...] = (),
    before: Callable[[], None] | None = None,
) -> None:
    """*before*: in its process, before it is criu. Raises EngineFault: its status, and the first error of its log."""
    with tempfile.TemporaryFile() as said_to:  # a pipe would stay open in what it restores
        done = subprocess.run(
            [path, *words],
            stdin=subprocess.DEVNULL,
            stdout=said_to,
            stderr=said_to,
            pass_fds=passed,
            preexec_fn=before,  # which is safe: this process has one thread
            check=False,
        )
        said_to.seek(0)
        output = said_to.read().decode(errors="replace").strip()
    if done.returncode:
        said = _first_error(f"{directory}/{log}") or output[-_MOST:]
        hint = f"its log is {directory}/{log}; criu check says what this kernel lacks"
        raise EngineFault(
            f"criu {words[0]} ended with status {done.returncode}" + (f": {said}" if said else ""), hint=hint
        )


def _first_error(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            found = [line.strip() for line in file if "Error" in line]
    except OSError:
        return ""
    return found[0][-_MOST:] if found else ""
