"""What is compared beside whole lives: every option and every kind of wrong word, made from tables.

The lines are as in scenarios.py. No path of the host may be made by them: LXC makes the directories of a log file, and takes
an empty `-p` for /. Whoever adds one
to a tool's options finds a test that asks for its line here.
"""

from __future__ import annotations

#: What a tool is called with beside the container's name, so that only the name is wrong.
NAMED = {
    "attach": "-- true",
    "cgroup": "cpu.shares",
    "checkpoint": "-s -D {lxc}/dump",
    "console": "-t 1",
    "copy": "-N copied",
    "destroy": "",
    "device": "add /dev/zero",
    "execute": "-- true",
    "freeze": "",
    "info": "",
    "snapshot": "-L",
    "start": "",
    "stop": "-k",
    "unfreeze": "",
    "wait": "-s RUNNING -t 0",
}
UNNAMED = ("autostart", "ls", "monitor", "top", "unshare", "usernsexec")
ALL = (*NAMED, *UNNAMED, "create")
NAMES = ("''", "' '", "a/b", "/a", "..", "'two words'", "ü", "-", "x" * 300)

#: An option of each tool whose argument is left out at the end, one that takes none, and what is not one.
WRONG_WORDS = {
    "attach": "-s|-u|--set-var|--keep-var|-L|-f|--clear-env=1|-z",
    "autostart": "-g|-t|--all=1|-z|--groups",
    "cgroup": "-n|--rcfile|--name|-z",
    "checkpoint": "-D|-A|--predump-dir|-z",
    "console": "-t|-e|--tty|-z",
    "copy": "-N|-B|-m|-L|-p|--rename=1|-z",
    "create": "-t|-B|-f|--dir|--fstype|--fssize|-z|--fs",
    "destroy": "-n|--force=1|-z",
    "device": "-n|-z",
    "execute": "-s|-u|-g|-f|-z|--share-net",
    "freeze": "-n|-z",
    "info": "-c|--config|-z|--state=1",
    "ls": "-F|-g|--filter|-z|--f|--active=1",
    "monitor": "-n|-z|--quit=1",
    "snapshot": "-r|-N|-c|-d|-z",
    "start": "-p|-f|-s|-c|-L|-z|--share-net|--daemon=1",
    "stop": "-t|--timeout|-z|--no|--kill=1",
    "top": "-d|-s|-z|-r=1",
    "unfreeze": "-n|-z",
    "unshare": "-s|-u|-H|-i|-z",
    "usernsexec": "-m",
    "wait": "-s|-t|-z",
}


def _words() -> list[str]:
    lines = []
    for tool in ALL:
        asked = ("--help", "-h", "-?", "--usage", "--version", "--vers", "--nonsense", "-P", "-l")
        if tool != "usernsexec":  # has none of the common ones
            lines += [f"lxc-{tool} {word}" for word in asked]
        lines += [f"lxc-{tool} {word}" for word in WRONG_WORDS.get(tool, "").split("|")]
    for tool, more in NAMED.items():
        for words in ("-q", "-o {lxc}/log", "-o {lxc}/none/log", "-l NONSENSE", "-P {lxc} -P {lxc}/none"):
            lines.append(f"lxc-{tool} {words} -n none {more}".rstrip())
    return lines


def _names() -> list[str]:
    lines = []
    for tool, more in NAMED.items():
        lines += [f"lxc-{tool} -n {name} {more}".rstrip() for name in NAMES]
        lines += [f"lxc-{tool} -P {{lxc}}/none -n c1 {more}".rstrip(), f"lxc-{tool} -P '' -n c1 {more}".rstrip()]
    lines += [f"lxc-create -t none -n {name}" for name in NAMES if name != ".."]
    lines += [f"lxc-copy -n c1 -N {name}" for name in NAMES if name not in ("..", "'two words'", "ü")]
    return lines


