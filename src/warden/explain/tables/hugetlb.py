"""Controller hugetlb: hugetlb.rst, cgroup-v2.rst. SIZE in a name stands for a size of huge pages, such as 2MB."""

from __future__ import annotations

from warden.explain.note import Unit, key, ro, rw

_UNLIMITED = ("max",)  # and the numbers near 2^63 that v1 shows for it
_BYTES = ("write bytes, whole pages of this size", "写入字节数（此大小的整数页）")
_RESET = ("write 0 to count anew", "写入 0 重新计数")
_EVENTS = {"max": key(Unit.COUNT, "times the limit refused a page", "因限额拒绝分配的次数")}

_NUMA = ro(
    Unit.NESTED,
    "Huge pages of this size in use, by memory node.",
    "按内存节点分列的此大小大页用量。",
    key_unit=Unit.BYTES,
)

V1 = {
    "hugetlb.SIZE.limit_in_bytes": rw(
        Unit.BYTES,
        "The most memory in huge pages of this size; a program that touches more dies of SIGBUS.",
        "此大小的大页最多可用的内存；程序触及超出部分会因 SIGBUS 而死。",
        *_BYTES,
        *_UNLIMITED,
    ),
    "hugetlb.SIZE.usage_in_bytes": ro(Unit.BYTES, "Huge pages of this size in use now.", "现在此大小大页的用量。"),
    "hugetlb.SIZE.max_usage_in_bytes": rw(
        Unit.BYTES, "The most that was ever in use.", "用量曾达到的最大值。", *_RESET
    ),
    "hugetlb.SIZE.failcnt": rw(Unit.COUNT, "How often the limit refused a page.", "因限额拒绝分配的次数。", *_RESET),
    "hugetlb.SIZE.rsvd.limit_in_bytes": rw(
        Unit.BYTES,
        "The most that may be reserved, which mmap(2) does: more is refused at once instead of by SIGBUS later.",
        "最多可预留（mmap(2) 时发生）的内存：超出立即被拒绝，而不是以后 SIGBUS。",
        *_BYTES,
        *_UNLIMITED,
    ),
    "hugetlb.SIZE.rsvd.usage_in_bytes": ro(Unit.BYTES, "Reserved now.", "现在的预留量。"),
    "hugetlb.SIZE.rsvd.max_usage_in_bytes": rw(
        Unit.BYTES, "The most that was ever reserved.", "预留量曾达到的最大值。", *_RESET
    ),
    "hugetlb.SIZE.rsvd.failcnt": rw(
        Unit.COUNT, "How often the limit refused a reservation.", "因限额拒绝预留的次数。", *_RESET
    ),
    "hugetlb.SIZE.numa_stat": _NUMA,
}

V2 = {
    "hugetlb.SIZE.max": rw(
        Unit.BYTES,
        "The most memory in huge pages of this size; a program that touches more dies of SIGBUS.",
        "此大小的大页最多可用的内存；程序触及超出部分会因 SIGBUS 而死。",
        "write bytes, or max",
        "写入字节数或 max",
        *_UNLIMITED,
    ),
    "hugetlb.SIZE.current": ro(Unit.BYTES, "Huge pages of this size in use now.", "现在此大小大页的用量。"),
    "hugetlb.SIZE.events": ro(
        Unit.FLAT, "How often the limit was met, here and below.", "本组及下级碰到限额的次数。", keys=_EVENTS
    ),
    "hugetlb.SIZE.events.local": ro(
        Unit.FLAT, "How often the limit of this group alone was met.", "碰到本组自己限额的次数。", keys=_EVENTS
    ),
    "hugetlb.SIZE.rsvd.max": rw(
        Unit.BYTES,
        "The most that may be reserved, which mmap(2) does: more is refused at once instead of by SIGBUS later.",
        "最多可预留（mmap(2) 时发生）的内存：超出立即被拒绝，而不是以后 SIGBUS。",
        "write bytes, or max",
        "写入字节数或 max",
        *_UNLIMITED,
    ),
    "hugetlb.SIZE.rsvd.current": ro(Unit.BYTES, "Reserved now.", "现在的预留量。"),
    "hugetlb.SIZE.numa_stat": _NUMA,
}
