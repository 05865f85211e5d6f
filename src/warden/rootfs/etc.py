"""The files of /etc that are a container's own, and reading its users.

Owns passwd, group, hosts, hostname and resolv.conf: pure texts, one function that writes them into a fresh overlay
upper directory, and a parser that believes nothing the container wrote. Mounts nothing and runs nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence

from warden.errors import ImageError, JobFailed
from warden.kernel.paths import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_XDEV, open_in_root, openat2
from warden.records import dataclass

VCAP = b"vcap"
HOME = "/home/vcap"
MAX_TEXT = 1 << 20  # bytes of a passwd or group file that are read
MAX_GROUPS = 65536  # NGROUPS_MAX of the kernel since 2.6.4
_MAX_ID = 2**32 - 2  # (uid_t) -1 means "unchanged" to the kernel


@dataclass(frozen=True, slots=True)
class FileToWrite:
    """A file, or with *content* None a directory. *path* is relative to the root; its owner is the container's root."""

    path: str
    content: bytes | None
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class User:
    """Whom a job runs as. *groups* are the supplementary ones."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str
    groups: tuple[int, ...] = ()


def container_files(
    lower: str,
    *,
    hostname: str,
    container_ip: str,
    resolv_conf: bytes,
    vcap_uid: int,
    shell: str = "/bin/bash",
    more_hosts: Iterable[tuple[str, str]] = (),
) -> list[FileToWrite]:
    """What a container adds to the image at *lower*: its /etc, and the directory of homes.

    *container_ip* may be empty. *more_hosts*: names and addresses for /etc/hosts. *shell* is the image's.
    ImageError: the image's /etc is not a directory.
    """
    root_fd = os.open(lower, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        etc_mode = _directory_mode(root_fd, "etc", lower)
        home_mode = _directory_mode(root_fd, "home", lower)
        passwd = _read_or_empty(root_fd, "etc/passwd")
        group = _read_or_empty(root_fd, "etc/group")
    finally:
        os.close(root_fd)
    return [
        FileToWrite("etc", None, etc_mode),
        FileToWrite("etc/passwd", passwd_with_vcap(passwd, vcap_uid, shell)),
        FileToWrite("etc/group", group_with_vcap(group, vcap_uid)),
        FileToWrite("etc/hosts", hosts(hostname, container_ip, more_hosts)),
        FileToWrite("etc/hostname", os.fsencode(hostname) + b"\n"),
        FileToWrite("etc/resolv.conf", resolv_conf),
        FileToWrite("home", None, home_mode),
    ]


def _directory_mode(root_fd: int, name: str, lower: str) -> int:
    try:
        mode = os.stat(name, dir_fd=root_fd, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return 0o755
    if not stat.S_ISDIR(mode):
        raise ImageError(f"image {lower}: /{name} is not a directory", hint="a link there could not be shared safely")
    return stat.S_IMODE(mode)


def _read_or_empty(root_fd: int, path: str) -> bytes:
    try:
        return read_in_container(root_fd, path, follow_mounts=True)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ImageError(f"image: /{path}: {error.strerror}") from None


def passwd_with_vcap(passwd: bytes, uid: int, shell: str) -> bytes:
    """*passwd* with user vcap, uid and gid *uid*, in place of one it had; with root if it knows nobody."""
    lines = _without(passwd, VCAP) or [b"root:x:0:0:root:/root:" + os.fsencode(shell)]
    lines.append(b"%s:x:%d:%d::%s:%s" % (VCAP, uid, uid, os.fsencode(HOME), os.fsencode(shell)))
    return b"\n".join(lines) + b"\n"


def group_with_vcap(group: bytes, gid: int) -> bytes:
    """*group* with group vcap of *gid* in place of one it had; with root if it knows none."""
    lines = _without(group, VCAP) or [b"root:x:0:"]
    lines.append(b"%s:x:%d:" % (VCAP, gid))
    return b"\n".join(lines) + b"\n"


def _without(text: bytes, name: bytes) -> list[bytes]:
    return [line for line in text.split(b"\n") if line and not line.startswith(name + b":")]


def hosts(hostname: str, container_ip: str, more: Iterable[tuple[str, str]] = ()) -> bytes:
    """The text of /etc/hosts, *more* names after its own; without an address that is on loopback."""
    own = container_ip or "127.0.1.1"
    text = f"127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n{own} {hostname}\n"
    return (text + "".join(f"{address} {name}\n" for name, address in more)).encode()


def resolv_conf(dns_servers: Sequence[str], host_text: bytes, host_ip: str) -> bytes:
    """The text of /etc/resolv.conf (spec/warden.md §6).

    The configured servers; else, where the host asks a server of its own on 127.0.0.1, the host as the container
    reaches it; else what the host has.
    """
    if dns_servers:
        return "".join(f"nameserver {server}\n" for server in dns_servers).encode()
    if host_ip and host_text.split() == [b"nameserver", b"127.0.0.1"]:
        return f"nameserver {host_ip}\n".encode()
    return host_text


def write_upper(upper: str, files: Iterable[FileToWrite], home: str, uid_base: int, vcap_uid: int) -> None:
    """Write *files* and the directory *home* into the fresh, empty directory *upper*.

    Owners are the container's root and, for *home*, vcap, shifted by *uid_base*. Whatever the umask, modes are exact.
    Must be empty and out of the container's reach: paths are not defended. Raises OSError.
    """
    root_fd = os.open(upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for file in files:
            _write(root_fd, file, uid_base)
        own = FileToWrite(home.lstrip("/"), None, 0o755)
        _write(root_fd, own, uid_base + vcap_uid)
    finally:
        os.close(root_fd)


def _write(root_fd: int, file: FileToWrite, owner: int) -> None:
    if file.content is None:
        os.mkdir(file.path, file.mode, dir_fd=root_fd)
        os.chown(file.path, owner, owner, dir_fd=root_fd)
        os.chmod(file.path, file.mode, dir_fd=root_fd)
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    fd = os.open(file.path, flags, file.mode, dir_fd=root_fd)
    try:
        if os.write(fd, file.content) != len(file.content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.path)
        os.fchown(fd, owner, owner)
        os.fchmod(fd, file.mode)
    finally:
        os.close(fd)


def settle(root: str, home: str) -> None:
    """Looks at the directories that `write_upper` made, through the overlay mounted at *root*.

    At the first look overlay notes in the upper directory where the lower one is (ovl_fix_origin, fs/overlayfs/namei.c).
    That takes space on btrfs: once a container is full no job could enter its home directory any more.
    """
    with contextlib.suppress(OSError):
        root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for path in ("/etc", home):
                with contextlib.suppress(OSError):
                    os.close(open_in_root(root_fd, path, os.O_PATH))
        finally:
            os.close(root_fd)


def read_in_container(root_fd: int, path: str, *, limit: int = MAX_TEXT, follow_mounts: bool = False) -> bytes:
    """The bytes of the regular file *path* below *root_fd*, which a hostile container may have put there.

    Without *follow_mounts* nothing mounted in the container is looked into: a FUSE mount of its own could hold us for
    ever. Raises OSError: EXDEV for such a mount, EINVAL for what is no regular file, EFBIG over *limit* bytes.
    """
    resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (0 if follow_mounts else RESOLVE_NO_XDEV)
    # O_PATH opens nothing yet: no FIFO blocks and no device notices.
    path_fd = openat2(path, os.O_PATH, 0, resolve, root_fd)
    try:
        if not stat.S_ISREG(os.fstat(path_fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        fd = os.open(f"/proc/self/fd/{path_fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    finally:
        os.close(path_fd)
    with os.fdopen(fd, "rb", buffering=0) as file:
        return _read_bounded(file.fileno(), path, limit)


def _read_bounded(fd: int, path: str, limit: int) -> bytes:
    content = b""
    while part := os.read(fd, limit + 1 - len(content)):
        content += part
        if len(content) > limit:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), path)
    return content


def find_user(passwd: bytes, group: bytes, name: str) -> User:
    """The user *name*, or of number *name*, from the texts of a container's passwd and group.

    Lines that make no sense are passed over. JobFailed: nobody of that name or number.
    """
    wanted = os.fsencode(name)
    users = list(_records(passwd, 7))
    found = next((user for user in users if user[0] == wanted), None)
    if found is None and (number := _number(wanted)) is not None:
        found = next((user for user in users if _number(user[2]) == number), None)
    if found is None:
        raise JobFailed(f"user {name!r}: not in the container's passwd")
    uid, gid = int(found[2]), int(found[3])
    home = os.fsdecode(found[5]) if found[5].startswith(b"/") else "/"
    return User(os.fsdecode(found[0]), uid, gid, home, os.fsdecode(found[6]) or "/bin/sh", _groups_of(group, found[0], gid))


def _groups_of(group: bytes, user: bytes, primary: int) -> tuple[int, ...]:
    groups = {int(record[2]) for record in _records(group, 4) if user in record[3].split(b",")}
    return tuple(sorted(groups - {primary}))[:MAX_GROUPS]


def _records(text: bytes, fields: int) -> Iterator[list[bytes]]:
    """The lines of passwd (7 fields) or group (4) that are whole: a name, and numbers where numbers belong."""
    for line in text.split(b"\n"):
        record = line.split(b":")
        if len(record) != fields or not record[0] or b"\0" in line or record[0].startswith((b"#", b"+", b"-")):
            continue
        numbers = record[2:4] if fields == 7 else record[2:3]
        if None not in map(_number, numbers):
            yield record


def _number(text: bytes) -> int | None:
    """An id in decimal, None for anything else."""
    if not text.isdigit() or len(text) > 10:
        return None
    number = int(text)
    return number if number <= _MAX_ID else None