#: Stopped, running and frozen ones for every tool; c1 runs, c4 is frozen, c2 is stopped.
STATES = """
lxc-start c1
ready c1
lxc-start c4
ready c4
lxc-freeze c4
lxc-attach c2 -- true
lxc-cgroup c2 cpu.shares 5
lxc-cgroup c4 cpu.shares
lxc-cgroup -n c4 cpu.shares 512
lxc-checkpoint c2 -s -D {lxc}/dump
lxc-checkpoint c2 -D
lxc-checkpoint c1
lxc-checkpoint c2 -r
lxc-checkpoint c2 -r -D {lxc}/none
lxc-checkpoint c1 -r -D {lxc}/dump
lxc-checkpoint c2 -p -v -D {lxc}/dump --predump-dir=x
lxc-checkpoint c2 -r -d -D {lxc}/none
lxc-checkpoint c2 -r -F -D {lxc}/none
lxc-checkpoint c2 -A /no/such --rcfile {lxc}/c2/config -D {lxc}/dump
lxc-console c2
lxc-console --rcfile {lxc}/c2/config c2
lxc-console c2 -t 0
lxc-console c4 -t 9
lxc-copy c1 -N d1
lxc-copy c1 -N d2 -s
lxc-copy c1 -N d3 -R
lxc-copy c4 -N d4
lxc-copy c2 -N d5 -s -L nonsense
lxc-copy c2 -N d6 -e -m nonsense=/a
lxc-stop d6 -k
lxc-copy c2 -N d7 -t
lxc-destroy c1
lxc-destroy c4
lxc-device -n c2 add /dev/zero
lxc-device -n c1 add /dev/none
lxc-device -n c1 del /dev/none
lxc-device -n c1 add
lxc-device c1 add /dev/zero
lxc-execute c1 -- true
lxc-execute c4 -- true
lxc-info c4 -s
lxc-info c4 -pH
lxc-info c4 -SH
lxc-snapshot c1
lxc-snapshot c4
lxc-snapshot c1 -r snap0
lxc-snapshot c2 -r
lxc-snapshot c2 -d
lxc-snapshot c2 -c {lxc}/none
lxc-snapshot c2 -L -r snap0
lxc-snapshot c2 -N x
lxc-start c4
lxc-start c4 -F
lxc-unfreeze c2
lxc-freeze c1 extra
lxc-unfreeze c1
lxc-wait c4 -s frozen -t 1
lxc-wait c4 -s FROZEN|NONSENSE -t 1
lxc-wait c4 -s '' -t 1
lxc-wait c4 -s FROZEN| -t 1
lxc-wait c4 -s FROZEN -t ''
lxc-wait c4 -s FROZEN -t 99999999999999999999
lxc-stop c1 --nokill -t 0
lxc-stop c1 --nokill -k
$ sleep 0.5
lxc-start c1
ready c1
lxc-stop c1 -r -t 20
ready c1
lxc-wait c1 -s RUNNING -t 20
lxc-stop c1 -t -5
lxc-stop c4 --nolock -k
lxc-stop c2 -r
lxc-stop c2 -W
lxc-start c1
ready c1
lxc-stop c1 --nokill -t 20
"""

