"""Differences that are meant, by the line and by what differs: why."""

from __future__ import annotations

import re

#: (pattern of the line, what differs or "" for anything, why)
WHY: tuple[tuple[str, str, str], ...] = (
    ("lxc-start c1 -F", "stdout", "what the console says goes to standard output, whatever that is"),
    (r"lxc-(start|stop) old", "", "keys before 2.1 are read as they are"),
    ("lxc-stop c1 -W", "states", "it is under way; here the container is gone sooner"),
    (r"lxc-ls .*--filter \(", "exit code", "an expression that is none is an error"),
    (r"lxc-(device|attach c1 -- ls .*extra)", "", "LXC's tool fails with a name inside and gives no reason (without one it works in both)"),
    (r"^end (m|all)", "stdout", "LXC says FROZEN and THAWED twice"),
    ("lxc-autostart -r -s", "exit code", "two contrary wishes"),
    (r"for .* lxc-top -b", "", "needs no terminal"),
    (r"on tty q lxc-top -b", "stdout", "the terminal, which shows what is typed, stays as it is"),
    (r"lxc-(create|destroy) -n third", "", "a file that is named with -f and missing is an error"),
    (r"lxc-create .* busybox", "files", "a template of our own: nothing of the host is mounted, no library is needed"),
    ("lxc-destroy -n dirty", "files", "nothing outside of LXCPATH/NAME is removed"),
    (r"lxc-create .* local", "stdout", "progress is told on standard error"),
    (r"lxc-(copy|destroy|snapshot|stop)", "files-mode", "who may not read a configuration need not read what belongs to it"),
    ("lxc-copy .* -p", "", "the new lxcpath is made"),
    (r"lxc-config$", "stdout", "its usage names the command without its path, and has examples"),
    ("lxc-checkconfig", "stdout", "its usage names the command without its path"),
    (r"lxc-update-config$", "", "without a file there is nothing to do: an error"),
    (r"lxc-update-config .*(application|mixed-keys)", "files", "lxc.limit.* is called lxc.prlimit.* today"),
    ("lxc-attach c1 -- reboot", "states", "a reboot is under way when it is looked"),
    ("left at the end", "cgroups", "nothing stays"),
    ("lxc-attach c1 -- echo frozen", "", "it is said that it is frozen; LXC's tool hangs"),
    ("lxc-stop c1 -t 2", "", "a frozen one goes on first: it could not hear"),
    (r"lxc-update-config .*networks-cleared", "files", "an interface after `lxc.network =` begins at 0 again, as it is read"),
    (r"lxc-update-config", "files", "a file that needs no change keeps no backup"),
    (r"lxc-info .*lxc.rootfs.mount", "stdout", "there is no such directory: a root is mounted where only the container sees it"),
    (r"lxc-info .*lxc.cgroup.dir", "stdout", "LXC prints a null pointer"),
    (r"lxc-info .*lxc.(autodev.tmpfs.size|keyring.session)", "stdout", "what counts when nothing is set; LXC says 0 and does the same"),
    (r"lxc-info .*lxc.time.offset", "stdout", "an empty line more in LXC"),
    (
        r"lxc-info .*lxc\.(rootfs.backend|pivotdir|kmsg|environment\.\w+|namespace.share|hook|hugetlb\S*)$", "stdout",
        "a key of another release, or one that stands for several: known here",
    ),
)  # fmt: skip


def why(line: str, what: str, theirs: str = "", ours: str = "") -> str:
    """ "" for what nobody has explained."""
    if what == "files" and _but_mode(theirs) == _but_mode(ours):
        what = "files-mode"
    for pattern, kind, reason in WHY:
        if kind in ("", what) and re.search(pattern, line):
            return reason
    return ""


def _but_mode(files: str) -> list[str]:
    return sorted(line.partition(" ")[2] for line in files.splitlines())
