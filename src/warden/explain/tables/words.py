"""Headings and short phrases of the report for people, in both languages. `{}` is filled in by the view."""

from __future__ import annotations

from warden.explain.note import Text

#: Section: its heading and what it is about.
HEADINGS = {
    "process": (Text("PROCESS", "进程"), Text("what it is", "它是什么")),
    "namespaces": (
        Text("NAMESPACES", "命名空间"),
        Text(
            "what it sees of the machine, and with whom it shares that view", "它看到机器的哪一部分，与谁共享这一视图"
        ),
    ),
    "cgroups": (
        Text("CGROUPS", "控制组（cgroup）"),
        Text("how much it may use, and how much it has used", "它可以用多少资源，已经用了多少"),
    ),
    "mounts": (Text("MOUNTS", "挂载"), Text("which file systems it sees, and where", "它在哪里看到哪些文件系统")),
    "capabilities": (
        Text("CAPABILITIES", "能力（capabilities）"),
        Text("the parts of root's power that it has", "它拥有 root 权力中的哪些部分"),
    ),
    "seccomp": (
        Text("SECCOMP AND PRIVILEGES", "系统调用过滤与特权"),
        Text(
            "which system calls it may make, and whether it can gain rights", "它可以进行哪些系统调用，能否获得更多权限"
        ),
    ),
    "ids": (
        Text("ID MAPS", "用户号映射"),
        Text("who its users and groups are on the host", "它的用户和组在宿主机上是谁"),
    ),
    "rlimits": (Text("RESOURCE LIMITS", "资源限制（rlimit）"), Text("bounds of each single process", "单个进程的界限")),
    "network": (
        Text("NETWORK", "网络"),
        Text("links, addresses and routes of its network namespace", "其网络命名空间中的网卡、地址与路由"),
    ),
    "firewall": (
        Text("FIREWALL", "防火墙"),
        Text("rules of the host that concern it", "宿主机上与它有关的规则"),
    ),
}

# process
PID = Text("process id", "进程号")
INSIDE = Text("{} (inside: {})", "{}（里面是 {}）")
COMMAND = Text("command", "命令")
STATE = Text("state", "状态")
PARENT = Text("parent", "父进程")
USER = Text("user", "用户")
GROUP = Text("group", "组")
IDS_OF = Text("{} (real {}, effective {})", "{}（实际 {}，有效 {}）")
THREADS = Text("threads", "线程数")
ROOT = Text("root directory", "根目录")
CONTAINER = Text("container", "容器")
KERNEL_THREAD = Text(
    "a thread of the kernel: it has no program, no memory of its own", "内核线程：没有程序，也没有自己的内存"
)
INIT = Text("PID 1", "1 号进程")
INIT_MEANS = Text(
    "wshd, the first process of the container: starts its jobs, collects what they leave behind",
    "wshd，容器的第一个进程：启动作业，回收它们留下的进程",
)
JOB = Text("job {}", "作业 {}")
PROCESS = Text("process", "进程")
NOT_SHOWN = Text("not shown: {}: {}", "未能显示：{}：{}")
NO_JOBS = Text("no job runs now", "现在没有作业在运行")

# namespaces
HOSTS = Text("the host's", "宿主机的")
OWN = Text("its own", "独有的")
CONTAINERS = Text("the container's", "容器的")
NOT_HOSTS = Text("not the host's", "不是宿主机的")
UNKNOWN = Text("unknown", "未知")
ALONE = Text("shared with nobody", "无人共享")
SHARED = Text("shared with {}", "共享者：{}")
SHARED_MANY = Text("shared with {} other processes", "与其他 {} 个进程共享")
SHARED_SAME = Text("shared with the same {}", "与上面相同的 {} 个进程共享")
MORE = Text("and {} more", "等，另有 {} 个")
OF_CONTAINER = Text("{} (container {})", "{}（容器 {}）")
JOB_APART = Text("job {} has one of its own: {}", "作业 {} 有自己的：{}")
NO_NAMESPACES = Text("none can be shown", "无法显示")