#: Options that stand elsewhere, are abbreviated, or given twice.
PLACES = """
lxc-start -d c1 -p {lxc}/pid --logfile={lxc}/log --logpriority DEBUG
ready c1
lxc-info -s c1 -p
lxc-info c1 -- -s
lxc-info -- c1 -s
lxc-info --stat c1
lxc-info --sta c1
lxc-info --state -nc1
lxc-info -Hspn c1
lxc-info --name=c1 --no -p
lxc-info --name c2 --name c1 -s
lxc-info --rcfile {lxc}/c2/config c1 -c lxc.start.order
lxc-info --rcfile {lxc}/none c1
lxc-info -q none
lxc-info -l NONSENSE c1 -s
lxc-info -o {lxc}/log c1 -s
lxc-info c1 -c lxc.net
lxc-info c1 -c lxc
lxc-info c1 -c ''
lxc-info c1 -c 'lxc.uts.name '
lxc-info c4 -c lxc.net.0
lxc-info c4 -c lxc.net.0.type
lxc-info c4 -c lxc.net.0.ipv4.address -c lxc.net.0.hwaddr
lxc-info c4 -c lxc.net.0.nonsense
lxc-info c4 -c lxc.net.1.type
lxc-info c4 -c lxc.network.0.type
lxc-info c1 -c lxc.cgroup.memory.limit_in_bytes
lxc-info c1 -c lxc.cgroup
lxc-info c1 -c lxc.environment
lxc-info c5 -c lxc.environment
lxc-info c5 -c lxc.cap.drop
lxc-attach c1 sh -c true
lxc-attach c1 echo a b
lxc-attach -n c1 echo -- a
lxc-attach c1 -- echo -n x
lxc-attach c1 --keep-env -- sh -c "echo $LXC_KEPT"
lxc-attach c1 --clear -- sh -c "echo $LXC_KEPT"
lxc-attach c1 -f {lxc}/c5/config -- sh -c "echo $FROM"
lxc-attach c1 -f {lxc}/none -- true
lxc-attach c1 -c context -- true
lxc-attach c1 -eCAP -- grep CapBnd /proc/self/status
lxc-attach c1 -eNONSENSE -- true
lxc-attach c1 -e 'CAP|LSM' -- true
lxc-attach c1 -s 'MOUNT|PID' -- true
lxc-attach c1 -s 'mount' -- true
lxc-attach c1 -s 'MOUNT|' -- true
lxc-attach c1 -s '' -- true
lxc-attach c1 -s MOUNT -s PID -- true
lxc-attach c1 -u x -- id
lxc-attach c1 -u -1 -- id
lxc-attach c1 -u 4294967295 -- id
lxc-attach c1 -g x -- id
lxc-attach c1 -u root -- id
lxc-attach c1 -v '' -- true
lxc-attach c1 -v =b -- true
lxc-attach c1 -v A= -- sh -c "echo [$A]"
lxc-attach c1 -v A=b=c -- sh -c "echo $A"
lxc-attach c1 -a i686 -- uname -m
lxc-attach c1 -a linux32 -- uname -m
lxc-attach c1 -L {lxc}/pty.log -- echo logged
on tty x lxc-attach c1 -L {lxc}/pty.log -- echo logged
on tty x lxc-attach c1 -L {lxc}/none/pty.log -- echo logged
lxc-cgroup -n c1 cpu.shares 600
lxc-cgroup --name=c1 cpu.shares
lxc-cgroup c1 cpu.shares 512 extra
lxc-cgroup c1 ''
lxc-cgroup c1 cpu.shares ''
lxc-cgroup c1 ../cpu.shares
lxc-cgroup c1 cpu./../tasks
lxc-cgroup c1 devices.list
lxc-cgroup c1 devices.deny 'c 1:3 r'
lxc-cgroup c1 devices.deny nonsense
lxc-cgroup c1 freezer.state
lxc-cgroup c1 pids.max 100
lxc-cgroup c1 pids.max
lxc-cgroup --rcfile {lxc}/c2/config c1 cpu.shares
lxc-wait --name=c1 --state=RUNNING
lxc-wait -n c1 -s RUNNING --timeout=1
lxc-wait --rcfile {lxc}/c2/config -n c1 -s RUNNING
lxc-wait -s RUNNING c1 -t 1
lxc-freeze -n c1
lxc-unfreeze --name c1
lxc-freeze --rcfile {lxc}/c1/config c1
lxc-unfreeze --rcfile {lxc}/none c1
lxc-unfreeze c1
lxc-stop --name=c1 --kill
lxc-stop --rcfile {lxc}/c1/config c1 -k
lxc-start -C c1
ready c1
lxc-stop c1 -k
lxc-start c1 -c {lxc}/console.out
ready c1
lxc-stop c1 -k
lxc-start c1 -c none
ready c1
lxc-stop c1 -k
lxc-start c1 -c {lxc}/none/out
lxc-stop c1 -k
lxc-start c1 -L {lxc}/none/log
lxc-stop c1 -k
lxc-start c1 -p {lxc}/none/pid
lxc-stop c1 -k
lxc-start c1 -s
lxc-start c1 -s ''
lxc-start c1 -s lxc.uts.name
lxc-start c1 -s =x
lxc-start c1 -s lxc.tty.max=x
lxc-start c1 -s 'lxc.uts.name = spaced'
ready c1
lxc-attach c1 -- hostname
lxc-start c3 --share-net c1 --share-ipc=c1 --share-uts c1
ready c3
lxc-attach c3 -- hostname
lxc-stop c3 -k
lxc-start c3 --share-net none
lxc-start c3 --share-net 999999999
lxc-start c3 --share-pid c1
$ sleep 0.3
lxc-stop c3 -k
lxc-execute c5 --share-net c1 -- true
lxc-execute c5 --share-uts c1 -- hostname
lxc-execute c5 --share-ipc none -- true
lxc-execute c5 --share-pid none -- true
lxc-execute -n c5 -- true
lxc-execute -n c5 true
lxc-execute c5 sh -c true
lxc-execute c5 -u x -- id
lxc-execute c5 -u -1 -- id
lxc-execute c5 -g x -- id
lxc-execute c5 -f {lxc}/none -- true
lxc-stop c1 -k
lxc-ls --nesting
lxc-ls --nesting=2 -1
lxc-ls --nesting=x
lxc-ls --nesting=-1
lxc-ls --line
lxc-ls --fancy --fancy-format=NAME,STATE
lxc-ls -F
lxc-ls -f -F ''
lxc-ls -f -F NAME,NAME
lxc-ls -f -F ,NAME
lxc-ls -f -F 'NAME, STATE'
lxc-ls --groups=a,b -1
lxc-ls -g '' -1
lxc-ls -g a, -1
lxc-ls -1 --filter ''
lxc-ls -1 --filter c1
lxc-ls -1 c1 c2
lxc-ls -1 [
lxc-ls -1 *
lxc-ls -1 --stopped --running
lxc-ls -1 --defined --active
lxc-ls -P '' -1
lxc-ls -P {lxc}/c1/config -1
"""

