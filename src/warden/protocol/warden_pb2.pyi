from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Message(_message.Message):
    __slots__ = ("type", "payload")
    class Type(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        Error: _ClassVar[Message.Type]
        Create: _ClassVar[Message.Type]
        Stop: _ClassVar[Message.Type]
        Destroy: _ClassVar[Message.Type]
        Info: _ClassVar[Message.Type]
        Spawn: _ClassVar[Message.Type]
        Link: _ClassVar[Message.Type]
        Run: _ClassVar[Message.Type]
        Stream: _ClassVar[Message.Type]
        NetIn: _ClassVar[Message.Type]
        NetOut: _ClassVar[Message.Type]
        CopyIn: _ClassVar[Message.Type]
        CopyOut: _ClassVar[Message.Type]
        LimitMemory: _ClassVar[Message.Type]
        LimitDisk: _ClassVar[Message.Type]
        LimitBandwidth: _ClassVar[Message.Type]
        LimitCpu: _ClassVar[Message.Type]
        Ping: _ClassVar[Message.Type]
        List: _ClassVar[Message.Type]
        Echo: _ClassVar[Message.Type]
        Attach: _ClassVar[Message.Type]
        AttachInput: _ClassVar[Message.Type]
        Signal: _ClassVar[Message.Type]
        Logs: _ClassVar[Message.Type]
        Version: _ClassVar[Message.Type]
        Limit: _ClassVar[Message.Type]
        Stats: _ClassVar[Message.Type]
        StatsStream: _ClassVar[Message.Type]
        Pause: _ClassVar[Message.Type]
        Resume: _ClassVar[Message.Type]
        Kill: _ClassVar[Message.Type]
        NetworkCreate: _ClassVar[Message.Type]
        NetworkList: _ClassVar[Message.Type]
        NetworkInspect: _ClassVar[Message.Type]
        NetworkRemove: _ClassVar[Message.Type]
        NetShow: _ClassVar[Message.Type]
        NetRemove: _ClassVar[Message.Type]
        NetReplace: _ClassVar[Message.Type]
        PortRemove: _ClassVar[Message.Type]
        NetRefused: _ClassVar[Message.Type]
        FirewallRepair: _ClassVar[Message.Type]
        Topology: _ClassVar[Message.Type]
        VolumeCreate: _ClassVar[Message.Type]
        VolumeList: _ClassVar[Message.Type]
        VolumeInspect: _ClassVar[Message.Type]
        VolumeRemove: _ClassVar[Message.Type]
        VolumePrune: _ClassVar[Message.Type]
        Rename: _ClassVar[Message.Type]
        Start: _ClassVar[Message.Type]
        Restart: _ClassVar[Message.Type]
        Events: _ClassVar[Message.Type]
        Wait: _ClassVar[Message.Type]
        Inspect: _ClassVar[Message.Type]
    Error: Message.Type
    Create: Message.Type
    Stop: Message.Type
    Destroy: Message.Type
    Info: Message.Type
    Spawn: Message.Type
    Link: Message.Type
    Run: Message.Type
    Stream: Message.Type
    NetIn: Message.Type
    NetOut: Message.Type
    CopyIn: Message.Type
    CopyOut: Message.Type
    LimitMemory: Message.Type
    LimitDisk: Message.Type
    LimitBandwidth: Message.Type
    LimitCpu: Message.Type
    Ping: Message.Type
    List: Message.Type
    Echo: Message.Type
    Attach: Message.Type
    AttachInput: Message.Type
    Signal: Message.Type
    Logs: Message.Type
    Version: Message.Type
    Limit: Message.Type
    Stats: Message.Type
    StatsStream: Message.Type
    Pause: Message.Type
    Resume: Message.Type
    Kill: Message.Type
    NetworkCreate: Message.Type
    NetworkList: Message.Type
    NetworkInspect: Message.Type
    NetworkRemove: Message.Type
    NetShow: Message.Type
    NetRemove: Message.Type
    NetReplace: Message.Type
    PortRemove: Message.Type
    NetRefused: Message.Type
    FirewallRepair: Message.Type
    Topology: Message.Type
    VolumeCreate: Message.Type
    VolumeList: Message.Type
    VolumeInspect: Message.Type
    VolumeRemove: Message.Type
    VolumePrune: Message.Type
    Rename: Message.Type
    Start: Message.Type
    Restart: Message.Type
    Events: Message.Type
    Wait: Message.Type
    Inspect: Message.Type
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    type: Message.Type
    payload: bytes
    def __init__(self, type: _Optional[_Union[Message.Type, str]] = ..., payload: _Optional[bytes] = ...) -> None: ...

class ErrorResponse(_message.Message):
    __slots__ = ("message", "backtrace", "data", "code")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    BACKTRACE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    message: bytes
    backtrace: _containers.RepeatedScalarFieldContainer[bytes]
    data: bytes
    code: bytes
    def __init__(self, message: _Optional[bytes] = ..., backtrace: _Optional[_Iterable[bytes]] = ..., data: _Optional[bytes] = ..., code: _Optional[bytes] = ...) -> None: ...

class CreateRequest(_message.Message):
    __slots__ = ("bind_mounts", "grace_time", "handle", "network", "rootfs", "image", "hostname", "memory_limit", "oom_policy", "network_mode", "user_namespace", "limits", "best_effort", "interfaces", "network_of", "publish", "net_policy", "net_connections", "dns", "dns_search", "dns_options", "add_hosts", "mounts", "volumes_from", "shm_size", "read_only", "labels", "restart", "auto_remove", "stop_signal", "stop_timeout_ms", "main")
    class BindMount(_message.Message):
        __slots__ = ("src_path", "dst_path", "mode")
        class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
            __slots__ = ()
            RO: _ClassVar[CreateRequest.BindMount.Mode]
            RW: _ClassVar[CreateRequest.BindMount.Mode]
        RO: CreateRequest.BindMount.Mode
        RW: CreateRequest.BindMount.Mode
        SRC_PATH_FIELD_NUMBER: _ClassVar[int]
        DST_PATH_FIELD_NUMBER: _ClassVar[int]
        MODE_FIELD_NUMBER: _ClassVar[int]
        src_path: bytes
        dst_path: bytes
        mode: CreateRequest.BindMount.Mode
        def __init__(self, src_path: _Optional[bytes] = ..., dst_path: _Optional[bytes] = ..., mode: _Optional[_Union[CreateRequest.BindMount.Mode, str]] = ...) -> None: ...
    BIND_MOUNTS_FIELD_NUMBER: _ClassVar[int]
    GRACE_TIME_FIELD_NUMBER: _ClassVar[int]
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    ROOTFS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    MEMORY_LIMIT_FIELD_NUMBER: _ClassVar[int]
    OOM_POLICY_FIELD_NUMBER: _ClassVar[int]
    NETWORK_MODE_FIELD_NUMBER: _ClassVar[int]
    USER_NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    BEST_EFFORT_FIELD_NUMBER: _ClassVar[int]
    INTERFACES_FIELD_NUMBER: _ClassVar[int]
    NETWORK_OF_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_FIELD_NUMBER: _ClassVar[int]
    NET_POLICY_FIELD_NUMBER: _ClassVar[int]
    NET_CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    DNS_FIELD_NUMBER: _ClassVar[int]
    DNS_SEARCH_FIELD_NUMBER: _ClassVar[int]
    DNS_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    ADD_HOSTS_FIELD_NUMBER: _ClassVar[int]
    MOUNTS_FIELD_NUMBER: _ClassVar[int]
    VOLUMES_FROM_FIELD_NUMBER: _ClassVar[int]
    SHM_SIZE_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    RESTART_FIELD_NUMBER: _ClassVar[int]
    AUTO_REMOVE_FIELD_NUMBER: _ClassVar[int]
    STOP_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    STOP_TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    MAIN_FIELD_NUMBER: _ClassVar[int]
    bind_mounts: _containers.RepeatedCompositeFieldContainer[CreateRequest.BindMount]
    grace_time: int
    handle: bytes
    network: bytes
    rootfs: bytes
    image: bytes
    hostname: bytes
    memory_limit: int
    oom_policy: bytes
    network_mode: bytes
    user_namespace: bool
    limits: _containers.RepeatedCompositeFieldContainer[Setting]
    best_effort: bool
    interfaces: _containers.RepeatedCompositeFieldContainer[NetInterface]
    network_of: bytes
    publish: _containers.RepeatedCompositeFieldContainer[PortMap]
    net_policy: NetPolicy
    net_connections: int
    dns: _containers.RepeatedScalarFieldContainer[bytes]
    dns_search: _containers.RepeatedScalarFieldContainer[bytes]
    dns_options: _containers.RepeatedScalarFieldContainer[bytes]
    add_hosts: _containers.RepeatedScalarFieldContainer[bytes]
    mounts: _containers.RepeatedCompositeFieldContainer[Mount]
    volumes_from: _containers.RepeatedCompositeFieldContainer[VolumesFrom]
    shm_size: int
    read_only: bool
    labels: _containers.RepeatedCompositeFieldContainer[Setting]
    restart: bytes
    auto_remove: bool
    stop_signal: int
    stop_timeout_ms: int
    main: SpawnRequest
    def __init__(self, bind_mounts: _Optional[_Iterable[_Union[CreateRequest.BindMount, _Mapping]]] = ..., grace_time: _Optional[int] = ..., handle: _Optional[bytes] = ..., network: _Optional[bytes] = ..., rootfs: _Optional[bytes] = ..., image: _Optional[bytes] = ..., hostname: _Optional[bytes] = ..., memory_limit: _Optional[int] = ..., oom_policy: _Optional[bytes] = ..., network_mode: _Optional[bytes] = ..., user_namespace: _Optional[bool] = ..., limits: _Optional[_Iterable[_Union[Setting, _Mapping]]] = ..., best_effort: _Optional[bool] = ..., interfaces: _Optional[_Iterable[_Union[NetInterface, _Mapping]]] = ..., network_of: _Optional[bytes] = ..., publish: _Optional[_Iterable[_Union[PortMap, _Mapping]]] = ..., net_policy: _Optional[_Union[NetPolicy, _Mapping]] = ..., net_connections: _Optional[int] = ..., dns: _Optional[_Iterable[bytes]] = ..., dns_search: _Optional[_Iterable[bytes]] = ..., dns_options: _Optional[_Iterable[bytes]] = ..., add_hosts: _Optional[_Iterable[bytes]] = ..., mounts: _Optional[_Iterable[_Union[Mount, _Mapping]]] = ..., volumes_from: _Optional[_Iterable[_Union[VolumesFrom, _Mapping]]] = ..., shm_size: _Optional[int] = ..., read_only: _Optional[bool] = ..., labels: _Optional[_Iterable[_Union[Setting, _Mapping]]] = ..., restart: _Optional[bytes] = ..., auto_remove: _Optional[bool] = ..., stop_signal: _Optional[int] = ..., stop_timeout_ms: _Optional[int] = ..., main: _Optional[_Union[SpawnRequest, _Mapping]] = ...) -> None: ...

class Mount(_message.Message):
    __slots__ = ("target", "kind", "source", "read_only", "no_copy", "options")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    NO_COPY_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    target: bytes
    kind: bytes
    source: bytes
    read_only: bool
    no_copy: bool
    options: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, target: _Optional[bytes] = ..., kind: _Optional[bytes] = ..., source: _Optional[bytes] = ..., read_only: _Optional[bool] = ..., no_copy: _Optional[bool] = ..., options: _Optional[_Iterable[bytes]] = ...) -> None: ...

