"""Controller memory on cgroup v2: cgroup-v2.rst."""

from __future__ import annotations

from warden.explain.note import Unit, key, ro, rw

_BYTES_OR_MAX = ("write bytes, such as 64M, or max", "写入字节数（如 64M）或 max")
_EVENTS = {
    "low": key(Unit.COUNT, "memory under memory.low was taken all the same", "memory.low 之内的内存仍被回收"),
    "high": key(Unit.COUNT, "slowed down because it was over memory.high", "因超过 memory.high 而被减速"),
    "max": key(Unit.COUNT, "memory.max was hit, memory had to be freed", "碰到 memory.max，不得不回收"),
    "oom": key(Unit.COUNT, "memory.max was hit and nothing could be freed", "碰到 memory.max 且无可回收"),
    "oom_kill": key(Unit.COUNT, "processes killed for want of memory", "因内存不足被杀的进程"),
    "oom_group_kill": key(Unit.COUNT, "times the whole group was killed", "整组被杀的次数"),
    "sock_throttled": key(Unit.COUNT, "times its sockets were slowed down", "套接字被限速的次数"),
}
_STAT = {
    "anon": key(Unit.BYTES, "what programs allocated (stack, heap)", "程序分配的内存（栈、堆）"),
    "file": key(Unit.BYTES, "contents of files kept in memory, tmpfs too", "缓存在内存中的文件内容，含 tmpfs"),
    "kernel": key(Unit.BYTES, "the kernel's own for the group", "内核为本组使用的内存"),
    "slab": key(Unit.BYTES, "of that kernel objects (inodes, dentries …)", "其中内核对象（inode、目录项等）"),
    "sock": key(Unit.BYTES, "buffers of its sockets", "套接字缓冲区"),
    "shmem": key(Unit.BYTES, "tmpfs and shared memory", "tmpfs 与共享内存"),
    "file_mapped": key(Unit.BYTES, "file contents mapped by programs", "被程序映射的文件内容"),
    "file_dirty": key(Unit.BYTES, "waits to be written to disk", "等待写回磁盘"),
    "pgfault": key(Unit.COUNT, "page faults: first touches of a page", "缺页次数：首次触及某页"),
    "pgmajfault": key(Unit.COUNT, "page faults that had to read a disk", "需要读盘的缺页次数"),
    "unevictable": key(Unit.BYTES, "locked: can never be freed", "被锁定、永不能回收"),
}

