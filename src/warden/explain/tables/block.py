"""Controllers blkio (v1) and io (v2): blkio-controller.rst, bfq-iosched.rst, cgroup-v2.rst."""

from __future__ import annotations

from warden.explain.note import FileNote, Unit, ro, rw

_LIMIT = (
    "write “MAJOR:MINOR NUMBER”, such as “8:0 1048576”; the number 0 removes the limit (ls -l /dev shows both "
    "numbers)",
    "写入 “主号:次号 数值”，如 “8:0 1048576”；数值 0 取消限制（ls -l /dev 可见主次号）",
)
_WEIGHT_DEVICE = ("write “MAJOR:MINOR WEIGHT”; the weight 0 removes it", "写入 “主号:次号 权重”；权重 0 取消")
_BFQ_DEFAULT = ("100", "default 100")


def _counter(en: str, zh: str, unit: Unit = Unit.COUNT) -> FileNote:
    return ro(Unit.DEVICES, en, zh, key_unit=unit)


#: What bfq counts, and cfq counted before 5.0 (then without `bfq.`): name, unit, sentence.
_COUNTED: tuple[tuple[str, Unit, str, str], ...] = (
    ("io_service_bytes", Unit.BYTES, "Bytes read and written, by device and kind", "按设备和种类统计的读写字节数"),
    ("io_serviced", Unit.COUNT, "Requests done, by device and kind", "按设备和种类统计的已完成请求数"),
    ("io_service_time", Unit.NS, "Time that devices worked on its requests", "设备处理本组请求所用的时间"),
    ("io_wait_time", Unit.NS, "Time that its requests waited in queues", "本组请求在队列中等待的时间"),
    ("io_merged", Unit.COUNT, "Requests that were merged into others", "被合并到其他请求中的请求数"),
    ("io_queued", Unit.COUNT, "Requests that wait now", "现在排队的请求数"),
    ("time", Unit.COUNT, "Time of the device given to it, in milliseconds", "分给本组的设备时间（毫秒）"),
    ("sectors", Unit.COUNT, "Sectors of 512 bytes moved", "传输的 512 字节扇区数"),
    ("avg_queue_size", Unit.COUNT, "Average number of waiting requests", "平均排队请求数"),
    ("group_wait_time", Unit.NS, "Time that it waited for its turn", "等待轮到自己的时间"),
    ("idle_time", Unit.NS, "Time that a device was kept idle for it", "设备为等它而空闲的时间"),
    ("empty_time", Unit.NS, "Time without a waiting request", "没有排队请求的时间"),
    ("dequeue", Unit.COUNT, "How often it was taken off the scheduler's list", "从调度器列表中移出的次数"),
)


def _counted() -> dict[str, FileNote]:
    """Both prefixes, alone and with the groups below."""
    notes = {}
    for name, unit, en, zh in _COUNTED:
        for prefix in ("blkio.bfq.", "blkio."):
            whose, whose_zh = ("as bfq counts it", "bfq 的统计") if "bfq" in prefix else ("as cfq did", "旧 cfq 的统计")
            notes[prefix + name] = _counter(f"{en}; {whose}, of this group alone.", f"{zh}；{whose_zh}，仅本组。", unit)
            notes[f"{prefix}{name}_recursive"] = _counter(
                f"{en}; {whose}, with all groups below.", f"{zh}；{whose_zh}，含下级组。", unit
            )
    return notes


_PRIO_CLASS = rw(
    Unit.WORD,
    "The I/O priority class given to requests of the group: no-change, promote-to-rt, restrict-to-be, idle.",
    "赋予本组请求的 I/O 优先级类别：no-change、promote-to-rt、restrict-to-be、idle。",
    "write one of these words",
    "写入其中一个词",
    "no-change",
)

