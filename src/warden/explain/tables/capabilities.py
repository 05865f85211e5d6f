"""What each capability permits, in one sentence: capabilities(7)."""

from __future__ import annotations

from warden.explain.note import Text

SETS = {
    "effective": Text("what counts when it asks the kernel for something now", "现在向内核提要求时实际生效的"),
    "permitted": Text("what it may switch on in its effective set", "可以随时加入生效集的"),
    "inheritable": Text(
        "what a program with file capabilities of that name would get by exec", "执行带有同名文件能力的程序时可得到的"
    ),
    "bounding": Text("the most that any exec can ever give it", "任何 exec 至多能给它的上限"),
    "ambient": Text("what it keeps over exec without being root", "不是 root 时 exec 之后仍保留的"),
}

CAPABILITIES = {
    "CAP_CHOWN": Text("give files to other owners", "任意改变文件的属主"),
    "CAP_DAC_OVERRIDE": Text("read, write and run files whatever their permissions say", "无视文件权限读、写、执行"),
    "CAP_DAC_READ_SEARCH": Text("read files and enter directories whatever the permissions", "无视权限读文件、进目录"),
    "CAP_FOWNER": Text("do what only a file's owner may, such as chmod", "做只有文件属主才能做的事，如 chmod"),
    "CAP_FSETID": Text("keep set-user-ID bits when a file changes", "修改文件时保留 set-user-ID 位"),
    "CAP_KILL": Text("send signals to processes of any user", "向任何用户的进程发信号"),
    "CAP_SETGID": Text("become any group", "切换到任意组"),
    "CAP_SETUID": Text("become any user", "切换到任意用户"),
    "CAP_SETPCAP": Text("shrink the bounding set and pass capabilities on", "缩小上限集、传递能力"),
    "CAP_LINUX_IMMUTABLE": Text("change files marked immutable or append-only", "修改带不可变或只追加标记的文件"),
    "CAP_NET_BIND_SERVICE": Text("listen on ports below 1024", "监听 1024 以下的端口"),
    "CAP_NET_BROADCAST": Text("send broadcasts (unused by the kernel)", "发送广播（内核未使用）"),
    "CAP_NET_ADMIN": Text("configure interfaces, addresses, routes and the firewall", "配置网卡、地址、路由和防火墙"),
    "CAP_NET_RAW": Text(
        "send and see raw packets: ping, tcpdump, forged addresses", "收发原始数据包：ping、抓包、伪造地址"
    ),
    "CAP_IPC_LOCK": Text("lock memory so that it is never swapped out", "锁定内存使其永不换出"),
    "CAP_IPC_OWNER": Text("use System V IPC objects of others", "使用他人的 System V IPC 对象"),
    "CAP_SYS_MODULE": Text("load code into the kernel", "向内核加载代码"),
    "CAP_SYS_RAWIO": Text("reach hardware and /dev/mem directly", "直接访问硬件与 /dev/mem"),
    "CAP_SYS_CHROOT": Text("chroot, and enter mount namespaces", "使用 chroot、进入挂载命名空间"),
    "CAP_SYS_PTRACE": Text("trace and read any process", "跟踪和读取任何进程"),
    "CAP_SYS_PACCT": Text("switch process accounting on and off", "开关进程记账"),
    "CAP_SYS_ADMIN": Text(
        "mount, make namespaces, set quotas and much else: nearly root",
        "挂载、建命名空间、设配额等大量操作：几乎等于 root",
    ),
    "CAP_SYS_BOOT": Text("reboot, and load another kernel", "重启、加载另一个内核"),
    "CAP_SYS_NICE": Text("raise priorities, choose processors for others", "提高优先级、为他人指定处理器"),
    "CAP_SYS_RESOURCE": Text(
        "pass limits: rlimits, quotas, reserved disk space", "突破限额：rlimit、磁盘配额、保留空间"
    ),
    "CAP_SYS_TIME": Text("set the clock", "设置时钟"),
    "CAP_SYS_TTY_CONFIG": Text("configure terminals, hang them up", "配置和挂断终端"),
    "CAP_MKNOD": Text("make device nodes", "创建设备节点"),
    "CAP_LEASE": Text("take leases on files of others", "在他人的文件上设置租约"),
    "CAP_AUDIT_WRITE": Text("write into the kernel's audit log", "写内核审计日志"),
    "CAP_AUDIT_CONTROL": Text("configure auditing", "配置审计"),
    "CAP_SETFCAP": Text("put capabilities on files", "给文件设置能力"),
    "CAP_MAC_OVERRIDE": Text("pass a security module's rules (Smack)", "绕过安全模块（Smack）的规则"),
    "CAP_MAC_ADMIN": Text("change a security module's rules (Smack)", "修改安全模块（Smack）的规则"),
    "CAP_SYSLOG": Text("read the kernel's log and addresses", "读内核日志与内核地址"),
    "CAP_WAKE_ALARM": Text("wake the machine by a timer", "用定时器唤醒机器"),
    "CAP_BLOCK_SUSPEND": Text("keep the machine from sleeping", "阻止机器休眠"),
    "CAP_AUDIT_READ": Text("read the audit log", "读审计日志"),
    "CAP_PERFMON": Text("measure performance of everything", "测量整个系统的性能"),
    "CAP_BPF": Text("load BPF programs", "加载 BPF 程序"),
    "CAP_CHECKPOINT_RESTORE": Text("save and restore processes, choose their ids", "保存与恢复进程、指定进程号"),
}
