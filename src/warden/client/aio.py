"""The asyncio client: the same names and meaning as blocking.py, each call a coroutine.

Owns the API only; arguments are messages.py's, connections are aio_wire.py's. Tasks of one event loop may share one
client.

>>> async with AsyncClient() as client, await client.create(memory="64M") as container:
...     print((await container.run("echo hello")).text)
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Any, TypeVar, Unpack

from warden.client import messages, netmessages
from warden.client.aio_wire import AsyncConnection, AsyncPool
from warden.client.messages import (
    Command,
    CreateOptions,
    DiskFields,
    JobOptions,
    LimitOptions,
    NetOutOptions,
    NetworkOptions,
    SpawnOptions,
)
from warden.client.netmessages import PolicyOptions, RuleLike
from warden.client.result import Result
from warden.client.resumed import EventOptions, LogOptions, Patience, Resumable, events_of, logs_of, wait_for
from warden.errors import UnknownHandle, WardenError
from warden.model.events import EventRecord
from warden.model.info import Info
from warden.model.interfaces import BridgeReport
from warden.model.job import Chunk, JobSpec
from warden.model.limits import Bandwidth, DiskLimits
from warden.model.logs import LogPlace
from warden.model.net import NetState, Refusals
from warden.model.resources import LimitReport
from warden.model.stats import Stats
from warden.model.topology import Topology
from warden.model.volumes import Volume

SIGKILL = 9
T = TypeVar("T")


class AsyncClient:
    """Talks to the daemon on *socket* ($WARDEN_SOCKET, else /run/warden/warden.sock). *timeout*: seconds to wait for a
    reply, None for ever; waiting for a job is never cut short by it. Raises Unreachable when nobody listens."""

    def __init__(self, socket: str | None = None, timeout: float | None = None) -> None:
        self.socket = messages.socket_path(socket)
        self._pool = AsyncPool(self.socket, timeout)

    async def create(self, handle: str | None = None, **options: Unpack[CreateOptions]) -> AsyncContainer:
        """A new container; in an `async with` statement it is destroyed at the end. Options: see CreateOptions."""
        response = await self._pool.call(messages.create(handle, options))
        created, warnings = messages.created(response)
        return AsyncContainer(self._pool, created, owned=True, warnings=warnings)

    def container(self, handle: str) -> AsyncContainer:
        """A container that exists; nothing is asked of the server. An `async with` statement leaves it alone."""
        return AsyncContainer(self._pool, handle, owned=False)

    async def firewall_faults(self, *, repair: bool = False) -> builtins.list[str]:
        """What is wrong with the daemon's tables of nftables, in words; *repair*: and was put right."""
        return netmessages.faults(await self._pool.call(netmessages.repair(check_only=not repair)))

    async def list(self) -> list[str]:
        """The handles of all containers."""
        return messages.handles(await self._pool.call(messages.request("List")))

    async def containers(self) -> builtins.list[Info]:
        """Information on all containers; those that vanish meanwhile are left out."""
        found = []
        for handle in await self.list():
            try:
                found.append(await self.container(handle).info())
            except WardenError as error:
                if not messages.is_gone(error):
                    raise
        return found

    async def stats(self, *handles: str, brief: bool = False) -> builtins.list[Stats]:
        """What these containers use now, or all of them; one that vanishes meanwhile is left out. *brief*: only usage and
        limits, which is a third of the work. Raises UnknownHandle."""
        return messages.measured(await self._pool.call(messages.stats(handles, brief=brief)))

    async def follow_stats(
        self, *handles: str, interval: float | str = 1.0, brief: bool = False
    ) -> AsyncIterator[builtins.list[Stats]]:
        """The same again and again, every *interval* (seconds or "500ms"). Ends when none of the containers named is left,
        without names never."""
        kind, request = messages.follow_stats(handles, interval, brief=brief)
        async with self._pool.connection() as connection:
            await connection.send((kind, request))
            while not (response := await connection.receive(kind, patient=True)).end:
                yield messages.measured(response)
            connection.busy = False

    async def create_volume(self, name: str | None = None) -> Volume:
        """A new volume; without *name* one is made up. Raises VolumeTaken."""
        return messages.volume((await self._pool.call(messages.request("VolumeCreate", name=name))).volume)

    async def volumes(self) -> builtins.list[Volume]:
        """All volumes, by name."""
        return [messages.volume(item) for item in (await self._pool.call(messages.request("VolumeList"))).volumes]

    async def volume(self, name: str) -> Volume:
        """What is known of it. Raises UnknownVolume."""
        return messages.volume((await self._pool.call(messages.request("VolumeInspect", name=name))).volume)

    async def remove_volume(self, name: str) -> None:
        """Removes it with its files. Raises UnknownVolume, VolumeInUse."""
        await self._pool.call(messages.request("VolumeRemove", name=name), patient=True)

    async def prune_volumes(self, *, every: bool = False) -> builtins.list[str]:
        """Removes the volumes without a name that no container has, *every*: named ones too. Returns their names."""
        response = await self._pool.call(messages.request("VolumePrune", all=every), patient=True)
        return [name.decode("utf-8", "surrogateescape") for name in response.names]

    async def create_network(self, name: str, **options: Unpack[NetworkOptions]) -> BridgeReport:
        """A bridge that containers share with network="bridge:NAME", and that stays until it is removed. Options: see
        NetworkOptions."""
        return messages.network(await self._pool.call(messages.create_network(name, options)))

    async def networks(self) -> builtins.list[BridgeReport]:
        """All bridges, and who is on them."""
        return messages.networks(await self._pool.call(messages.request("NetworkList")))

    async def network(self, name: str) -> BridgeReport:
        """One of them. Raises UnknownNetwork."""
        return messages.network(await self._pool.call(messages.request("NetworkInspect", name=name)))

    async def remove_network(self, name: str) -> None:
        """Raises UnknownNetwork, WrongState while containers are on it."""
        await self._pool.call(messages.request("NetworkRemove", name=name))

    async def topology(self) -> Topology:
        """How the host and the containers are connected: links, addresses, rules and bandwidth as the kernel has them."""
        return messages.topology(await self._pool.call(messages.request("Topology")))

    def events(self, *, reconnect: float = 0.0, **options: Unpack[EventOptions]) -> AsyncIterator[EventRecord]:
        """What happens to containers and jobs, without end unless *until* is given. *reconnect*: seconds in which a daemon
        that went away may come back; it goes on with the next number. Raises TooSlow when events are read so slowly that
        some are no longer kept. Options: see EventOptions."""
        return _resumed(self._pool, events_of(options), reconnect)

    async def ping(self) -> None:
        """Returns when the daemon answers."""
        await self._pool.call(messages.request("Ping"))

    async def echo(self, data: bytes) -> bytes:
        """*data*, as it came back."""
        message: bytes = (await self._pool.call(messages.request("Echo", message=data))).message
        return message

    async def version(self) -> str:
        """The daemon's version."""
        version: bytes = (await self._pool.call(messages.request("Version"))).version
        return version.decode()

    async def call(self, request: Any) -> Any:
        """Sends a message of the protocol (warden.protocol.warden_pb2) as it is, and returns the response."""
        return await self._pool.call(messages.of_message(request), patient=True)

    async def call_stream(self, request: Any) -> AsyncIterator[Any]:
        """The same for a StreamRequest: every response, up to the one with the exit status."""
        kind, message = messages.of_message(request)
        async with self._pool.connection() as connection:
            await connection.send((kind, message))
            over = False
            while not over:
                response = await connection.receive(kind, patient=True)
                over = response.HasField("exit_status")
                connection.busy = not over
                yield response

    def is_cut_off(self) -> bool:
        """Whether the daemon closed a connection that this client keeps; the next request opens another."""
        return self._pool.is_cut_off()

    async def close(self) -> None:
        """Closes the connections; twice is fine."""
        self._pool.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class AsyncContainer:
    """A container by its *handle*. Every method raises UnknownHandle when it is gone. *warnings*: limits that were best
    effort and could not be set."""

    def __init__(self, pool: AsyncPool, handle: str, *, owned: bool, warnings: tuple[str, ...] = ()) -> None:
        self._pool, self.handle, self._owned, self.warnings = pool, handle, owned, warnings

    async def run(
        self, command: Command, *, check: bool = False, kill_on_cancel: bool = True, **options: Unpack[JobOptions]
    ) -> Result:
        """Runs a job to its end: a str is a script for bash, a sequence a command. *check*: raise CommandFailed
        unless it ends well. *kill_on_cancel*: cancelling this call kills all of the job's processes; without it one
        request is sent instead of two and the job goes on. Options: see JobOptions."""
        spec = messages.job_spec(command, {**options})  # type: ignore[typeddict-item]
        if kill_on_cancel:
            result = await self._run_or_kill(spec)
        else:
            response = await self._pool.call(messages.run(self.handle, spec), patient=True)
            result = messages.result(response, self.handle)
        return result.check() if check else result

    async def _run_or_kill(self, spec: JobSpec) -> Result:
        # Spawn and link, because a cancelled run request would not tell which job to kill. The spawn is shielded: a
        # job whose number never arrived could not be killed either.
        spawning = asyncio.ensure_future(self._spawn(spec))
        try:
            return await (await asyncio.shield(spawning)).wait()
        except asyncio.CancelledError:
            with suppress(WardenError):
                job = await spawning
                await job.kill()
                await job.wait()
            raise

    async def spawn(self, command: Command, **options: Unpack[SpawnOptions]) -> AsyncJobHandle:
        """Starts a job and does not wait for it."""
        return await self._spawn(messages.job_spec(command, options))

    async def _spawn(self, spec: JobSpec) -> AsyncJobHandle:
        return self.job((await self._pool.call(messages.spawn(self.handle, spec))).job_id)

    def job(self, job_id: int) -> AsyncJobHandle:
        """A job that was spawned before."""
        return AsyncJobHandle(self._pool, self.handle, job_id)

    async def info(self) -> Info:
        """State, statistics and jobs."""
        return messages.info(await self._pool.call(messages.request("Info", handle=self.handle)), self.handle)

    async def stats(self, *, brief: bool = False) -> Stats:
        """What it uses now; *brief*: only usage and limits."""
        return messages.measured_one(await self._pool.call(messages.stats([self.handle], brief=brief)))

    async def follow_stats(self, *, interval: float | str = 1.0, brief: bool = False) -> AsyncIterator[Stats]:
        """The same again and again, every *interval* (seconds or "500ms"), until it is destroyed."""
        kind, request = messages.follow_stats([self.handle], interval, brief=brief)
        async with self._pool.connection() as connection:
            await connection.send((kind, request))
            while not (response := await connection.receive(kind, patient=True)).end:
                for stats in messages.measured(response):
                    yield stats
            connection.busy = False

    async def stop(self, *, kill: bool = False) -> None:
        """Ends all jobs, politely first unless *kill*; the container can then only be looked at and destroyed."""
        await self._pool.call(messages.request("Stop", handle=self.handle, kill=kill), patient=True)

    async def destroy(self) -> None:
        """Removes it and all it has."""
        await self._pool.call(messages.request("Destroy", handle=self.handle), patient=True)

    async def pause(self) -> None:
        """All its processes stand still until `resume`, and no job starts; deadlines by the wall clock go on. Twice is
        fine."""
        await self._pool.call(messages.request("Pause", handle=self.handle), patient=True)

    async def resume(self) -> None:
        """They go on; fine for one that is not paused."""
        await self._pool.call(messages.request("Resume", handle=self.handle), patient=True)

    async def kill(self) -> None:
        """SIGKILL to every process of every job; returns when the jobs have ended. The container stays usable."""
        await self._pool.call(messages.request("Kill", handle=self.handle), patient=True)

    async def start(self) -> None:
        """Starts its main job unless it runs; a container that was stopped is active again. Raises BadInput when it was
        made without a main job."""
        await self._pool.call(messages.request("Start", handle=self.handle), patient=True)

    async def restart(self, *, kill: bool = False) -> None:
        """Stops it and starts its main job."""
        await self._pool.call(messages.request("Restart", handle=self.handle, kill=kill), patient=True)

    async def rename(self, handle: str) -> None:
        """Gives it another handle. Raises HandleTaken."""
        await self._pool.call(messages.request("Rename", handle=self.handle, new_handle=handle))
        self.handle = handle

    async def copy_in(self, src: messages.Path, dst: messages.Path) -> None:
        """Copies a file or tree of this machine into the container, where vcap owns it: `dir` goes into *dst* if that
        is a directory, `dir/` is what lies in it. (A pathlib.Path has no slash at its end.)"""
        await self._pool.call(messages.copy_in(self.handle, src, dst), patient=True)

    async def copy_out(self, src: messages.Path, dst: messages.Path, owner: str | None = None) -> None:
        """The reverse; what is copied belongs to root, or to *owner*: "user", "user:group", or numbers."""
        await self._pool.call(messages.copy_out(self.handle, src, dst, owner), patient=True)

    async def limit(self, *, raw: bool = False, **options: Unpack[LimitOptions]) -> LimitReport:
        """Changes limits, all that are given or none, and returns all that are in force; *raw*: with the kernel's
        files. Options: see LimitOptions."""
        return messages.limit_report(await self._pool.call(messages.limit(self.handle, options, raw=raw)))

    async def limit_memory(self, limit: str | int | None = None) -> int | None:
        """Sets a limit, bytes or "64M", if one is given; returns the one in force, None for unlimited."""
        return messages.memory_limit(await self._pool.call(messages.limit_memory(self.handle, limit)))

    async def net_in(
        self,
        host_port: int | None = None,
        container_port: int | None = None,
        *,
        protocol: str | None = None,
        host_ip: str | None = None,
    ) -> tuple[int, int]:
        """Forwards a TCP port of the host's addresses into the container; without *host_port* one is chosen, and the
        *container_port* is the same unless given. Returns both. With *protocol*, "tcp" or "udp", or *host_ip*, the
        container has the port alone: BadInput when another one, or a program of the host, has it."""
        response = await self._pool.call(netmessages.net_in(self.handle, host_port, container_port, protocol, host_ip))
        return response.host_port, response.container_port

    async def remove_port(self, host_port: int, protocol: str = "tcp", host_ip: str | None = None) -> None:
        """Takes back a port that leads here, at whatever address without *host_ip*."""
        await self._pool.call(netmessages.remove_port(self.handle, host_port, protocol, host_ip))

    async def net_out(self, network: str | None = None, **options: Unpack[NetOutOptions]) -> None:
        """Lets the container reach *network*: an address, a CIDR, or "FIRST-LAST". Options: see NetOutOptions."""
        await self._pool.call(messages.net_out(self.handle, network, options))

    async def net_state(self) -> NetState:
        """What it may reach, its rules from the oldest to the newest, and the ports that lead to it."""
        return netmessages.state(await self._pool.call(netmessages.show(self.handle)))

    async def net_remove(self, rule: int | RuleLike) -> None:
        """Takes a rule of net_out back: by its number from 1 up, or the oldest that is equal. What is established goes
        on."""
        await self._pool.call(netmessages.remove(self.handle, rule))

    async def net_replace(self, rules: Iterable[RuleLike] | None = None, **policy: Unpack[PolicyOptions]) -> None:
        """All its rules at once, such as "udp 10.0.0.0/8 53"; None: they stay. Policy: see PolicyOptions."""
        await self._pool.call(netmessages.replace(self.handle, rules, policy))

    async def refusals(self) -> Refusals:
        """The destinations that it was refused within the last hour, the most frequent first."""
        return netmessages.refusals(await self._pool.call(netmessages.refused(self.handle)))

    async def limit_cpu(self, shares: int | None = None) -> int:
        """Sets its share of processor time against other containers, 2 to 262144, if one is given; returns the one in
        force. 1024 is usual."""
        return messages.cpu_shares(await self._pool.call(messages.limit_cpu(self.handle, shares)))

    async def limit_bandwidth(self, rate: str | int, burst: str | int) -> Bandwidth:
        """Limits what it receives and what it sends, each to *rate* bytes a second; after a pause *burst* bytes pass
        at once. Bytes or "1M". Returns what is in force."""
        return messages.bandwidth(await self._pool.call(messages.limit_bandwidth(self.handle, rate, burst)))

    async def limit_disk(self, **fields: Unpack[DiskFields]) -> DiskLimits | None:
        """Limits what its own files take; what is not given stays. Returns the limits, None where the daemon is
        configured not to limit disks. Fields: see DiskFields."""
        return messages.disk_limits(await self._pool.call(messages.limit_disk(self.handle, fields)))

    def logs(
        self, job: int | None = None, *, follow: bool = False, reconnect: float = 0.0, **options: Unpack[LogOptions]
    ) -> AsyncIterator[Chunk]:
        """Output kept so far, of one job or of all in the order of time; *follow*: until the jobs end. Nothing is consumed.
        *reconnect*: seconds in which a daemon that went away may come back; what is followed goes on at the exact place.
        Options: see LogOptions."""
        return _resumed(self._pool, logs_of(self.handle, job, options, follow=follow), reconnect)

    async def wait(
        self,
        job: int | None = None,
        *,
        condition: str = "not-running",
        timeout: float | str | None = None,
        reconnect: float = 0.0,
    ) -> Result:
        """Waits for the end of its main job, or of *job*, and collects nothing: the result has no output. *condition*:
        "not-running", "next-exit", or "removed" for the container itself. Raises TimeoutError after *timeout*.
        *reconnect*: as in `logs`."""
        wanted = wait_for(self.handle, job, condition, timeout)
        async with aclosing(_resumed(self._pool, wanted, reconnect)) as results:
            async for result in results:
                return result
        raise TimeoutError(f"container {self.handle}: still waiting after {timeout}")

    async def inspect(self) -> dict[str, Any]:
        """Everything known of it, as one document (docs/observing.md)."""
        return messages.document(await self._pool.call(messages.request("Inspect", handle=self.handle)))

    async def __aenter__(self) -> AsyncContainer:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._owned:
            with suppress(UnknownHandle):  # destroyed within the block
                await self.destroy()


