"""Differences that are meant, by the line and by what differs: why."""

from __future__ import annotations

import re

#: (pattern of the line, what differs or "" for anything, why)
WHY: tuple[tuple[str, str, str], ...] = (
    (r"^lxc-[a-z]+ -\?$", "exit code", "-? is --help, as the help says"),
    (r"lxc-.*(-o|--logfile|-l|--logfile=.*) ?", "files", "a log file is made when there is something to say, in a directory that exists, with the mode of the caller's umask"),
    ("lxc-stop -n", "exit code", "a name that cannot be one: 1 for an empty one, 2 for what does not run"),
    (r"lxc-(create|copy) .*-[nN] (''|/a|a/b)", "", "not a name: LXC makes it elsewhere in the lxcpath"),
    (r"lxc-copy .* (d5|d6|d7|k3|k9)\b|lxc-stop (d6|k9)", "", "options that LXC passes over are wrong here, before anything is made"),
    (r"lxc-copy .*-R -s", "", "a new name, and not a clone: two contrary wishes"),
    (r"lxc-copy --rcfile", "", "the configuration is the container's: LXC fails without a word"),
    (r"lxc-copy .* -t$", "stdout", "LXC tells that a tmpfs is lost with the machine"),
    (r"lxc-(copy|attach|stop|wait) .*k[678]", "", "LXC's ephemeral copy with -m does not start, one that has stopped stays"),
    (r"lxc-snapshot c[0-9]$|lxc-snapshot c2 -[cN]", "", "a snapshot that is refused leaves nothing"),
    (r"lxc-snapshot .*-L -r", "", "two contrary wishes"),
    (r"lxc-(attach -o|create -q -o)", "files-mode", "a log file has the mode that the caller's umask gives"),
    (r"lxc-stop -P ''", "exit code", "an empty path is none"),
    (r"lxc-execute .*lxc\.log\.file=", "exit code", "a log that cannot be written keeps no command from running"),
    (r"lxc-execute .*lxc\.log\.syslog=", "exit code", "nothing is sent to syslog here"),
    (r"lxc-copy -n k10 -N k12", "", "as there is no clone of it"),
    (
        r"lxc-(copy|snapshot|destroy) .*\bk(1|13|14|15)\b", "",
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
    ("lxc-ls -f -F ''", "stdout", "an empty line for each in LXC"),
    (r"lxc-info --rcfile|lxc-unfreeze --rcfile", "", "a missing file is an error"),
    (r"lxc-info .*lxc\.(net\.0|net\.0\.nonsense|net\.1\.type|network\.0\.type)$", "stdout", "a key of an interface that says nothing, or an old one"),
    (r"lxc-attach c1 -s mount|lxc-attach c1 -s 'mount'", "", "in small letters too"),
    (r"lxc-attach c1 (-u 4294967295|-v )", "", "not an id, not a variable: LXC passes over it"),
    (r"lxc-attach c1 -L", "files", "without a terminal there is nothing to log, which is said; LXC makes an empty file"),
    (r"on tty x lxc-attach c1 -L", "stdout", "the same sentence without the file and line of LXC's source"),
    (r"lxc-start c1 -c .*console.out|lxc-stop c1 -k$", "", "a file as console works here"),
    (r"lxc-create -n n1 -t ''", "", "an empty template is none"),
    (r"lxc-create .*(--thinpool|-- --help)", "", "help is no failure; options of other storage are passed over"),
    (r"lxc-create .*-f .*c4/config", "", "it has a root already: not overwritten"),
    ("lxc-monitor -Q", "exit code", "there is no lxc-monitord to quit"),
    (r"lxc-top", "stdout", "a table of our own, of less columns"),
    (r"lxc-config (-h|--help)|lxc-update-config (-h|--help)", "stdout", "its usage names the command without its path"),
    ("lxc-config ''", "", "an item without a name is unknown"),
    ("lxc-checkconfig nonsense", "exit code", "a word too many"),
    (r"lxc-unshare .*-i ", "exit code", "an interface that cannot be moved is an error"),
    (r"lxc-(unshare|usernsexec) .*-- /(no/such|tmp)", "exit code", "126 and 127, as a shell has them"),
    (r"lxc-usernsexec (--help|-h)", "exit code", "help is no failure"),
    (r"lxc-usernsexec .*(-s|-m u:)", "", "root needs no grant in /etc/subuid: LXC asks newuidmap where that is installed"),
    (r"lxc-execute c5 -s 'lxc\.(autodev\.tmpfs\.size|init\.uid|signal\.halt|environment)=|lxc-execute c5 -s '(nonsense|lxc\.?')", "exit code", "not a value, or no key at all: an error, and what is unset in the environment is left out"),
    (r"lxc-execute c5 -s 'lxc\.rootfs\.path=", "exit code", "1 for what is wrong with the container, 255 for the command; without a root the host's is shared"),
    (r"lxc-execute c5 -s 'lxc\.net\.", "exit code", "a type says what is linked to what; an empty one clears"),
    (r"lxc-execute c5 -s 'lxc\.(cap\.drop=CAP|namespace\.clone=mount|namespace\.keep=ipc|utsname)", "exit code", "understood here"),
    (r"lxc-execute c5 -s 'lxc\.prlimit", "exit code", "the command gets the limit, not the program that starts it"),
    (r"lxc-execute c5 -s 'lxc\.autodev=0", "exit code", "a root without /dev/null has to be given one"),
    (r"lxc-execute c5 -s 'lxc\.proc", "exit code", "lxc-start writes them; lxc-execute refuses them by name"),
    (r"lxc-execute c5 -s 'lxc\.console", "exit code", "a program on the caller's streams has no console"),
    (r"lxc-(info|execute|ls) .*(c3|defined)", "", "old keys are keys, what is no host name is none"),
    ("lxc-start c1 -F", "stdout", "what the console says goes to standard output, whatever that is"),
    (r"lxc-(start|stop) old", "", "keys before 2.1 are read as they are"),
    ("lxc-stop c1 -W", "states", "it is under way; here the container is gone sooner"),
    (r"lxc-ls .*--filter \(", "exit code", "an expression that is none is an error"),
    (r"lxc-(device|attach c1 -- ls .*extra)", "", "LXC's tool fails with a name inside and gives no reason (without one it works in both)"),
    (r"^end (m|all)", "stdout", "LXC says FROZEN and THAWED twice"),
    ("lxc-autostart -r -s", "exit code", "two contrary wishes"),
    (r"for .* lxc-top -b", "", "needs no terminal"),
    (r"on tty q lxc-top -b", "stdout", "the terminal, which shows what is typed, stays as it is"),
    (r"lxc-(create|destroy) -n third", "", "a file that is named with -f and missing is an error"),
    (r"lxc-create .* busybox", "files", "a template of our own: nothing of the host is mounted, no library is needed"),
    ("lxc-destroy -n dirty", "files", "nothing outside of LXCPATH/NAME is removed"),
    (r"lxc-create .* local", "stdout", "progress is told on standard error"),
    (r"lxc-(copy|destroy|snapshot|stop)", "files-mode", "who may not read a configuration need not read what belongs to it"),
    ("lxc-copy .* -p", "", "the new lxcpath is made"),
    (r"lxc-config$", "stdout", "its usage names the command without its path, and has examples"),
    ("lxc-checkconfig", "stdout", "its usage names the command without its path"),
    (r"lxc-update-config$", "", "without a file there is nothing to do: an error"),
    (r"lxc-update-config .*(application|mixed-keys)", "files", "lxc.limit.* is called lxc.prlimit.* today"),
    ("lxc-attach c1 -- reboot", "states", "a reboot is under way when it is looked"),
    ("left at the end", "cgroups", "nothing stays"),
    ("lxc-attach c1 -- echo frozen", "", "it is said that it is frozen; LXC's tool hangs"),
    ("lxc-stop c1 -t 2", "", "a frozen one goes on first: it could not hear"),
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


def why(line: str, what: str, theirs: str = "", ours: str = "") -> str:
    """ "" for what nobody has explained."""
    if what == "files" and _but_mode(theirs) == _but_mode(ours):
        what = "files-mode"
    for pattern, kind, reason in WHY:
        if kind in ("", what) and re.search(pattern, line):
            return reason
    return ""


def _but_mode(files: str) -> list[str]:
    return sorted(line.partition(" ")[2] for line in files.splitlines())
