"""Changing the limits of one container's groups, all of them or none, and reading what is in force.

Owns the order of writes and their undoing. What is written is controls.py's, where a group lies is groups.py's.
"""

from __future__ import annotations

import errno
import os

from warden.cgroup import devices, files, tables
from warden.cgroup.controls import CONTROLS, READERS, Control, Now, Translate, differs, refused
from warden.errors import BadInput, KernelRefused, NotSupported, WardenError
from warden.light import TYPE_CHECKING, NamedTuple, contextmanager
from warden.model import resources
from warden.model.limits import Limits, parse_list
from warden.records import replace
from warden.undo import Undo

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Protocol
else:
    Protocol = object


class Place(NamedTuple):
    """A directory of the container in the hierarchy that has a controller. *made*: it is there, with the controller's
    files; until then those of *root* hold, the hierarchy's."""

    path: str
    is_v2: bool
    root: str
    made: bool


class Skipped(NamedTuple):
    """A resource that could not be limited: the *fields* of Limits that are not in force, and why."""

    fields: tuple[str, ...]
    reason: str


class Groups(Protocol):
    """A container's groups, as this module needs them."""

    def place(self, controller: str) -> Place | None:
        """None where the machine lacks *controller* (v1's name); the directory may not have been made yet."""
        ...

    def use(self, controller: str) -> None:
        """Makes the directory, and moves in what runs."""
        ...

    def sizes(self) -> Collection[str]:
        """Page sizes that hugetlb knows here."""
        ...


def change(
    groups: Groups, before: Limits | None, after: Limits, *, also: Collection[str] = (), best_effort: bool = False
) -> list[Skipped]:
    """Put *after* in force; what differs from *before* is written, and the resources *also*. *before* None: what the
    kernel has is not known, and all is written.

    Raises BadInput, NotSupported, KernelRefused; then everything is as it was, unless that is not known. With *best_effort*
    what this machine cannot do is left out and answered, and where *before* is None everything that fails.
    """
    skipped: list[Skipped] = []
    with Undo() as undo:
        for control in CONTROLS:
            if before is None or control.name in also or differs(control, before, after):
                skipped += _try(groups, control, before, after, undo, also=also, best_effort=best_effort)
        undo.release()
    return skipped


def _try(
    groups: Groups,
    control: Control,
    before: Limits | None,
    after: Limits,
    undo: Undo,
    *,
    also: Collection[str],
    best_effort: bool,
) -> list[Skipped]:
    step = Undo()
    overlooked = WardenError if before is None else NotSupported
    try:
        _apply(groups, control, before, after, control.name in also, step)
    except WardenError as error:
        if before is not None:  # else there is nothing known that could be put back
            step.run()
        if not best_effort or not isinstance(error, overlooked):
            raise
        text = str(error)
        return [Skipped(control.fields, text if control.name in text else f"{control.name}: {text}")]
    if before is not None:
        undo.add(control.name, step.run)
    return []


def _apply(
    groups: Groups, control: Control, before: Limits | None, after: Limits, anew: bool, undo: Undo
) -> None:
    """*anew*: what the kernel has may differ from *before*."""
    place = groups.place(control.controller)
    asked = differs(control, None, after)
    if control.name == "devices.allow" and (place is None or place.is_v2):
        _apply_device_program(groups, before, after, undo)
        return
    if place is None:
        if asked:
            raise _lacking(control)
        return
    translate = control.v2 if place.is_v2 else control.v1
    if translate is None:
        if asked:
            raise refused(control, is_v2=place.is_v2)
        return
    if asked and not place.made:
        _refuse_without_file(control, place)
        groups.use(control.controller)
    if asked and control.name == "cpu.rt_runtime_us":
        _lend_realtime(os.path.dirname(place.path), undo)
    if asked or place.made:
        known = _as_found(groups, place, control, before) if before is None or anew else before
        _check(control, place, after)
        _write_all(control, place, translate, known, after, undo)


def _lend_realtime(parent: str, undo: Undo) -> None:
    """Lets the groups below *parent*, which is ours, have what the one above it has; a new group has none."""
    file = "cpu.rt_runtime_us"
    above = files.read_optional(f"{os.path.dirname(parent)}/{file}")
    if above is not None and int(files.read(f"{parent}/{file}")) == 0 and int(above) > 0:
        files.write(f"{parent}/{file}", above.strip())
        undo.add("real-time runtime of the parent", files.write, f"{parent}/{file}", "0")


def _refuse_without_file(control: Control, place: Place) -> None:
    """Before a group is made for it: joining blkio's ends what is known of single jobs (jobio.py)."""
    above = os.path.dirname(place.path)
    names = control.reads_v2 if place.is_v2 else control.reads
    if control.controller != "blkio" or place.is_v2 or not os.path.isdir(above):
        return
    if not any(os.path.exists(f"{above}/{name}") for name in names):
        raise NotSupported(f"{control.name}: this kernel cannot limit it", hint=f"it has no {names[0]}")


