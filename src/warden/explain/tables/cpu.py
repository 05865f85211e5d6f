"""Controllers cpu and cpuacct: sched-bwc.rst, cpuacct.rst, cgroup-v2.rst."""

from __future__ import annotations

from warden.explain.note import Unit, key, ro, rw

_PERIODS = {
    "nr_periods": key(Unit.COUNT, "periods in which it wanted to run under a quota", "在配额限制下想要运行的周期数"),
    "nr_throttled": key(Unit.COUNT, "periods in which its quota was used up", "配额被用尽的周期数"),
    "nr_bursts": key(Unit.COUNT, "periods in which it ran on saved-up quota", "动用积攒配额的周期数"),
}
_UCLAMP = {
    "cpu.uclamp.min": rw(
        Unit.PERCENT,
        "The processor is clocked at least as if the group's tasks were this busy.",
        "调频时，至少按任务有这么忙来对待本组。",
        "write percent, 0.00 to 100.00",
        "写入百分比，0.00 到 100.00",
        "0.00",
    ),
    "cpu.uclamp.max": rw(
        Unit.PERCENT,
        "The processor is clocked at most as if the group's tasks were this busy.",
        "调频时，至多按任务有这么忙来对待本组。",
        "write percent, or max",
        "写入百分比或 max",
        "max",
    ),
}
_IDLE = rw(
    Unit.FLAG,
    "1: the group runs only when nothing else wants the processor, less urgent than any share.",
    "为 1 时，只有别的任务都不需要处理器时本组才运行，比任何份额都低。",
    "write 1 or 0",
    "写入 1 或 0",
    "0",
)

V1 = {
    "cpu.shares": rw(
        Unit.WEIGHT,
        "The group's part of the processor when others want it too: twice the shares, twice the time. It limits "
        "nothing while processors are idle.",
        "处理器争用时本组分得的份额：份额加倍，时间加倍。处理器空闲时不限制任何东西。",
        "write 2 to 262144; 1024 is the usual share",
        "写入 2 到 262144；通常为 1024",
        "1024",
    ),
    "cpu.cfs_quota_us": rw(
        Unit.US,
        "Processor time the group may use in each period, over all processors: twice the period is two processors. "
        "-1: no limit.",
        "每个周期内本组在所有处理器上可用的总时间：两倍周期即两个处理器。-1 表示不限。",
        "write microseconds, at least 1000, or -1",
        "写入微秒数（至少 1000）或 -1",
        "-1",
    ),
    "cpu.cfs_period_us": rw(
        Unit.US,
        "The length of the period that cpu.cfs_quota_us is measured in.",
        "cpu.cfs_quota_us 所用的周期长度。",
        "write 1000 to 1000000 (1 ms to 1 s)",
        "写入 1000 到 1000000（1 毫秒到 1 秒）",
        "100000",
    ),
    "cpu.cfs_burst_us": rw(
        Unit.US,
        "How much unused quota the group may save up and use later at once.",
        "可以把多少未用的配额攒起来，以后一次用掉。",
        "write microseconds, at most the quota",
        "写入微秒数，不超过配额",
        "0",
    ),
    "cpu.idle": _IDLE,
    "cpu.rt_runtime_us": rw(
        Unit.US,
        "Time that real-time tasks (SCHED_FIFO, SCHED_RR) of the group may use in each period; with 0 there can be "
        "none in it.",
        "组内实时任务（SCHED_FIFO、SCHED_RR）每周期可用的时间；为 0 时组内不能有实时任务。",
        "write microseconds; the parent must have as much",
        "写入微秒数；父组必须有同样多",
        "0",
    ),
    "cpu.rt_period_us": rw(
        Unit.US,
        "The period that cpu.rt_runtime_us is measured in.",
        "cpu.rt_runtime_us 所用的周期。",
        "write microseconds",
        "写入微秒数",
        "1000000",
    ),
    "cpu.stat": ro(
        Unit.FLAT,
        "How often and how long the quota held the group back.",
        "配额使本组停下来等待的次数和时间。",
        keys=_PERIODS
        | {
            "throttled_time": key(Unit.NS, "time its processors stood still for the quota", "因配额而停住的时间"),
            "burst_time": key(Unit.NS, "time it ran on saved-up quota", "动用积攒配额运行的时间"),
            "wait_sum": key(Unit.NS, "time it waited for a processor", "等待处理器的时间"),
        },
    ),
    "cpu.stat.local": ro(
        Unit.FLAT,
        "How long this group was held back, by its own quota or by one above it.",
        "本组被自己或上级的配额拦住的时间。",
        keys={"throttled_time": key(Unit.NS, "time it stood still", "停住的时间")},
    ),
    "cpuacct.usage": rw(
        Unit.NS,
        "Processor time that all tasks of the group and below it have used.",
        "本组及下级所有任务用掉的处理器时间。",
        "write 0 to count anew",
        "写入 0 重新计数",
    ),
    "cpuacct.usage_user": ro(
        Unit.NS,
        "The part of cpuacct.usage spent in programs themselves.",
        "cpuacct.usage 中在程序自身代码里用掉的部分。",
    ),
    "cpuacct.usage_sys": ro(
        Unit.NS, "The part of cpuacct.usage spent in the kernel for them.", "cpuacct.usage 中内核替它们工作的部分。"
    ),
    "cpuacct.usage_percpu": ro(
        Unit.PER_CPU_NS, "cpuacct.usage by processor, from number 0 up.", "按处理器分列的 cpuacct.usage，从 0 号起。"
    ),
    "cpuacct.usage_percpu_user": ro(Unit.PER_CPU_NS, "The part in programs, by processor.", "按处理器分列的程序部分。"),
    "cpuacct.usage_percpu_sys": ro(
        Unit.PER_CPU_NS, "The part in the kernel, by processor.", "按处理器分列的内核部分。"
    ),
    "cpuacct.usage_all": ro(
        Unit.TABLE,
        "A row for each processor: its number, nanoseconds in programs, nanoseconds in the kernel.",
        "每个处理器一行：编号、程序部分纳秒数、内核部分纳秒数。",
    ),
    "cpuacct.stat": ro(
        Unit.FLAT,
        "Processor time in ticks, coarser than cpuacct.usage.",
        "以时钟滴答计的处理器时间，比 cpuacct.usage 粗略。",
        key_unit=Unit.TICKS,
        keys={
            "user": key(Unit.TICKS, "in programs", "程序部分"),
            "system": key(Unit.TICKS, "in the kernel", "内核部分"),
        },
    ),
    **_UCLAMP,
}