V1 = {
    "blkio.throttle.read_bps_device": rw(
        Unit.DEVICES,
        "The most bytes a second that the group may read, by device.",
        "按设备限制本组每秒最多读取的字节数。",
        *_LIMIT,
        key_unit=Unit.BYTES,
    ),
    "blkio.throttle.write_bps_device": rw(
        Unit.DEVICES,
        "The most bytes a second that the group may write, by device; on v1 only direct writes, not those through the "
        "page cache.",
        "按设备限制本组每秒最多写入的字节数；v1 只限制直接写，不限制经页缓存的写。",
        *_LIMIT,
        key_unit=Unit.BYTES,
    ),
    "blkio.throttle.read_iops_device": rw(
        Unit.DEVICES, "The most reads a second, by device.", "按设备限制每秒最多的读次数。", *_LIMIT
    ),
    "blkio.throttle.write_iops_device": rw(
        Unit.DEVICES, "The most writes a second, by device.", "按设备限制每秒最多的写次数。", *_LIMIT
    ),
    "blkio.throttle.io_service_bytes": _counter(
        "Bytes read and written, by device and kind, of this group alone.",
        "按设备和种类统计的读写字节数，仅本组。",
        Unit.BYTES,
    ),
    "blkio.throttle.io_service_bytes_recursive": _counter(
        "Bytes read and written, with all groups below.", "读写字节数，含下级组。", Unit.BYTES
    ),
    "blkio.throttle.io_serviced": _counter(
        "Requests, by device and kind, of this group alone.", "按设备和种类统计的请求数，仅本组。"
    ),
    "blkio.throttle.io_serviced_recursive": _counter("Requests, with all groups below.", "请求数，含下级组。"),
    "blkio.reset_stats": rw(
        Unit.NONE, "Sets the group's counters to zero.", "把本组的计数器清零。", "write any number", "写入任意数"
    ),
    "blkio.bfq.weight": rw(
        Unit.WEIGHT,
        "The group's part of a disk that the scheduler bfq serves, when others want it too.",
        "使用 bfq 调度器的磁盘被争用时，本组的权重。",
        "write 1 to 1000",
        "写入 1 到 1000",
        *_BFQ_DEFAULT,
    ),
    "blkio.bfq.weight_device": rw(
        Unit.DEVICES, "The same by device.", "同上，按设备设置。", *_WEIGHT_DEVICE, *_BFQ_DEFAULT, key_unit=Unit.WEIGHT
    ),
    "blkio.weight": rw(
        Unit.WEIGHT,
        "The group's part of a disk that the scheduler cfq serves (before 5.0).",
        "使用 cfq 调度器（5.0 以前）的磁盘被争用时，本组的权重。",
        "write 10 to 1000",
        "写入 10 到 1000",
        "500",
    ),
    "blkio.weight_device": rw(
        Unit.DEVICES, "The same by device.", "同上，按设备设置。", *_WEIGHT_DEVICE, key_unit=Unit.WEIGHT
    ),
    "blkio.leaf_weight": rw(
        Unit.WEIGHT,
        "The weight of the group's own tasks against the groups below it (cfq, before 5.0).",
        "本组自身任务相对于其子组的权重（cfq，5.0 以前）。",
        "write 10 to 1000",
        "写入 10 到 1000",
        "500",
    ),
    "blkio.leaf_weight_device": rw(
        Unit.DEVICES, "The same by device.", "同上，按设备设置。", *_WEIGHT_DEVICE, key_unit=Unit.WEIGHT
    ),
    "blkio.prio.class": _PRIO_CLASS,
    **_counted(),
}

V2 = {
    "io.max": rw(
        Unit.NESTED,
        "The most bytes (rbps, wbps) and requests (riops, wiops) a second for reading and writing, by device; writes "
        "through the page cache count too.",
        "按设备限制每秒读写的字节数（rbps、wbps）和请求数（riops、wiops）；经页缓存的写也计入。",
        "write “MAJOR:MINOR rbps=1048576 wiops=100”; max lifts a limit",
        "写入 “主号:次号 rbps=1048576 wiops=100”；max 取消限制",
    ),
    "io.stat": ro(
        Unit.NESTED,
        "Bytes and requests by device: read, written and discarded, with all groups below.",
        "按设备统计的读、写、丢弃的字节数与请求数，含下级组。",
    ),
    "io.weight": rw(
        Unit.WEIGHT,
        "The group's part of a disk when its neighbours want it too (with io.cost or bfq).",
        "与同级组争用磁盘时的权重（需 io.cost 或 bfq）。",
        "write 1 to 10000, or “MAJOR:MINOR WEIGHT”",
        "写入 1 到 10000，或 “主号:次号 权重”",
        "default 100",
    ),
    "io.bfq.weight": rw(
        Unit.WEIGHT,
        "The same for disks that the scheduler bfq serves.",
        "同上，用于 bfq 调度器的磁盘。",
        "write 1 to 1000, or “MAJOR:MINOR WEIGHT”",
        "写入 1 到 1000，或 “主号:次号 权重”",
        "default 100",
    ),
    "io.latency": rw(
        Unit.NESTED,
        "The delay of requests that is promised to the group: others are slowed down to keep it.",
        "向本组承诺的请求延迟：为此会减慢其他组。",
        "write “MAJOR:MINOR target=MICROSECONDS”; 0 removes it",
        "写入 “主号:次号 target=微秒数”；0 取消",
    ),
    "io.cost.qos": rw(
        Unit.NESTED,
        "How io.weight is kept on each device: allowed delays and speeds; only in the root.",
        "各设备上如何保证 io.weight：允许的延迟与速率；只在根组。",
        "write “MAJOR:MINOR enable=1 …”",
        "写入 “主号:次号 enable=1 …”",
    ),
    "io.cost.model": rw(
        Unit.NESTED,
        "What a request costs on each device, for io.weight; only in the root.",
        "为 io.weight 估算各设备上请求的代价；只在根组。",
        "write “MAJOR:MINOR ctrl=user model=linear …”",
        "写入 “主号:次号 ctrl=user model=linear …”",
    ),
    "io.prio.class": _PRIO_CLASS,
}
