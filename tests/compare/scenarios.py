"""What is compared: configurations, and command lines that are run in turn on a fresh lxcpath, once by each set of tools.

A line is a command line of LXC's tools, without -P where it is `+`; `{lxc}` is the lxcpath. Else it begins with

    $ COMMAND         the host's shell, for what lies between; not compared
    ready NAME        waits until its init is up
    for SECONDS LINE  ended by SIGINT after that time
    on tty KEYS LINE  on a terminal, and KEYS typed when something was shown
    while NAME LINE   begins it; `end NAME` ends it by SIGTERM and compares
"""

from __future__ import annotations

from pathlib import Path

from compare.wider import WIDER
from warden.lxc.keys import KEYS as TABLE

#: Beside what every container has: name, root, init, proc.
CONFIGS = {
    "c1": "lxc.group = a\nlxc.group = b\nlxc.start.auto = 1\nlxc.start.order = 2\nlxc.tty.max = 2\nlxc.pty.max = 8\n",
    "c2": "lxc.group = b\nlxc.start.auto = 1\nlxc.start.delay = 1\nlxc.start.order = 1\n",
    "c3": "lxc.start.auto = 1\n",
    "c4": (
        "lxc.net.0.type = veth\nlxc.net.0.link = {bridge}\nlxc.net.0.flags = up\nlxc.net.0.name = eth0\n"
        "lxc.net.0.hwaddr = 00:16:3e:aa:bb:cc\nlxc.net.0.ipv4.address = 198.18.9.2/24\n"
        "lxc.net.0.ipv4.gateway = 198.18.9.1\n"
    ),
    "c5": "lxc.execute.cmd = /bin/sh -c 'exit 6'\nlxc.environment = FROM=config\nlxc.cap.drop = sys_time\n",
    "broken": "lxc.nonsense = 1\n",
    "old": (
        "lxc.utsname = old\nlxc.tty = 1\nlxc.pts = 8\nlxc.haltsignal = SIGUSR1\nlxc.network.type = empty\n"
        "lxc.network.flags = up\nlxc.loglevel = 2\n"
    ),
}

#: Of those, what most scenarios do without, and what others do without instead.
UNUSUAL = ("broken", "old")
SPECIAL: dict[str, tuple[str, ...]] = {"life": (), "alone": ("broken",), "copies": ("old",)}

SAMPLES = Path(__file__).parents[1] / "lxc/configs"
KEY_NAMES = [row.name for row in TABLE if "*" not in row.name and ".N." not in row.name]

LIFE = """
lxc-info none
lxc-info -n none -s
lxc-info
lxc-info --nonsense
lxc-start none
lxc-start
lxc-start c1 -p {lxc}/c1.pid
ready c1
lxc-start c1
lxc-start -n c1 -d
lxc-start -n c1 -F
lxc-info c1
lxc-info -n c1 -s
lxc-info c1 -sH
lxc-info c1 -p
lxc-info c1 -pH
lxc-info c1 -i
lxc-info c1 -iH
lxc-info c1 -S
lxc-info c1 -SH
lxc-info c1 -s -p
lxc-info c1 -c lxc.uts.name
lxc-info c1 -c lxc.uts.name -c lxc.group
lxc-info c1 -H -c lxc.group
lxc-info c1 -c lxc.none
lxc-info c2
lxc-info c2 -s
lxc-info c2 -pH
lxc-info c2 -c lxc.start.order
lxc-info c2 -c lxc.tty.max
lxc-info c1 extra
lxc-freeze c1
lxc-info c1 -sH
lxc-freeze c1
lxc-unfreeze c1
lxc-unfreeze c1
lxc-freeze c2
lxc-unfreeze c2
lxc-freeze none
lxc-unfreeze none
lxc-freeze
lxc-unfreeze
lxc-stop c1 -k -r
lxc-stop c1 -k -t 3
lxc-stop c1 -t abc
lxc-stop c1 --nolock
lxc-stop c1 -t 20
lxc-stop c1
lxc-stop none
lxc-stop
lxc-start c1
ready c1
lxc-stop c1 -k
lxc-start c1
ready c1
lxc-stop c1 -W
lxc-wait c1 -s STOPPED -t 20
lxc-start c1 -s lxc.uts.name=other
ready c1
lxc-attach c1 -- hostname
lxc-stop c1 -k
lxc-start c1 -s lxc.none=1
lxc-start c1 -s nonsense
lxc-start c1 -- /no/such
lxc-start c1 -F -- /bin/sh -c "echo hi; exit 3"
lxc-start c1 -f {lxc}/c2/config
ready c2
lxc-info c1 -c lxc.start.order
lxc-stop c1 -k
lxc-start c1 -f {lxc}/none
lxc-start broken
lxc-start c1 -L {lxc}/console.log
ready c1
lxc-stop c1 -k
lxc-start c4
ready c4
lxc-info c4
lxc-info c4 -iH
lxc-stop c4 -k
lxc-start c4 -s lxc.net.0.link=br-none
lxc-start c4
ready c4
lxc-stop c4 -t 20
lxc-start old
lxc-stop old -k
"""