class AsyncJobHandle:
    """A job by its number. Its result is collected once, by wait or by reading a stream to its end."""

    def __init__(self, pool: AsyncPool, handle: str, job_id: int) -> None:
        self._pool, self.handle, self.id = pool, handle, job_id

    async def wait(self) -> Result:
        """Waits for the end; raises UnknownJob when the result was collected already."""
        request = messages.request("Link", handle=self.handle, job_id=self.id)
        return messages.result(await self._pool.call(request, patient=True), self.handle)

    link = wait

    def stream(self) -> AsyncJobStream:
        """Output from the first byte, as it comes."""
        return AsyncJobStream(self._pool, messages.request("Stream", handle=self.handle, job_id=self.id), self.handle)

    async def attach(self, tail: int | None = None, *, place: LogPlace | None = None) -> AsyncAttachment:
        """Output from the first byte, and the job's standard input. The job's result is not collected by it. *tail*: begin
        with the last so many lines, 0: with what comes next. *place*: there, after a break; chunks then have offsets."""
        request = messages.attach(self.handle, self.id, tail, place)
        attachment = AsyncAttachment(self._pool, request, self.handle)
        await attachment.open()
        return attachment

    async def signal(self, number: int, *, tree: bool = True) -> None:
        """Sends a signal to all its processes, or not *tree*, to the first only."""
        await self._pool.call(messages.request("Signal", handle=self.handle, job_id=self.id, signal=number, tree=tree))

    async def kill(self) -> None:
        """SIGKILL to all its processes."""
        await self.signal(SIGKILL)


