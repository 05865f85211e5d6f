"""Every tool with every option that LXC 5.0.2 has for it, or 0.9 had: right, abbreviated, and wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from warden.errors import BadInput
from warden.lxc import manual
from warden.lxc.options import COMMON, Option
from warden.lxc.tools import console

TOOLS = manual.tools()
#: As getopt_long(3) is told them: SHORT:LONG, "=" for one with an argument, "[=]" for one that may have one.
LXC = {
    "lxc-attach": "e:elevated-privileges[=] a:arch= s:namespaces= R:remount-sys-proc :clear-env :keep-env L:pty-log= "
    "v:set-var= :keep-var= f:rcfile= u:uid= g:gid= c:context=",
    "lxc-autostart": "k:kill L:list r:reboot s:shutdown a:all A:ignore-auto g:groups= t:timeout=",
    "lxc-cgroup": "n:name= :rcfile=",
    "lxc-checkpoint": "n:name= r:restore D:checkpoint-dir= v:verbose A:action-script= s:stop p:pre-dump :predump-dir= "
    "d:daemon F:foreground :rcfile=",
    "lxc-console": "n:name= t:tty= e:escape= :rcfile=",
    "lxc-copy": "n:name= N:newname= p:newpath= R:rename s:snapshot a:allowrunning F:foreground d:daemon e:ephemeral "
    "m:mount= B:backingstorage= t:tmpfs L:fssize= D:keepdata K:keepname M:keepmac",
    "lxc-create": "n:name= f:config= t:template= B:bdev= :dir= :lvname= :vgname= :thinpool= :rbdname= :rbdpool= :zfsroot= "
    ":fstype= :fssize=",
    "lxc-destroy": "n:name= s:snapshots f:force",
    "lxc-device": "n:name=",
    "lxc-execute": "n:name= d:daemon f:rcfile= s:define= u:uid= g:gid= :share-net= :share-ipc= :share-uts= :share-pid=",
    "lxc-freeze": "n:name= :rcfile=",
    "lxc-info": "n:name= c:config= i:ips p:pid S:stats H:no-humanize s:state :rcfile=",
    "lxc-kill": "n:name=",
    "lxc-ls": "1:line f:fancy F:fancy-format= :active :running :frozen :stopped :defined :nesting[=] :filter= g:groups=",
    "lxc-monitor": "n:name= Q:quit",
    "lxc-netstat": "n:name=",
    "lxc-ps": "n:name= :lxc :host",
    "lxc-restart": "n:name=",
    "lxc-shutdown": "n:name= w:wait t:timeout= r:reboot",
    "lxc-snapshot": "n:name= L:list r:restore= N:newname= d:destroy= c:comment= C:showcomments",
    "lxc-start": "n:name= d:daemon F:foreground p:pidfile= f:rcfile= c:console= L:console-log= C:close-all-fds s:define= "
    ":share-net= :share-ipc= :share-uts= :share-pid=",
    "lxc-start-ephemeral": "o:orig= n:name= b:bdir= u:user= S:ssh-key= d:daemon U:union-type= s:storage-type= k:keep-data",
    "lxc-clone": "s:snapshot B:backingstorage= L:fssize= K:keepname M:keepmac o:orig= n:new= p:origpath= P:newpath= "
    "R:rename H:copyhooks",
    "lxc-stop": "n:name= r:reboot W:nowait t:timeout= k:kill :nolock :nokill :rcfile=",
    "lxc-top": "d:delay= b:batch s:sort= r:reverse",
    "lxc-unfreeze": "n:name= :rcfile=",
    "lxc-unshare": "s:namespaces= u:user= H:hostname= i:ifname= d:daemon M:remount",
    "lxc-usernsexec": "m:map= s:self",
    "lxc-wait": "n:name= s:state= t:timeout= :rcfile=",
}
ALL = "o:logfile= l:logpriority= q:quiet P:lxcpath= ?:help :usage :version"
ROWS = [(tool, word) for tool, words in LXC.items() for word in words.split()]


def written(option: Option) -> str:
    return f"{option.short}:{option.long}" + ("[=]" if option.optional else "=" if option.value else "")


def forms(tool: str, word: str) -> list[list[str]]:
    """Of one option with its argument, in every way in which it can be written."""
    short, _, long = word.removesuffix("[=]").removesuffix("=").partition(":")
    if word.endswith("[=]"):
        return [[f"--{long}"], [f"--{long}=x"], *([[f"-{short}"], [f"-{short}x"]] if short else [])]
    if word.endswith("="):
        return [[f"--{long}=x"], [f"--{long}", "x"], *([[f"-{short}x"], [f"-{short}", "x"]] if short else [])]
    return [[f"--{long}"], *([[f"-{short}"]] if short else [])]


def test_every_tool_is_here() -> None:
    assert set(LXC) == set(TOOLS) - set(manual._PLAIN)
    assert {written(option) for option in COMMON} == set(ALL.split())


@pytest.mark.parametrize(("tool", "word"), ROWS, ids=[f"{tool} {word}" for tool, word in ROWS])
def test_an_option_that_lxc_has(tool: str, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").write_text("")  # a file for --rcfile
    monkeypatch.chdir(tmp_path)
    found = TOOLS[tool]
    assert word in {written(option) for option in found.all}
    long = word.removesuffix("[=]").removesuffix("=").partition(":")[2]
    name = ["-n", "c1"] if found.named and long != "name" else []
    for words in forms(tool, word):
        given = found.parse([*name, *words, "--", "rest", "-z"])
        joined = "".join(words)
        value = "x" if "=" in word and joined.endswith("x") and joined != f"--{long}" else ""
        assert given.values[long] == [value], words
        assert given.rest == ("rest", "-z")


@pytest.mark.parametrize(("tool", "word"), ROWS, ids=[f"{tool} {word}" for tool, word in ROWS])
def test_the_same_option_written_wrong(tool: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    long = word.removesuffix("[=]").removesuffix("=").partition(":")[2]
    if word.endswith("[=]"):
        return
    wrong = [f"--{long}"] if word.endswith("=") else [f"--{long}=x"]
    with pytest.raises(SystemExit) as ended:
        TOOLS[tool].parse(wrong)
    _, err = capsys.readouterr()
    says = "requires an argument" if word.endswith("=") else "doesn't allow an argument"
    assert (ended.value.code, err.split("\n")[0]) == (1, f"{tool}: option '--{long}' {says}")


@pytest.mark.parametrize("tool", list(LXC))
@pytest.mark.parametrize("word", ALL.split())
def test_what_all_tools_have(tool: str, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = TOOLS[tool]
    long = word.removesuffix("=").partition(":")[2]
    words = [f"--{long}=x"] if word.endswith("=") else [f"--{long}"]
    name = ["-n", "c1"] if found.named else []
    if long in ("help", "usage", "version"):
        with pytest.raises(SystemExit) as ended:
            found.parse(words)
        out, err = capsys.readouterr()
        assert ended.value.code == 0
        assert (out == "5.0.2\n") == (long == "version") == (not err)
        return
    assert long in found.parse([*name, *words]).values


@pytest.mark.parametrize("tool", list(LXC))
def test_what_no_tool_has(tool: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--zork"], ["-Z"]):
        with pytest.raises(SystemExit) as ended:
            TOOLS[tool].parse(words)
        _, err = capsys.readouterr()
        assert ended.value.code == 1
        assert err.split("\n")[1].startswith(f"Usage: {tool}")
    if TOOLS[tool].named:
        with pytest.raises(SystemExit) as ended:
            TOOLS[tool].parse([])
        assert (ended.value.code, capsys.readouterr().err) == (1, f"{tool}: No container name specified\n")
    if TOOLS[tool].paths == 1 and tool != "lxc-clone":
        with pytest.raises(SystemExit) as ended:
            TOOLS[tool].parse(["-P", "/a", "-P", "/b", "-n", "c1"] if TOOLS[tool].named else ["-P", "/a", "-P", "/b"])
        assert ended.value.code == 1
        assert "only accepts 1 -P,--lxcpath arguments" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["^b", "b", "B", "^B"])
def test_the_escape_of_a_console_is_a_control_character(text: str) -> None:
    assert console._prefix(text) == 2


@pytest.mark.parametrize("text", ["", "^", "5", "^1", "abc", "-1", "\xfc"])
def test_what_is_no_letter_is_no_escape(text: str) -> None:
    with pytest.raises(BadInput, match="is not a letter"):
        console._prefix(text)
