"""Manual pages and completion of LXC's tools, made from their own parsers and from the table of keys.

`python -m warden.lxc.manual DIR` writes DIR/man1/lxc-*.1, DIR/man5/lxc.container.conf.5 and DIR/lxc.bash.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from warden import __version__
from warden.light import TYPE_CHECKING
from warden.lxc.examples import CODES, EXAMPLES
from warden.lxc.keys import KEYS, Kind
from warden.lxc.networks import SUB_KEYS
from warden.lxc.options import COMMON, Option, Tool
from warden.lxc.states import STATES
from warden.model.text import roff

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG_PAGE = "lxc.container.conf"
_HELP = Option("h", "help", "", "Give this help list")
#: Tools with a few words only, which no table parses.
_PLAIN = {
    "lxc-checkconfig": Tool(
        "lxc-checkconfig", "", "lxc-checkconfig says whether the kernel has what containers need", (_HELP,)
    ),
    "lxc-config": Tool(
        "lxc-config",
        "{-l | ITEM}",
        "lxc-config prints what lxc.conf says",
        (Option("l", "", "", "list all items"), _HELP),
    ),
    "lxc-update-config": Tool(
        "lxc-update-config",
        "[-c FILE]",
        "lxc-update-config renames old keys in a configuration; it is kept as FILE.backup",
        (Option("c", "config", "FILE", "the configuration, config without"), _HELP),
    ),
    "lxc-version": Tool("lxc-version", "", "lxc-version prints the release of LXC that the tools follow", (_HELP,)),
}
_KINDS = {
    Kind.ONE: "",
    Kind.MANY: "May be repeated; empty: forgets those before.",
    Kind.BELOW: "May be repeated; empty: forgets that name's.",
    Kind.DROPPED: "Given up by LXC: accepted and ignored.",
}


def tools() -> dict[str, Tool]:
    """Every tool by its name."""
    folder = os.path.join(os.path.dirname(__file__), "tools")
    names = sorted(name.removesuffix(".py") for name in os.listdir(folder) if name.endswith(".py"))
    found = {f"lxc-{name.replace('_', '-')}": name for name in names if name not in ("__init__", "speaking")}
    return {
        tool: _PLAIN[tool] if tool in _PLAIN else import_module(f"warden.lxc.tools.{module}").TOOL
        for tool, module in found.items()
    }


# ---- manual pages


def man_page(tool: Tool) -> str:
    """Of section 1, in the macros of groff_man(7)."""
    plain = tool.tool in _PLAIN
    common = {option.long for option in COMMON}
    own = tool.options if plain else tuple(option for option in tool.all if option.long not in common)
    summary = tool.summary.replace("\n", " ").removeprefix(tool.tool).strip()
    codes = dict([("0", "done"), ("1", "not done, and the reason on standard error"), *CODES.get(tool.tool, ())])
    parts = [
        _title(tool.tool, 1),
        f".SH NAME\n{roff(tool.tool)} \\- {roff(summary)}",
        ".SH SYNOPSIS\n.nf\n" + "\n".join(roff(line) for line in _synopsis(tool)) + "\n.fi",
        f".SH DESCRIPTION\n{roff(tool.summary)}" + (f"\n.PP\n{roff(tool.end)}" if tool.end else ""),
        ".SH OPTIONS\n" + "\n".join(map(_option, own)),
        *([] if plain else [".SH COMMON OPTIONS\n" + "\n".join(map(_option, COMMON))]),
        ".SH EXIT STATUS\n" + "\n".join(f".TP\n.B {roff(code)}\n{roff(text)}" for code, text in codes.items()),
        f".SH EXAMPLES\n.nf\n{roff(EXAMPLES[tool.tool])}\n.fi",
        f".SH SEE ALSO\n.BR {CONFIG_PAGE} (5)",
    ]
    return "\n".join(parts) + "\n"


def _synopsis(tool: Tool) -> Iterator[str]:
    for line in tool.synopsis.split("\n"):
        yield f"{tool.tool} {line.strip().removeprefix(tool.tool).strip()}"


def _title(name: str, section: int) -> str:
    return f'.TH "{name.upper()}" {section} "" "warden {__version__}" "LXC\'s tools of warden"'


def _option(option: Option) -> str:
    long = f"--{option.long}" if option.long else ""
    value = f"[={option.value}]" if option.optional else f" {option.value}" if option.value else ""
    names = ", ".join(part for part in (f"-{option.short}" if option.short else "", long) if part)
    more = " May be repeated." if option.many else ""
    return f".TP\n.B {roff(names + value)}\n{roff(option.note.replace(chr(10), ' ') + more)}"


def config_page() -> str:
    """Of section 5: every key."""
    parts = [
        _title(CONFIG_PAGE, 5),
        f".SH NAME\n{CONFIG_PAGE} \\- configuration of one of LXC's containers",
        ".SH DESCRIPTION\n"
        + roff(
            "One KEY = VALUE a line. Blanks around both are not theirs, a line that begins with # is a comment, one pair "
            "of double quotes around the value is not part of it. The last value counts, an empty one clears. "
            "lxc.include reads another file, or the .conf files of a directory, in its place."
        ),
        ".SH KEYS",
        *_keys(),
        ".SH INTERFACES\n" + roff("N numbers them: lxc.net.0.type, lxc.net.1.type."),
        *_sub_keys(),
        ".SH EXAMPLES\n.nf\n" + roff(_SAMPLE) + "\n.fi",
        ".SH SEE ALSO\n.BR lxc-start (1), lxc-create (1), lxc-update-config (1)",
    ]
    return "\n".join(parts) + "\n"


_SAMPLE = """lxc.uts.name = web
lxc.rootfs.path = dir:/var/lib/lxc/web/rootfs
lxc.net.0.type = veth
lxc.net.0.link = lxcbr0
lxc.net.0.flags = up
lxc.mount.auto = proc:mixed sys:ro
lxc.cgroup2.memory.max = 512M"""


def _keys() -> Iterator[str]:
    for key in KEYS:
        name = f"{key.name}.NAME" if key.kind is Kind.BELOW else key.name
        text = [key.note[:1].upper() + key.note[1:] + "."]
        if key.becomes.startswith("nothing"):
            text.append(f"Comes to {key.becomes}.")
        text += filter(None, [_KINDS[key.kind]])
        if key.legacy:
            text.append(f"Before 2.1: {', '.join(key.legacy)}.")
        yield f".TP\n.B {roff(name)}\n{roff(' '.join(text))}"


def _sub_keys() -> Iterator[str]:
    for sub in SUB_KEYS:
        text = [sub.note[:1].upper() + sub.note[1:] + ".", *(["May be repeated."] if sub.many else [])]
        if sub.legacy:
            text.append(f"Before 2.1: lxc.network.{sub.legacy}.")
        yield f".TP\n.B {roff(f'lxc.net.N.{sub.name}')}\n{roff(' '.join(text))}"


# ---- completion

#: Option by its long name → the shell's words for its value: a list, or a command that makes one.
_VALUES = {
    "state": " ".join(STATES),
    "template": "busybox debian local none",
    "backingstorage": "dir overlay loop btrfs",
    "bdev": "dir overlay loop btrfs best",
    "logpriority": "TRACE DEBUG INFO NOTICE WARN ERROR CRIT ALERT FATAL",
    "namespaces": "MOUNT PID UTSNAME IPC USER NETWORK CGROUP",
    "elevated-privileges": "CGROUP CAP LSM",
    "fancy-format": "NAME STATE PID RAM SWAP AUTOSTART GROUPS INTERFACE IPV4 IPV6 UNPRIVILEGED",
    "sort": "n c b m s k",
    "storage-type": "tmpfs dir",
}
_NAMES = ("name", "orig")
_OPERANDS = {"lxc-config": "$(lxc-config -l)", "lxc-device": "add del"}
#: compgen -W expands its words, so that a name would be run: names are never given to it.
_OFFER_NAMES = """_warden_lxc_names() {
  local i name value where=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    value="${COMP_WORDS[i+1]}"
    case "${COMP_WORDS[i]}" in
      --lxcpath=* | -P?*) value="${COMP_WORDS[i]#-P}" value="${value#--lxcpath=}" ;;
      -P | --lxcpath) [[ "$value" != = ]] || value="${COMP_WORDS[i+2]}" ;;
      *) continue ;;
    esac
    where=(-P "${value/#\\~\\//$HOME/}")
  done
  while IFS= read -r name; do
    [[ "$name" != "$1"* ]] || COMPREPLY+=("$(printf %q "$name")")
  done < <(lxc-ls -1 "${where[@]}" 2>/dev/null)
}
"""


def bash_completion() -> str:
    """A bash script (zsh reads it through bashcompinit): options, their values, names of containers."""
    table = tools()
    flags = "\n".join(f'    {name}) flags="{" ".join(_flags(name, tool))}" ;;' for name, tool in table.items())
    values = "\n".join(_value_cases(table))
    operands = "\n".join(f"    {name}) {_operands(name, tool)} ;;" for name, tool in table.items())
    return f"""# bash completion of LXC's tools; zsh: autoload bashcompinit && bashcompinit, then the same
{_OFFER_NAMES}_warden_lxc() {{
  local i word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" tool="${{COMP_WORDS[0]##*/}}"
  local flags="" words="" names=""
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    [[ "${{COMP_WORDS[i]}}" != -- ]] || {{ COMPREPLY=($(compgen -f -- "$word")); return; }}
  done
  [[ "$word" != = ]] || {{ word="" before="="; }}
  [[ "$before" != = ]] || before="${{COMP_WORDS[COMP_CWORD-1]}}"
  [[ "$before" != = ]] || before="${{COMP_WORDS[COMP_CWORD-2]}}"
  case "$tool $before" in
{values}
  esac
  case "$tool" in
{flags}
  esac
  if [[ "$word" == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$word"))
    return
  fi
  case "$tool" in
{operands}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word") $(compgen -f -- "$word"))
  [[ -z "$names" ]] || _warden_lxc_names "$word"
}}
complete -F _warden_lxc {" ".join(table)}
"""


def _flags(name: str, tool: Tool) -> list[str]:
    options = tool.options if name in _PLAIN else tool.all
    return [f"--{option.long}" if option.long else f"-{option.short}" for option in options]


def _value_cases(table: dict[str, Tool]) -> Iterator[str]:
    keys = " ".join(key.name for key in KEYS if key.kind is not Kind.DROPPED)
    for name, tool in table.items():
        for option in tool.all if name not in _PLAIN else ():
            words = keys if (name, option.long) == ("lxc-info", "config") else _VALUES.get(option.long, "")
            if option.long in _NAMES and not option.optional:
                yield f"""    {_forms(name, option)}) _warden_lxc_names "$word"; return ;;"""
            elif words and option.value and not option.optional:
                yield f"""    {_forms(name, option)}) COMPREPLY=($(compgen -W "{words}" -- "$word")); return ;;"""


def _forms(name: str, option: Option) -> str:
    return " | ".join(f'"{name} {form}"' for form in (f"--{option.long}", f"-{option.short}") if len(form) > 1)


def _operands(name: str, tool: Tool) -> str:
    names = "names=yes" if tool.named and name not in (*_PLAIN, "lxc-create") else "names="
    return f'words="{_OPERANDS.get(name, "")}" {names}'


def main(argv: list[str]) -> int:
    """Writes all of it below a directory."""
    target = argv[0]
    pages = {f"man1/{name}.1": man_page(tool) for name, tool in tools().items()}
    pages |= {f"man5/{CONFIG_PAGE}.5": config_page(), "lxc.bash": bash_completion()}
    for name, text in pages.items():
        path = os.path.join(target, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
