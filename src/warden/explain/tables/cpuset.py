"""Controller cpuset: cpusets.rst, cgroup-v2.rst."""

from __future__ import annotations

from warden.explain.note import Unit, ro, rw

V1 = {
    "cpuset.cpus": rw(
        Unit.CPUS,
        "The processors that tasks of the group may run on; while it is empty no task can be put into the group.",
        "组内任务可以使用的处理器；为空时不能放入任何任务。",
        "write a list such as 0-1,4, within the parent's",
        "写入列表，如 0-1,4，须在父组范围之内",
    ),
    "cpuset.mems": rw(
        Unit.NODES,
        "The memory nodes that tasks of the group may take memory from; empty as cpuset.cpus.",
        "组内任务可以取用内存的节点；为空时的含义同 cpuset.cpus。",
        "write a list such as 0",
        "写入列表，如 0",
    ),
    "cpuset.effective_cpus": ro(
        Unit.CPUS,
        "The processors it really has: what was asked for, without those that are off line.",
        "真正可用的处理器：所要求的减去已离线的。",
    ),
    "cpuset.effective_mems": ro(Unit.NODES, "The memory nodes it really has.", "真正可用的内存节点。"),
    "cpuset.cpu_exclusive": rw(
        Unit.FLAG,
        "1: no sibling group may have these processors; parents and children may.",
        "为 1 时，同级组不得使用这些处理器；父组和子组可以。",
        "write 1 or 0",
        "写入 1 或 0",
        "0",
    ),
    "cpuset.mem_exclusive": rw(
        Unit.FLAG,
        "1: no sibling group may have these memory nodes.",
        "为 1 时，同级组不得使用这些内存节点。",
        "write 1 or 0",
        "写入 1 或 0",
        "0",
    ),
    "cpuset.mem_hardwall": rw(
        Unit.FLAG,
        "1: memory of the kernel's own for these tasks comes from these nodes too.",
        "为 1 时，内核为这些任务分配的内存也只来自这些节点。",
        "write 1 or 0",
        "写入 1 或 0",
        "0",
    ),
    "cpuset.sched_load_balance": rw(
        Unit.FLAG,
        "1: the scheduler spreads the tasks evenly over the group's processors.",
        "为 1 时，调度器把任务均匀分布到本组的处理器上。",
        "write 1 or 0",
        "写入 1 或 0",
        "1",
    ),
    "cpuset.sched_relax_domain_level": rw(
        Unit.COUNT,
        "How far a waking task may look for an idle processor: -1 the system's choice, 0 nowhere, up to 5 everywhere.",
        "任务被唤醒时可在多大范围内寻找空闲处理器：-1 由系统决定，0 不找，直到 5 全系统。",
        "write -1 to 5",
        "写入 -1 到 5",
        "-1",
    ),
    "cpuset.memory_migrate": rw(
        Unit.FLAG,
        "1: when cpuset.mems changes, pages that tasks already have move to the new nodes.",
        "为 1 时，cpuset.mems 改变后任务已有的内存页也搬到新节点。",
        "write 1 or 0",
        "写入 1 或 0",
        "0",
    ),
    "cpuset.memory_pressure": ro(
        Unit.COUNT,
        "How often tasks had to free memory before they got some, about per second times 1000.",
        "任务在得到内存之前不得不先回收的频度（约为每秒次数乘 1000）。",
    ),
    "cpuset.memory_pressure_enabled": rw(
        Unit.FLAG,
        "Whether memory_pressure is computed at all; only in the root, for all groups.",
        "是否计算 memory_pressure；只在根组，对所有组有效。",
        "write 1 or 0",
        "写入 1 或 0",
        "0",
    ),
    "cpuset.memory_spread_page": rw(
        Unit.FLAG,
        "1: page cache is spread over all nodes instead of the nearest (without effect since 6.14).",
        "为 1 时，页缓存分散到所有节点而非最近的节点（自 6.14 起无效果）。",
        "write 1 or 0",
        "写入 1 或 0",
        "0",
    ),
    "cpuset.memory_spread_slab": rw(
        Unit.FLAG,
        "1: some of the kernel's file caches are spread over all nodes (without effect on recent kernels).",
        "为 1 时，内核的部分文件缓存分散到所有节点（较新的内核中已无效果）。",
        "write 1 or 0",
        "写入 1 或 0",
        "0",
    ),
}

V2 = {
    "cpuset.cpus": rw(
        Unit.CPUS,
        "The processors that the group asks for; empty: all that the parent has.",
        "本组要求的处理器；为空表示与父组相同。",
        "write a list such as 0-1,4, or an empty line",
        "写入列表，如 0-1,4，或空行",
    ),
    "cpuset.cpus.effective": ro(
        Unit.CPUS, "The processors that its tasks really may run on.", "组内任务真正可以使用的处理器。"
    ),
    "cpuset.mems": rw(
        Unit.NODES,
        "The memory nodes that the group asks for; empty: all that the parent has. Pages that tasks have move along.",
        "本组要求的内存节点；为空表示与父组相同。任务已有的内存页会随之搬移。",
        "write a list such as 0, or an empty line",
        "写入列表，如 0，或空行",
    ),
    "cpuset.mems.effective": ro(Unit.NODES, "The memory nodes that it really has.", "真正可用的内存节点。"),
    "cpuset.cpus.exclusive": rw(
        Unit.CPUS,
        "Processors that the group may take for itself alone when it becomes a partition.",
        "本组成为独立分区时可以独占的处理器。",
        "write a list; siblings must not have it",
        "写入列表；不得与同级组重叠",
    ),
    "cpuset.cpus.exclusive.effective": ro(
        Unit.CPUS, "The exclusive processors that it really can have.", "真正可以独占的处理器。"
    ),
    "cpuset.cpus.partition": rw(
        Unit.WORD,
        "member: shares the parent's processors; root: a scheduling domain of its own; isolated: the same without "
        "load balancing.",
        "member：与父组共用处理器；root：自成调度域；isolated：同上但不做负载均衡。",
        "write member, root or isolated",
        "写入 member、root 或 isolated",
        "member",
    ),
    "cpuset.cpus.isolated": ro(
        Unit.CPUS, "All processors in isolated partitions; only in the root.", "所有隔离分区占用的处理器；只在根组。"
    ),
}
