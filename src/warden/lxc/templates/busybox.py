"""Template `busybox`: one static program, under four hundred names, and an init that is busybox's own."""

from __future__ import annotations

import argparse
import os

from warden.lxc.templates.filling import CONFINED, Filling
from warden.lxc.templates.options import Options
from warden.rootfs.builders import build_busybox
from warden.rootfs.skeleton import make_directories, write_file

CONFIG = (
    CONFINED
    + """\
lxc.signal.halt = SIGUSR1
lxc.signal.reboot = SIGTERM
lxc.tty.max = 1
"""
)
#: Whoever reaches its terminals is root of the host or root inside, so they ask for no password. Nothing is unmounted at
#: the end: `umount -a -r` would make what is busy read-only for the host too, its devpts (the console lies there) first: a
#: remount without MS_BIND is the whole file system's (fs/namespace.c, do_remount; always so).
_INITTAB = """\
::sysinit:/etc/init.d/rcS
console::askfirst:-/bin/sh
tty1::askfirst:-/bin/sh
::ctrlaltdel:/sbin/reboot
::shutdown:/bin/sync
"""
_RCS = """\
#!/bin/sh
PATH=/bin:/sbin:/usr/bin:/usr/sbin
hostname -F /etc/hostname 2>/dev/null
[ -e /sys/class/net/lo ] && ip link set lo up
for link in /sys/class/net/eth*; do
    [ -e "$link" ] || continue
    name=${link##*/}
    ip -4 addr show dev "$name" | grep -q inet || udhcpc -b -q -i "$name" -s /etc/udhcpc.script >/dev/null 2>&1 &
done
"""
_DHCP = """\
#!/bin/sh
case "$1" in
deconfig) ip -4 addr flush dev "$interface"; ip link set "$interface" up ;;
bound|renew)
    ip -4 addr flush dev "$interface"
    ip addr add "$ip/${mask:-24}" dev "$interface"
    for gateway in $router; do ip route replace default via "$gateway"; break; done
    : > /etc/resolv.conf
    for server in $dns; do echo "nameserver $server" >> /etc/resolv.conf; done ;;
esac
"""


def options(args: tuple[str, ...]) -> argparse.Namespace:
    """Raises BadInput."""
    parser = Options("busybox", "A system of one static program.")
    parser.add_argument("--busybox-path", metavar="FILE", default="", help="a static busybox; else the package's")
    return parser.read(args)


def fill(filling: Filling) -> str:
    given = options(filling.args)
    root, name = filling.root, filling.home.name
    build_busybox(root, filling.progress, given.busybox_path, filling.home.path)
    etc = os.path.join(root, "etc")
    make_directories(os.path.join(etc, "init.d"))
    write_file(os.path.join(etc, "inittab"), _INITTAB.encode())
    write_file(os.path.join(etc, "init.d/rcS"), _RCS.encode(), 0o755)
    write_file(os.path.join(etc, "udhcpc.script"), _DHCP.encode(), 0o755)
    write_file(os.path.join(etc, "hostname"), os.fsencode(f"{name}\n"))
    write_file(os.path.join(etc, "hosts"), os.fsencode(f"127.0.0.1\tlocalhost\n127.0.1.1\t{name}\n"))
    write_file(os.path.join(etc, "shadow"), b"root:*:19000:0:99999:7:::\n", 0o600)
    return CONFIG.format(name=name)
