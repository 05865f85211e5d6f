"""Differences that are meant, by the line and by what differs: why."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: (pattern of the line, what differs or "" for anything, why)
WHY: tuple[tuple[str, str, str], ...] = (
    (r"^lxc-[a-z]+ -\?$", "exit code", "-? is --help, as the help says"),
    (r"^lxc-\S+ -l NONSENSE -n none", "files", "LXC makes a directory of that name for its log"),
    (r"^lxc-info -l NONSENSE c1 -s$", "files", "LXC logs to a file beside the configuration when only a level is given; here to nowhere"),
    (r"^lxc-\S+ -o {lxc}/none/log -n none", "files", "a log file is made in a directory that exists"),
    (r"^lxc-\S+ (-q -o|-o|.*-o) {lxc}/log\b", "files", "a log file is made when there is something to say"),
    (r"^lxc-stop -n (''|xx+) -k$", "exit code", "a name that cannot be one: 1 for an empty one, 2 for what does not run"),
    (r"lxc-(create|copy) .*-[nN] (''|/a|a/b)", "", "not a name: LXC makes it elsewhere in the lxcpath"),
    (r"lxc-copy .* (d5|d6|d7|k3|k9)\b|lxc-stop (d6|k9)", "", "options that LXC passes over are wrong here, before anything is made"),
    (r"lxc-copy .*-R -s", "", "a new name, and not a clone: two contrary wishes"),
    (r"lxc-copy --rcfile", "", "the configuration is the container's: LXC fails without a word"),
    (r"lxc-copy .* -t$", "stdout", "LXC tells that a tmpfs is lost with the machine"),
    (r"^lxc-copy .* k6 -d -t$", "files", "LXC mounts the tmpfs by a script in the container's directory, here the storage does"),
    (r"^lxc-copy .* k7 -m bind=.*:ro$", "states", "its init ends at once, having nowhere to write, and the copy with it: looked at sooner or later"),
    (r"^lxc-(copy|attach) .*\bk7\b", "files", "its init ends at once, having nowhere to write, and the copy with it: looked at sooner or later"),
    (r"^lxc-copy .* k8 -m overlay=", "files", "the layers of further overlays lie in overlay/, without names drawn by lot"),
    (r"lxc-snapshot c[0-9]$|lxc-snapshot c2 -[cN]", "", "a snapshot that is refused leaves nothing"),
    (r"lxc-snapshot .*-L -r", "", "two contrary wishes"),
    (r"lxc-stop -P ''", "exit code", "an empty path is none"),
    (r"lxc-execute .*lxc\.log\.file=", "exit code", "a log that cannot be written keeps no command from running"),
    (r"lxc-copy -n k10 -N k12", "", "as there is no clone of it"),
    (
        r"^lxc-(copy k1 -N k13|copy k13 -N k14|snapshot k13|destroy k1[345]?\b)", "",
        "a clone of a clone copies the changes and shares what is below: it depends on the first alone",
    ),
    (r"lxc-stop c1 (--nokill -t 0|-t -5)|lxc-stop c4 --nolock", "", "no second is too short to halt in, a negative number waits for ever"),
    (r"lxc-ls -P ''", "", "an empty path is none; LXC lists the current directory"),
    (r"lxc-wait .*-t ''", "exit code", "an empty number is none"),
    (r"lxc-autostart .*-P", "exit code", "where there is no lxcpath there is nothing to start, as for lxc-ls"),
    (r"lxc-ls .*--nesting=(x|-1)", "", "not a number of levels"),
    (r"lxc-ls -1 (\[|\*)$", "exit code", "an expression that is none is an error"),
    ("lxc-ls -1 c1 c2", "stdout", "LXC forgets all expressions when there are two"),
    ("lxc-ls -g ''", "stdout", "no group is asked for; LXC lists those that have any"),
    (r"lxc-info .*lxc\.(net\.0|net\.0\.nonsense|net\.1\.type|network\.0\.type)$", "stdout", "a key of an interface that says nothing, or an old one"),
    (r"lxc-attach c1 -s mount|lxc-attach c1 -s 'mount'", "", "in small letters too"),
    (r"lxc-attach c1 (-u 4294967295|-v )", "", "not an id, not a variable: LXC passes over it"),
    (r"lxc-attach c1 -L", "files", "without a terminal there is nothing to log, which is said; LXC makes an empty file"),
    (r"on tty x lxc-attach c1 -L", "stdout", "the same sentence without the file and line of LXC's source"),
    (r"^lxc-start c1 -c .*/console.out$", "", "a file as console works here, also one that is made"),
    (r"lxc-create -n n1 -t ''", "", "an empty template is none"),
    (r"lxc-create .*(--thinpool|-- --help)", "", "help is no failure; options of other storage are passed over"),
    (r"lxc-create .*-f .*c4/config", "", "it has a root already: not overwritten"),
    ("lxc-monitor -Q", "exit code", "there is no lxc-monitord to quit"),
    (r"^on tty [a-z]*q lxc-top( -s c| -d 1)?$", "stdout", "a table of our own, of less columns, and without a line of totals"),
    (r"^for 1\.2 lxc-top -b", "stdout", "needs no terminal"),
    (r"lxc-config (-h|--help)|lxc-update-config (-h|--help)", "stdout", "its usage names the command without its path"),
    ("lxc-config ''", "", "an item without a name is unknown"),
    ("lxc-checkconfig nonsense", "", "a word too many"),
    (r"lxc-unshare .*-i ", "exit code", "an interface that cannot be moved is an error"),
    (r"lxc-(unshare|usernsexec) .*-- /(no/such|tmp)", "exit code", "126 and 127, as a shell has them"),
    (r"lxc-usernsexec (--help|-h)", "exit code", "help is no failure"),
    (r"lxc-usernsexec .*(-s|-m u:)", "", "root needs no grant in /etc/subuid: LXC asks newuidmap where that is installed"),
    (r"lxc-execute c5 -s 'lxc\.(autodev\.tmpfs\.size|init\.uid|signal\.halt|environment)=|lxc-execute c5 -s '(nonsense|lxc\.?')", "exit code", "not a value, or no key at all: an error, and what is unset in the environment is left out"),
    (r"lxc-execute c5 -s 'lxc\.rootfs\.path='", "exit code", "without a root the host's is shared: LXC cannot start that"),
    (r"lxc-execute c5 -s 'lxc\.rootfs\.path=nonsense:/tmp'", "exit code", "1 for what is wrong with the container, 255 for the command"),
    (r"lxc-execute c5 -s 'lxc\.net\.0\.type='", "exit code", "an empty type clears it, as an empty value does elsewhere"),
    (r"lxc-execute c5 -s 'lxc\.net\.99999\.type=empty'", "exit code", "interfaces have the numbers 0 to 255"),
    (r"lxc-execute c5 -s 'lxc\.(cap\.drop=CAP|namespace\.clone=mount|namespace\.keep=ipc|utsname)", "exit code", "understood here"),
    (r"lxc-execute c5 -s 'lxc\.prlimit\.nofile=10:20'", "exit code", "the command gets the limit, not the program that starts it, which LXC's cannot do with"),
    (r"lxc-execute c5 -s 'lxc\.autodev=0' -- true$", "exit code", "our first process opens /dev/null, so that a root without one is refused; LXC warns and goes on"),
    (r"lxc-execute c5 -s 'lxc\.console", "exit code", "a program on the caller's streams has no console"),
    (r"^lxc-(info c3 -c lxc\.uts\.name -c lxc\.tty\.max|execute c3 -- true)$", "", "what is no host name is refused; keys before 2.1 are keys (these files have both)"),
    (r"^lxc-start c1 -F -- ", "stdout", "what the console says goes to standard output, whatever that is"),
    (r"^lxc-(start old|stop old -k)$", "", "keys before 2.1 are read as they are"),
    ("lxc-stop c1 -W", "states", "it is under way; here the container is gone sooner"),
    (r"lxc-ls .*--filter \(", "exit code", "an expression that is none is an error"),
    (r"lxc-(device|attach c1 -- ls .*extra)", "", "LXC's tool fails with a name inside and gives no reason (without one it works in both)"),
    (r"^end (m|all)", "stdout", "LXC says FROZEN and THAWED twice"),
    ("lxc-autostart -r -s", "exit code", "two contrary wishes"),
    (r"^for 1\.2 lxc-top -b", "exit code", "needs no terminal"),
    (r"^on tty q lxc-top -b -d 1$", "stdout", "the terminal, which shows what is typed, stays as it is"),
    (r"lxc-(create|destroy) -n third", "", "a file that is named with -f and missing is an error"),
    (r"lxc-create .* busybox", "files", "a template of our own: nothing of the host is mounted, no library is needed"),
    ("lxc-destroy -n dirty", "files", "nothing outside of LXCPATH/NAME is removed"),
    (r"lxc-create .* local", "stdout", "progress is told on standard error"),
    (r"^lxc-(copy|destroy|snapshot|stop) ", "files-mode", "who may not read a configuration need not read what belongs to it"),
    (r"^lxc-copy -n c4 -N c17 -p {lxc}/other$", "", "the new lxcpath is made"),
    (r"lxc-config$", "stdout", "its usage names the command without its path, and has examples"),
    (r"lxc-checkconfig$", "stdout", "its usage names the command without its path"),
    (r"lxc-update-config$", "", "without a file there is nothing to do: an error"),
    (r"lxc-update-config .*(application|mixed-keys)", "files", "lxc.limit.* is called lxc.prlimit.* today"),
    ("lxc-attach c1 -- reboot", "states", "a reboot is under way when it is looked"),
    ("left at the end", "cgroups", "nothing stays"),
    ("lxc-attach c1 -- echo frozen", "", "it is said that it is frozen; LXC's tool hangs"),
    (r"lxc-update-config .*networks-cleared", "files", "an interface after `lxc.network =` begins at 0 again, as it is read"),
    (r"lxc-update-config", "files", "a file that needs no change keeps no backup"),
    (r"lxc-info .*lxc.rootfs.mount", "stdout", "there is no such directory: a root is mounted where only the container sees it"),
    (r"lxc-info .*lxc.cgroup.dir", "stdout", "LXC prints a null pointer"),
    (r"lxc-info .*lxc.(autodev.tmpfs.size|keyring.session)", "stdout", "what counts when nothing is set; LXC says 0 and does the same"),
    (r"lxc-info .*lxc.time.offset", "stdout", "an empty line more in LXC"),
    (
        r"lxc-info .*lxc\.(rootfs.backend|pivotdir|kmsg|environment\.\w+|namespace.share|hook|hugetlb\S*)$", "stdout",
        "a key of another release, or one that stands for several: known here",
    ),
)  # fmt: skip


#: (pattern of the line, pattern of the line before, what differs, why): what follows from a difference.
AFTER: tuple[tuple[str, str, str, str], ...] = (
    (r"^lxc-stop c1 --nokill -k$", r"^lxc-stop c1 --nokill -t 0$", "states", "it was asked to halt by the line before: looked at sooner or later"),
    (r"^lxc-stop c1 -k$", r"^lxc-start c1 -c .*/console.out$", "exit code", "a file as console works here, also one that is made"),
)  # fmt: skip
LISTED = "what one of them has made or removed and the other not, by the lines before"
_OF_MODE = ("lxc_snapshots", "lxc_rdepends", "ts", "comment")


def why(line: str, what: str, theirs: str = "", ours: str = "", earlier: Sequence[str] = ()) -> str:
    """ "" for what nobody has explained. *earlier*: the lines before that differed, in this scenario."""
    if what == "files" and _but_mode(theirs) == _but_mode(ours):
        what = "files-mode"
    for pattern, before, kind, reason in AFTER:
        if kind == what and re.search(pattern, line) and earlier and re.search(before, earlier[-1]):
            return reason
    if what == "stdout" and line.startswith("lxc-ls -1 ") and _are_told(set(theirs.split()) ^ set(ours.split()), earlier):
        return LISTED
    for pattern, kind, reason in WHY:
        if kind in ("", what) and re.search(pattern, line):
            return reason
    return ""


def reasons() -> set[str]:
    return {LISTED, *(row[-1] for row in (*WHY, *AFTER))}


def _are_told(names: set[str], earlier: Sequence[str]) -> bool:
    """Whether each was made, removed or configured by a line that differed."""
    lines = [line for line in earlier if not line.startswith("lxc-ls ")]
    return bool(names) and all(any(re.search(rf"\b{re.escape(name)}\b", line) for line in lines) for name in names)


def _but_mode(files: str) -> list[str]:
    """Without the modes of what belongs to a configuration."""
    found = []
    for line in files.splitlines():
        mode, _, rest = line.partition(" ")
        own = rest.partition(":")[0].rpartition("/")[2] in _OF_MODE
        found.append(rest if own else f"{mode} {rest}")
    return sorted(found)
