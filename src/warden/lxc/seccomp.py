"""System call filters of LXC's configuration (lxc.seccomp.profile), versions 1 and 2: text → Profile → program.

`parse` is pure and knows nothing of numbers; `compile_profile` asks libseccomp for them and for the BPF program. Unlike
LXC, calls of a foreign architecture kill the process instead of passing, and a profile with an error is not loaded.
"""

from __future__ import annotations

import ctypes
import os

from warden.errors import ConfigError, NotSupported
from warden.light import TYPE_CHECKING, late, pattern
from warden.lxc.configfile import read
from warden.lxc.shared import stand_in
from warden.records import dataclass, replace

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator
else:
    re = late("re")

ALLOW, KILL, TRAP, ERRNO = 0x7FFF0000, 0x00000000, 0x00030000, 0x00050000
_ACTIONS = {"allow": ALLOW, "kill": KILL, "trap": TRAP}
#: SCMP_CMP_… of seccomp.h.
_COMPARISONS = {"NE": 1, "LT": 2, "LE": 3, "EQ": 4, "GE": 5, "GT": 6, "MASKED_EQ": 7}
#: Section → libseccomp's own name of the architecture.
_ARCHITECTURES = {
    "x86": "x86", "i686": "x86", "x86_64": "x86_64", "amd64": "x86_64", "x32": "x32", "arm": "arm",
    "arm64": "aarch64", "aarch64": "aarch64", "mips": "mips", "mips64": "mips64", "mips64n32": "mips64n32",
    "mipsel": "mipsel", "mipsel64": "mipsel64", "mipsel64n32": "mipsel64n32", "ppc": "ppc", "ppc64": "ppc64",
    "ppc64le": "ppc64le", "s390x": "s390x", "riscv64": "riscv64",
}  # fmt: skip
#: What programs of an older word size can call on a machine.
_ALSO = {"x86_64": ("x86", "x32"), "aarch64": ("arm",), "ppc64": ("ppc",)}
_ARGUMENT = pattern(r"\[\s*(\d)\s*,\s*(\w+)\s*,\s*(?:SCMP_CMP_)?(\w+)\s*(?:,\s*(\w+)\s*)?\]")
EACCES, MNT_FORCE, EDOM = 13, 1, 33