#: Values that are taken or not, as the configuration of a program that is run.
VALUES = """
lxc.uts.name=
lxc.uts.name=a_b
lxc.uts.name=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
lxc.tty.max=
lxc.tty.max=-1
lxc.tty.max=1x
lxc.tty.max=2
lxc.pty.max=x
lxc.pty.max=8
lxc.tty.dir=lxc
lxc.rootfs.path=/no/such
lxc.rootfs.path=
lxc.rootfs.path=nonsense:/tmp
lxc.rootfs.options=ro
lxc.rootfs.options=nonsense
lxc.rootfs.managed=2
lxc.net.0.type=nonsense
lxc.net.0.type=
lxc.net.0.type=empty
lxc.net.0.type=none
lxc.net.0.type=veth
lxc.net.0.type=phys
lxc.net.x.type=empty
lxc.net.0.nonsense=1
lxc.net.99999.type=empty
lxc.cgroup.memory.limit_in_bytes=64M
lxc.cgroup.memory.limit_in_bytes=x
lxc.cgroup.nonsense.key=1
lxc.cgroup.cpuset.cpus=0
lxc.cgroup.cpuset.cpus=99
lxc.cgroup.devices.deny=a
lxc.cgroup.devices.deny=nonsense
lxc.cgroup2.memory.max=64M
lxc.cgroup2.nonsense=1
lxc.cgroup.dir=some/where
lxc.cgroup.dir=../up
lxc.cgroup.relative=x
lxc.cgroup.relative=1
lxc.mount.fstab=/no/such
lxc.mount.entry=
lxc.mount.entry=nonsense
lxc.mount.entry=proc proc
lxc.mount.entry=tmpfs tmp tmpfs defaults
lxc.mount.entry=/no/such tmp none bind
lxc.mount.entry=/no/such tmp none bind,optional
lxc.mount.entry=/tmp no/where none bind
lxc.mount.entry=/tmp new/where none bind,create=dir
lxc.mount.entry=/dev/null tmp/file none bind,create=file
lxc.mount.entry=tmpfs tmp tmpfs size=nonsense
lxc.mount.entry=x tmp nosuchfs defaults
lxc.mount.auto=proc sys
lxc.mount.auto=nonsense
lxc.mount.auto=proc:nonsense
lxc.mount.auto=cgroup
lxc.mount.auto=
lxc.idmap=nonsense
lxc.idmap=u 0 100000
lxc.idmap=u 0 x 10
lxc.idmap=x 0 100000 10
lxc.cap.drop=sys_time
lxc.cap.drop=nonsense
lxc.cap.drop=CAP_SYS_TIME
lxc.cap.drop=99
lxc.cap.keep=none
lxc.cap.keep=sys_time nonsense
lxc.autodev=2
lxc.autodev=x
lxc.autodev=0
lxc.autodev.tmpfs.size=x
lxc.hook.pre-start=/no/such
lxc.hook.pre-start=/bin/true
lxc.hook.pre-start=/bin/false
lxc.hook.post-stop=/bin/false
lxc.hook.nonsense=/bin/true
lxc.hook.version=2
lxc.include=/no/such
lxc.include=
lxc.arch=nonsense
lxc.arch=i686
lxc.arch=x86_64
lxc.init.uid=x
lxc.init.uid=7
lxc.init.gid=-1
lxc.init.groups=x
lxc.init.cwd=/tmp
lxc.init.cwd=/no/such
lxc.signal.halt=SIGNONE
lxc.signal.halt=SIGRTMIN+3
lxc.signal.halt=SIGRTMIN+99
lxc.signal.halt=15
lxc.signal.halt=999
lxc.signal.reboot=
lxc.start.auto=2
lxc.start.auto=x
lxc.start.delay=x
lxc.start.order=-1
lxc.start.order=x
lxc.environment=NONSENSE
lxc.environment==x
lxc.environment=A=b
lxc.apparmor.profile=unconfined
lxc.apparmor.profile=nonsense
lxc.apparmor.allow_incomplete=2
lxc.selinux.context=x
lxc.seccomp.profile=/no/such
lxc.log.level=nonsense
lxc.log.level=2
lxc.log.level=99
lxc.log.file=/proc/none/log
lxc.log.syslog=nonsense
lxc.prlimit.nofile=10:20
lxc.prlimit.nofile=x
lxc.prlimit.nofile=20:10
lxc.prlimit.nonsense=1
lxc.prlimit.nofile=unlimited
lxc.sysctl.net.ipv4.ip_forward=1
lxc.sysctl.no.such=1
lxc.proc.oom_score_adj=10
lxc.proc.nonsense=1
lxc.no_new_privs=1
lxc.no_new_privs=2
lxc.namespace.keep=nonsense
lxc.namespace.keep=ipc
lxc.namespace.clone=nonsense
lxc.namespace.clone=mount
lxc.namespace.share.net=none
lxc.namespace.share.nonsense=1
lxc.monitor.unshare=x
lxc.monitor.signal.pdeath=NONSENSE
lxc.keyring.session=2
lxc.sched.core=2
lxc.time.offset.boot=5s
lxc.time.offset.boot=x
lxc.console.path=/proc/none/console
lxc.console.logfile=/proc/none/log
lxc.console.buffer.size=x
lxc.console.buffer.size=auto
lxc.console.size=1
lxc.console.rotate=2
lxc.ephemeral=2
lxc.execute.cmd=
lxc.group=x
lxc.nonsense=1
lxc.utsname=old
nonsense=1
nonsense
lxc.
lxc
"""

