"""Controller memory on cgroup v1: cgroup-v1/memory.rst. In `memory.stat` the keys total_* include the groups below."""

from __future__ import annotations

from warden.explain.note import Unit, key, ro, rw

_UNLIMITED = ("max",)  # and the numbers near 2^63 that v1 shows for it
_RESET = ("write 0 to count anew", "写入 0 重新计数")

_STAT = {
    "hierarchical_memory_limit": key(Unit.BYTES, "the lowest limit from here up", "从本组到根之间最小的限额"),
    "hierarchical_memsw_limit": key(Unit.BYTES, "the same of memory and swap together", "内存加交换区的同样限额"),
    "total_rss": key(Unit.BYTES, "what programs allocated (stack, heap, huge pages)", "程序分配的内存（栈、堆、大页）"),
    "total_cache": key(Unit.BYTES, "contents of files kept in memory, tmpfs too", "缓存在内存中的文件内容，含 tmpfs"),
    "total_shmem": key(Unit.BYTES, "of that tmpfs and shared memory", "其中 tmpfs 与共享内存"),
    "total_mapped_file": key(Unit.BYTES, "of that mapped by programs", "其中被程序映射的部分"),
    "total_dirty": key(Unit.BYTES, "waits to be written to disk", "等待写回磁盘"),
    "total_swap": key(Unit.BYTES, "written out to swap", "换出到交换区"),
    "total_pgfault": key(Unit.COUNT, "page faults: first touches of a page", "缺页次数：首次触及某页"),
    "total_pgmajfault": key(Unit.COUNT, "page faults that had to read a disk", "需要读盘的缺页次数"),
    "total_unevictable": key(Unit.BYTES, "locked: can never be freed", "被锁定、永不能回收"),
}

