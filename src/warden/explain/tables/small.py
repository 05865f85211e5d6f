"""Controllers with few files: devices, freezer, pids, net_cls, net_prio, rdma, misc, dmem; perf_event has none at all."""

from __future__ import annotations

from warden.explain.note import FileNote, Unit, key, ro, rw

_RULE = (
    "write “TYPE MAJOR:MINOR rwm”, such as “c 1:3 rwm” for /dev/null; * stands for any number, a for all devices",
    "写入 “类型 主号:次号 rwm”，如 “c 1:3 rwm” 即 /dev/null；* 表示任意号，a 表示所有设备",
)
DEVICES = {
    "devices.list": ro(
        Unit.TABLE,
        "The devices that tasks of the group may use: c or b (character, block) or a (all), MAJOR:MINOR, and r, w, m "
        "(read, write, mknod).",
        "组内任务可以使用的设备：c、b（字符、块）或 a（全部），主号:次号，以及 r、w、m（读、写、建节点）。",
    ),
    "devices.allow": rw(
        Unit.NONE,
        "Adds a device to the list, as far as the parent allows it.",
        "向列表中添加设备，以父组允许为限。",
        *_RULE,
    ),
    "devices.deny": rw(
        Unit.NONE, "Takes a device off the list, here and below.", "从本组及下级的列表中去掉设备。", *_RULE
    ),
}

FREEZER = {
    "freezer.state": rw(
        Unit.WORD,
        "THAWED: running; FREEZING: on the way; FROZEN: every task stands still and gets no signal until it is "
        "thawed.",
        "THAWED：运行；FREEZING：正在冻结；FROZEN：所有任务停住，解冻之前收不到信号。",
        "write FROZEN or THAWED",
        "写入 FROZEN 或 THAWED",
        "THAWED",
    ),
    "freezer.self_freezing": ro(Unit.FLAG, "1: this group itself was told to freeze.", "为 1 表示本组自己被要求冻结。"),
    "freezer.parent_freezing": ro(
        Unit.FLAG, "1: a group above it was told to freeze.", "为 1 表示某个上级组被要求冻结。"
    ),
}

_PIDS_EVENTS = {
    "max": key(Unit.COUNT, "forks refused for a limit", "因限额被拒绝的 fork"),
    "max.imposed": key(Unit.COUNT, "forks that the limit of this very group refused", "因本组自己的限额被拒绝的 fork"),
}
PIDS = {
    "pids.max": rw(
        Unit.COUNT,
        "The most processes and threads in the group and below it; a fork beyond it fails with EAGAIN. It stops fork "
        "bombs.",
        "本组及下级最多可有的进程和线程数；超出时 fork 返回 EAGAIN。用于阻止 fork 炸弹。",
        "write a number or max; lowering it kills nothing",
        "写入个数或 max；调低不会杀死任何进程",
        "max",
    ),
    "pids.current": ro(Unit.COUNT, "Processes and threads now, here and below.", "现在本组及下级的进程和线程数。"),
    "pids.peak": ro(Unit.COUNT, "The most there have ever been.", "曾达到的最大个数。"),
    "pids.events": ro(Unit.FLAT, "How often the limit refused a fork.", "限额拒绝 fork 的次数。", keys=_PIDS_EVENTS),
    "pids.events.local": ro(Unit.FLAT, "The same for this group alone.", "同上，仅本组。", keys=_PIDS_EVENTS),
}

NET_CLS = {
    "net_cls.classid": rw(
        Unit.HEX,
        "A mark for all packets that the group sends, 0xMAJORMINOR; tc and iptables sort packets by it.",
        "给本组发出的所有数据包打的标记，0x主号次号；tc 与 iptables 据此分类。",
        "write a number such as 0x100001 (class 10:1); 0 is no mark",
        "写入数值，如 0x100001（类别 10:1）；0 表示无标记",
        "0",
    ),
}
NET_PRIO = {
    "net_prio.ifpriomap": rw(
        Unit.FLAT,
        "The priority of the group's packets on each interface.",
        "本组数据包在各网卡上的优先级。",
        "write “INTERFACE PRIORITY”, such as “eth0 5”",
        "写入 “网卡 优先级”，如 “eth0 5”",
    ),
    "net_prio.prioidx": ro(
        Unit.COUNT, "The number by which the kernel knows this group.", "内核内部用来标识本组的编号。"
    ),
}

RDMA = {
    "rdma.max": rw(
        Unit.NESTED,
        "The most handles and objects of each RDMA adapter (network cards that write memory directly).",
        "每块 RDMA 网卡（可直接写内存的网卡）最多可用的句柄与对象数。",
        "write “mlx4_0 hca_handle=2 hca_object=2000”, or max",
        "写入 “mlx4_0 hca_handle=2 hca_object=2000” 或 max",
    ),
    "rdma.current": ro(Unit.NESTED, "Handles and objects in use now, by adapter.", "现在各网卡句柄与对象的用量。"),
    "rdma.peak": ro(Unit.NESTED, "The most that were ever in use, by adapter.", "各网卡用量曾达到的最大值。"),
    "rdma.events": ro(Unit.NESTED, "How often a limit was met, here and below.", "本组及下级碰到限额的次数。"),
    "rdma.events.local": ro(Unit.NESTED, "How often a limit of this group was met.", "碰到本组限额的次数。"),
}

MISC = {
    "misc.max": rw(
        Unit.FLAT,
        "The most of scarce things that are counted in pieces, such as keys for encrypted virtual machines.",
        "按个数计量的稀缺资源的上限，如加密虚拟机的密钥。",
        "write “NAME NUMBER”, such as “sev 1”, or max",
        "写入 “名称 个数”，如 “sev 1”，或 max",
    ),
    "misc.current": ro(Unit.FLAT, "In use now.", "现在的用量。"),
    "misc.peak": ro(Unit.FLAT, "The most that was ever in use.", "用量曾达到的最大值。"),
    "misc.capacity": ro(Unit.FLAT, "How much the machine has; only in the root.", "整机拥有的数量；只在根组。"),
    "misc.events": ro(Unit.FLAT, "How often a limit was met, here and below.", "本组及下级碰到限额的次数。"),
    "misc.events.local": ro(Unit.FLAT, "How often a limit of this group was met.", "碰到本组限额的次数。"),
}


def _region(en: str, zh: str) -> FileNote:
    return rw(Unit.FLAT, en, zh, "write “REGION BYTES”, or max", "写入 “区域 字节数” 或 max", key_unit=Unit.BYTES)


DMEM = {
    "dmem.max": _region(
        "The most memory of each device region, such as a graphics card's.", "各设备内存区域（如显存）的上限。"
    ),
    "dmem.min": _region("So much of each region is never taken from the group.", "各区域中绝不从本组收回的部分。"),
    "dmem.low": _region("So much of each region is left to it if others can give.", "各区域中尽量为本组保留的部分。"),
    "dmem.current": ro(Unit.FLAT, "In use now, by region.", "现在各区域的用量。", key_unit=Unit.BYTES),
    "dmem.capacity": ro(
        Unit.FLAT, "The size of each region; only in the root.", "各区域的大小；只在根组。", key_unit=Unit.BYTES
    ),
}

#: pids, rdma and misc have the same files on both versions; net_cls, net_prio, devices and freezer are v1's alone.
V1 = DEVICES | FREEZER | PIDS | NET_CLS | NET_PRIO | RDMA | MISC
V2 = PIDS | RDMA | MISC | DMEM