CONFIGS_WRONG = (
    "lxc.uts.name", "lxc.uts.name =", "= x", "lxc.uts.name == x", "lxc.uts.name x", "  lxc.tty.max  =  1  ", "# lxc.nonsense = 1",
    "lxc.tty.max = 1 # one", 'lxc.uts.name = "quoted"', "lxc.uts.name = 'quoted'", "lxc.nonsense = 1", "foo = 1", "LXC.TTY.MAX = 1",
    "lxc.include = {lxc}/none", "lxc.include = {lxc}/c2/config", "lxc.include = {lxc}/c1", "lxc.tty.max = 1 \\\\", "\\tlxc.tty.max\\t=\\t1",
    "lxc.tty = 1", "lxc.network.type = nonsense", "lxc.network.link = x", "lxc.network.type = empty", "lxc.network = ", "lxc.net.0.link = x",
)  # fmt: skip


def _values() -> list[str]:
    lines = [f"lxc-execute c5 -s '{value}' -- true" for value in VALUES.splitlines() if value]
    for text in CONFIGS_WRONG:
        write = f"$ printf '%b\\n' '{text}' > {{lxc}}/c3/extra; cat {{lxc}}/c2/config {{lxc}}/c3/extra > {{lxc}}/c3/config"
        lines += [write, "lxc-info c3 -c lxc.uts.name -c lxc.tty.max", "lxc-execute c3 -- true", "lxc-ls -1 --defined"]
    return lines


