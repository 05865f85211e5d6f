"""Traffic control messages as bytes, and what the kernel answers: tc(8), linux/pkt_sched.h, linux/pkt_cls.h. Pure."""

from __future__ import annotations

import struct

from warden.kernel import sockets
from warden.model.limits import Bandwidth
from warden.network.netlink import (
    NESTED,
    NLM_F_CREATE,
    NLM_F_ECHO,
    NLM_F_REPLACE,
    Message,
    attribute,
    attributes,
    number,
    text,
)

RTM_NEWQDISC, RTM_DELQDISC, RTM_GETQDISC, RTM_NEWTFILTER = 36, 37, 38, 44
TC_H_ROOT, TC_H_INGRESS = 0xFFFFFFFF, 0xFFFFFFF1
INGRESS_HANDLE, TBF_HANDLE, QUEUE_HANDLES = 0xFFFF0000, 0x10000, (0x20000, 0x30000)
TCA_KIND, TCA_OPTIONS, TCA_STATS2 = 1, 2, 7
TCA_STATS_QUEUE = 3
TCA_TBF_PARMS, TCA_TBF_RATE64, TCA_TBF_BURST = 1, 4, 6
TCA_U32_SEL, TCA_U32_ACT, TC_U32_TERMINAL = 5, 7, 1
TCA_ACT_KIND, TCA_ACT_OPTIONS, TCA_MIRRED_PARMS = 1, 2, 2
TCA_EGRESS_REDIR, TC_ACT_STOLEN = 1, 4
ETH_P_ALL = 3
LINKLAYER_ETHERNET = 1

#: The largest packet that the kernel hands over in one piece: GSO_MAX_SIZE of linux/netdevice.h since 5.19.
LARGEST_PACKET = 8 * 65535
_WAKING_S = 1 / 500  # what may pass between two wakings of a busy machine's queue
_HEADERS = 18  # an Ethernet header, and a VLAN's

#: How long a packet may wait in a bucket's queue before later ones are dropped (spec/warden.md §5).
LATENCY_S = 0.025
#: The one filter of an ingress qdisc, where tc(8) would put its first.
_FILTER_HANDLE, _FILTER_PRIORITY = 0x80000800, 1

_TCMSG = struct.Struct("=BxxxiIII")  # struct tcmsg: family, ifindex, handle, parent, info
_RATE = struct.Struct("=BBHhHI")  # struct tc_ratespec: cell_log, linklayer, overhead, cell_align, mpu, rate
_TBF = struct.Struct(f"={_RATE.size}s{_RATE.size}sIII")  # struct tc_tbf_qopt: rate, peakrate, limit, buffer, mtu
_SELECTOR = struct.Struct("=BBBxHHhhI")  # struct tc_u32_sel
_KEY = struct.Struct("=IIii")  # struct tc_u32_key
_MIRRED = struct.Struct("=IIiiiiI")  # struct tc_mirred
_QUEUE = struct.Struct("=IIIII")  # struct gnet_stats_queue: qlen, backlog, drops, requeues, overlimits
_U32 = 2**32 - 1
_TICK_SHIFT = 6  # PSCHED_SHIFT: the kernel tells a burst as the time it takes, in 64 ns


def _tcmsg(index: int, handle: int, parent: int, info: int = 0) -> bytes:
    return _TCMSG.pack(sockets.AF_UNSPEC, index, handle, parent, info)


def depth(limit: Bandwidth, mtu: int) -> int:
    """The bucket that the kernel is given for *limit*, in bytes: its burst, unless that is too small to work.

    A packet that is larger than the bucket is dropped (tbf_enqueue; only one that the kernel can segment is), and a
    bucket that is full before the queue is looked at again loses rate: at 1 Gbit/s 64 KiB cost up to a fifth.
    """
    return min(max(limit.burst, mtu + _HEADERS, int(limit.rate * _WAKING_S)), _U32)


def replace_tbf(index: int, limit: Bandwidth, mtu: int) -> Message:
    """tc qdisc replace dev INDEX root handle 1: tbf rate RATE burst BURST latency 25ms.

    With the handle of the qdisc that is there the kernel changes that one in place, under its lock, and a refused
    change leaves it as it was (tc_modify_qdisc, tbf_change).
    """
    spec = _RATE.pack(0, LINKLAYER_ETHERNET, 0, 0, 0, min(limit.rate, _U32))
    bucket = depth(limit, mtu)
    options = attribute(TCA_TBF_PARMS, _TBF.pack(spec, bytes(_RATE.size), _waiting(limit, mtu), 0, 0))
    options += number(TCA_TBF_BURST, bucket)  # since 3.14; exact, where `buffer` is rounded to ticks
    if limit.rate > _U32:
        options += attribute(TCA_TBF_RATE64, struct.pack("=Q", limit.rate))
    body = _tcmsg(index, TBF_HANDLE, TC_H_ROOT) + text(TCA_KIND, "tbf") + attribute(TCA_OPTIONS, options)
    return RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, body


def _waiting(limit: Bandwidth, mtu: int) -> int:
    return min(int(limit.rate * LATENCY_S) + depth(limit, mtu), _U32)