V2 = {
    "cpu.weight": rw(
        Unit.WEIGHT,
        "The group's part of the processor when its neighbours want it too: twice the weight, twice the time. It "
        "limits nothing while processors are idle.",
        "与同级组争用处理器时的权重：权重加倍，时间加倍。处理器空闲时不限制任何东西。",
        "write 1 to 10000",
        "写入 1 到 10000",
        "100",
    ),
    "cpu.weight.nice": rw(
        Unit.COUNT,
        "The same weight as a nice value, -20 (most) to 19 (least).",
        "同一权重用 nice 值表示，-20（最多）到 19（最少）。",
        "write -20 to 19",
        "写入 -20 到 19",
        "0",
    ),
    "cpu.max": rw(
        Unit.QUOTA,
        "Processor time the group may use in each period, over all processors: 200000 of 100000 is two processors.",
        "每个周期内本组在所有处理器上可用的总时间：200000/100000 即两个处理器。",
        "write “50000 100000” (half a processor), or max",
        "写入 “50000 100000”（半个处理器）或 max",
        "max 100000",
    ),
    "cpu.max.burst": rw(
        Unit.US,
        "How much unused quota the group may save up and use later at once.",
        "可以把多少未用的配额攒起来，以后一次用掉。",
        "write microseconds, at most the quota",
        "写入微秒数，不超过配额",
        "0",
    ),
    "cpu.idle": _IDLE,
    "cpu.stat": ro(
        Unit.FLAT,
        "Processor time used by the group and all below it, and how often the quota held it back.",
        "本组及下级用掉的处理器时间，以及被配额拦住的情况。",
        keys={
            "usage_usec": key(Unit.US, "in all", "总计"),
            "user_usec": key(Unit.US, "in programs", "程序部分"),
            "system_usec": key(Unit.US, "in the kernel", "内核部分"),
            "nice_usec": key(Unit.US, "of tasks with lowered priority", "低优先级任务部分"),
            "core_sched.force_idle_usec": key(
                Unit.US, "lost because a sibling thread of the core was kept idle", "因核的兄弟线程被迫空闲而损失的时间"
            ),
            **_PERIODS,
            "throttled_usec": key(Unit.US, "time its processors stood still for the quota", "因配额而停住的时间"),
            "burst_usec": key(Unit.US, "time it ran on saved-up quota", "动用积攒配额运行的时间"),
        },
    ),
    "cpu.stat.local": ro(
        Unit.FLAT,
        "How long this group was held back, by its own quota or by one above it.",
        "本组被自己或上级的配额拦住的时间。",
        keys={"throttled_usec": key(Unit.US, "time it stood still", "停住的时间")},
    ),
    "cpu.rt_runtime_us": rw(
        Unit.US,
        "Time that real-time tasks of the group may use in each period (kernels that have it on v2).",
        "组内实时任务每周期可用的时间（仅部分内核的 v2 有此文件）。",
        "write microseconds",
        "写入微秒数",
        "0",
    ),
    "cpu.rt_period_us": rw(
        Unit.US,
        "The period that cpu.rt_runtime_us is measured in.",
        "cpu.rt_runtime_us 所用的周期。",
        "write microseconds",
        "写入微秒数",
        "1000000",
    ),
    **_UCLAMP,
}