STORAGE = """
lxc-create -n n1 -t none -B nonsense
lxc-create -n n1 -t none -B dir --dir
lxc-create -n n1 -t none -f
lxc-create -t none
lxc-create -n n1 -t ''
lxc-create -n n1 -t /no/such
lxc-create -n n1 -t {lxc}/given.conf
lxc-create -n n1 -t busybox -B loop --fssize x -f {lxc}/empty.conf
lxc-create -n n1 -t busybox -B loop --fstype nonsense -f {lxc}/empty.conf
lxc-create -n n1 -t busybox -B lvm --lvname x --vgname none -f {lxc}/empty.conf
lxc-create -n n1 -t busybox -B zfs --zfsroot none -f {lxc}/empty.conf
lxc-create -n n1 -t busybox -B rbd --rbdname a --rbdpool b -f {lxc}/empty.conf
lxc-create -n n1 -t busybox --thinpool x --vgname y -B best -f {lxc}/empty.conf
lxc-destroy -n n1
lxc-create -n n1 -t busybox -f {lxc}/c4/config
lxc-create -n n1 -t busybox -f {lxc}/broken/config
lxc-create -n n1 -t busybox -f {lxc}/empty.conf -- --nonsense
lxc-create -n n1 -t busybox -f {lxc}/empty.conf -- --help
lxc-create -t local -h
lxc-create -n n1 -t local -f {lxc}/empty.conf
lxc-create -n n1 -t local -f {lxc}/empty.conf -- -f {lxc}/given.conf -m {lxc}/meta.tar.xz
lxc-create -n n1 -t none -P {lxc}/deep/er
lxc-create -q -o {lxc}/log -n n1 -t nonsense
lxc-ls -1 --defined
lxc-copy -n c1 -N k1 -a -s
lxc-copy -n c1 -N k2 -B dir
lxc-copy -n c1 -N k3 -B loop -L 1x
lxc-copy -n c1 -N c1
lxc-copy -n c1 -N c2
lxc-copy -n c1 -N ''
lxc-copy -n c1 -e -N k5 -D
lxc-stop k5 -k
lxc-ls -1 --defined
lxc-destroy k5
lxc-copy -n c1 -e -N k6 -d -t
lxc-stop k6 -k
lxc-ls -1 --defined
lxc-copy -n c1 -e -N k7 -m bind={lxc}/c2:/tmp:ro
lxc-attach k7 -- ls /tmp
lxc-stop k7 -k
lxc-copy -n c1 -e -N k8 -m overlay={lxc}/c2:/tmp
lxc-stop k8 -k
lxc-copy -n c1 -e -N k9 -m bind
lxc-copy -n c1 -e -N k9 -m bind=
lxc-copy -n c1 -e -N k9 -m bind=/none:/tmp
lxc-stop k9 -k
lxc-copy -n c1 -e -N k9 -s -R
lxc-copy -n none -e -F -N k9
lxc-copy --rcfile {lxc}/c2/config -n c1 -N k16
lxc-copy -n c2 -N k10 --keepname --keepmac
lxc-info k10 -c lxc.uts.name
lxc-copy -n k10 -N k11 -R -s
lxc-copy -n k10 -N k12 -R
lxc-ls -1 --defined
lxc-copy k1 -N k13 -s
lxc-copy k13 -N k14 -s
lxc-destroy c1
lxc-snapshot k13
lxc-snapshot k13 -L
lxc-destroy k14
lxc-snapshot k13 -r snap0 -N k15
lxc-start k15
ready k15
lxc-stop k15 -k
lxc-snapshot k13 -r snap0 -N c2
lxc-snapshot k13 -r snap0
lxc-snapshot k13 -r nonsense
lxc-snapshot k13 -r ''
lxc-snapshot k13 -r ../../c1
lxc-snapshot k13 -d ../../c1
lxc-snapshot k13 -d ''
lxc-snapshot k13 -L -C
lxc-snapshot k13 extra
lxc-destroy k13
lxc-destroy k13 -s
lxc-destroy k15
lxc-destroy k1
lxc-ls -1 --defined
"""