@dataclass(frozen=True, slots=True)
class Argument:
    """Argument number *index* compared: *comparison* of _COMPARISONS; *mask* counts for MASKED_EQ alone."""

    index: int
    comparison: int
    value: int
    mask: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """*call*: a name, or a number in version 1; *architecture* "": all."""

    call: str
    action: int
    architecture: str = ""
    arguments: tuple[Argument, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """*default*: of calls that no rule names."""

    default: int
    rules: tuple[Rule, ...]


def parse(text: str, path: str) -> Profile:
    """Raises ConfigError with the line, NotSupported for what needs a process that decides."""
    lines = [(number, _bare(line)) for number, line in enumerate(text.split("\n"), 1)]
    lines = [(number, line) for number, line in lines if line]
    if len(lines) < 2 or lines[0][1] not in ("1", "2"):
        raise ConfigError("begins with neither 1 nor 2", path=path, line=lines[0][0] if lines else 1)
    number, policy = lines[1]
    words = policy.split()
    if words[0] not in ("allowlist", "denylist", "whitelist", "blacklist"):
        raise ConfigError(f"{policy!r} is no policy", path=path, line=number, hint="allowlist or denylist")
    allows = words[0] in ("allowlist", "whitelist")
    given = _Line(path, number).action(words[1:]) if len(words) > 1 else KILL
    usual, default = (ALLOW, given) if allows else (given, ALLOW)
    if lines[0][1] == "1":
        if not allows:
            raise ConfigError("version 1 knows allowlist alone", path=path, line=number)
        return Profile(default, tuple(_Line(path, n).numbered(line) for n, line in lines[2:]))
    return Profile(default, tuple(_rules(lines[2:], path, usual)))


def _bare(line: str) -> str:
    return line.partition("#")[0].strip()


def _rules(lines: list[tuple[int, str]], path: str, usual: int) -> Iterator[Rule]:
    architecture = ""
    for number, line in lines:
        at = _Line(path, number)
        if line == "reject_force_umount":
            forced = Argument(1, _COMPARISONS["MASKED_EQ"], MNT_FORCE, MNT_FORCE)
            yield Rule("umount2", ERRNO | EACCES, "", (forced,))
        elif line.startswith("["):
            architecture = at.architecture(line)
        else:
            yield replace(at.rule(line, usual), architecture=architecture)


@dataclass(frozen=True, slots=True)
class _Line:
    path: str
    number: int

    def error(self, message: str, hint: str = "") -> ConfigError:
        return ConfigError(message, path=self.path, line=self.number, hint=hint)

    def numbered(self, line: str) -> Rule:
        if not line.isdecimal():
            raise self.error(f"{line!r} is not the number of a system call")
        return Rule(line, ALLOW)

    def architecture(self, line: str) -> str:
        name = line.strip("[]").strip()
        if name in ("all", "ALL"):
            return ""
        if name not in _ARCHITECTURES:
            raise self.error(f"{line!r} is not an architecture", "[all], or one of " + ", ".join(_ARCHITECTURES))
        return _ARCHITECTURES[name]

    def rule(self, line: str, usual: int) -> Rule:
        words, _, rest = line.partition("[")
        call, *action = words.split()
        return Rule(call, self.action(action) if action else usual, "", self.arguments("[" + rest if rest else ""))

    def action(self, words: list[str]) -> int:
        if words[0] == "notify":
            raise NotSupported(f"{self.path}:{self.number}: notify: there is no process that would decide")
        if words[0] == "errno":
            if len(words) != 2 or not words[1].isdecimal() or int(words[1]) > 4095:
                raise self.error("errno needs a number", "such as errno 1")
            return ERRNO | int(words[1])
        if words[0] not in _ACTIONS or len(words) > 1:
            raise self.error(f"{' '.join(words)!r} is not an action", "kill, trap, allow or errno N")
        return _ACTIONS[words[0]]

    def arguments(self, text: str) -> tuple[Argument, ...]:
        found = list(_ARGUMENT.finditer(text))
        if _ARGUMENT.sub("", text).strip(" ,"):
            raise self.error(
                f"{text!r} compares no argument", "[INDEX,VALUE,SCMP_CMP_EQ], [INDEX,VALUE,MASKED_EQ,MASK]"
            )
        return tuple(self._argument(match) for match in found)

    def _argument(self, match: re.Match[str]) -> Argument:
        index, value, comparison, mask = match.groups()
        if comparison not in _COMPARISONS or int(index) > 5:
            raise self.error(f"{match[0]!r} compares no argument", "one of " + ", ".join(_COMPARISONS))
        try:
            numbers = int(value, 0), int(mask or "0", 0)
        except ValueError as error:
            raise self.error(f"{match[0]!r}: {error}") from error
        return Argument(int(index), _COMPARISONS[comparison], *numbers)


# ---- libseccomp


class _Comparison(ctypes.Structure):
    """struct scmp_arg_cmp; for a masked one the first number is the mask."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def load(path: str, machine: str | None = None) -> tuple[bytes, tuple[str, ...]]:
    """The program of the profile in a file, and what it names and nobody knows. Raises ConfigError, NotSupported."""
    path = stand_in(path) or path
    return compile_profile(parse(read(path).text, path), machine or os.uname().machine)


def compile_profile(profile: Profile, machine: str) -> tuple[bytes, tuple[str, ...]]:
    """An array of struct sock_filter; calls that libseccomp does not know are left out and told."""
    library = _library()
    unknown: dict[str, None] = {}
    contexts = []
    try:
        for architecture in (machine, *_ALSO.get(machine, ())):
            contexts.append(_context(library, profile.default, architecture))
            rules = (rule for rule in profile.rules if rule.architecture in ("", architecture))
            for rule in rules:
                if not _add(library, contexts[-1], profile.default, rule):
                    unknown[rule.call] = None
        for other in contexts[1:]:
            _checked(library.seccomp_merge(contexts[0], other), "merge")
            contexts.remove(other)
        return _exported(library, contexts[0]), tuple(
            f"{call}: there is no such system call: left out" for call in unknown
        )
    finally:
        for context in contexts:
            library.seccomp_release(context)


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        hint = "on Debian and Ubuntu: apt install libseccomp2"
        raise NotSupported("lxc.seccomp.profile: libseccomp is not installed", hint=hint) from error
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = (ctypes.c_uint32,)
    library.seccomp_release.argtypes = (ctypes.c_void_p,)
    library.seccomp_arch_resolve_name.argtypes = (ctypes.c_char_p,)
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    library.seccomp_arch_add.argtypes = library.seccomp_arch_remove.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    library.seccomp_syscall_resolve_name.argtypes = (ctypes.c_char_p,)
    library.seccomp_merge.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    library.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
    library.seccomp_rule_add_array.argtypes = (
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(_Comparison),
    )  # fmt: skip
    return library


def _context(library: ctypes.CDLL, default: int, architecture: str) -> int:
    """A filter of one architecture."""
    context = library.seccomp_init(default)
    if not context:
        raise NotSupported("lxc.seccomp.profile: libseccomp refused its default")
    number = library.seccomp_arch_resolve_name(architecture.encode())
    if library.seccomp_arch_add(context, number) == 0:  # EEXIST: it is the machine's own
        _checked(library.seccomp_arch_remove(context, 0), "arch_remove")  # 0 is SCMP_ARCH_NATIVE
    return int(context)


def _add(library: ctypes.CDLL, context: int, default: int, rule: Rule) -> bool:
    """False for a call that does not exist anywhere. A rule that says the default is refused by libseccomp."""
    if rule.action == default:
        return True
    # of the machine's own architecture, or one below zero for a call that only others have; libseccomp translates both
    number = int(rule.call) if rule.call.isdecimal() else int(library.seccomp_syscall_resolve_name(rule.call.encode()))
    if number == -1:
        return False
    comparisons = (_Comparison * len(rule.arguments))(*(_compared(item) for item in rule.arguments))
    done = library.seccomp_rule_add_array(context, rule.action, number, len(rule.arguments), comparisons)
    if done != -EDOM:  # this architecture has no such call
        _checked(done, f"rule {rule.call}")
    return True


def _compared(item: Argument) -> _Comparison:
    masked = item.comparison == _COMPARISONS["MASKED_EQ"]
    return _Comparison(item.index, item.comparison, *((item.mask, item.value) if masked else (item.value, 0)))


def _exported(library: ctypes.CDLL, context: int) -> bytes:
    fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    try:
        _checked(library.seccomp_export_bpf(context, fd), "export")
        return os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)


def _checked(result: int, what: str) -> None:
    if result < 0:
        raise NotSupported(f"lxc.seccomp.profile: libseccomp: {what}: {os.strerror(-result)}")
