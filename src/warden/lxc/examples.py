"""Command lines of each tool, as `--help` and the manual show them, and what its exit codes mean. A table."""

from __future__ import annotations

EXAMPLES = {
    "lxc-attach": "lxc-attach -n web\nlxc-attach -n web -- ps aux\n"
    "lxc-attach -n web --clear-env -v TERM=vt100 -u 1000 -- id\nlxc-attach -n web -s 'NETWORK|UTSNAME' -- ss -tln",
    "lxc-autostart": 'lxc-autostart -L\nlxc-autostart -g "onboot,"\nlxc-autostart -s -t 20 -a',
    "lxc-cgroup": "lxc-cgroup -n web memory.max\nlxc-cgroup -n web cpuset.cpus 0-1\nlxc-cgroup -n web memory.max 512M",
    "lxc-checkconfig": "lxc-checkconfig\nCONFIG=/boot/config-6.1 lxc-checkconfig",
    "lxc-checkpoint": "lxc-checkpoint -n web -D /var/tmp/web -s\nlxc-checkpoint -n web -D /var/tmp/web -r\n"
    "lxc-checkpoint -n web -D /var/tmp/web/1 -p",
    "lxc-clone": "lxc-clone web web2\nlxc-clone -s -o web -n web2",
    "lxc-config": "lxc-config -l\nlxc-config lxc.lxcpath",
    "lxc-console": "lxc-console -n web\nlxc-console -n web -t 0 -e ^b\nlxc-console -n web -b",
    "lxc-copy": "lxc-copy -n web -N web2\nlxc-copy -n web -N web2 -s\nlxc-copy -n web -e\n"
    "lxc-copy -n web -N try -e -t -m bind=/srv/data:/data:ro,overlay=/etc/web\nlxc-copy -n web -N www -R",
    "lxc-create": "lxc-create -n web -t busybox\nlxc-create -n web -t debian -- -r bookworm\n"
    "lxc-create -n web -t local -- -f rootfs.tar.xz\nlxc-create -n web -t none --dir /srv/root -f web.conf",
    "lxc-destroy": "lxc-destroy -n web\nlxc-destroy -n web -f -s",
    "lxc-device": "lxc-device -n web -- add /dev/ttyS0\nlxc-device -n web -- add eth1 eth0\n"
    "lxc-device -n web -- del /dev/ttyS0",
    "lxc-execute": "lxc-execute -n job -- /bin/echo hello\nlxc-execute -n job -f job.conf -s lxc.uts.name=box -- hostname\n"
    "lxc-execute -n job -d -- sleep 60",
    "lxc-freeze": "lxc-freeze -n web",
    "lxc-info": "lxc-info -n web\nlxc-info -n web -sH\nlxc-info -n web -c lxc.uts.name -c lxc.net.0.link",
    "lxc-kill": "lxc-kill -n web\nlxc-kill -n web 15\nlxc-kill -n web HUP",
    "lxc-ls": "lxc-ls\nlxc-ls -1 --running\nlxc-ls -f --nesting\nlxc-ls -f -F NAME,STATE,PID,IPV4 --filter '^web'",
    "lxc-monitor": "lxc-monitor\nlxc-monitor -n 'web.*'",
    "lxc-netstat": "lxc-netstat -n web\nlxc-netstat -n web -- -tln",
    "lxc-ps": "lxc-ps\nlxc-ps --name web -- -ef\nlxc-ps --lxc -- aux",
    "lxc-restart": "lxc-restart -n web\nlxc-restart -n web -t 10",
    "lxc-shutdown": "lxc-shutdown -n web\nlxc-shutdown -n web -w -t 30",
    "lxc-snapshot": "lxc-snapshot -n web -c why.txt\nlxc-snapshot -n web -L -C\n"
    "lxc-snapshot -n web -r snap0\n"
    "lxc-snapshot -n web -r snap0 -N web2\nlxc-snapshot -n web -d ALL",
    "lxc-start": "lxc-start -n web\nlxc-start -n web -F -- /bin/sh\n"
    "lxc-start -n web -s lxc.init.cmd=/bin/sh -L /tmp/console.log",
    "lxc-start-ephemeral": "lxc-start-ephemeral -o web -d\n"
    "lxc-start-ephemeral -o web -n try -b /srv/data -- /bin/sh -c 'make test'",
    "lxc-stop": "lxc-stop -n web\nlxc-stop -n web -t 10\nlxc-stop -n web -k\nlxc-stop -n web -r",
    "lxc-top": "lxc-top\nlxc-top -s m -d 1\nlxc-top -b > usage.csv",
    "lxc-unfreeze": "lxc-unfreeze -n web",
    "lxc-unshare": "lxc-unshare -s 'NETWORK|PID|MOUNT' -M -- /bin/sh\nlxc-unshare -s 'USER|UTSNAME' -H box -- hostname",
    "lxc-update-config": "lxc-update-config -c /var/lib/lxc/web/config",
    "lxc-usernsexec": "lxc-usernsexec -- id\nlxc-usernsexec -m b:0:100000:65536 -s -- ls -l",
    "lxc-version": "lxc-version",
    "lxc-wait": "lxc-wait -n web -s RUNNING\nlxc-wait -n web -s 'STOPPED|ABORTING' -t 30",
}
_OF_PROGRAM = (
    ("126", "the program cannot be executed"),
    ("127", "there is no such program"),
    ("128+N", "signal N ended it"),
    ("other", "its own"),
)
CODES: dict[str, tuple[tuple[str, str], ...]] = {
    "lxc-attach": _OF_PROGRAM,
    "lxc-execute": (("255", "the program could not be run"), ("128+N", "signal N ended it"), ("other", "its own")),
    "lxc-start-ephemeral": _OF_PROGRAM,
    "lxc-stop": (("2", "it does not run"),),
    "lxc-unshare": _OF_PROGRAM,
    "lxc-usernsexec": _OF_PROGRAM,
    "lxc-wait": (("1", "the time is over, or a state is unknown"),),
    "lxc-kill": (("255", "the signal is unknown, or it does not run"),),
}


def examples_of(tool: str) -> str:
    """For the end of its help; "" for none."""
    lines = EXAMPLES.get(tool, "").split("\n")
    return "\nExamples :\n" + "".join(f"  {line}\n" for line in lines) if lines[0] else ""
