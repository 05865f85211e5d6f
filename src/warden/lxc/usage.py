"""What a running container has used, from its cgroup's files: v1's, or v2's where there is none. None: not counted."""

from __future__ import annotations

from warden.cgroup import tables
from warden.light import suppress
from warden.lxc.place import Running


def _read(running: Running, controller: str, name: str) -> str | None:
    with suppress(OSError, KeyError), open(f"{running.groups[controller]}/{name}", encoding="ascii") as file:
        return file.read()
    return None


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.strip().isdecimal() else None


def _field(text: str | None, name: str) -> int | None:
    return tables.parse_flat(text or "").get(name)


def cpu_ns(running: Running) -> int | None:
    found = _number(_read(running, "cpuacct", "cpuacct.usage"))
    if found is None and (micro := _field(_read(running, "", "cpu.stat"), "usage_usec")) is not None:
        found = micro * 1000
    return found


def cpu_ticks(running: Running) -> tuple[int, int]:
    """User's and system's, in 1/100 s."""
    text = _read(running, "cpuacct", "cpuacct.stat")
    if text is not None:
        return _field(text, "user") or 0, _field(text, "system") or 0
    stat = _read(running, "", "cpu.stat")
    return (_field(stat, "user_usec") or 0) // 10000, (_field(stat, "system_usec") or 0) // 10000


def memory(running: Running) -> int | None:
    found = _number(_read(running, "memory", "memory.usage_in_bytes"))
    return _number(_read(running, "", "memory.current")) if found is None else found


def memory_and_swap(running: Running) -> int | None:
    found = _number(_read(running, "memory", "memory.memsw.usage_in_bytes"))
    swap = _number(_read(running, "", "memory.swap.current"))
    return (memory(running) or 0) + swap if found is None and swap is not None else found


def kernel_memory(running: Running) -> int | None:
    found = _number(_read(running, "memory", "memory.kmem.usage_in_bytes"))
    return _field(_read(running, "", "memory.stat"), "kernel") if found is None else found


def block_io(running: Running) -> tuple[int, int] | None:
    """Bytes and operations."""
    sizes = _read(running, "blkio", "blkio.throttle.io_service_bytes_recursive")
    if sizes is not None:
        counts = _read(running, "blkio", "blkio.throttle.io_serviced_recursive")
        return _field(sizes, "Total") or 0, _field(counts, "Total") or 0
    stat = _read(running, "", "io.stat")
    if stat is None:
        return None
    from warden.cgroup.stats import parse_io_v2  # few ask, and v1 needs none of it

    found = parse_io_v2(stat)
    moved = sum((item.read_bytes or 0) + (item.written_bytes or 0) for item in found)
    return moved, sum((item.reads or 0) + (item.writes or 0) for item in found)


def human(size: int) -> str:
    """As lxc-info has it: bytes, or two decimals."""
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 1 << power:
            return f"{size / (1 << power):.2f} {unit}"
    return f"{size} bytes"