V2 = {
    "memory.current": ro(
        Unit.BYTES, "Memory charged to the group and all below it now.", "现在记在本组及下级账上的内存。"
    ),
    "memory.max": rw(
        Unit.BYTES,
        "The most memory that the group and all below it may have, page cache included. At the limit the kernel frees "
        "cache first; when that is not enough it kills a process of the group (OOM).",
        "本组及下级最多可占用的内存（含页缓存）。到达限额时内核先回收缓存，仍不够就杀死组内一个进程（OOM）。",
        *_BYTES_OR_MAX,
        "max",
    ),
    "memory.high": rw(
        Unit.BYTES,
        "Above this the group's processes are slowed down and its memory is taken back, but nothing is killed.",
        "超过此值时组内进程被减速、内存被回收，但不杀进程。",
        *_BYTES_OR_MAX,
        "max",
    ),
    "memory.low": rw(
        Unit.BYTES,
        "So much is left to the group as long as others have something to give.",
        "只要别的组还有可回收的内存，就给本组保留这么多。",
        *_BYTES_OR_MAX,
        "0",
    ),
    "memory.min": rw(
        Unit.BYTES,
        "So much is never taken from the group, even if something must be killed elsewhere.",
        "无论如何都不从本组回收这么多，即使别处要为此杀进程。",
        *_BYTES_OR_MAX,
        "0",
    ),
    "memory.peak": rw(
        Unit.BYTES,
        "The most that memory.current has ever been.",
        "memory.current 曾达到的最大值。",
        "write anything: for this open descriptor it counts anew (since 6.12)",
        "写入任意内容：对这个已打开的描述符重新计数（6.12 起）",
    ),
    "memory.reclaim": rw(
        Unit.NONE,
        "Makes the kernel take memory back from the group now, without a limit.",
        "不设限额而立即从本组回收内存。",
        "write bytes, such as 16M, and swappiness=N if wanted",
        "写入字节数，如 16M，可附加 swappiness=N",
    ),
    "memory.oom.group": rw(
        Unit.FLAG,
        "1: out of memory ends all processes of the group, not one of them.",
        "为 1 时，内存不足会杀死组内全部进程而非其中一个。",
        "write 1 or 0",
        "写入 1 或 0",
        "0",
    ),
    "memory.events": ro(
        Unit.FLAT,
        "How often a boundary was met, in the group and below it; poll(2) tells of changes.",
        "本组及下级碰到各条界线的次数；变化时 poll(2) 会通知。",
        keys=_EVENTS,
    ),
    "memory.events.local": ro(
        Unit.FLAT, "The same for the boundaries of this group alone.", "同上，但只计本组自己的界线。", keys=_EVENTS
    ),
    "memory.stat": ro(
        Unit.FLAT,
        "What the memory is used for, and events of its management; all groups below are included.",
        "内存的用途与管理事件；包含所有下级组。",
        key_unit=Unit.BYTES,
        keys=_STAT,
    ),
    "memory.numa_stat": ro(
        Unit.NESTED,
        "memory.stat by memory node: N0, N1 and so on.",
        "按内存节点（N0、N1……）分列的 memory.stat。",
        key_unit=Unit.BYTES,
    ),
    "memory.swap.current": ro(Unit.BYTES, "Swap used now.", "现在交换区的用量。"),
    "memory.swap.peak": rw(
        Unit.BYTES,
        "The most swap it has ever used.",
        "交换区用量曾达到的最大值。",
        "write anything: for this open descriptor it counts anew (since 6.12)",
        "写入任意内容：对这个已打开的描述符重新计数（6.12 起）",
    ),
    "memory.swap.high": rw(
        Unit.BYTES,
        "Above so much swap the group is slowed down, so that someone can see to it.",
        "交换区用量超过此值时本组被减速，以便有人来处理。",
        *_BYTES_OR_MAX,
        "max",
    ),
    "memory.swap.max": rw(
        Unit.BYTES,
        "The most swap that the group may use; 0 keeps its memory out of swap.",
        "本组最多可用的交换区；0 表示不使用交换区。",
        *_BYTES_OR_MAX,
        "max",
    ),
    "memory.swap.events": ro(
        Unit.FLAT,
        "How often a boundary of swap was met.",
        "碰到交换区各界线的次数。",
        keys={
            "high": key(Unit.COUNT, "memory.swap.high was passed", "超过 memory.swap.high"),
            "max": key(Unit.COUNT, "memory.swap.max was hit", "碰到 memory.swap.max"),
            "fail": key(Unit.COUNT, "swapping failed", "换出失败"),
        },
    ),
    "memory.zswap.current": ro(
        Unit.BYTES, "Memory used by compressed copies of swapped-out pages.", "换出页的压缩副本占用的内存。"
    ),
    "memory.zswap.max": rw(
        Unit.BYTES,
        "The most memory for those compressed copies; beyond it pages go to disk.",
        "压缩副本可用内存的上限；超过则写到磁盘。",
        *_BYTES_OR_MAX,
        "max",
    ),
    "memory.zswap.writeback": rw(
        Unit.FLAG,
        "0: swapped-out pages stay compressed in memory and never reach a disk.",
        "为 0 时，换出页只压缩保存在内存中，绝不写盘。",
        "write 1 or 0",
        "写入 1 或 0",
        "1",
    ),
}
