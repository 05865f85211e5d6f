"""Sentences about a process: its states, seccomp modes, resource limits and the file systems that it sees."""

from __future__ import annotations

from warden.explain.note import Text, Unit

#: The letter in /proc/PID/status: proc_pid_status(5).
STATES = {
    "R": Text("running, or ready to run", "正在运行或可以运行"),
    "S": Text("sleeping until something happens", "睡眠，等待事件"),
    "D": Text("waiting for a disk or the kernel, cannot be interrupted", "不可中断地等待磁盘或内核"),
    "T": Text("stopped by a signal", "被信号停住"),
    "t": Text("stopped by its tracer", "被跟踪者停住"),
    "Z": Text("ended; only its exit status waits for the parent (zombie)", "已结束，只剩退出状态等父进程来取（僵尸）"),
    "X": Text("ended", "已结束"),
    "I": Text("an idle thread of the kernel", "空闲的内核线程"),
    "P": Text("parked", "停放"),
}

SECCOMP_MODES = {
    0: Text("off: it may try every system call", "关闭：可以尝试任何系统调用"),
    1: Text("strict: only read, write, exit and sigreturn", "严格模式：只允许 read、write、exit、sigreturn"),
    2: Text(
        "filter: BPF programs look at every system call and may refuse it",
        "过滤模式：BPF 程序检查每个系统调用并可拒绝",
    ),
}
NO_NEW_PRIVS = {
    0: Text("0: exec of a set-user-ID program may give it more rights", "0：执行 set-user-ID 程序可能得到更多权限"),
    1: Text(
        "1: no exec can give it more rights than it has; cannot be undone", "1：任何 exec 都不能增加权限；不可撤销"
    ),
}

#: By the names of /proc/PID/limits: getrlimit(2).
RLIMITS: dict[str, tuple[Unit, Text]] = {
    "Max cpu time": (
        Unit.COUNT,
        Text("seconds of processor time, then SIGXCPU (RLIMIT_CPU)", "处理器时间秒数，超出得 SIGXCPU（RLIMIT_CPU）"),
    ),
    "Max file size": (Unit.BYTES, Text("largest file it may write (RLIMIT_FSIZE)", "可写的最大文件（RLIMIT_FSIZE）")),
    "Max data size": (Unit.BYTES, Text("heap and data (RLIMIT_DATA)", "堆与数据段（RLIMIT_DATA）")),
    "Max stack size": (Unit.BYTES, Text("stack of the first thread (RLIMIT_STACK)", "首个线程的栈（RLIMIT_STACK）")),
    "Max core file size": (
        Unit.BYTES,
        Text("core dump after a crash (RLIMIT_CORE)", "崩溃时的核心转储（RLIMIT_CORE）"),
    ),
    "Max resident set": (Unit.BYTES, Text("without effect today (RLIMIT_RSS)", "如今已无效果（RLIMIT_RSS）")),
    "Max processes": (
        Unit.COUNT,
        Text(
            "processes of its user in this user namespace (RLIMIT_NPROC)",
            "该用户在此用户命名空间中的进程数（RLIMIT_NPROC）",
        ),
    ),
    "Max open files": (Unit.COUNT, Text("open descriptors (RLIMIT_NOFILE)", "打开的描述符数（RLIMIT_NOFILE）")),
    "Max locked memory": (
        Unit.BYTES,
        Text("memory that may be locked (RLIMIT_MEMLOCK)", "可锁定的内存（RLIMIT_MEMLOCK）"),
    ),
    "Max address space": (Unit.BYTES, Text("all its mappings together (RLIMIT_AS)", "全部映射的总和（RLIMIT_AS）")),
    "Max file locks": (Unit.COUNT, Text("without effect today (RLIMIT_LOCKS)", "如今已无效果（RLIMIT_LOCKS）")),
    "Max pending signals": (
        Unit.COUNT,
        Text("signals that may queue up (RLIMIT_SIGPENDING)", "可排队的信号数（RLIMIT_SIGPENDING）"),
    ),
    "Max msgqueue size": (
        Unit.BYTES,
        Text("POSIX message queues (RLIMIT_MSGQUEUE)", "POSIX 消息队列（RLIMIT_MSGQUEUE）"),
    ),
    "Max nice priority": (
        Unit.COUNT,
        Text("how far nice may go: 20 less this (RLIMIT_NICE)", "nice 可到 20 减此数（RLIMIT_NICE）"),
    ),
    "Max realtime priority": (
        Unit.COUNT,
        Text("highest real-time priority (RLIMIT_RTPRIO)", "最高实时优先级（RLIMIT_RTPRIO）"),
    ),
    "Max realtime timeout": (
        Unit.US,
        Text("real-time running without a pause (RLIMIT_RTTIME)", "实时任务不间断运行的时间（RLIMIT_RTTIME）"),
    ),
}

FILESYSTEMS = {
    "overlay": Text(
        "layers seen as one: reads come from the lowest that has the file, writes go to the top one alone",
        "多层合一：读取自拥有该文件的层，写入只进最上层",
    ),
    "proc": Text("processes and the kernel's state as files", "以文件形式呈现的进程与内核状态"),
    "sysfs": Text("devices and drivers as files", "以文件形式呈现的设备与驱动"),
    "tmpfs": Text("files in memory, gone when unmounted", "内存中的文件，卸载即消失"),
    "ramfs": Text("files in memory without a limit", "内存中的文件，无大小限制"),
    "devtmpfs": Text("device nodes made by the kernel", "内核建立的设备节点"),
    "devpts": Text("pseudo terminals", "伪终端"),
    "mqueue": Text("POSIX message queues", "POSIX 消息队列"),
    "hugetlbfs": Text("huge pages as files", "以文件形式使用的大页"),
    "cgroup": Text("a hierarchy of cgroup v1", "cgroup v1 的一个层级"),
    "cgroup2": Text("the hierarchy of cgroup v2", "cgroup v2 的层级"),
    "ext4": Text("a disk", "磁盘"),
    "xfs": Text("a disk", "磁盘"),
    "btrfs": Text("a disk", "磁盘"),
    "nsfs": Text("a namespace kept alive by a mount", "由挂载维持的命名空间"),
    "squashfs": Text("a compressed image, read-only", "只读压缩映像"),
    "fuse": Text("served by a program", "由一个程序提供"),
    "bpf": Text("BPF programs and maps as files", "以文件形式呈现的 BPF 程序与表"),
    "debugfs": Text("insides of the kernel for developers", "供开发者使用的内核内部信息"),
    "tracefs": Text("the kernel's tracing", "内核跟踪"),
    "securityfs": Text("state of the security modules", "安全模块的状态"),
}

#: Options of a mount that say what can be done on it: mount(8).
MOUNT_FLAGS = {
    "ro": Text("nothing can be written", "不能写入"),
    "rw": Text("can be written, as far as permissions go", "可写，以权限为限"),
    "nosuid": Text("set-user-ID bits and file capabilities count for nothing", "set-user-ID 位与文件能力不起作用"),
    "nodev": Text("device nodes do not work", "设备节点不起作用"),
    "noexec": Text("no program can be started from it", "不能从中启动程序"),
    "idmapped": Text("owners are shown translated", "文件属主经过换算后显示"),
}
