"""`main(DIRECTORY)`: what a container's monitor becomes when its first process has ended.

Undoes what life.py made, in reverse, whatever fails on the way: hooks, links, cgroups, the directory; then the container
is stopped, or made anew when it was its wish. An ephemeral one is destroyed. What goes wrong is a line of the log.
Imports what a task needs only when there is such a task: somebody waits for this.
"""

from __future__ import annotations

import os
import time

from warden.light import TYPE_CHECKING, signal, suppress
from warden.lxc import place, states
from warden.lxc.place import Running, Site

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from warden.lxc.running import Start

CLAIM_FD, LOCK_FD = 3, 4


def main(directory: str) -> NoReturn:
    for fd in (CLAIM_FD, LOCK_FD):
        os.set_inheritable(fd, False)
    running = place.recalled(directory)
    _End(directory, running).run()
    os._exit(0)  # taking the interpreter apart is two milliseconds that somebody waits for


class _End:
    def __init__(self, directory: str, running: Running) -> None:
        self._directory, self._running = directory, running
        self._site = Site(os.path.dirname(directory), Site.from_environment().parent)
        self._journal = states.open_journal(directory)
        self._start: Start | None = None
        self._left = False  # something of it on the host, which could not be removed
        self._status = states.exit_status(directory) or 0

    @property
    def _reboots(self) -> bool:
        """reboot(2) in a pid namespace ends its first process by SIGHUP, or SIGINT to halt; by nothing else can it get
        these (pid_namespaces(7))."""
        return (
            "own_pids" in self._running.tasks
            and os.WIFSIGNALED(self._status)
            and (os.WTERMSIG(self._status) == signal.SIGHUP)
        )

    def run(self) -> None:
        tasks = self._running.tasks
        more = {"LXC_TARGET": "reboot" if self._reboots else "stop", **_namespaces(self._directory)}
        if {"hooks", "scripts", "ephemeral"} & set(tasks) or self._reboots:
            self._try("configuration", self._load)
        if self._start is not None and "hooks" in tasks:
            scene = self._start.scene
            self._try("stop", lambda: scene.run_on_host("stop", more))
        if "lent" in tasks:
            self._try("lent links", self._fetch)
        if self._start is not None and "scripts" in tasks:
            self._try("scripts", self._scripts)
        self._try("namespaces", self._release)
        self._left = not self._try("cgroups", self._remove_cgroups)
        self._try("links", self._remove_links)
        self._left |= not self._try("host's links", lambda: place.undo_outside(self._directory))
        if "profile" in tasks:
            self._try("profile", self._unload)
        if self._start is not None and "hooks" in tasks:
            scene = self._start.scene
            self._try("post-stop", lambda: scene.run_on_host("post-stop", more))
        states.write(self._journal, "STOPPED")
        if self._reboots:
            self._try("reboot", self._renew)
            return
        self._try("directory", self._remove)
        if "ephemeral" in tasks:
            self._try("ephemeral", self._destroy)
        if pidfile := next(iter(self._running.asked.get("values", {}).get("pidfile", ())), ""):
            from warden.lxc.pidfile import remove_pidfile

            remove_pidfile(pidfile, os.getpid())

    def _try(self, what: str, work: Callable[[], object]) -> bool:
        """Whether it could be done."""
        try:
            work()
        except Exception as error:
            self._say(f"{what}: {error}")
            return False
        return True

    def _say(self, line: str) -> None:
        path = next(iter(self._running.asked.get("values", {}).get("logfile", ())), "")
        if path:
            from warden.errors import BadInput
            from warden.lxc import logfile

            with suppress(BadInput):  # nobody is there to be told, and the end goes on
                logfile.append(path, "lxc-start", self._running.name, "ERROR", line.replace("\n", " "))

    def _load(self) -> None:
        from warden.lxc.options import Given
        from warden.lxc.starting import start_of

        asked = self._running.asked
        given = Given(asked["name"], asked["values"], tuple(asked["rest"]))
        self._start = start_of(given, execute=False, argv=given.rest)

    def _fetch(self) -> None:
        from warden.engine.lending import Lending

        lending = Lending(f"{self._site.state}/{place.LENT}")
        lending.hold_by(self._running.container_id, f"{self._directory}/ns/net")
        lending.fetch(self._running.container_id)

    def _scripts(self) -> None:
        from warden.lxc.scripts import recalled_links, run_scripts

        if self._start is not None:
            run_scripts(self._start.scene, "down", recalled_links(self._directory), {})

    def _release(self) -> None:
        if os.path.isdir(f"{self._directory}/ns"):
            from warden.lxc.life import release_namespaces

            release_namespaces(self._directory)

    def _unload(self) -> None:
        from warden.lxc import apparmor

        if apparmor.is_there():
            apparmor.unload(apparmor.generated_name(self._running.name, self._running.lxcpath))

    def _remove_cgroups(self) -> None:
        from warden.lxc.cgroups import leave, remove

        if not self._running.made or not remove(self._running.made):
            place.remove_cgroups(self._site, self._running.container_id, leave=True)
            return
        with place.ending(self._site) as alone:
            leave(self._running.made, alone=alone)

    def _remove_links(self) -> None:
        if os.path.exists(f"{self._directory}/links.json"):
            from warden.lxc.scripts import remove_pairs

            remove_pairs(self._directory)

    def _remove(self) -> None:
        if not self._left:  # else the next start sweeps up, which it knows by its directory
            place.remove_directory(self._directory)

    def _renew(self) -> None:
        """Nobody may take it for stopped meanwhile."""
        from warden.lxc.home import Home

        home = Home(self._running.lxcpath, self._running.name)
        lock = home.lock() if os.path.isdir(home.path) else -1
        try:
            self._try("directory", self._remove)
            self._again()
        finally:
            if lock >= 0:
                os.close(lock)

    def _again(self) -> None:
        """By the same command line; whoever waits for the monitor finds the new one."""
        from warden.kernel import sockets
        from warden.lxc.life import Order, bring_up
        from warden.lxc.options import Given
        from warden.lxc.pidfile import write_pidfile

        asked = self._running.asked
        given = Given(asked["name"], asked["values"], tuple(asked["rest"]))
        if self._start is None:
            return
        with sockets.socket(fileno=CLAIM_FD) as claim:
            watched = _wait_until_taken if given.has("foreground") else _nobody
            found = bring_up(Order(self._start, given, watched), claim)
        write_pidfile(given.last("pidfile"), found.monitor)

    def _destroy(self) -> None:
        """What is in its own directory, and nothing outside of that, whatever its configuration says."""
        from warden.lxc.destroying import Destruction, destroy
        from warden.lxc.home import Home

        os.close(CLAIM_FD)
        destroy(Destruction(Home(self._running.lxcpath, self._running.name)))


def _nobody(_directory: str) -> None:
    pass


def _wait_until_taken(directory: str) -> None:
    """lxc-start -F takes the console again, if it lives, before there is a word on it."""
    from warden.lxc.life import TAKEN

    for _ in range(200):
        if os.path.exists(f"{directory}/{TAKEN}"):
            return
        time.sleep(0.005)


def _namespaces(directory: str) -> dict[str, str]:
    try:
        names = os.listdir(f"{directory}/ns")
    except FileNotFoundError:
        return {}
    return {f"LXC_{name.upper()}_NS": f"{directory}/ns/{name}" for name in names}