def renew_queue(index: int, limit: Bandwidth, mtu: int) -> tuple[Message, Message]:
    """tc qdisc replace dev INDEX parent 1:1 handle 2: bfifo limit N, and the same with 3: a new queue in the bucket.

    What waited in the old one is dropped. One of a handle that is there is changed and goes on, one of another replaces
    it at once (tc_modify_qdisc); so whatever is there, the second message makes it new.
    """
    options = attribute(TCA_OPTIONS, struct.pack("=I", _waiting(limit, mtu)))
    first, second = (
        _tcmsg(index, handle, TBF_HANDLE | 1) + text(TCA_KIND, "bfifo") + options for handle in QUEUE_HANDLES
    )
    flags = NLM_F_CREATE | NLM_F_REPLACE
    return (RTM_NEWQDISC, flags, first), (RTM_NEWQDISC, flags, second)


def replace_ingress(index: int) -> Message:
    """tc qdisc add dev INDEX ingress; one that is there stays."""
    body = _tcmsg(index, INGRESS_HANDLE, TC_H_INGRESS) + text(TCA_KIND, "ingress")
    return RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, body


def redirect_all(index: int, target: int) -> Message:
    """tc filter replace dev INDEX ingress protocol all u32 match u32 0 0 action mirred egress redirect dev TARGET."""
    parms = _MIRRED.pack(0, 0, TC_ACT_STOLEN, 0, 0, TCA_EGRESS_REDIR, target)
    action = text(TCA_ACT_KIND, "mirred")
    action += attribute(TCA_ACT_OPTIONS | NESTED, attribute(TCA_MIRRED_PARMS, parms))
    selector = _SELECTOR.pack(TC_U32_TERMINAL, 0, 1, 0, 0, 0, 0, 0) + _KEY.pack(0, 0, 0, 0)
    options = attribute(TCA_U32_SEL, selector) + attribute(TCA_U32_ACT | NESTED, attribute(1 | NESTED, action))
    info = _FILTER_PRIORITY << 16 | sockets.htons(ETH_P_ALL)
    head = _tcmsg(index, _FILTER_HANDLE, INGRESS_HANDLE, info)
    body = head + text(TCA_KIND, "u32") + attribute(TCA_OPTIONS | NESTED, options)
    return RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_REPLACE, body


def delete_root(index: int) -> Message:
    """tc qdisc delete dev INDEX root."""
    return RTM_DELQDISC, 0, _tcmsg(index, 0, TC_H_ROOT)


def delete_ingress(index: int) -> Message:
    """tc qdisc delete dev INDEX ingress; its filters go with it."""
    return RTM_DELQDISC, 0, _tcmsg(index, INGRESS_HANDLE, TC_H_INGRESS)


def get_root(index: int) -> Message:
    """tc qdisc show dev INDEX root. The answer comes to the asker only with NLM_F_ECHO (qdisc_notify)."""
    return RTM_GETQDISC, NLM_F_ECHO, _tcmsg(index, 0, TC_H_ROOT)


def parse_tbf(reply: bytes, known: Bandwidth | None, mtu: int = 0) -> Bandwidth | None:
    """The bucket in the body of an RTM_NEWQDISC, None for another discipline.

    The kernel tells the burst as a time in 32 bits, so that a large one cannot be told from a small one: *known* is the
    answer where it comes to the same time at the same rate.
    """
    found = attributes(reply[_TCMSG.size :])
    if found.get(TCA_KIND, b"").rstrip(b"\0") != b"tbf":
        return None
    options = attributes(found[TCA_OPTIONS])
    spec, _, _, ticks, _ = _TBF.unpack_from(options[TCA_TBF_PARMS])
    rate = _RATE.unpack(spec)[5]
    if TCA_TBF_RATE64 in options:
        rate = struct.unpack("=Q", options[TCA_TBF_RATE64])[0]
    if known is not None and known.rate == rate and _same_time(depth(known, mtu), rate, ticks):
        return known
    return Bandwidth(rate, max(1, min(_U32, round((ticks << _TICK_SHIFT) * rate / 1e9))))


def _same_time(size: int, rate: int, ticks: int) -> bool:
    expected = size * 1_000_000_000 // rate >> _TICK_SHIFT
    # The kernel multiplies by a rounded inverse of the rate.
    slack = 2 + (expected >> 28)
    return (expected - ticks + slack) & _U32 <= 2 * slack


def parse_queue(reply: bytes) -> tuple[int, int] | None:
    """Of the bucket in the body of an RTM_NEWQDISC: packets that it dropped so far, and how often one had to wait for
    it. None for another discipline."""
    found = attributes(reply[_TCMSG.size :])
    queue = attributes(found.get(TCA_STATS2, b"")).get(TCA_STATS_QUEUE, b"")
    if found.get(TCA_KIND, b"").rstrip(b"\0") != b"tbf" or len(queue) < _QUEUE.size:
        return None
    _, _, drops, _, overlimits = _QUEUE.unpack_from(queue)
    return drops, overlimits