LISTS = """
lxc-ls
lxc-ls -1
lxc-ls -f
lxc-start c1
ready c1
lxc-start c4
ready c4
lxc-start c3
ready c3
lxc-freeze c3
lxc-ls
lxc-ls -1
lxc-ls --active
lxc-ls -1 --running
lxc-ls -1 --frozen
lxc-ls -1 --stopped
lxc-ls -1 --defined
lxc-ls -1 --active --stopped
lxc-ls -f
lxc-ls --fancy --running
lxc-ls -f --frozen
lxc-ls -f --stopped
lxc-ls -F NAME
lxc-ls -F NAME,STATE
lxc-ls -f -F NAME,STATE,PID
lxc-ls -f -F name,state
lxc-ls -f -F NAME,RAM,SWAP
lxc-ls -f -F NAME,AUTOSTART,GROUPS
lxc-ls -f -F NAME,INTERFACE
lxc-ls -f -F NAME,IPV4,IPV6
lxc-ls -f -F NAME,UNPRIVILEGED
lxc-ls -f -F NAME,NOPE
lxc-ls -F NAME,NOPE
lxc-ls -g a
lxc-ls -1 -g a,b
lxc-ls -1 -g b
lxc-ls -1 -g none
lxc-ls -1 c
lxc-ls -1 ^c[12]$
lxc-ls -1 --filter 1|2
lxc-ls -1 --filter (
lxc-ls -P {lxc}/none
lxc-ls -1 --nonsense
lxc-stop c1 -k
lxc-stop c4 -k
lxc-unfreeze c3
lxc-ls -1 --active
lxc-stop c3 -k
$ mkdir {lxc}/broken; echo lxc.nonsense = 1 > {lxc}/broken/config
lxc-ls -1
lxc-ls -f -F NAME
"""

ATTACH = """
lxc-attach c1
lxc-attach none
lxc-attach
lxc-start c1
ready c1
lxc-attach c1 -- true
lxc-attach -n c1 -- false
lxc-attach c1 -- sh -c "exit 7"
lxc-attach c1 -- sh -c "kill -9 $$"
lxc-attach c1 -- /no/such
lxc-attach c1 -- /tmp
lxc-attach c1 -- id
lxc-attach c1 -u 7 -g 8 -- id
lxc-attach c1 --clear-env -- env
lxc-attach c1 --clear-env -v A=b -- env
lxc-attach c1 --clear-env --keep-var LXC_KEPT -- env
lxc-attach c1 --set-var A=b -- sh -c "echo $A"
lxc-attach c1 -s NETWORK -- true
lxc-attach c1 -s NONSENSE -- true
lxc-attach c1 -e -- true
lxc-attach c1 -R -- true
lxc-attach c1 -a nonsense -- true
lxc-attach c1 --nonsense -- true
lxc-attach c1 -- pwd
lxc-attach c1 -- hostname
lxc-attach c1 -- cat /proc/1/comm
lxc-attach c1 -- grep CapBnd /proc/self/status
lxc-attach c1 -- tty
on tty exit\\r lxc-attach c1 -- sh -c "tty; read line"
lxc-cgroup c1 memory.limit_in_bytes 67108864
lxc-cgroup c1 memory.limit_in_bytes
lxc-cgroup c1 memory.limit_in_bytes many
lxc-cgroup c1 cpuset.cpus
lxc-cgroup c1 cpu.shares 512
lxc-cgroup c1 cpu.shares
lxc-cgroup c1 nosuch.key
lxc-cgroup c1 tasks
lxc-cgroup c1 memory
lxc-cgroup c1
lxc-cgroup c2 cpu.shares
lxc-cgroup none cpu.shares
lxc-device -n c1 add /dev/zero /dev/extra
lxc-attach c1 -- ls -l /dev/extra
lxc-device -n c1 del /dev/zero /dev/extra
lxc-attach c1 -- ls /dev/extra
lxc-device -n c1 add /dev/kmsg
lxc-attach c1 -- ls /dev/kmsg
lxc-device -n c1 del /dev/kmsg
lxc-device -n c1 nonsense /dev/zero
lxc-device -n c1
lxc-device -n none add /dev/zero
lxc-freeze c1
for 2 lxc-attach c1 -- echo frozen
lxc-stop c1 -t 2
lxc-execute c5 -- true
lxc-execute c5 -- sh -c "exit 7"
lxc-execute c5 -- sh -c "kill -9 $$"
lxc-execute c5 -- echo hello
lxc-execute c5 -- /no/such
lxc-execute c5
lxc-execute c5 -- sh -c "echo $FROM"
lxc-execute c5 -u 7 -g 8 -- id
lxc-execute c5 -s lxc.uts.name=other -- hostname
lxc-execute c5 -s lxc.none=1 -- true
lxc-execute none -- true
lxc-execute -- true
lxc-execute c5 -f {lxc}/c5/config -- true
lxc-execute c5 -d -- sleep 30
lxc-ls -1 --active
lxc-stop c5 -k
"""