class VolumesFrom(_message.Message):
    __slots__ = ("handle", "read_only")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    read_only: bool
    def __init__(self, handle: _Optional[bytes] = ..., read_only: _Optional[bool] = ...) -> None: ...

class NetInterface(_message.Message):
    __slots__ = ("kind", "parent", "name", "mode", "vlan_id", "addresses", "gateways", "mac", "mtu", "aliases", "host_name", "host_index", "bridge", "index")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    VLAN_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    GATEWAYS_FIELD_NUMBER: _ClassVar[int]
    MAC_FIELD_NUMBER: _ClassVar[int]
    MTU_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    HOST_NAME_FIELD_NUMBER: _ClassVar[int]
    HOST_INDEX_FIELD_NUMBER: _ClassVar[int]
    BRIDGE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    kind: bytes
    parent: bytes
    name: bytes
    mode: bytes
    vlan_id: int
    addresses: _containers.RepeatedScalarFieldContainer[bytes]
    gateways: _containers.RepeatedScalarFieldContainer[bytes]
    mac: bytes
    mtu: int
    aliases: _containers.RepeatedScalarFieldContainer[bytes]
    host_name: bytes
    host_index: int
    bridge: bytes
    index: int
    def __init__(self, kind: _Optional[bytes] = ..., parent: _Optional[bytes] = ..., name: _Optional[bytes] = ..., mode: _Optional[bytes] = ..., vlan_id: _Optional[int] = ..., addresses: _Optional[_Iterable[bytes]] = ..., gateways: _Optional[_Iterable[bytes]] = ..., mac: _Optional[bytes] = ..., mtu: _Optional[int] = ..., aliases: _Optional[_Iterable[bytes]] = ..., host_name: _Optional[bytes] = ..., host_index: _Optional[int] = ..., bridge: _Optional[bytes] = ..., index: _Optional[int] = ...) -> None: ...

class Setting(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    value: bytes
    def __init__(self, name: _Optional[bytes] = ..., value: _Optional[bytes] = ...) -> None: ...

class CreateResponse(_message.Message):
    __slots__ = ("handle", "warnings")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    warnings: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, handle: _Optional[bytes] = ..., warnings: _Optional[_Iterable[bytes]] = ...) -> None: ...

class StopRequest(_message.Message):
    __slots__ = ("handle", "background", "kill")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_FIELD_NUMBER: _ClassVar[int]
    KILL_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    background: bool
    kill: bool
    def __init__(self, handle: _Optional[bytes] = ..., background: _Optional[bool] = ..., kill: _Optional[bool] = ...) -> None: ...

class StopResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DestroyRequest(_message.Message):
    __slots__ = ("handle",)
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    def __init__(self, handle: _Optional[bytes] = ...) -> None: ...

class DestroyResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class InfoRequest(_message.Message):
    __slots__ = ("handle",)
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    def __init__(self, handle: _Optional[bytes] = ...) -> None: ...

