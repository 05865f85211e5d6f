"""Files that every cgroup has, whatever its controllers: cgroups(7), cgroup-v1/cgroups.rst, cgroup-v2.rst."""

from __future__ import annotations

from warden.explain.note import Unit, key, ro, rw

#: The same in both versions of cgroups.
_PRESSURE_KEYS = {
    "some": key(Unit.PERCENT, "some task waited while others could run", "有任务在等待，其他任务仍可运行"),
    "full": key(Unit.PERCENT, "all tasks that had work waited at once", "所有有事可做的任务同时都在等待"),
}

V1 = {
    "cgroup.procs": rw(
        Unit.PIDS,
        "The processes in this group itself; those of groups below it are listed there.",
        "直接位于本组中的进程；子组中的进程列在子组里。",
        "write a process id: the whole process moves here, with all its threads; its children will be born here",
        "写入进程号：该进程连同全部线程移入本组，此后它的子进程也出生在本组",
    ),
    "tasks": rw(
        Unit.PIDS,
        "The threads in this group; v1 may put threads of one process into different groups.",
        "本组中的线程；v1 允许同一进程的线程分属不同的组。",
        "write a thread id: that thread alone moves here; 0 means the writer itself, which takes no global lock",
        "写入线程号：只移动这一个线程；0 表示写入者自己，且不需要全局锁",
    ),
    "cgroup.clone_children": rw(
        Unit.FLAG,
        "Whether a new child group of a cpuset begins with a copy of its parent's settings.",
        "cpuset 的新子组是否复制父组的设置作为初始值。",
        "write 1 or 0; it counts for groups made from then on",
        "写入 1 或 0；只对此后新建的子组有效",
        "0",
    ),
    "cgroup.sane_behavior": ro(
        Unit.FLAG,
        "A leftover of the years in which v2 was developed; always 0 on v1, and only in the root.",
        "v2 开发时期的遗留文件；在 v1 中恒为 0，且只出现在根组。",
    ),
    "notify_on_release": rw(
        Unit.FLAG,
        "Whether the kernel starts the root group's release_agent when the last task and child group of this one go.",
        "本组最后一个任务和子组消失时，内核是否启动根组 release_agent 中的程序。",
        "write 1 or 0",
        "写入 1 或 0",
        "0",
    ),
    "release_agent": rw(
        Unit.WORD,
        "The program that the kernel starts, as root of the host, for emptied groups that asked for it; only in the "
        "root. Writable from a container it would be a way out of it.",
        "组变空且要求通知时，内核以宿主机 root 身份启动的程序；只在根组。若容器内可写，就是一条逃逸之路。",
        "write the path of a program; root of the initial user namespace only",
        "写入程序路径；只有初始用户命名空间的 root 可以写",
    ),
    "cgroup.event_control": rw(
        Unit.NONE,
        "Where a program registers for notices of the memory controller (v1's only way to be told of events).",
        "程序在此登记，以接收内存控制器的通知（v1 得知事件的唯一途径）。",
        "write an eventfd's number, the descriptor of a file such as memory.oom_control, and its arguments",
        "写入 eventfd 号、被监视文件（如 memory.oom_control）的描述符以及参数",
    ),
}