def _as_found(groups: Groups, place: Place, control: Control, before: Limits | None) -> Limits:
    """What must be known of lists to overwrite them: what has a limit now, whoever set it."""
    found = before or Limits()
    if control.name == "hugetlb.max":
        return replace(found, hugetlb=tuple(_huge_limits(groups, place)))
    reader = READERS.get(control.name)
    if control.name not in _LISTS or reader is None:
        return found
    found = replace(found, **{field: getattr(Limits(), field) for field in control.fields})
    for part in ((reader[2] if place.is_v2 else reader[1])(now_in(place.path)) or "").split(", "):
        if " " in part:
            found = resources.apply(found, [(control.name, part)])
    return found


def _huge_limits(groups: Groups, place: Place) -> Iterator[tuple[str, int]]:
    for size, text in _huge_texts(groups, now_in(place.path), is_v2=place.is_v2):
        if _is_limit(text):
            yield size, int(text)


def _huge_texts(groups: Groups, now: Now, *, is_v2: bool) -> Iterator[tuple[str, str]]:
    file = "hugetlb.{}.max" if is_v2 else "hugetlb.{}.limit_in_bytes"
    for size in groups.sizes():
        yield size, (now(file.format(size)) or "max").strip()


def _write_all(
    control: Control, place: Place, translate: Translate, before: Limits, after: Limits, undo: Undo
) -> None:
    """The undo is the same translation the other way round, with the files as they are by then."""
    undo.add(control.name, _put_back, place, translate, after, before, _kept(place, control))
    for file, value in translate(before, after, now_in(place.path)):
        _write(control, place, file, value, after)


def _kept(place: Place, control: Control) -> dict[str, str]:
    """What scalar files say now: more exact than what was asked once."""
    names = control.reads_v2 if place.is_v2 else control.reads
    texts = ((name, files.read_optional(f"{place.path}/{name}")) for name in names)
    return {name: text.strip() for name, text in texts if text is not None and _is_scalar(name, text)}


#: Files with a line for each of several things.
_LISTS = ("io.max", "rdma.max", "misc.max", "net_prio.ifpriomap")


def _is_scalar(name: str, text: str) -> bool:
    return len(text.splitlines()) == 1 and name not in (*_LISTS, "devices.list", "io.weight")


def _put_back(place: Place, translate: Translate, after: Limits, before: Limits, kept: dict[str, str]) -> None:
    for file, value in translate(after, before, now_in(place.path)):
        with _gone_devices_are_fine():
            if os.path.exists(f"{place.path}/{file}"):
                files.write(f"{place.path}/{file}", value)
    for file, value in kept.items():
        if (files.read_optional(f"{place.path}/{file}") or "").strip() != value:
            files.write(f"{place.path}/{file}", value)


@contextmanager
def _gone_devices_are_fine() -> Iterator[None]:
    """One that the kernel did not know has no limit that could be put back."""
    try:
        yield
    except KernelRefused as error:
        if error.errno != errno.ENODEV:
            raise


def now_in(path: str) -> Now:
    """Reads files of the group *path*."""
    return lambda name: files.read_optional(f"{path}/{name}")


def _write(control: Control, place: Place, file: str, value: str, after: Limits) -> None:
    path = f"{place.path}/{file}"
    try:
        files.write(path, value)
    except KernelRefused as error:
        if error.errno == errno.ENOENT and not differs(control, None, after):
            return  # nothing was asked, and the kernel has no such file
        if error.errno == errno.ENOENT:
            raise NotSupported(f"{control.name}: this kernel cannot limit it", hint=f"it has no {file}") from error
        raise KernelRefused("write", path, error.errno, hint=_hint(control, place, error)) from error


def _hint(control: Control, place: Place, error: KernelRefused) -> str:
    if error.errno == errno.EBUSY and control.name == "memory.max":
        return f"the container uses more than that now: {_use(place)} bytes"
    if error.errno == errno.ENODEV:
        return "there is no such device"
    if error.errno == errno.EINVAL and control.name == "cpu.rt_runtime_us":
        return f"the group above may use {(now_in(place.path)('../cpu.rt_runtime_us') or '?').strip()} µs"
    return error.hint


def _use(place: Place) -> str:
    return (now_in(place.path)("memory.current" if place.is_v2 else "memory.usage_in_bytes") or "?").strip()


def _lacking(control: Control) -> NotSupported:
    """One error for all: the machine has no such controller, or nobody mounted it."""
    name = control.controller
    hint = "is it mounted, and in /proc/cgroups or cgroup.controllers?"
    return NotSupported(f"{control.name}: this machine has no {name} controller", hint=hint)


# ---- what can be known to be wrong before anything is written