WAITING = """
lxc-wait c1 -s STOPPED
lxc-wait none -s STOPPED
lxc-wait c1 -s RUNNING -t 0
lxc-wait c1 -s RUNNING -t 1
lxc-wait c1 -s SLEEPING
lxc-wait c1
lxc-wait -s STOPPED
lxc-wait c1 -s STOPPED|RUNNING
lxc-wait c1 -s RUNNING -t x
while m lxc-monitor -n c1
while all lxc-monitor
while w lxc-wait c1 -s RUNNING
lxc-start c1
ready c1
end w
while w lxc-wait c1 -s FROZEN|STOPPED
lxc-freeze c1
end w
lxc-wait c1 -s FROZEN
lxc-unfreeze c1
lxc-attach c1 -- reboot -f
$ sleep 1
lxc-wait c1 -s RUNNING -t 20
while w lxc-wait c1 -s STOPPED
lxc-stop c1 -t 20
end w
end m
end all
lxc-monitor -n (
lxc-monitor --nonsense
lxc-console c1
lxc-console none
lxc-console
lxc-start c1
ready c1
lxc-console c1 -t 9
lxc-console c1 -t x
on tty \\x01q lxc-console c1 -t 1
on tty \\x02q lxc-console c1 -t 0 -e ^b
on tty \\x01q lxc-console c1
lxc-stop c1 -k
"""

AUTOSTART = """
lxc-autostart -L
lxc-autostart -L -a
lxc-autostart -L -A
lxc-autostart -L -g a
lxc-autostart -L -g b
lxc-autostart -L -g b,a
lxc-autostart -L -g b,
lxc-autostart -L -g none
lxc-autostart -L -s
lxc-autostart -L -r
lxc-autostart -L -k
lxc-autostart -r -s
lxc-autostart -t x
lxc-autostart --nonsense
lxc-autostart
lxc-ls -1 --active
lxc-autostart -a
lxc-ls -1 --active
lxc-autostart -L
lxc-autostart -L -a
lxc-autostart -L -s
lxc-autostart -L -s -a
lxc-autostart -L -k -a -g b
lxc-autostart -s -g a -t 20
lxc-ls -1 --active
lxc-autostart -r -t 20
lxc-ls -1 --active
lxc-autostart -k -a
lxc-ls -1 --active
for 1.2 lxc-top -b
on tty q lxc-top -b -d 1
lxc-top -s z
lxc-top --nonsense
"""