V2 = {
    "cgroup.procs": rw(
        Unit.PIDS,
        "The processes in this group itself; 0 stands for one that our pid namespace cannot see.",
        "直接位于本组中的进程；0 表示我们的 pid 命名空间看不到的进程。",
        "write a process id: the whole process moves here; a group that hands controllers down takes no process",
        "写入进程号：整个进程移入本组；已向下分发控制器的组不能再容纳进程",
    ),
    "cgroup.threads": rw(
        Unit.PIDS,
        "The threads in this group; they differ from cgroup.procs only in threaded groups.",
        "本组中的线程；只有在 threaded 类型的组中才与 cgroup.procs 有区别。",
        "write a thread id, within one threaded subtree",
        "写入线程号，仅限同一个 threaded 子树之内",
    ),
    "cgroup.type": rw(
        Unit.WORD,
        "domain: whole processes stand here; threaded: threads may stand apart; the others are states in between.",
        "domain：以整个进程为单位；threaded：线程可分别归组；其余为中间状态。",
        "write threaded; there is no way back",
        "写入 threaded；不可撤回",
        "domain",
    ),
    "cgroup.controllers": ro(
        Unit.WORDS,
        "The controllers that the parent hands to this group: what can be limited here.",
        "父组交给本组的控制器：本组中能限制的资源种类。",
    ),
    "cgroup.subtree_control": rw(
        Unit.WORDS,
        "The controllers that this group hands on to the groups below it.",
        "本组继续交给子组的控制器。",
        "write +memory or -memory and the like; while processes stand in the group itself it is refused",
        "写入 +memory、-memory 之类；组内直接有进程时会被拒绝",
    ),
    "cgroup.events": ro(
        Unit.FLAT,
        "Two states that poll(2) reports when they change.",
        "两个状态；变化时 poll(2) 会得到通知。",
        keys={
            "populated": key(Unit.FLAG, "1 while a process lives in it or below it", "组内或子组中有活进程时为 1"),
            "frozen": key(Unit.FLAG, "1 once everything in it stands still", "组内全部停住后为 1"),
        },
    ),
    "cgroup.max.descendants": rw(
        Unit.COUNT,
        "How many groups may be made below this one, at any depth.",
        "本组之下（任意深度）最多可建多少个组。",
        "write a number or max",
        "写入个数或 max",
        "max",
    ),
    "cgroup.max.depth": rw(
        Unit.COUNT,
        "How many levels of groups may be made below this one.",
        "本组之下最多可建多少层。",
        "write a number or max",
        "写入层数或 max",
        "max",
    ),
    "cgroup.stat": ro(
        Unit.FLAT,
        "How many groups there are below this one, and how many controller states the kernel keeps for it.",
        "本组之下有多少个组，以及内核为之保存的各控制器状态的个数。",
        keys={
            "nr_descendants": key(Unit.COUNT, "groups below it that are alive", "现存的下级组"),
            "nr_dying_descendants": key(
                Unit.COUNT,
                "groups that were removed but whose memory is still in use",
                "已删除、但所记内存仍在使用的组",
            ),
        },
    ),
    "cgroup.stat.local": ro(
        Unit.FLAT,
        "Statistics of this group alone, without those below it.",
        "仅本组（不含子组）的统计。",
        keys={"frozen_usec": key(Unit.US, "how long it has been frozen in all", "累计被冻结的时间")},
    ),
    "cgroup.freeze": rw(
        Unit.FLAG,
        "1 stops every process in the group and below it until 0 is written; a kill still reaches them.",
        "写 1 使组内及下级的所有进程停住，直到写 0；停住时仍可被杀死。",
        "write 1 or 0; cgroup.events tells when it is done",
        "写入 1 或 0；完成与否见 cgroup.events",
        "0",
    ),
    "cgroup.kill": rw(
        Unit.NONE,
        "Ends every process in the group and below it at once, also those that fork meanwhile (since 5.14).",
        "一次杀死组内及下级的所有进程，正在 fork 的也逃不掉（5.14 起）。",
        "write 1",
        "写入 1",
    ),
    "cgroup.pressure": rw(
        Unit.FLAG,
        "Whether the kernel measures pressure (PSI) for this group.",
        "内核是否为本组测量压力（PSI）。",
        "write 1 or 0; 0 hides the *.pressure files and saves a little work",
        "写入 1 或 0；0 会隐藏 *.pressure 文件并省一点开销",
        "1",
    ),
    "cpu.pressure": rw(
        Unit.PRESSURE,
        "How much of the time tasks were ready to run and had no processor: over 10 s, 60 s, 300 s, and in total.",
        "任务可以运行却得不到处理器的时间所占比例：最近 10、60、300 秒及累计。",
        "write a trigger such as “some 150000 1000000” (µs stalled within µs) and poll(2) the descriptor",
        "写入触发条件，如 “some 150000 1000000”（窗口内停顿的微秒数与窗口微秒数），再用 poll(2) 等待",
        keys=_PRESSURE_KEYS,
    ),
    "memory.pressure": rw(
        Unit.PRESSURE,
        "How much of the time tasks waited because memory was short.",
        "任务因内存不足而等待的时间所占比例。",
        "write a trigger such as “some 150000 1000000” and poll(2) the descriptor",
        "写入触发条件，如 “some 150000 1000000”，再用 poll(2) 等待",
        keys=_PRESSURE_KEYS,
    ),
    "io.pressure": rw(
        Unit.PRESSURE,
        "How much of the time tasks waited for disks.",
        "任务等待磁盘的时间所占比例。",
        "write a trigger such as “some 150000 1000000” and poll(2) the descriptor",
        "写入触发条件，如 “some 150000 1000000”，再用 poll(2) 等待",
        keys=_PRESSURE_KEYS,
    ),
    "irq.pressure": rw(
        Unit.PRESSURE,
        "How much of the time tasks lost to interrupt handlers (where the kernel accounts interrupt time).",
        "任务因中断处理而损失的时间所占比例（内核开启中断计时时才有）。",
        "write a trigger such as “full 150000 1000000” and poll(2) the descriptor",
        "写入触发条件，如 “full 150000 1000000”，再用 poll(2) 等待",
        keys=_PRESSURE_KEYS,
    ),
}