def _check(control: Control, place: Place, after: Limits) -> None:
    if control.name == "cpuset.cpus":
        _check_cpuset(place, after)
    elif control.name == "memory.max" and place.is_v2:
        _check_memory_v2(place, after)


def _check_cpuset(place: Place, after: Limits) -> None:
    for name, wanted in (("cpuset.cpus", after.cpuset_cpus), ("cpuset.mems", after.cpuset_mems)):
        file = f"{name}.effective" if place.is_v2 else name.replace("cpuset.", "cpuset.effective_")
        allowed = (now_in(place.path)(f"../{file}") or "").strip()
        if wanted and allowed and not parse_list(wanted, field=name) <= parse_list(allowed):
            raise BadInput(f"{name}: {wanted!r} is not to be had", hint=f"the group above has {allowed}")


def _check_memory_v2(place: Place, after: Limits) -> None:
    """v1 refuses a limit below what is in use; v2 would kill instead. What can be reclaimed is reclaimed first
    (memory.reclaim, since 5.19)."""
    wanted = after.memory_bytes
    if wanted is None or (in_use := int(_use(place))) <= wanted:
        return
    try:
        files.write(f"{place.path}/memory.reclaim", str(in_use - wanted))
    except KernelRefused as error:
        if error.errno not in (errno.EAGAIN, errno.ENOENT):  # not all of it could be; before 5.19
            raise
    if (in_use := int(_use(place))) > wanted:
        hint = f"the container uses more than that now: {in_use} bytes"
        raise KernelRefused("write", f"{place.path}/memory.max", errno.EBUSY, hint=hint)


# ---- devices in v2


def _apply_device_program(groups: Groups, before: Limits | None, after: Limits, undo: Undo) -> None:
    """v2 has no files for devices: a program decides (kernel's cgroup-v2.rst, Device controller)."""
    place = groups.place("")
    if place is None:
        if after.devices is not None:
            raise NotSupported("devices.allow: this machine has neither v1's devices controller nor cgroup v2")
        return
    undo.add("device program", devices.set_program, place.path, before.devices if before else None)
    devices.set_program(place.path, after.devices)


# ---- reading


def in_force(groups: Groups, asked: Limits) -> dict[str, str]:
    """Every resource that this machine can limit, and its value as the kernel has it, in v2's terms."""
    found: dict[str, str] = {}
    for name, (controller, of_v1, of_v2) in READERS.items():
        place = groups.place(controller)
        if place is None:
            continue
        text = (of_v2 if place.is_v2 else of_v1)(_now_or_above(place))
        if text is None and not place.made and _possible(name, is_v2=place.is_v2):
            text = "100" if name == "io.weight" else resources.BY_NAME[name].show(Limits())
        if text is not None:
            found[name] = text
    _refine(found, groups, asked)
    return found


def _possible(name: str, *, is_v2: bool) -> bool:
    control = next((control for control in CONTROLS if control.name == name), None)
    return control is None or (control.v2 if is_v2 else control.v1) is not None


def _now_or_above(place: Place) -> Now:
    """Where nothing was ever limited, the machine's own values hold."""
    return now_in(place.path if place.made else place.root)


def _refine(found: dict[str, str], groups: Groups, asked: Limits) -> None:
    """What a file of v1 cannot say exactly, or v2 has no file for."""
    place = groups.place("cpu")
    if place is not None and not place.is_v2 and asked.cpu_weight is not None:
        shares = (now_in(place.path)("cpu.shares") or "").strip()
        if shares == str(tables.weight_to_shares(asked.cpu_weight)):
            found["cpu.weight"] = str(asked.cpu_weight)
    if "devices.allow" not in found and groups.place("") is not None:
        found["devices.allow"] = resources.BY_NAME["devices.allow"].show(asked)
    huge = groups.place("hugetlb")
    if huge is not None:
        texts = _huge_texts(groups, _now_or_above(huge), is_v2=huge.is_v2)
        limited = [(size, text) for size, text in texts if _is_limit(text)]
        found["hugetlb.max"] = ", ".join(f"{size} {text}" for size, text in limited) or "none"


def _is_limit(text: str) -> bool:
    return text != "max" and int(text) < 2**62  # v1: the largest number of pages that a counter takes


def raw(groups: Groups) -> Iterator[tuple[str, str]]:
    """Every file that a limit is written to, by its path, and what it says."""
    for control in CONTROLS:
        place = groups.place(control.controller)
        if place is None or not place.made:
            continue
        names = control.reads_v2 if place.is_v2 else control.reads
        if control.name == "hugetlb.max":
            suffix = "max" if place.is_v2 else "limit_in_bytes"
            names = tuple(f"hugetlb.{size}.{suffix}" for size in groups.sizes())
        for name in names:
            text = files.read_optional(f"{place.path}/{name}")
            if text is not None:
                yield f"{place.path}/{name}", text.strip()