# cgroups
ROLE_CONTAINER = Text("the container's group: limits and use of all its jobs", "容器的组：全部作业的限制与用量")
ROLE_INIT = Text(
    "PID 1 stands here, outside the container's limits, so that an out-of-memory kill never hits it",
    "1 号进程在此，处于容器限制之外，内存不足时不会被杀",
)
ROLE_JOB = Text("the group of job {}: its exact use", "作业 {} 的组：它的精确用量")
ROLE_ROOT = Text("the root group: nothing is limited here", "根组：不受任何限制")
MEMBERS = Text("processes in it: {}", "组内进程：{}")
READ_ONLY = Text("(read-only)", "（只读）")
FOLDED = Text("{} more files (--all): {}", "另有 {} 个文件（--all 显示）：{}")
FOLDED_CORE = Text("{} more files (--all)", "另有 {} 个文件（--all 显示）")
ASIDE = Text("--all shows their files", "--all 可显示其中的文件")
JOBS_USE = Text("its jobs, each in a group of its own:", "它的作业，各在自己的组中：")
LINES_HIDDEN = Text("{} more lines (--all)", "另有 {} 行（--all 显示）")
UNKNOWN_FILE = Text(
    "not in our tables: newer than this version of warden, or a vendor's own",
    "不在我们的表中：比本版本更新，或是厂商自有",
)
NO_CONTROLLER = Text("no group has files of {}", "没有任何组含有 {} 的文件")
WRITE_ONLY = Text("write-only", "只写")
NO_FILES = Text(
    "no files of its own: the group only marks whom perf(1) measures", "没有自己的文件：组只用于标明 perf(1) 测量谁"
)

# mounts
COLUMNS_MOUNTS = (Text("WHERE", "位置"), Text("TYPE", "类型"), Text("ACCESS", "访问"), Text("FROM", "来源"))
FLAGS = Text("access:", "访问说明：")
TYPES = Text("types:", "类型说明：")

# capabilities
ALL_OF_THEM = Text("all {}", "全部 {} 个")
NONE = Text("none", "无")
ALL_BUT = Text("all but {}", "除 {} 之外的全部")
COUNT_ONLY_IN = Text(
    "They count only for what belongs to its user namespace {}: on the host they permit nothing.",
    "它们只对属于其用户命名空间 {} 的对象有效：在宿主机上不允许任何事。",
)
COUNT_ON_HOST = Text(
    "It is in the host's user namespace: they count for the whole machine.",
    "它在宿主机的用户命名空间中：对整台机器有效。",
)

# seccomp
FILTERS = Text("{}; filters: {}", "{}；过滤器：{} 个")

# ids
MAP_USERS = Text("users {} to {} inside are {} to {} outside", "里面的用户 {}–{} 即外面的 {}–{}")
MAP_GROUPS = Text("groups {} to {} inside are {} to {} outside", "里面的组 {}–{} 即外面的 {}–{}")
SAME_IDS = Text("all ids are the same inside and outside", "里外的号完全相同")
NO_MAP = Text("no map is set: every id looks like 65534 (nobody)", "没有映射：所有号看起来都是 65534（nobody）")

# rlimits
COLUMNS_RLIMITS = (Text("LIMIT", "限制"), Text("SOFT", "软"), Text("HARD", "硬"), Text("MEANS", "含义"))
RLIMITS_OF = Text(
    "of {}; a process may raise soft up to hard (prlimit(1) changes both)",
    "以下属于 {}；进程可把软限提高到硬限（prlimit(1) 可改两者）",
)
RLIMITS_FOLDED = Text("{} more are unlimited (--all)", "另有 {} 项不限（--all 显示）")

# network
COLUMNS_LINKS = (Text("LINK", "网卡"), Text("ADDRESSES", "地址"), Text("RECEIVED", "收到"), Text("SENT", "发出"))
COLUMNS_ROUTES = (Text("TO", "目的"), Text("BY WAY OF", "经由"), Text("LINK", "网卡"))
DIRECT = Text("directly", "直达")
EVERYWHERE = Text("everywhere else", "其他所有地址")
PACKETS = Text("{} in {} packets", "{}，{} 个包")
OTHER_END = Text("other end on the host: {}", "在宿主机上的另一端：{}")

# firewall
NO_RULES = Text("no rule of the host names it", "宿主机上没有提到它的规则")
HOSTS_RULES = Text(
    "it is in the host's network: all rules of the host count for it (nft list ruleset)",
    "它在宿主机的网络中：宿主机的所有规则都对它有效（nft list ruleset）",
)
NO_LINK = Text(
    "it is in a network namespace of its own that is not a container's: no link of ours leads there",
    "它在一个不属于容器的独立网络命名空间中：没有我们的网卡通往那里",
)