class InfoResponse(_message.Message):
    __slots__ = ("state", "events", "host_ip", "container_ip", "container_path", "memory_stat", "cpu_stat", "disk_stat", "bandwidth_stat", "job_ids", "id", "image", "created_us", "pid", "memory_current", "memory_peak", "memory_limit", "oom_kills", "jobs", "hostname", "rootfs", "network_mode", "paused", "links", "network_of", "mounts", "read_only", "labels", "restart", "restarts", "main_job", "auto_remove", "stop_signal", "stop_timeout_ms", "shm_size")
    class MemoryStat(_message.Message):
        __slots__ = ("cache", "rss", "mapped_file", "pgpgin", "pgpgout", "swap", "pgfault", "pgmajfault", "inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable", "hierarchical_memory_limit", "hierarchical_memsw_limit", "total_cache", "total_rss", "total_mapped_file", "total_pgpgin", "total_pgpgout", "total_swap", "total_pgfault", "total_pgmajfault", "total_inactive_anon", "total_active_anon", "total_inactive_file", "total_active_file", "total_unevictable")
        CACHE_FIELD_NUMBER: _ClassVar[int]
        RSS_FIELD_NUMBER: _ClassVar[int]
        MAPPED_FILE_FIELD_NUMBER: _ClassVar[int]
        PGPGIN_FIELD_NUMBER: _ClassVar[int]
        PGPGOUT_FIELD_NUMBER: _ClassVar[int]
        SWAP_FIELD_NUMBER: _ClassVar[int]
        PGFAULT_FIELD_NUMBER: _ClassVar[int]
        PGMAJFAULT_FIELD_NUMBER: _ClassVar[int]
        INACTIVE_ANON_FIELD_NUMBER: _ClassVar[int]
        ACTIVE_ANON_FIELD_NUMBER: _ClassVar[int]
        INACTIVE_FILE_FIELD_NUMBER: _ClassVar[int]
        ACTIVE_FILE_FIELD_NUMBER: _ClassVar[int]
        UNEVICTABLE_FIELD_NUMBER: _ClassVar[int]
        HIERARCHICAL_MEMORY_LIMIT_FIELD_NUMBER: _ClassVar[int]
        HIERARCHICAL_MEMSW_LIMIT_FIELD_NUMBER: _ClassVar[int]
        TOTAL_CACHE_FIELD_NUMBER: _ClassVar[int]
        TOTAL_RSS_FIELD_NUMBER: _ClassVar[int]
        TOTAL_MAPPED_FILE_FIELD_NUMBER: _ClassVar[int]
        TOTAL_PGPGIN_FIELD_NUMBER: _ClassVar[int]
        TOTAL_PGPGOUT_FIELD_NUMBER: _ClassVar[int]
        TOTAL_SWAP_FIELD_NUMBER: _ClassVar[int]
        TOTAL_PGFAULT_FIELD_NUMBER: _ClassVar[int]
        TOTAL_PGMAJFAULT_FIELD_NUMBER: _ClassVar[int]
        TOTAL_INACTIVE_ANON_FIELD_NUMBER: _ClassVar[int]
        TOTAL_ACTIVE_ANON_FIELD_NUMBER: _ClassVar[int]
        TOTAL_INACTIVE_FILE_FIELD_NUMBER: _ClassVar[int]
        TOTAL_ACTIVE_FILE_FIELD_NUMBER: _ClassVar[int]
        TOTAL_UNEVICTABLE_FIELD_NUMBER: _ClassVar[int]
        cache: int
        rss: int
        mapped_file: int
        pgpgin: int
        pgpgout: int
        swap: int
        pgfault: int
        pgmajfault: int
        inactive_anon: int
        active_anon: int
        inactive_file: int
        active_file: int
        unevictable: int
        hierarchical_memory_limit: int
        hierarchical_memsw_limit: int
        total_cache: int
        total_rss: int
        total_mapped_file: int
        total_pgpgin: int
        total_pgpgout: int
        total_swap: int
        total_pgfault: int
        total_pgmajfault: int
        total_inactive_anon: int
        total_active_anon: int
        total_inactive_file: int
        total_active_file: int
        total_unevictable: int
        def __init__(self, cache: _Optional[int] = ..., rss: _Optional[int] = ..., mapped_file: _Optional[int] = ..., pgpgin: _Optional[int] = ..., pgpgout: _Optional[int] = ..., swap: _Optional[int] = ..., pgfault: _Optional[int] = ..., pgmajfault: _Optional[int] = ..., inactive_anon: _Optional[int] = ..., active_anon: _Optional[int] = ..., inactive_file: _Optional[int] = ..., active_file: _Optional[int] = ..., unevictable: _Optional[int] = ..., hierarchical_memory_limit: _Optional[int] = ..., hierarchical_memsw_limit: _Optional[int] = ..., total_cache: _Optional[int] = ..., total_rss: _Optional[int] = ..., total_mapped_file: _Optional[int] = ..., total_pgpgin: _Optional[int] = ..., total_pgpgout: _Optional[int] = ..., total_swap: _Optional[int] = ..., total_pgfault: _Optional[int] = ..., total_pgmajfault: _Optional[int] = ..., total_inactive_anon: _Optional[int] = ..., total_active_anon: _Optional[int] = ..., total_inactive_file: _Optional[int] = ..., total_active_file: _Optional[int] = ..., total_unevictable: _Optional[int] = ...) -> None: ...
    class CpuStat(_message.Message):
        __slots__ = ("usage", "user", "system")
        USAGE_FIELD_NUMBER: _ClassVar[int]
        USER_FIELD_NUMBER: _ClassVar[int]
        SYSTEM_FIELD_NUMBER: _ClassVar[int]
        usage: int
        user: int
        system: int
        def __init__(self, usage: _Optional[int] = ..., user: _Optional[int] = ..., system: _Optional[int] = ...) -> None: ...
    class DiskStat(_message.Message):
        __slots__ = ("bytes_used", "inodes_used")
        BYTES_USED_FIELD_NUMBER: _ClassVar[int]
        INODES_USED_FIELD_NUMBER: _ClassVar[int]
        bytes_used: int
        inodes_used: int
        def __init__(self, bytes_used: _Optional[int] = ..., inodes_used: _Optional[int] = ...) -> None: ...
    class BandwidthStat(_message.Message):
        __slots__ = ("in_rate", "in_burst", "out_rate", "out_burst")
        IN_RATE_FIELD_NUMBER: _ClassVar[int]
        IN_BURST_FIELD_NUMBER: _ClassVar[int]
        OUT_RATE_FIELD_NUMBER: _ClassVar[int]
        OUT_BURST_FIELD_NUMBER: _ClassVar[int]
        in_rate: int
        in_burst: int
        out_rate: int
        out_burst: int
        def __init__(self, in_rate: _Optional[int] = ..., in_burst: _Optional[int] = ..., out_rate: _Optional[int] = ..., out_burst: _Optional[int] = ...) -> None: ...
    class Job(_message.Message):
        __slots__ = ("id", "command", "running", "started_us", "exit_status", "verdict", "tty", "interactive")
        ID_FIELD_NUMBER: _ClassVar[int]
        COMMAND_FIELD_NUMBER: _ClassVar[int]
        RUNNING_FIELD_NUMBER: _ClassVar[int]
        STARTED_US_FIELD_NUMBER: _ClassVar[int]
        EXIT_STATUS_FIELD_NUMBER: _ClassVar[int]
        VERDICT_FIELD_NUMBER: _ClassVar[int]
        TTY_FIELD_NUMBER: _ClassVar[int]
        INTERACTIVE_FIELD_NUMBER: _ClassVar[int]
        id: int
        command: bytes
        running: bool
        started_us: int
        exit_status: int
        verdict: bytes
        tty: bool
        interactive: bool
        def __init__(self, id: _Optional[int] = ..., command: _Optional[bytes] = ..., running: _Optional[bool] = ..., started_us: _Optional[int] = ..., exit_status: _Optional[int] = ..., verdict: _Optional[bytes] = ..., tty: _Optional[bool] = ..., interactive: _Optional[bool] = ...) -> None: ...
    STATE_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    HOST_IP_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_IP_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_PATH_FIELD_NUMBER: _ClassVar[int]
    MEMORY_STAT_FIELD_NUMBER: _ClassVar[int]
    CPU_STAT_FIELD_NUMBER: _ClassVar[int]
    DISK_STAT_FIELD_NUMBER: _ClassVar[int]
    BANDWIDTH_STAT_FIELD_NUMBER: _ClassVar[int]
    JOB_IDS_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    CREATED_US_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    MEMORY_CURRENT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_PEAK_FIELD_NUMBER: _ClassVar[int]
    MEMORY_LIMIT_FIELD_NUMBER: _ClassVar[int]
    OOM_KILLS_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    HOSTNAME_FIELD_NUMBER: _ClassVar[int]
    ROOTFS_FIELD_NUMBER: _ClassVar[int]
    NETWORK_MODE_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    LINKS_FIELD_NUMBER: _ClassVar[int]
    NETWORK_OF_FIELD_NUMBER: _ClassVar[int]
    MOUNTS_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    RESTART_FIELD_NUMBER: _ClassVar[int]
    RESTARTS_FIELD_NUMBER: _ClassVar[int]
    MAIN_JOB_FIELD_NUMBER: _ClassVar[int]
    AUTO_REMOVE_FIELD_NUMBER: _ClassVar[int]
    STOP_SIGNAL_FIELD_NUMBER: _ClassVar[int]
    STOP_TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    SHM_SIZE_FIELD_NUMBER: _ClassVar[int]
    state: bytes
    events: _containers.RepeatedScalarFieldContainer[bytes]
    host_ip: bytes
    container_ip: bytes
    container_path: bytes
    memory_stat: InfoResponse.MemoryStat
    cpu_stat: InfoResponse.CpuStat
    disk_stat: InfoResponse.DiskStat
    bandwidth_stat: InfoResponse.BandwidthStat
    job_ids: _containers.RepeatedScalarFieldContainer[int]
    id: bytes
    image: bytes
    created_us: int
    pid: int
    memory_current: int
    memory_peak: int
    memory_limit: int
    oom_kills: int
    jobs: _containers.RepeatedCompositeFieldContainer[InfoResponse.Job]
    hostname: bytes
    rootfs: bytes
    network_mode: bytes
    paused: bool
    links: _containers.RepeatedCompositeFieldContainer[NetInterface]
    network_of: bytes
    mounts: _containers.RepeatedCompositeFieldContainer[Mount]
    read_only: bool
    labels: _containers.RepeatedCompositeFieldContainer[Setting]
    restart: bytes
    restarts: int
    main_job: int
    auto_remove: bool
    stop_signal: int
    stop_timeout_ms: int
    shm_size: int
    def __init__(self, state: _Optional[bytes] = ..., events: _Optional[_Iterable[bytes]] = ..., host_ip: _Optional[bytes] = ..., container_ip: _Optional[bytes] = ..., container_path: _Optional[bytes] = ..., memory_stat: _Optional[_Union[InfoResponse.MemoryStat, _Mapping]] = ..., cpu_stat: _Optional[_Union[InfoResponse.CpuStat, _Mapping]] = ..., disk_stat: _Optional[_Union[InfoResponse.DiskStat, _Mapping]] = ..., bandwidth_stat: _Optional[_Union[InfoResponse.BandwidthStat, _Mapping]] = ..., job_ids: _Optional[_Iterable[int]] = ..., id: _Optional[bytes] = ..., image: _Optional[bytes] = ..., created_us: _Optional[int] = ..., pid: _Optional[int] = ..., memory_current: _Optional[int] = ..., memory_peak: _Optional[int] = ..., memory_limit: _Optional[int] = ..., oom_kills: _Optional[int] = ..., jobs: _Optional[_Iterable[_Union[InfoResponse.Job, _Mapping]]] = ..., hostname: _Optional[bytes] = ..., rootfs: _Optional[bytes] = ..., network_mode: _Optional[bytes] = ..., paused: _Optional[bool] = ..., links: _Optional[_Iterable[_Union[NetInterface, _Mapping]]] = ..., network_of: _Optional[bytes] = ..., mounts: _Optional[_Iterable[_Union[Mount, _Mapping]]] = ..., read_only: _Optional[bool] = ..., labels: _Optional[_Iterable[_Union[Setting, _Mapping]]] = ..., restart: _Optional[bytes] = ..., restarts: _Optional[int] = ..., main_job: _Optional[int] = ..., auto_remove: _Optional[bool] = ..., stop_signal: _Optional[int] = ..., stop_timeout_ms: _Optional[int] = ..., shm_size: _Optional[int] = ...) -> None: ...