V1 = {
    "memory.limit_in_bytes": rw(
        Unit.BYTES,
        "The most memory that the group and all below it may have, page cache included. At the limit the kernel frees "
        "cache first; when that is not enough it kills a process of the group (OOM).",
        "本组及下级最多可占用的内存（含页缓存）。到达限额时内核先回收缓存，仍不够就杀死组内一个进程（OOM）。",
        "write bytes, such as 64M; -1 removes it; the kernel rounds down to whole pages",
        "写入字节数，如 64M；-1 取消限制；内核按整页向下取整",
        *_UNLIMITED,
    ),
    "memory.usage_in_bytes": ro(
        Unit.BYTES,
        "Memory charged to the group now, with a little that was taken in advance.",
        "现在记在本组账上的内存（含少量预先取走的部分）。",
    ),
    "memory.max_usage_in_bytes": rw(
        Unit.BYTES,
        "The most that memory.usage_in_bytes has ever been.",
        "memory.usage_in_bytes 曾达到的最大值。",
        *_RESET,
    ),
    "memory.failcnt": rw(
        Unit.COUNT,
        "How often the limit was hit; the kernel then freed memory, or killed.",
        "碰到限额的次数；碰到后内核回收内存或杀进程。",
        *_RESET,
    ),
    "memory.soft_limit_in_bytes": rw(
        Unit.BYTES,
        "When the whole machine is short of memory, groups above this are pushed back to it first.",
        "整机内存不足时，超过此值的组首先被压回到此值。",
        "write bytes, or -1",
        "写入字节数或 -1",
        *_UNLIMITED,
    ),
    "memory.memsw.limit_in_bytes": rw(
        Unit.BYTES,
        "The most of memory and swap together; never below memory.limit_in_bytes.",
        "内存与交换区合计的上限；不得低于 memory.limit_in_bytes。",
        "write bytes, or -1; raise it before memory.limit_in_bytes, lower it after",
        "写入字节数或 -1；放宽时先改它，收紧时后改它",
        *_UNLIMITED,
    ),
    "memory.memsw.usage_in_bytes": ro(
        Unit.BYTES, "Memory and swap used now, together.", "现在内存与交换区的合计用量。"
    ),
    "memory.memsw.max_usage_in_bytes": rw(
        Unit.BYTES,
        "The most that memory and swap together have ever been.",
        "内存与交换区合计曾达到的最大值。",
        *_RESET,
    ),
    "memory.memsw.failcnt": rw(
        Unit.COUNT, "How often the limit of memory and swap was hit.", "碰到内存加交换区限额的次数。", *_RESET
    ),
    "memory.kmem.limit_in_bytes": rw(
        Unit.BYTES,
        "Was a limit of the kernel's own memory; since 5.16 it can no longer be set, all counts into "
        "memory.limit_in_bytes.",
        "曾是内核自身内存的限额；5.16 起不能再设置，一律计入 memory.limit_in_bytes。",
        "nothing useful: the kernel refuses or ignores what is written",
        "写入无效：内核拒绝或忽略",
        *_UNLIMITED,
    ),
    "memory.kmem.usage_in_bytes": ro(
        Unit.BYTES,
        "Memory that the kernel itself uses for the group: stacks, page tables, inodes, sockets.",
        "内核为本组使用的内存：内核栈、页表、inode、套接字等。",
    ),
    "memory.kmem.max_usage_in_bytes": rw(
        Unit.BYTES, "The most that the kernel's part has ever been.", "内核部分曾达到的最大值。", *_RESET
    ),
    "memory.kmem.failcnt": rw(
        Unit.COUNT, "How often the kernel's own limit was hit.", "碰到内核内存限额的次数。", *_RESET
    ),
    "memory.kmem.slabinfo": ro(
        Unit.TABLE,
        "The kernel's object caches of the group (empty since 5.9; tools/cgroup/memcg_slabinfo.py shows them).",
        "本组的内核对象缓存（5.9 起为空；可用 tools/cgroup/memcg_slabinfo.py 查看）。",
    ),
    "memory.kmem.tcp.limit_in_bytes": rw(
        Unit.BYTES,
        "The most memory for buffers of the group's TCP connections.",
        "本组 TCP 连接缓冲区可用内存的上限。",
        "write bytes, or -1",
        "写入字节数或 -1",
        *_UNLIMITED,
    ),
    "memory.kmem.tcp.usage_in_bytes": ro(Unit.BYTES, "TCP buffers used now.", "现在 TCP 缓冲区的用量。"),
    "memory.kmem.tcp.max_usage_in_bytes": rw(
        Unit.BYTES, "The most TCP buffers have ever used.", "TCP 缓冲区用量曾达到的最大值。", *_RESET
    ),
    "memory.kmem.tcp.failcnt": rw(
        Unit.COUNT, "How often the limit of TCP buffers was hit.", "碰到 TCP 缓冲区限额的次数。", *_RESET
    ),
    "memory.oom_control": rw(
        Unit.FLAT,
        "What happens at the limit, and what has happened.",
        "到达限额时怎么办，以及已经发生了什么。",
        "write 1: instead of killing, the tasks that want memory sleep; 0: kill",
        "写入 1：不杀进程，而让要内存的任务睡眠；0：杀",
        "oom_kill_disable 0\nunder_oom 0\noom_kill 0",
        keys={
            "oom_kill_disable": key(Unit.FLAG, "1: tasks sleep instead of being killed", "为 1 时任务睡眠而不被杀"),
            "under_oom": key(Unit.FLAG, "1 while tasks sleep for want of memory", "有任务因缺内存而睡眠时为 1"),
            "oom_kill": key(Unit.COUNT, "processes killed for this group's limit", "因本组限额被杀的进程数"),
        },
    ),
    "memory.pressure_level": ro(
        Unit.NONE,
        "A name to register for notices of memory pressure (low, medium, critical) through cgroup.event_control.",
        "供 cgroup.event_control 登记内存压力通知（low、medium、critical）用的名字。",
    ),
    "memory.stat": ro(
        Unit.FLAT,
        "What the memory is used for; keys with total_ include all groups below this one.",
        "内存的用途；带 total_ 的键包含所有下级组。",
        key_unit=Unit.BYTES,
        keys=_STAT,
    ),
    "memory.numa_stat": ro(
        Unit.NESTED,
        "Pages by memory node: N0, N1 and so on.",
        "按内存节点（N0、N1……）分列的页数。",
        key_unit=Unit.PAGES,
    ),
    "memory.swappiness": rw(
        Unit.COUNT,
        "How readily memory of programs is swapped out rather than page cache dropped: 0 hardly, 100 equally.",
        "回收时倾向于换出程序内存而非丢弃页缓存的程度：0 几乎不，100 同等对待。",
        "write 0 to 200",
        "写入 0 到 200",
        "60",
    ),
    "memory.use_hierarchy": rw(
        Unit.FLAG,
        "Whether groups below count into this one; always 1 since 5.11.",
        "下级组是否计入本组；5.11 起恒为 1。",
        "write 1, which changes nothing",
        "只能写入 1，无任何变化",
        "1",
    ),
    "memory.force_empty": rw(
        Unit.NONE,
        "Makes the kernel give back as much of the group's memory as it can; meant before an rmdir.",
        "让内核尽量回收本组的内存；用于删除组之前。",
        "write 0 or anything",
        "写入 0 或任意内容",
    ),
    "memory.move_charge_at_immigrate": rw(
        Unit.COUNT,
        "Whether a task that moves here brings its memory along: always 0 since 6.11.",
        "任务移入时是否把内存账也带来：6.11 起恒为 0。",
        "nothing but 0 is taken by recent kernels",
        "较新的内核只接受 0",
        "0",
    ),
    "memory.shown_ram_in_bytes": rw(
        Unit.BYTES,
        "Not a file of mainline Linux but a vendor's addition: by its name, the size of memory that programs in the "
        "group are shown, 0 for the machine's.",
        "并非主线 Linux 的文件，而是厂商的附加：从名字看，是显示给组内程序的内存大小，0 表示整机内存。",
        "see the vendor's documentation",
        "见厂商的文档",
        "0",
    ),
}