STORAGE = """
lxc-create
lxc-create -n new
lxc-create -n new -t nonsense
lxc-create -n new -t none
lxc-ls -1 --defined
lxc-create -n new -t none
lxc-create -n a/b -t none
lxc-create -n third -t none -f {lxc}/none
lxc-destroy -n third
lxc-create -n fourth -t none -f {lxc}/given.conf
lxc-info fourth -c lxc.uts.name
lxc-destroy -n fourth
lxc-destroy -n new
lxc-destroy -n new
lxc-destroy
lxc-create -n busy -t busybox -f {lxc}/empty.conf
lxc-ls -f
lxc-create -n busy -t busybox
lxc-start busy
lxc-wait busy -s RUNNING -t 5
lxc-destroy -n busy
lxc-copy -n busy -N copied
lxc-stop busy -k
lxc-create -n dirty -t busybox -B dir --dir {lxc}/elsewhere -f {lxc}/empty.conf
lxc-info dirty -c lxc.rootfs.path
lxc-destroy -n dirty
lxc-create -n local -t local -f {lxc}/empty.conf -- -f {lxc}/root.tar.xz -m {lxc}/meta.tar.xz
lxc-info local -c lxc.rootfs.path
lxc-destroy -n local
lxc-create -n bad -t local -f {lxc}/empty.conf -- -f {lxc}/none.tar.xz -m {lxc}/meta.tar.xz
lxc-ls -1 --defined
lxc-copy -n c1 -N c9
lxc-copy -n c1 -N c9
lxc-copy -n none -N c8
lxc-copy -n c1
lxc-copy -N c8
lxc-info c9 -c lxc.uts.name -c lxc.rootfs.path
lxc-start c9
ready c9
lxc-stop c9 -k
lxc-copy -n c9 -N c10 -R
lxc-ls -1 --defined
lxc-copy -n c1 -N c11 -s
lxc-copy -n c1 -N c12 -s -B overlay
lxc-info c12 -c lxc.rootfs.path
lxc-start c12
ready c12
lxc-stop c12 -k
lxc-destroy -n c1
lxc-copy -n c1 -N c13 -B nonsense
lxc-copy -n c4 -N c14
lxc-copy -n c4 -N c15 -K
lxc-copy -n c4 -N c16 -M
lxc-copy -n c4 -N c17 -p {lxc}/other
lxc-copy -n c1 -N e1 -e
lxc-ls -1 --active
lxc-stop e1 -k
lxc-ls -1 --defined
lxc-destroy -n c12
lxc-destroy -n c11
lxc-snapshot -n c1 -L
lxc-snapshot -n c1
lxc-snapshot -n c1 -c {lxc}/comment
lxc-snapshot -n c1 -L
lxc-snapshot -n c1 -L -C
lxc-snapshot -n c1 -r snap0 -N c20
lxc-ls -1 --defined
lxc-snapshot -n c1 -r snap0
lxc-snapshot -n c1 -r snap9
lxc-snapshot -n c1 -d snap0
lxc-snapshot -n c1 -d snap9
lxc-snapshot -n none
lxc-snapshot -n none -L
lxc-snapshot
lxc-destroy -n c1
lxc-destroy -n c1 -s
lxc-snapshot -n c3
lxc-snapshot -n c3 -d ALL
lxc-snapshot -n c3 -L
lxc-start c3
ready c3
lxc-destroy -n c3
lxc-destroy -n c3 -f
lxc-ls -1 --defined
"""

ALONE = """
+ lxc-config -l
+ lxc-config lxc.lxcpath
+ lxc-config lxc.default_config
+ lxc-config lxc.bdev.lvm.vg
+ lxc-config lxc.cgroup.use
+ lxc-config lxc.none
+ lxc-config
+ lxc-checkconfig
+ lxc-update-config -c {lxc}/none
+ lxc-update-config
+ lxc-update-config -c {lxc}/old/config
+ lxc-update-config -c {lxc}/old/config
lxc-start old
ready old
lxc-info old -sH
lxc-stop old -k
+ lxc-unshare -s UTSNAME -H other -- hostname
+ lxc-unshare -s "MOUNT|PID" -- true
+ lxc-unshare -s PID -M -- sh -c "exit 7"
+ lxc-unshare -s NETWORK -- ls /sys/class/net
+ lxc-unshare -s NONSENSE -- true
+ lxc-unshare -- true
+ lxc-unshare -s PID
+ lxc-unshare -s USER -u 0 -- id -u
+ lxc-usernsexec -m u:0:100000:10 -m g:0:100000:10 -- id -u
+ lxc-usernsexec -m u:0:100000:10 -m g:0:100000:10 -- sh -c "exit 7"
+ lxc-usernsexec -m x:0:1:1 -- true
+ lxc-usernsexec -m nonsense -- true
+ lxc-usernsexec -- true
+ lxc-start --version
+ lxc-ls --version
+ lxc-info --version
+ lxc-start --help
+ lxc-info --usage
+ lxc-unshare --help
"""

#: What a configuration says of every key, of one that says something and one that does not.
EVERY_KEY = "\n".join(f"lxc-info {name} -c {key}" for name in ("c1", "c2") for key in KEY_NAMES)

OLD_FILES = "\n".join(f"+ lxc-update-config -c {{lxc}}/configs/{path.name}" for path in sorted(SAMPLES.glob("*.conf")))

SCENARIOS = {
    "life": LIFE,
    "lists": LISTS,
    "attach": ATTACH,
    "waiting": WAITING,
    "autostart": AUTOSTART,
    "storage": STORAGE,
    "alone": ALONE,
    "keys": EVERY_KEY,
    "configs": OLD_FILES,
    **WIDER,
}