class ResourceLimits(_message.Message):
    __slots__ = ("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "sigpending", "stack")
    AS_FIELD_NUMBER: _ClassVar[int]
    CORE_FIELD_NUMBER: _ClassVar[int]
    CPU_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    FSIZE_FIELD_NUMBER: _ClassVar[int]
    LOCKS_FIELD_NUMBER: _ClassVar[int]
    MEMLOCK_FIELD_NUMBER: _ClassVar[int]
    MSGQUEUE_FIELD_NUMBER: _ClassVar[int]
    NICE_FIELD_NUMBER: _ClassVar[int]
    NOFILE_FIELD_NUMBER: _ClassVar[int]
    NPROC_FIELD_NUMBER: _ClassVar[int]
    RSS_FIELD_NUMBER: _ClassVar[int]
    RTPRIO_FIELD_NUMBER: _ClassVar[int]
    SIGPENDING_FIELD_NUMBER: _ClassVar[int]
    STACK_FIELD_NUMBER: _ClassVar[int]
    core: int
    cpu: int
    data: int
    fsize: int
    locks: int
    memlock: int
    msgqueue: int
    nice: int
    nofile: int
    nproc: int
    rss: int
    rtprio: int
    sigpending: int
    stack: int
    def __init__(self, core: _Optional[int] = ..., cpu: _Optional[int] = ..., data: _Optional[int] = ..., fsize: _Optional[int] = ..., locks: _Optional[int] = ..., memlock: _Optional[int] = ..., msgqueue: _Optional[int] = ..., nice: _Optional[int] = ..., nofile: _Optional[int] = ..., nproc: _Optional[int] = ..., rss: _Optional[int] = ..., rtprio: _Optional[int] = ..., sigpending: _Optional[int] = ..., stack: _Optional[int] = ..., **kwargs) -> None: ...

class Usage(_message.Message):
    __slots__ = ("cpu_user_us", "cpu_system_us", "wall_us", "peak_memory_bytes", "io_read_bytes", "io_write_bytes", "io_read_ops", "io_write_ops")
    CPU_USER_US_FIELD_NUMBER: _ClassVar[int]
    CPU_SYSTEM_US_FIELD_NUMBER: _ClassVar[int]
    WALL_US_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    IO_READ_BYTES_FIELD_NUMBER: _ClassVar[int]
    IO_WRITE_BYTES_FIELD_NUMBER: _ClassVar[int]
    IO_READ_OPS_FIELD_NUMBER: _ClassVar[int]
    IO_WRITE_OPS_FIELD_NUMBER: _ClassVar[int]
    cpu_user_us: int
    cpu_system_us: int
    wall_us: int
    peak_memory_bytes: int
    io_read_bytes: int
    io_write_bytes: int
    io_read_ops: int
    io_write_ops: int
    def __init__(self, cpu_user_us: _Optional[int] = ..., cpu_system_us: _Optional[int] = ..., wall_us: _Optional[int] = ..., peak_memory_bytes: _Optional[int] = ..., io_read_bytes: _Optional[int] = ..., io_write_bytes: _Optional[int] = ..., io_read_ops: _Optional[int] = ..., io_write_ops: _Optional[int] = ...) -> None: ...

class SpawnRequest(_message.Message):
    __slots__ = ("handle", "script", "privileged", "rlimits", "discard_output", "log_tag", "argv", "env", "cwd", "user", "stdin", "interactive", "tty", "rows", "columns", "wall_limit_ms", "output_limit", "cpu_limit_ms")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_FIELD_NUMBER: _ClassVar[int]
    PRIVILEGED_FIELD_NUMBER: _ClassVar[int]
    RLIMITS_FIELD_NUMBER: _ClassVar[int]
    DISCARD_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    LOG_TAG_FIELD_NUMBER: _ClassVar[int]
    ARGV_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    CWD_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    STDIN_FIELD_NUMBER: _ClassVar[int]
    INTERACTIVE_FIELD_NUMBER: _ClassVar[int]
    TTY_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    WALL_LIMIT_MS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_LIMIT_FIELD_NUMBER: _ClassVar[int]
    CPU_LIMIT_MS_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    script: bytes
    privileged: bool
    rlimits: ResourceLimits
    discard_output: bool
    log_tag: bytes
    argv: _containers.RepeatedScalarFieldContainer[bytes]
    env: _containers.RepeatedScalarFieldContainer[bytes]
    cwd: bytes
    user: bytes
    stdin: bytes
    interactive: bool
    tty: bool
    rows: int
    columns: int
    wall_limit_ms: int
    output_limit: int
    cpu_limit_ms: int
    def __init__(self, handle: _Optional[bytes] = ..., script: _Optional[bytes] = ..., privileged: _Optional[bool] = ..., rlimits: _Optional[_Union[ResourceLimits, _Mapping]] = ..., discard_output: _Optional[bool] = ..., log_tag: _Optional[bytes] = ..., argv: _Optional[_Iterable[bytes]] = ..., env: _Optional[_Iterable[bytes]] = ..., cwd: _Optional[bytes] = ..., user: _Optional[bytes] = ..., stdin: _Optional[bytes] = ..., interactive: _Optional[bool] = ..., tty: _Optional[bool] = ..., rows: _Optional[int] = ..., columns: _Optional[int] = ..., wall_limit_ms: _Optional[int] = ..., output_limit: _Optional[int] = ..., cpu_limit_ms: _Optional[int] = ...) -> None: ...

class SpawnResponse(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: int
    def __init__(self, job_id: _Optional[int] = ...) -> None: ...

class LinkRequest(_message.Message):
    __slots__ = ("handle", "job_id")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    job_id: int
    def __init__(self, handle: _Optional[bytes] = ..., job_id: _Optional[int] = ...) -> None: ...

class LinkResponse(_message.Message):
    __slots__ = ("exit_status", "stdout", "stderr", "info", "verdict", "signal", "truncated", "usage", "detail")
    EXIT_STATUS_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    exit_status: int
    stdout: bytes
    stderr: bytes
    info: InfoResponse
    verdict: bytes
    signal: int
    truncated: bool
    usage: Usage
    detail: bytes
    def __init__(self, exit_status: _Optional[int] = ..., stdout: _Optional[bytes] = ..., stderr: _Optional[bytes] = ..., info: _Optional[_Union[InfoResponse, _Mapping]] = ..., verdict: _Optional[bytes] = ..., signal: _Optional[int] = ..., truncated: _Optional[bool] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., detail: _Optional[bytes] = ...) -> None: ...

class RunRequest(_message.Message):
    __slots__ = ("handle", "script", "privileged", "rlimits", "discard_output", "log_tag", "argv", "env", "cwd", "user", "stdin", "interactive", "tty", "rows", "columns", "wall_limit_ms", "output_limit", "want_info", "cpu_limit_ms")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_FIELD_NUMBER: _ClassVar[int]
    PRIVILEGED_FIELD_NUMBER: _ClassVar[int]
    RLIMITS_FIELD_NUMBER: _ClassVar[int]
    DISCARD_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    LOG_TAG_FIELD_NUMBER: _ClassVar[int]
    ARGV_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    CWD_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    STDIN_FIELD_NUMBER: _ClassVar[int]
    INTERACTIVE_FIELD_NUMBER: _ClassVar[int]
    TTY_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    WALL_LIMIT_MS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_LIMIT_FIELD_NUMBER: _ClassVar[int]
    WANT_INFO_FIELD_NUMBER: _ClassVar[int]
    CPU_LIMIT_MS_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    script: bytes
    privileged: bool
    rlimits: ResourceLimits
    discard_output: bool
    log_tag: bytes
    argv: _containers.RepeatedScalarFieldContainer[bytes]
    env: _containers.RepeatedScalarFieldContainer[bytes]
    cwd: bytes
    user: bytes
    stdin: bytes
    interactive: bool
    tty: bool
    rows: int
    columns: int
    wall_limit_ms: int
    output_limit: int
    want_info: bool
    cpu_limit_ms: int
    def __init__(self, handle: _Optional[bytes] = ..., script: _Optional[bytes] = ..., privileged: _Optional[bool] = ..., rlimits: _Optional[_Union[ResourceLimits, _Mapping]] = ..., discard_output: _Optional[bool] = ..., log_tag: _Optional[bytes] = ..., argv: _Optional[_Iterable[bytes]] = ..., env: _Optional[_Iterable[bytes]] = ..., cwd: _Optional[bytes] = ..., user: _Optional[bytes] = ..., stdin: _Optional[bytes] = ..., interactive: _Optional[bool] = ..., tty: _Optional[bool] = ..., rows: _Optional[int] = ..., columns: _Optional[int] = ..., wall_limit_ms: _Optional[int] = ..., output_limit: _Optional[int] = ..., want_info: _Optional[bool] = ..., cpu_limit_ms: _Optional[int] = ...) -> None: ...

class RunResponse(_message.Message):
    __slots__ = ("exit_status", "stdout", "stderr", "info", "verdict", "signal", "truncated", "usage", "detail")
    EXIT_STATUS_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    exit_status: int
    stdout: bytes
    stderr: bytes
    info: InfoResponse
    verdict: bytes
    signal: int
    truncated: bool
    usage: Usage
    detail: bytes
    def __init__(self, exit_status: _Optional[int] = ..., stdout: _Optional[bytes] = ..., stderr: _Optional[bytes] = ..., info: _Optional[_Union[InfoResponse, _Mapping]] = ..., verdict: _Optional[bytes] = ..., signal: _Optional[int] = ..., truncated: _Optional[bool] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., detail: _Optional[bytes] = ...) -> None: ...

class StreamRequest(_message.Message):
    __slots__ = ("handle", "job_id")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    job_id: int
    def __init__(self, handle: _Optional[bytes] = ..., job_id: _Optional[int] = ...) -> None: ...

class StreamResponse(_message.Message):
    __slots__ = ("name", "data", "exit_status", "info", "verdict", "signal", "truncated", "usage", "detail")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    EXIT_STATUS_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    data: bytes
    exit_status: int
    info: InfoResponse
    verdict: bytes
    signal: int
    truncated: bool
    usage: Usage
    detail: bytes
    def __init__(self, name: _Optional[bytes] = ..., data: _Optional[bytes] = ..., exit_status: _Optional[int] = ..., info: _Optional[_Union[InfoResponse, _Mapping]] = ..., verdict: _Optional[bytes] = ..., signal: _Optional[int] = ..., truncated: _Optional[bool] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., detail: _Optional[bytes] = ...) -> None: ...

class NetInRequest(_message.Message):
    __slots__ = ("handle", "container_port", "host_port", "protocol", "host_ip")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_PORT_FIELD_NUMBER: _ClassVar[int]
    HOST_PORT_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    HOST_IP_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    container_port: int
    host_port: int
    protocol: bytes
    host_ip: bytes
    def __init__(self, handle: _Optional[bytes] = ..., container_port: _Optional[int] = ..., host_port: _Optional[int] = ..., protocol: _Optional[bytes] = ..., host_ip: _Optional[bytes] = ...) -> None: ...

class NetInResponse(_message.Message):
    __slots__ = ("host_port", "container_port")
    HOST_PORT_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_PORT_FIELD_NUMBER: _ClassVar[int]
    host_port: int
    container_port: int
    def __init__(self, host_port: _Optional[int] = ..., container_port: _Optional[int] = ...) -> None: ...

class NetOutRequest(_message.Message):
    __slots__ = ("handle", "network", "port", "port_range", "protocol", "icmp_type", "icmp_code", "log")
    class Protocol(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TCP: _ClassVar[NetOutRequest.Protocol]
        UDP: _ClassVar[NetOutRequest.Protocol]
        ICMP: _ClassVar[NetOutRequest.Protocol]
        ALL: _ClassVar[NetOutRequest.Protocol]
    TCP: NetOutRequest.Protocol
    UDP: NetOutRequest.Protocol
    ICMP: NetOutRequest.Protocol
    ALL: NetOutRequest.Protocol
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    PORT_RANGE_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    ICMP_TYPE_FIELD_NUMBER: _ClassVar[int]
    ICMP_CODE_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    network: bytes
    port: int
    port_range: bytes
    protocol: NetOutRequest.Protocol
    icmp_type: int
    icmp_code: int
    log: bool
    def __init__(self, handle: _Optional[bytes] = ..., network: _Optional[bytes] = ..., port: _Optional[int] = ..., port_range: _Optional[bytes] = ..., protocol: _Optional[_Union[NetOutRequest.Protocol, str]] = ..., icmp_type: _Optional[int] = ..., icmp_code: _Optional[int] = ..., log: _Optional[bool] = ...) -> None: ...

class NetOutResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CopyInRequest(_message.Message):
    __slots__ = ("handle", "src_path", "dst_path")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    SRC_PATH_FIELD_NUMBER: _ClassVar[int]
    DST_PATH_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    src_path: bytes
    dst_path: bytes
    def __init__(self, handle: _Optional[bytes] = ..., src_path: _Optional[bytes] = ..., dst_path: _Optional[bytes] = ...) -> None: ...

class CopyInResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CopyOutRequest(_message.Message):
    __slots__ = ("handle", "src_path", "dst_path", "owner")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    SRC_PATH_FIELD_NUMBER: _ClassVar[int]
    DST_PATH_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    src_path: bytes
    dst_path: bytes
    owner: bytes
    def __init__(self, handle: _Optional[bytes] = ..., src_path: _Optional[bytes] = ..., dst_path: _Optional[bytes] = ..., owner: _Optional[bytes] = ...) -> None: ...

class CopyOutResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LimitMemoryRequest(_message.Message):
    __slots__ = ("handle", "limit_in_bytes")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_IN_BYTES_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    limit_in_bytes: int
    def __init__(self, handle: _Optional[bytes] = ..., limit_in_bytes: _Optional[int] = ...) -> None: ...

class LimitMemoryResponse(_message.Message):
    __slots__ = ("limit_in_bytes",)
    LIMIT_IN_BYTES_FIELD_NUMBER: _ClassVar[int]
    limit_in_bytes: int
    def __init__(self, limit_in_bytes: _Optional[int] = ...) -> None: ...

class LimitCpuRequest(_message.Message):
    __slots__ = ("handle", "limit_in_shares")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_IN_SHARES_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    limit_in_shares: int
    def __init__(self, handle: _Optional[bytes] = ..., limit_in_shares: _Optional[int] = ...) -> None: ...

class LimitCpuResponse(_message.Message):
    __slots__ = ("limit_in_shares",)
    LIMIT_IN_SHARES_FIELD_NUMBER: _ClassVar[int]
    limit_in_shares: int
    def __init__(self, limit_in_shares: _Optional[int] = ...) -> None: ...

class LimitBandwidthRequest(_message.Message):
    __slots__ = ("handle", "rate", "burst")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    BURST_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    rate: int
    burst: int
    def __init__(self, handle: _Optional[bytes] = ..., rate: _Optional[int] = ..., burst: _Optional[int] = ...) -> None: ...

class LimitBandwidthResponse(_message.Message):
    __slots__ = ("rate", "burst")
    RATE_FIELD_NUMBER: _ClassVar[int]
    BURST_FIELD_NUMBER: _ClassVar[int]
    rate: int
    burst: int
    def __init__(self, rate: _Optional[int] = ..., burst: _Optional[int] = ...) -> None: ...

class LimitDiskRequest(_message.Message):
    __slots__ = ("handle", "block_limit", "block", "block_soft", "block_hard", "inode_limit", "inode", "inode_soft", "inode_hard", "byte_limit", "byte", "byte_soft", "byte_hard")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    BLOCK_LIMIT_FIELD_NUMBER: _ClassVar[int]
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    BLOCK_SOFT_FIELD_NUMBER: _ClassVar[int]
    BLOCK_HARD_FIELD_NUMBER: _ClassVar[int]
    INODE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    INODE_FIELD_NUMBER: _ClassVar[int]
    INODE_SOFT_FIELD_NUMBER: _ClassVar[int]
    INODE_HARD_FIELD_NUMBER: _ClassVar[int]
    BYTE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    BYTE_FIELD_NUMBER: _ClassVar[int]
    BYTE_SOFT_FIELD_NUMBER: _ClassVar[int]
    BYTE_HARD_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    block_limit: int
    block: int
    block_soft: int
    block_hard: int
    inode_limit: int
    inode: int
    inode_soft: int
    inode_hard: int
    byte_limit: int
    byte: int
    byte_soft: int
    byte_hard: int
    def __init__(self, handle: _Optional[bytes] = ..., block_limit: _Optional[int] = ..., block: _Optional[int] = ..., block_soft: _Optional[int] = ..., block_hard: _Optional[int] = ..., inode_limit: _Optional[int] = ..., inode: _Optional[int] = ..., inode_soft: _Optional[int] = ..., inode_hard: _Optional[int] = ..., byte_limit: _Optional[int] = ..., byte: _Optional[int] = ..., byte_soft: _Optional[int] = ..., byte_hard: _Optional[int] = ...) -> None: ...

class LimitDiskResponse(_message.Message):
    __slots__ = ("block_limit", "block", "block_soft", "block_hard", "inode_limit", "inode", "inode_soft", "inode_hard", "byte_limit", "byte", "byte_soft", "byte_hard")
    BLOCK_LIMIT_FIELD_NUMBER: _ClassVar[int]
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    BLOCK_SOFT_FIELD_NUMBER: _ClassVar[int]
    BLOCK_HARD_FIELD_NUMBER: _ClassVar[int]
    INODE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    INODE_FIELD_NUMBER: _ClassVar[int]
    INODE_SOFT_FIELD_NUMBER: _ClassVar[int]
    INODE_HARD_FIELD_NUMBER: _ClassVar[int]
    BYTE_LIMIT_FIELD_NUMBER: _ClassVar[int]
    BYTE_FIELD_NUMBER: _ClassVar[int]
    BYTE_SOFT_FIELD_NUMBER: _ClassVar[int]
    BYTE_HARD_FIELD_NUMBER: _ClassVar[int]
    block_limit: int
    block: int
    block_soft: int
    block_hard: int
    inode_limit: int
    inode: int
    inode_soft: int
    inode_hard: int
    byte_limit: int
    byte: int
    byte_soft: int
    byte_hard: int
    def __init__(self, block_limit: _Optional[int] = ..., block: _Optional[int] = ..., block_soft: _Optional[int] = ..., block_hard: _Optional[int] = ..., inode_limit: _Optional[int] = ..., inode: _Optional[int] = ..., inode_soft: _Optional[int] = ..., inode_hard: _Optional[int] = ..., byte_limit: _Optional[int] = ..., byte: _Optional[int] = ..., byte_soft: _Optional[int] = ..., byte_hard: _Optional[int] = ...) -> None: ...

class PingRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PingResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListResponse(_message.Message):
    __slots__ = ("handles",)
    HANDLES_FIELD_NUMBER: _ClassVar[int]
    handles: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, handles: _Optional[_Iterable[bytes]] = ...) -> None: ...

class EchoRequest(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: bytes
    def __init__(self, message: _Optional[bytes] = ...) -> None: ...

class EchoResponse(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: bytes
    def __init__(self, message: _Optional[bytes] = ...) -> None: ...

class AttachRequest(_message.Message):
    __slots__ = ("handle", "job_id", "tail", "place")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    TAIL_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    job_id: int
    tail: int
    place: LogPlace
    def __init__(self, handle: _Optional[bytes] = ..., job_id: _Optional[int] = ..., tail: _Optional[int] = ..., place: _Optional[_Union[LogPlace, _Mapping]] = ...) -> None: ...

class AttachResponse(_message.Message):
    __slots__ = ("name", "data", "exit_status", "info", "verdict", "signal", "truncated", "usage", "detail", "offset", "place")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    EXIT_STATUS_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    data: bytes
    exit_status: int
    info: InfoResponse
    verdict: bytes
    signal: int
    truncated: bool
    usage: Usage
    detail: bytes
    offset: int
    place: LogPlace
    def __init__(self, name: _Optional[bytes] = ..., data: _Optional[bytes] = ..., exit_status: _Optional[int] = ..., info: _Optional[_Union[InfoResponse, _Mapping]] = ..., verdict: _Optional[bytes] = ..., signal: _Optional[int] = ..., truncated: _Optional[bool] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., detail: _Optional[bytes] = ..., offset: _Optional[int] = ..., place: _Optional[_Union[LogPlace, _Mapping]] = ...) -> None: ...

class AttachInputRequest(_message.Message):
    __slots__ = ("data", "eof", "rows", "columns")
    DATA_FIELD_NUMBER: _ClassVar[int]
    EOF_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    eof: bool
    rows: int
    columns: int
    def __init__(self, data: _Optional[bytes] = ..., eof: _Optional[bool] = ..., rows: _Optional[int] = ..., columns: _Optional[int] = ...) -> None: ...

class SignalRequest(_message.Message):
    __slots__ = ("handle", "job_id", "signal", "tree")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    TREE_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    job_id: int
    signal: int
    tree: bool
    def __init__(self, handle: _Optional[bytes] = ..., job_id: _Optional[int] = ..., signal: _Optional[int] = ..., tree: _Optional[bool] = ...) -> None: ...

class SignalResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LogPlace(_message.Message):
    __slots__ = ("job_id", "stdout", "stderr", "skip")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    SKIP_FIELD_NUMBER: _ClassVar[int]
    job_id: int
    stdout: int
    stderr: int
    skip: int
    def __init__(self, job_id: _Optional[int] = ..., stdout: _Optional[int] = ..., stderr: _Optional[int] = ..., skip: _Optional[int] = ...) -> None: ...

class LogsRequest(_message.Message):
    __slots__ = ("handle", "job_id", "follow", "since_us", "until_us", "tail", "stream", "places", "lasting")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    SINCE_US_FIELD_NUMBER: _ClassVar[int]
    UNTIL_US_FIELD_NUMBER: _ClassVar[int]
    TAIL_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    LASTING_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    job_id: int
    follow: bool
    since_us: int
    until_us: int
    tail: int
    stream: bytes
    places: _containers.RepeatedCompositeFieldContainer[LogPlace]
    lasting: bool
    def __init__(self, handle: _Optional[bytes] = ..., job_id: _Optional[int] = ..., follow: _Optional[bool] = ..., since_us: _Optional[int] = ..., until_us: _Optional[int] = ..., tail: _Optional[int] = ..., stream: _Optional[bytes] = ..., places: _Optional[_Iterable[_Union[LogPlace, _Mapping]]] = ..., lasting: _Optional[bool] = ...) -> None: ...

class LogsResponse(_message.Message):
    __slots__ = ("name", "data", "time_us", "job_id", "end", "offset", "places")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    data: bytes
    time_us: int
    job_id: int
    end: bool
    offset: int
    places: _containers.RepeatedCompositeFieldContainer[LogPlace]
    def __init__(self, name: _Optional[bytes] = ..., data: _Optional[bytes] = ..., time_us: _Optional[int] = ..., job_id: _Optional[int] = ..., end: _Optional[bool] = ..., offset: _Optional[int] = ..., places: _Optional[_Iterable[_Union[LogPlace, _Mapping]]] = ...) -> None: ...

class VersionRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class VersionResponse(_message.Message):
    __slots__ = ("version", "protocol", "pid")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    version: bytes
    protocol: int
    pid: int
    def __init__(self, version: _Optional[bytes] = ..., protocol: _Optional[int] = ..., pid: _Optional[int] = ...) -> None: ...

class LimitRequest(_message.Message):
    __slots__ = ("handle", "settings", "best_effort", "raw")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    BEST_EFFORT_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    settings: _containers.RepeatedCompositeFieldContainer[Setting]
    best_effort: bool
    raw: bool
    def __init__(self, handle: _Optional[bytes] = ..., settings: _Optional[_Iterable[_Union[Setting, _Mapping]]] = ..., best_effort: _Optional[bool] = ..., raw: _Optional[bool] = ...) -> None: ...

class LimitResponse(_message.Message):
    __slots__ = ("in_force", "asked", "raw", "warnings")
    IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    ASKED_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    in_force: _containers.RepeatedCompositeFieldContainer[Setting]
    asked: _containers.RepeatedCompositeFieldContainer[Setting]
    raw: _containers.RepeatedCompositeFieldContainer[Setting]
    warnings: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, in_force: _Optional[_Iterable[_Union[Setting, _Mapping]]] = ..., asked: _Optional[_Iterable[_Union[Setting, _Mapping]]] = ..., raw: _Optional[_Iterable[_Union[Setting, _Mapping]]] = ..., warnings: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ContainerStats(_message.Message):
    __slots__ = ("handle", "id", "state", "time", "uptime_s", "memory", "cpu", "pids", "io", "network", "shaping", "disk", "pressure", "processes", "jobs")
    class Memory(_message.Message):
        __slots__ = ("current", "peak", "limit", "swap", "swap_limit", "stat_names", "stat_values", "event_names", "event_values")
        CURRENT_FIELD_NUMBER: _ClassVar[int]
        PEAK_FIELD_NUMBER: _ClassVar[int]
        LIMIT_FIELD_NUMBER: _ClassVar[int]
        SWAP_FIELD_NUMBER: _ClassVar[int]
        SWAP_LIMIT_FIELD_NUMBER: _ClassVar[int]
        STAT_NAMES_FIELD_NUMBER: _ClassVar[int]
        STAT_VALUES_FIELD_NUMBER: _ClassVar[int]
        EVENT_NAMES_FIELD_NUMBER: _ClassVar[int]
        EVENT_VALUES_FIELD_NUMBER: _ClassVar[int]
        current: int
        peak: int
        limit: int
        swap: int
        swap_limit: int
        stat_names: _containers.RepeatedScalarFieldContainer[bytes]
        stat_values: _containers.RepeatedScalarFieldContainer[int]
        event_names: _containers.RepeatedScalarFieldContainer[bytes]
        event_values: _containers.RepeatedScalarFieldContainer[int]
        def __init__(self, current: _Optional[int] = ..., peak: _Optional[int] = ..., limit: _Optional[int] = ..., swap: _Optional[int] = ..., swap_limit: _Optional[int] = ..., stat_names: _Optional[_Iterable[bytes]] = ..., stat_values: _Optional[_Iterable[int]] = ..., event_names: _Optional[_Iterable[bytes]] = ..., event_values: _Optional[_Iterable[int]] = ...) -> None: ...
    class Cpu(_message.Message):
        __slots__ = ("usage_s", "user_s", "system_s", "periods", "throttled_periods", "throttled_s")
        USAGE_S_FIELD_NUMBER: _ClassVar[int]
        USER_S_FIELD_NUMBER: _ClassVar[int]
        SYSTEM_S_FIELD_NUMBER: _ClassVar[int]
        PERIODS_FIELD_NUMBER: _ClassVar[int]
        THROTTLED_PERIODS_FIELD_NUMBER: _ClassVar[int]
        THROTTLED_S_FIELD_NUMBER: _ClassVar[int]
        usage_s: float
        user_s: float
        system_s: float
        periods: int
        throttled_periods: int
        throttled_s: float
        def __init__(self, usage_s: _Optional[float] = ..., user_s: _Optional[float] = ..., system_s: _Optional[float] = ..., periods: _Optional[int] = ..., throttled_periods: _Optional[int] = ..., throttled_s: _Optional[float] = ...) -> None: ...
    class Pids(_message.Message):
        __slots__ = ("current", "peak", "limit")
        CURRENT_FIELD_NUMBER: _ClassVar[int]
        PEAK_FIELD_NUMBER: _ClassVar[int]
        LIMIT_FIELD_NUMBER: _ClassVar[int]
        current: int
        peak: int
        limit: int
        def __init__(self, current: _Optional[int] = ..., peak: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...
    class Device(_message.Message):
        __slots__ = ("major", "minor", "name", "read_bytes", "written_bytes", "reads", "writes")
        MAJOR_FIELD_NUMBER: _ClassVar[int]
        MINOR_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        READ_BYTES_FIELD_NUMBER: _ClassVar[int]
        WRITTEN_BYTES_FIELD_NUMBER: _ClassVar[int]
        READS_FIELD_NUMBER: _ClassVar[int]
        WRITES_FIELD_NUMBER: _ClassVar[int]
        major: int
        minor: int
        name: bytes
        read_bytes: int
        written_bytes: int
        reads: int
        writes: int
        def __init__(self, major: _Optional[int] = ..., minor: _Optional[int] = ..., name: _Optional[bytes] = ..., read_bytes: _Optional[int] = ..., written_bytes: _Optional[int] = ..., reads: _Optional[int] = ..., writes: _Optional[int] = ...) -> None: ...
    class Interface(_message.Message):
        __slots__ = ("name", "rx_bytes", "rx_packets", "rx_errors", "rx_drops", "tx_bytes", "tx_packets", "tx_errors", "tx_drops")
        NAME_FIELD_NUMBER: _ClassVar[int]
        RX_BYTES_FIELD_NUMBER: _ClassVar[int]
        RX_PACKETS_FIELD_NUMBER: _ClassVar[int]
        RX_ERRORS_FIELD_NUMBER: _ClassVar[int]
        RX_DROPS_FIELD_NUMBER: _ClassVar[int]
        TX_BYTES_FIELD_NUMBER: _ClassVar[int]
        TX_PACKETS_FIELD_NUMBER: _ClassVar[int]
        TX_ERRORS_FIELD_NUMBER: _ClassVar[int]
        TX_DROPS_FIELD_NUMBER: _ClassVar[int]
        name: bytes
        rx_bytes: int
        rx_packets: int
        rx_errors: int
        rx_drops: int
        tx_bytes: int
        tx_packets: int
        tx_errors: int
        tx_drops: int
        def __init__(self, name: _Optional[bytes] = ..., rx_bytes: _Optional[int] = ..., rx_packets: _Optional[int] = ..., rx_errors: _Optional[int] = ..., rx_drops: _Optional[int] = ..., tx_bytes: _Optional[int] = ..., tx_packets: _Optional[int] = ..., tx_errors: _Optional[int] = ..., tx_drops: _Optional[int] = ...) -> None: ...
    class Shaping(_message.Message):
        __slots__ = ("rx", "tx", "rx_overlimits", "tx_overlimits")
        RX_FIELD_NUMBER: _ClassVar[int]
        TX_FIELD_NUMBER: _ClassVar[int]
        RX_OVERLIMITS_FIELD_NUMBER: _ClassVar[int]
        TX_OVERLIMITS_FIELD_NUMBER: _ClassVar[int]
        rx: int
        tx: int
        rx_overlimits: int
        tx_overlimits: int
        def __init__(self, rx: _Optional[int] = ..., tx: _Optional[int] = ..., rx_overlimits: _Optional[int] = ..., tx_overlimits: _Optional[int] = ...) -> None: ...
    class Disk(_message.Message):
        __slots__ = ("bytes_used", "inodes_used")
        BYTES_USED_FIELD_NUMBER: _ClassVar[int]
        INODES_USED_FIELD_NUMBER: _ClassVar[int]
        bytes_used: int
        inodes_used: int
        def __init__(self, bytes_used: _Optional[int] = ..., inodes_used: _Optional[int] = ...) -> None: ...
    class Stall(_message.Message):
        __slots__ = ("avg10", "avg60", "avg300", "total_s")
        AVG10_FIELD_NUMBER: _ClassVar[int]
        AVG60_FIELD_NUMBER: _ClassVar[int]
        AVG300_FIELD_NUMBER: _ClassVar[int]
        TOTAL_S_FIELD_NUMBER: _ClassVar[int]
        avg10: float
        avg60: float
        avg300: float
        total_s: float
        def __init__(self, avg10: _Optional[float] = ..., avg60: _Optional[float] = ..., avg300: _Optional[float] = ..., total_s: _Optional[float] = ...) -> None: ...
    class Pressure(_message.Message):
        __slots__ = ("resource", "some", "full")
        RESOURCE_FIELD_NUMBER: _ClassVar[int]
        SOME_FIELD_NUMBER: _ClassVar[int]
        FULL_FIELD_NUMBER: _ClassVar[int]
        resource: bytes
        some: ContainerStats.Stall
        full: ContainerStats.Stall
        def __init__(self, resource: _Optional[bytes] = ..., some: _Optional[_Union[ContainerStats.Stall, _Mapping]] = ..., full: _Optional[_Union[ContainerStats.Stall, _Mapping]] = ...) -> None: ...
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    UPTIME_S_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    CPU_FIELD_NUMBER: _ClassVar[int]
    PIDS_FIELD_NUMBER: _ClassVar[int]
    IO_FIELD_NUMBER: _ClassVar[int]
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    SHAPING_FIELD_NUMBER: _ClassVar[int]
    DISK_FIELD_NUMBER: _ClassVar[int]
    PRESSURE_FIELD_NUMBER: _ClassVar[int]
    PROCESSES_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    id: bytes
    state: bytes
    time: float
    uptime_s: float
    memory: ContainerStats.Memory
    cpu: ContainerStats.Cpu
    pids: ContainerStats.Pids
    io: _containers.RepeatedCompositeFieldContainer[ContainerStats.Device]
    network: _containers.RepeatedCompositeFieldContainer[ContainerStats.Interface]
    shaping: ContainerStats.Shaping
    disk: ContainerStats.Disk
    pressure: _containers.RepeatedCompositeFieldContainer[ContainerStats.Pressure]
    processes: int
    jobs: int
    def __init__(self, handle: _Optional[bytes] = ..., id: _Optional[bytes] = ..., state: _Optional[bytes] = ..., time: _Optional[float] = ..., uptime_s: _Optional[float] = ..., memory: _Optional[_Union[ContainerStats.Memory, _Mapping]] = ..., cpu: _Optional[_Union[ContainerStats.Cpu, _Mapping]] = ..., pids: _Optional[_Union[ContainerStats.Pids, _Mapping]] = ..., io: _Optional[_Iterable[_Union[ContainerStats.Device, _Mapping]]] = ..., network: _Optional[_Iterable[_Union[ContainerStats.Interface, _Mapping]]] = ..., shaping: _Optional[_Union[ContainerStats.Shaping, _Mapping]] = ..., disk: _Optional[_Union[ContainerStats.Disk, _Mapping]] = ..., pressure: _Optional[_Iterable[_Union[ContainerStats.Pressure, _Mapping]]] = ..., processes: _Optional[int] = ..., jobs: _Optional[int] = ...) -> None: ...

class StatsRequest(_message.Message):
    __slots__ = ("handles", "brief")
    HANDLES_FIELD_NUMBER: _ClassVar[int]
    BRIEF_FIELD_NUMBER: _ClassVar[int]
    handles: _containers.RepeatedScalarFieldContainer[bytes]
    brief: bool
    def __init__(self, handles: _Optional[_Iterable[bytes]] = ..., brief: _Optional[bool] = ...) -> None: ...

class StatsResponse(_message.Message):
    __slots__ = ("stats",)
    STATS_FIELD_NUMBER: _ClassVar[int]
    stats: _containers.RepeatedCompositeFieldContainer[ContainerStats]
    def __init__(self, stats: _Optional[_Iterable[_Union[ContainerStats, _Mapping]]] = ...) -> None: ...

class StatsStreamRequest(_message.Message):
    __slots__ = ("handles", "brief", "interval_ms")
    HANDLES_FIELD_NUMBER: _ClassVar[int]
    BRIEF_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    handles: _containers.RepeatedScalarFieldContainer[bytes]
    brief: bool
    interval_ms: int
    def __init__(self, handles: _Optional[_Iterable[bytes]] = ..., brief: _Optional[bool] = ..., interval_ms: _Optional[int] = ...) -> None: ...

class StatsStreamResponse(_message.Message):
    __slots__ = ("stats", "end")
    STATS_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    stats: _containers.RepeatedCompositeFieldContainer[ContainerStats]
    end: bool
    def __init__(self, stats: _Optional[_Iterable[_Union[ContainerStats, _Mapping]]] = ..., end: _Optional[bool] = ...) -> None: ...

class PauseRequest(_message.Message):
    __slots__ = ("handle",)
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    def __init__(self, handle: _Optional[bytes] = ...) -> None: ...

class PauseResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResumeRequest(_message.Message):
    __slots__ = ("handle",)
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    def __init__(self, handle: _Optional[bytes] = ...) -> None: ...

class ResumeResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class KillRequest(_message.Message):
    __slots__ = ("handle",)
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    def __init__(self, handle: _Optional[bytes] = ...) -> None: ...

class KillResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Volume(_message.Message):
    __slots__ = ("name", "path", "created_us", "anonymous", "used_by")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    CREATED_US_FIELD_NUMBER: _ClassVar[int]
    ANONYMOUS_FIELD_NUMBER: _ClassVar[int]
    USED_BY_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    path: bytes
    created_us: int
    anonymous: bool
    used_by: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, name: _Optional[bytes] = ..., path: _Optional[bytes] = ..., created_us: _Optional[int] = ..., anonymous: _Optional[bool] = ..., used_by: _Optional[_Iterable[bytes]] = ...) -> None: ...

class VolumeCreateRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    def __init__(self, name: _Optional[bytes] = ...) -> None: ...

class VolumeCreateResponse(_message.Message):
    __slots__ = ("volume",)
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    volume: Volume
    def __init__(self, volume: _Optional[_Union[Volume, _Mapping]] = ...) -> None: ...

class VolumeListRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class VolumeListResponse(_message.Message):
    __slots__ = ("volumes",)
    VOLUMES_FIELD_NUMBER: _ClassVar[int]
    volumes: _containers.RepeatedCompositeFieldContainer[Volume]
    def __init__(self, volumes: _Optional[_Iterable[_Union[Volume, _Mapping]]] = ...) -> None: ...

class VolumeInspectRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    def __init__(self, name: _Optional[bytes] = ...) -> None: ...

class VolumeInspectResponse(_message.Message):
    __slots__ = ("volume",)
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    volume: Volume
    def __init__(self, volume: _Optional[_Union[Volume, _Mapping]] = ...) -> None: ...

class VolumeRemoveRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    def __init__(self, name: _Optional[bytes] = ...) -> None: ...

class VolumeRemoveResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class VolumePruneRequest(_message.Message):
    __slots__ = ("all",)
    ALL_FIELD_NUMBER: _ClassVar[int]
    all: bool
    def __init__(self, all: _Optional[bool] = ...) -> None: ...

class VolumePruneResponse(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, names: _Optional[_Iterable[bytes]] = ...) -> None: ...

class RenameRequest(_message.Message):
    __slots__ = ("handle", "new_handle")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    NEW_HANDLE_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    new_handle: bytes
    def __init__(self, handle: _Optional[bytes] = ..., new_handle: _Optional[bytes] = ...) -> None: ...

class RenameResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StartRequest(_message.Message):
    __slots__ = ("handle",)
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    def __init__(self, handle: _Optional[bytes] = ...) -> None: ...

class StartResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RestartRequest(_message.Message):
    __slots__ = ("handle", "kill")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    KILL_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    kill: bool
    def __init__(self, handle: _Optional[bytes] = ..., kill: _Optional[bool] = ...) -> None: ...

class RestartResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Network(_message.Message):
    __slots__ = ("name", "subnet4", "subnet6", "internal", "mtu", "explicit", "device", "members")
    class Member(_message.Message):
        __slots__ = ("handle", "name", "addresses", "mac", "aliases")
        HANDLE_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        ADDRESSES_FIELD_NUMBER: _ClassVar[int]
        MAC_FIELD_NUMBER: _ClassVar[int]
        ALIASES_FIELD_NUMBER: _ClassVar[int]
        handle: bytes
        name: bytes
        addresses: _containers.RepeatedScalarFieldContainer[bytes]
        mac: bytes
        aliases: _containers.RepeatedScalarFieldContainer[bytes]
        def __init__(self, handle: _Optional[bytes] = ..., name: _Optional[bytes] = ..., addresses: _Optional[_Iterable[bytes]] = ..., mac: _Optional[bytes] = ..., aliases: _Optional[_Iterable[bytes]] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUBNET4_FIELD_NUMBER: _ClassVar[int]
    SUBNET6_FIELD_NUMBER: _ClassVar[int]
    INTERNAL_FIELD_NUMBER: _ClassVar[int]
    MTU_FIELD_NUMBER: _ClassVar[int]
    EXPLICIT_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    subnet4: bytes
    subnet6: bytes
    internal: bool
    mtu: int
    explicit: bool
    device: bytes
    members: _containers.RepeatedCompositeFieldContainer[Network.Member]
    def __init__(self, name: _Optional[bytes] = ..., subnet4: _Optional[bytes] = ..., subnet6: _Optional[bytes] = ..., internal: _Optional[bool] = ..., mtu: _Optional[int] = ..., explicit: _Optional[bool] = ..., device: _Optional[bytes] = ..., members: _Optional[_Iterable[_Union[Network.Member, _Mapping]]] = ...) -> None: ...

class NetworkCreateRequest(_message.Message):
    __slots__ = ("name", "subnet4", "subnet6", "internal", "mtu")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUBNET4_FIELD_NUMBER: _ClassVar[int]
    SUBNET6_FIELD_NUMBER: _ClassVar[int]
    INTERNAL_FIELD_NUMBER: _ClassVar[int]
    MTU_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    subnet4: bytes
    subnet6: bytes
    internal: bool
    mtu: int
    def __init__(self, name: _Optional[bytes] = ..., subnet4: _Optional[bytes] = ..., subnet6: _Optional[bytes] = ..., internal: _Optional[bool] = ..., mtu: _Optional[int] = ...) -> None: ...

class NetworkCreateResponse(_message.Message):
    __slots__ = ("network",)
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    network: Network
    def __init__(self, network: _Optional[_Union[Network, _Mapping]] = ...) -> None: ...

class NetworkListRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NetworkListResponse(_message.Message):
    __slots__ = ("networks",)
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    networks: _containers.RepeatedCompositeFieldContainer[Network]
    def __init__(self, networks: _Optional[_Iterable[_Union[Network, _Mapping]]] = ...) -> None: ...

class NetworkInspectRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    def __init__(self, name: _Optional[bytes] = ...) -> None: ...

class NetworkInspectResponse(_message.Message):
    __slots__ = ("network",)
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    network: Network
    def __init__(self, network: _Optional[_Union[Network, _Mapping]] = ...) -> None: ...

class NetworkRemoveRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    def __init__(self, name: _Optional[bytes] = ...) -> None: ...

class NetworkRemoveResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PortMap(_message.Message):
    __slots__ = ("host_ip", "host_port", "container_port", "protocol")
    HOST_IP_FIELD_NUMBER: _ClassVar[int]
    HOST_PORT_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_PORT_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    host_ip: bytes
    host_port: int
    container_port: int
    protocol: bytes
    def __init__(self, host_ip: _Optional[bytes] = ..., host_port: _Optional[int] = ..., container_port: _Optional[int] = ..., protocol: _Optional[bytes] = ...) -> None: ...

class NetPolicy(_message.Message):
    __slots__ = ("allow", "deny")
    ALLOW_FIELD_NUMBER: _ClassVar[int]
    DENY_FIELD_NUMBER: _ClassVar[int]
    allow: _containers.RepeatedScalarFieldContainer[bytes]
    deny: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, allow: _Optional[_Iterable[bytes]] = ..., deny: _Optional[_Iterable[bytes]] = ...) -> None: ...

class NetRule(_message.Message):
    __slots__ = ("network", "ports", "protocol", "icmp_type", "icmp_code", "log")
    NETWORK_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    ICMP_TYPE_FIELD_NUMBER: _ClassVar[int]
    ICMP_CODE_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    network: bytes
    ports: bytes
    protocol: NetOutRequest.Protocol
    icmp_type: int
    icmp_code: int
    log: bool
    def __init__(self, network: _Optional[bytes] = ..., ports: _Optional[bytes] = ..., protocol: _Optional[_Union[NetOutRequest.Protocol, str]] = ..., icmp_type: _Optional[int] = ..., icmp_code: _Optional[int] = ..., log: _Optional[bool] = ...) -> None: ...

class NetShowRequest(_message.Message):
    __slots__ = ("handle",)
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    def __init__(self, handle: _Optional[bytes] = ...) -> None: ...

class NetShowResponse(_message.Message):
    __slots__ = ("rules", "policy", "ports", "connections")
    RULES_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    rules: _containers.RepeatedCompositeFieldContainer[NetRule]
    policy: NetPolicy
    ports: _containers.RepeatedCompositeFieldContainer[PortMap]
    connections: int
    def __init__(self, rules: _Optional[_Iterable[_Union[NetRule, _Mapping]]] = ..., policy: _Optional[_Union[NetPolicy, _Mapping]] = ..., ports: _Optional[_Iterable[_Union[PortMap, _Mapping]]] = ..., connections: _Optional[int] = ...) -> None: ...

class NetRemoveRequest(_message.Message):
    __slots__ = ("handle", "index", "rule")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    index: int
    rule: NetRule
    def __init__(self, handle: _Optional[bytes] = ..., index: _Optional[int] = ..., rule: _Optional[_Union[NetRule, _Mapping]] = ...) -> None: ...

class NetRemoveResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NetReplaceRequest(_message.Message):
    __slots__ = ("handle", "rules", "keep_rules", "policy", "usual_policy", "connections")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    KEEP_RULES_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    USUAL_POLICY_FIELD_NUMBER: _ClassVar[int]
    CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    rules: _containers.RepeatedCompositeFieldContainer[NetRule]
    keep_rules: bool
    policy: NetPolicy
    usual_policy: bool
    connections: int
    def __init__(self, handle: _Optional[bytes] = ..., rules: _Optional[_Iterable[_Union[NetRule, _Mapping]]] = ..., keep_rules: _Optional[bool] = ..., policy: _Optional[_Union[NetPolicy, _Mapping]] = ..., usual_policy: _Optional[bool] = ..., connections: _Optional[int] = ...) -> None: ...

class NetReplaceResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PortRemoveRequest(_message.Message):
    __slots__ = ("handle", "host_port", "protocol", "host_ip")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    HOST_PORT_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    HOST_IP_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    host_port: int
    protocol: bytes
    host_ip: bytes
    def __init__(self, handle: _Optional[bytes] = ..., host_port: _Optional[int] = ..., protocol: _Optional[bytes] = ..., host_ip: _Optional[bytes] = ...) -> None: ...

class PortRemoveResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NetRefusedRequest(_message.Message):
    __slots__ = ("handle",)
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    def __init__(self, handle: _Optional[bytes] = ...) -> None: ...

class NetRefusedResponse(_message.Message):
    __slots__ = ("destinations", "further", "over")
    class Destination(_message.Message):
        __slots__ = ("address", "protocol", "port", "packets")
        ADDRESS_FIELD_NUMBER: _ClassVar[int]
        PROTOCOL_FIELD_NUMBER: _ClassVar[int]
        PORT_FIELD_NUMBER: _ClassVar[int]
        PACKETS_FIELD_NUMBER: _ClassVar[int]
        address: bytes
        protocol: bytes
        port: int
        packets: int
        def __init__(self, address: _Optional[bytes] = ..., protocol: _Optional[bytes] = ..., port: _Optional[int] = ..., packets: _Optional[int] = ...) -> None: ...
    DESTINATIONS_FIELD_NUMBER: _ClassVar[int]
    FURTHER_FIELD_NUMBER: _ClassVar[int]
    OVER_FIELD_NUMBER: _ClassVar[int]
    destinations: _containers.RepeatedCompositeFieldContainer[NetRefusedResponse.Destination]
    further: int
    over: int
    def __init__(self, destinations: _Optional[_Iterable[_Union[NetRefusedResponse.Destination, _Mapping]]] = ..., further: _Optional[int] = ..., over: _Optional[int] = ...) -> None: ...

class FirewallRepairRequest(_message.Message):
    __slots__ = ("check_only",)
    CHECK_ONLY_FIELD_NUMBER: _ClassVar[int]
    check_only: bool
    def __init__(self, check_only: _Optional[bool] = ...) -> None: ...

class FirewallRepairResponse(_message.Message):
    __slots__ = ("faults",)
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    faults: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, faults: _Optional[_Iterable[bytes]] = ...) -> None: ...

class TopologyRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NetSpace(_message.Message):
    __slots__ = ("inode", "handles", "links", "routes", "rules", "ports", "host")
    class Link(_message.Message):
        __slots__ = ("name", "index", "kind", "mac", "mtu", "up", "addresses", "master", "other", "other_space", "network", "bandwidth_in", "bandwidth_out")
        NAME_FIELD_NUMBER: _ClassVar[int]
        INDEX_FIELD_NUMBER: _ClassVar[int]
        KIND_FIELD_NUMBER: _ClassVar[int]
        MAC_FIELD_NUMBER: _ClassVar[int]
        MTU_FIELD_NUMBER: _ClassVar[int]
        UP_FIELD_NUMBER: _ClassVar[int]
        ADDRESSES_FIELD_NUMBER: _ClassVar[int]
        MASTER_FIELD_NUMBER: _ClassVar[int]
        OTHER_FIELD_NUMBER: _ClassVar[int]
        OTHER_SPACE_FIELD_NUMBER: _ClassVar[int]
        NETWORK_FIELD_NUMBER: _ClassVar[int]
        BANDWIDTH_IN_FIELD_NUMBER: _ClassVar[int]
        BANDWIDTH_OUT_FIELD_NUMBER: _ClassVar[int]
        name: bytes
        index: int
        kind: bytes
        mac: bytes
        mtu: int
        up: bool
        addresses: _containers.RepeatedScalarFieldContainer[bytes]
        master: int
        other: int
        other_space: int
        network: bytes
        bandwidth_in: bytes
        bandwidth_out: bytes
        def __init__(self, name: _Optional[bytes] = ..., index: _Optional[int] = ..., kind: _Optional[bytes] = ..., mac: _Optional[bytes] = ..., mtu: _Optional[int] = ..., up: _Optional[bool] = ..., addresses: _Optional[_Iterable[bytes]] = ..., master: _Optional[int] = ..., other: _Optional[int] = ..., other_space: _Optional[int] = ..., network: _Optional[bytes] = ..., bandwidth_in: _Optional[bytes] = ..., bandwidth_out: _Optional[bytes] = ...) -> None: ...
    INODE_FIELD_NUMBER: _ClassVar[int]
    HANDLES_FIELD_NUMBER: _ClassVar[int]
    LINKS_FIELD_NUMBER: _ClassVar[int]
    ROUTES_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    inode: int
    handles: _containers.RepeatedScalarFieldContainer[bytes]
    links: _containers.RepeatedCompositeFieldContainer[NetSpace.Link]
    routes: _containers.RepeatedScalarFieldContainer[bytes]
    rules: _containers.RepeatedScalarFieldContainer[bytes]
    ports: _containers.RepeatedScalarFieldContainer[bytes]
    host: bool
    def __init__(self, inode: _Optional[int] = ..., handles: _Optional[_Iterable[bytes]] = ..., links: _Optional[_Iterable[_Union[NetSpace.Link, _Mapping]]] = ..., routes: _Optional[_Iterable[bytes]] = ..., rules: _Optional[_Iterable[bytes]] = ..., ports: _Optional[_Iterable[bytes]] = ..., host: _Optional[bool] = ...) -> None: ...

class TopologyResponse(_message.Message):
    __slots__ = ("spaces", "gone")
    SPACES_FIELD_NUMBER: _ClassVar[int]
    GONE_FIELD_NUMBER: _ClassVar[int]
    spaces: _containers.RepeatedCompositeFieldContainer[NetSpace]
    gone: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, spaces: _Optional[_Iterable[_Union[NetSpace, _Mapping]]] = ..., gone: _Optional[_Iterable[bytes]] = ...) -> None: ...

class EventsRequest(_message.Message):
    __slots__ = ("since_us", "until_us", "after", "types", "containers", "names", "networks", "volumes")
    SINCE_US_FIELD_NUMBER: _ClassVar[int]
    UNTIL_US_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    CONTAINERS_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    NETWORKS_FIELD_NUMBER: _ClassVar[int]
    VOLUMES_FIELD_NUMBER: _ClassVar[int]
    since_us: int
    until_us: int
    after: int
    types: _containers.RepeatedScalarFieldContainer[bytes]
    containers: _containers.RepeatedScalarFieldContainer[bytes]
    names: _containers.RepeatedScalarFieldContainer[bytes]
    networks: _containers.RepeatedScalarFieldContainer[bytes]
    volumes: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, since_us: _Optional[int] = ..., until_us: _Optional[int] = ..., after: _Optional[int] = ..., types: _Optional[_Iterable[bytes]] = ..., containers: _Optional[_Iterable[bytes]] = ..., names: _Optional[_Iterable[bytes]] = ..., networks: _Optional[_Iterable[bytes]] = ..., volumes: _Optional[_Iterable[bytes]] = ...) -> None: ...

class EventsResponse(_message.Message):
    __slots__ = ("seq", "time_us", "type", "name", "handle", "id", "attributes", "end")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    seq: int
    time_us: int
    type: bytes
    name: bytes
    handle: bytes
    id: bytes
    attributes: _containers.RepeatedCompositeFieldContainer[Setting]
    end: bool
    def __init__(self, seq: _Optional[int] = ..., time_us: _Optional[int] = ..., type: _Optional[bytes] = ..., name: _Optional[bytes] = ..., handle: _Optional[bytes] = ..., id: _Optional[bytes] = ..., attributes: _Optional[_Iterable[_Union[Setting, _Mapping]]] = ..., end: _Optional[bool] = ...) -> None: ...

class WaitRequest(_message.Message):
    __slots__ = ("handle", "job_id", "condition", "timeout_ms")
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    job_id: int
    condition: bytes
    timeout_ms: int
    def __init__(self, handle: _Optional[bytes] = ..., job_id: _Optional[int] = ..., condition: _Optional[bytes] = ..., timeout_ms: _Optional[int] = ...) -> None: ...

class WaitResponse(_message.Message):
    __slots__ = ("job_id", "end", "exit_status", "timed_out", "verdict", "signal", "truncated", "usage", "detail")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    EXIT_STATUS_FIELD_NUMBER: _ClassVar[int]
    TIMED_OUT_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    job_id: int
    end: bool
    exit_status: int
    timed_out: bool
    verdict: bytes
    signal: int
    truncated: bool
    usage: Usage
    detail: bytes
    def __init__(self, job_id: _Optional[int] = ..., end: _Optional[bool] = ..., exit_status: _Optional[int] = ..., timed_out: _Optional[bool] = ..., verdict: _Optional[bytes] = ..., signal: _Optional[int] = ..., truncated: _Optional[bool] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., detail: _Optional[bytes] = ...) -> None: ...

class InspectRequest(_message.Message):
    __slots__ = ("handle",)
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    handle: bytes
    def __init__(self, handle: _Optional[bytes] = ...) -> None: ...

class InspectResponse(_message.Message):
    __slots__ = ("document",)
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    document: bytes
    def __init__(self, document: _Optional[bytes] = ...) -> None: ...