class AsyncJobStream:
    """Iterates over Chunks; then *result* is there, without output. Leaving it early leaves the job alone."""

    def __init__(self, pool: AsyncPool, request: messages.Request, handle: str) -> None:
        self._pool, self._request, self._handle = pool, request, handle
        self.result: Result | None = None
        self.place: LogPlace | None = None  # of an attachment with *tail* or *place*: where it began
        self._connection: AsyncConnection | None = None
        self._over = False

    async def open(self) -> AsyncConnection:
        """Sends the request, as the first read does by itself."""
        if self._connection is None:
            self._connection = await self._pool.take()
            await self._connection.send(self._request)
        return self._connection

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self

    async def __anext__(self) -> Chunk:
        if self._over:
            raise StopAsyncIteration
        try:
            connection = await self.open()
            item = await self._receive(connection)
            if isinstance(item, LogPlace):
                self.place = item
                item = await self._receive(connection)
        except BaseException:
            self.close()
            raise
        if isinstance(item, Chunk):
            return item
        assert isinstance(item, Result)
        self.result = item
        self._finished(connection)
        raise StopAsyncIteration

    async def _receive(self, connection: AsyncConnection) -> Chunk | Result | LogPlace:
        return messages.chunk_or_result(await connection.receive(self._request[0], patient=True), self._handle)

    def _finished(self, connection: AsyncConnection) -> None:
        connection.busy = False
        self.close()

    def close(self) -> None:
        """Lets go of the connection; twice is fine."""
        self._over = True
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.give_back(connection)

    async def __aenter__(self) -> AsyncJobStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncAttachment(AsyncJobStream):
    """An AsyncJobStream that one writes to as well. Input after the job's end is dropped."""

    def _finished(self, _connection: AsyncConnection) -> None:
        self.close()  # input that another task sends late must not meet somebody else's request

    async def write(self, data: bytes) -> None:
        """To the job's standard input."""
        await self._send(messages.attach_input(data))

    async def close_stdin(self) -> None:
        """End of file for the job."""
        await self._send(messages.attach_input(eof=True))

    async def resize(self, rows: int, columns: int) -> None:
        """The size of the job's terminal."""
        await self._send(messages.attach_input(size=(rows, columns)))

    async def _send(self, request: messages.Request) -> None:
        connection = self._connection
        if connection is not None:
            await connection.send(request)

    async def __aenter__(self) -> AsyncAttachment:
        return self


async def _resumed(pool: AsyncPool, wanted: Resumable[T], reconnect: float) -> AsyncGenerator[T, None]:
    """What *wanted* gets, over connections that are lost."""
    patience = Patience(reconnect)
    while not wanted.over:
        try:
            async with pool.connection() as connection:
                await connection.send(wanted.request())
                wanted.asked = True
                while not wanted.over:
                    response = await connection.receive(wanted.kind, patient=True)
                    patience.reset()
                    item = wanted.take(response)
                    connection.busy = not wanted.over
                    if item is not None:
                        yield item
        except WardenError as error:
            if not wanted.survives(error):
                raise
            if not wanted.over:
                await asyncio.sleep(patience.pause(error))