ALONE = """
lxc-autostart -g
lxc-autostart -t -1
lxc-autostart -t ''
lxc-autostart -g ''
lxc-autostart -L -g ''
lxc-autostart -L -g a,b,a
lxc-autostart -L -A -g b
lxc-autostart -L -a -g a
lxc-autostart -L extra
lxc-autostart --list --all
lxc-autostart -P {lxc}/none -L
lxc-autostart -o {lxc}/log -l DEBUG -g none
lxc-monitor -Q
lxc-monitor -n ''
lxc-top -d
lxc-top -d 0 -b
lxc-top -d x -b
lxc-top -d -1 -b
lxc-top -s
lxc-top -s nn
for 1.2 lxc-top -b -r -s m -d 1
on tty q lxc-top
on tty rq lxc-top -s c
on tty bmskncq lxc-top -d 1
on tty zq lxc-top
+ lxc-config -l extra
+ lxc-config -x
+ lxc-config lxc.lxcpath lxc.cgroup.use
+ lxc-config --help
+ lxc-config -h
+ lxc-config ''
+ lxc-config lxc.cgroup.pattern
+ lxc-config lxc.bdev.lvm.thin_pool
+ lxc-config lxc.bdev.zfs.root
+ lxc-update-config -c
+ lxc-update-config --help
+ lxc-update-config -h
+ lxc-update-config nonsense
+ lxc-update-config -c {lxc}
+ lxc-update-config --config {lxc}/c1/config
+ lxc-update-config -x
+ lxc-checkconfig nonsense
+ lxc-unshare -s PID -d -- true
+ lxc-unshare -s NETWORK -i lo -- true
+ lxc-unshare -s NETWORK -i none -- true
+ lxc-unshare -s IPC -H x -- true
+ lxc-unshare -s IPC -i lo -- true
+ lxc-unshare -s UTSNAME -H '' -- hostname
+ lxc-unshare -s USER -u none -- id -u
+ lxc-unshare -s USER -u x9 -- id -u
+ lxc-unshare -s '' -- true
+ lxc-unshare -s PID| -- true
+ lxc-unshare -s pid -- true
+ lxc-unshare -s PID -- /no/such
+ lxc-unshare -s PID -- /tmp
+ lxc-usernsexec -h
+ lxc-usernsexec --help
+ lxc-usernsexec -z
+ lxc-usernsexec -m
+ lxc-usernsexec -m u:0:1
+ lxc-usernsexec -m u:0:x:1 -- true
+ lxc-usernsexec -m u:0:0:0 -- true
+ lxc-usernsexec -m '' -- true
+ lxc-usernsexec -s -- true
+ lxc-usernsexec -m b:0:100000:10 -- /no/such
"""

WIDER = {
    "words": "\n".join(_words()),
    "names": "\n".join(_names()),
    "states": STATES,
    "places": PLACES,
    "values": "\n".join(_values()),
    "copies": STORAGE,
    "others": ALONE,
}
