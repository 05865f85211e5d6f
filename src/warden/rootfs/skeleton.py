"""Making the directories and small files that a root file system starts with, with exact modes.

Owns the texts that every built image shares. Writes only below the directory it is given.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

#: Directories of an empty root, with the modes a Linux system has (hier(7)).
DIRECTORIES: Mapping[str, int] = {
    "dev": 0o755,
    "etc": 0o755,
    "home": 0o755,
    "mnt": 0o755,
    "opt": 0o755,
    "proc": 0o755,
    "root": 0o700,
    "run": 0o755,
    "sys": 0o755,
    "tmp": 0o1777,
    "usr": 0o755,
    "var": 0o755,
    "var/cache": 0o755,
    "var/lib": 0o755,
    "var/log": 0o755,
    "var/tmp": 0o1777,
}

PROFILE = """\
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
[ -z "$BASH_VERSION" ] || [ ! -r /etc/bash.bashrc ] || . /etc/bash.bashrc
"""
BASHRC = """\
case $- in *i*) PS1='\\u@\\h:\\w\\$ ' ;; esac
"""
NSSWITCH = """\
passwd: files
group: files
shadow: files
hosts: files dns
networks: files
protocols: files
services: files
"""


def etc_texts(shell: str) -> dict[str, str]:
    """The files of /etc that are ours, by name: two users, two groups, no secrets, no name of the host."""
    users = f"root:x:0:0:root:/root:{shell}\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    return {
        "passwd": users,
        "group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
        "nsswitch.conf": NSSWITCH,
        "profile": PROFILE,
        "bash.bashrc": BASHRC,
        "host.conf": "multi on\n",
        "shells": f"/bin/sh\n{shell}\n",
    }


def make_skeleton(root: str, shell: str) -> None:
    """Fill the empty directory *root* with directories and the files of `etc_texts`."""
    os.chmod(root, 0o755)
    for name, mode in DIRECTORIES.items():
        make_directory(os.path.join(root, name), mode)
    os.symlink("/run", os.path.join(root, "var/run"))
    os.symlink("/proc/mounts", os.path.join(root, "etc/mtab"))
    for name, text in etc_texts(shell).items():
        write_file(os.path.join(root, "etc", name), text.encode())


def make_directory(path: str, mode: int = 0o755) -> None:
    """mkdir with exactly *mode*, whatever the umask."""
    os.mkdir(path)
    os.chmod(path, mode)


def make_directories(path: str) -> None:
    """The directory *path* and missing parents, mode 0755; existing ones are left as they are."""
    if not os.path.isdir(path):
        make_directories(os.path.dirname(path))
        make_directory(path)


def write_file(path: str, content: bytes, mode: int = 0o644) -> None:
    """A new file with exactly *mode*, whatever the umask."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        os.fchmod(fd, mode)
