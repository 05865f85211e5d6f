"""What each kind of namespace isolates: namespaces(7). Kinds are named as in /proc/PID/ns."""

from __future__ import annotations

from warden.explain.note import Text

KINDS = {
    "mnt": Text(
        "the tree of mounts: what / is, and what is mounted where",
        "挂载树：根目录是什么、哪里挂载了什么",
    ),
    "pid": Text(
        "process ids: inside there is a process 1 of its own, and nothing outside can be seen or signalled",
        "进程号：里面有自己的 1 号进程，看不到也无法向外面的进程发信号",
    ),
    "pid_for_children": Text(
        "the pid namespace that its next children are born in", "它以后的子进程将出生在其中的 pid 命名空间"
    ),
    "user": Text(
        "user and group ids, and what capabilities count for: root inside may be nobody outside",
        "用户号和组号，以及能力的有效范围：里面的 root 在外面可以什么都不是",
    ),
    "net": Text(
        "network interfaces, addresses, routes, firewall rules and ports",
        "网卡、地址、路由、防火墙规则和端口",
    ),
    "ipc": Text(
        "System V shared memory, semaphores and queues, and POSIX message queues",
        "System V 共享内存、信号量、消息队列，以及 POSIX 消息队列",
    ),
    "uts": Text("the host name and the NIS domain name", "主机名与 NIS 域名"),
    "cgroup": Text(
        "which cgroup looks like the root: /proc/self/cgroup inside shows paths below it only",
        "哪个 cgroup 看起来是根：里面的 /proc/self/cgroup 只显示其下的路径",
    ),
    "time": Text(
        "the clocks that count from the start of the machine (CLOCK_MONOTONIC, CLOCK_BOOTTIME)",
        "从开机起计的时钟（CLOCK_MONOTONIC、CLOCK_BOOTTIME）",
    ),
    "time_for_children": Text(
        "the time namespace that its next children are born in", "它以后的子进程将出生在其中的 time 命名空间"
    ),
}

#: Inode numbers of the first namespaces, which the kernel fixes (proc_ns.h; net and mnt since 6.18).
FIRST_INODES = {
    "ipc": 0xEFFFFFFF,
    "uts": 0xEFFFFFFE,
    "user": 0xEFFFFFFD,
    "pid": 0xEFFFFFFC,
    "cgroup": 0xEFFFFFFB,
    "time": 0xEFFFFFFA,
    "net": 0xEFFFFFF9,
    "mnt": 0xEFFFFFF8,
}
