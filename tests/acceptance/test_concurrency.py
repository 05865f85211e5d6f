"""Many at once, and many times: everything succeeds, and afterwards there is what was before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from scene import client_of, commands_of, holdings, nothing_new, processes_of, roomy_daemon, wait_until

from warden.client.aio import AsyncClient
from warden.client.blocking import Client
from warden.model.info import State
from warden.model.job import Verdict
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def roomy() -> Iterator[PrivateDaemon]:
    with roomy_daemon() as daemon:
        yield daemon


def at_once(threads: int, work: Callable[[int], object], times: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        for done in pool.map(work, range(times)):
            del done


@pytest.mark.slow
def test_a_hundred_creates_at_once(roomy: PrivateDaemon) -> None:
    async def live(client: AsyncClient, number: int) -> str:
        async with await client.create(f"c{number}") as container:
            result = await container.run(f"echo {number}; hostname")
            info = await container.info()
            assert result.text.split() == [str(number), info.id]
            return info.container_ip

    async def all_of_them() -> list[str]:
        async with AsyncClient(roomy.socket) as client:
            return await asyncio.gather(*(live(client, number) for number in range(100)))

    with nothing_new(roomy):
        assert len(asyncio.run(all_of_them())) == 100


@pytest.mark.slow
def test_a_hundred_containers_live_side_by_side(roomy: PrivateDaemon) -> None:
    with client_of(roomy) as client, nothing_new(roomy):
        at_once(20, lambda number: client.create(f"c{number}"), 100)
        found = client.containers()
        assert len({info.container_ip for info in found}) == len({info.id for info in found}) == 100
        assert {info.state for info in found} == {State.ACTIVE}
        at_once(20, lambda number: client.container(f"c{number}").run("echo x", check=True), 100)
        at_once(20, lambda number: client.container(f"c{number}").destroy(), 100)
        assert client.list() == []


def test_twenty_threads_share_a_client(roomy: PrivateDaemon) -> None:
    def live(number: int) -> None:
        with client.create() as container:
            for turn in range(3):
                result = container.run(f"echo {number} {turn}; echo e >&2; exit {number}")
                assert (result.text, result.exit_status) == (f"{number} {turn}\n", number)

    with client_of(roomy) as client, nothing_new(roomy):
        at_once(20, live, 40)


def test_twenty_threads_in_one_container(roomy: PrivateDaemon) -> None:
    with nothing_new(roomy), client_of(roomy) as client, client.create() as container:

        def run(number: int) -> None:
            text = f"{number} " * 5000
            assert container.run(["cat"], stdin=text).text == text

        at_once(20, run, 200)
        assert container.info().jobs == ()


def test_cancelling_a_call_kills_the_tree(roomy: PrivateDaemon) -> None:
    async def cancel_some() -> None:
        async with AsyncClient(roomy.socket) as client, await client.create() as container:
            first = {(await container.info()).pid}
            script = "setsid sleep 1000 & (setsid sleep 1000 &) ; sleep 1000"
            tasks = [asyncio.ensure_future(container.run(script)) for _ in range(5)]
            while list(commands_of(roomy).values()).count("sleep") < 15:
                await asyncio.sleep(0.02)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert all(task.cancelled() for task in tasks)
            await asyncio.to_thread(wait_until, lambda: processes_of(roomy) == first, "the tree goes on")
            assert (await container.run("echo usable")).text == "usable\n"

    with nothing_new(roomy):
        asyncio.run(asyncio.wait_for(cancel_some(), 120))


def test_clients_that_vanish_leave_nothing_but_their_containers(roomy: PrivateDaemon) -> None:
    with client_of(roomy) as client, nothing_new(roomy):
        container = client.create()
        for _ in range(20):
            with Client(roomy.socket) as other:
                job = other.container(container.handle).spawn("echo x; sleep 1000")
                stream = job.stream()
                next(stream)
                stream.close()
        assert len(container.info().jobs) == 20
        for job_info in container.info().jobs:
            container.job(job_info.id).kill()
        assert {container.job(one.id).wait().verdict for one in container.info().jobs} == {Verdict.STOPPED}
        container.destroy()


@pytest.mark.slow
def test_two_hundred_cycles_leave_nothing(roomy: PrivateDaemon) -> None:
    with client_of(roomy) as client:
        client.create().destroy()
        with nothing_new(roomy):
            for number in range(200):
                with client.create(memory="64M" if number % 2 else None) as container:
                    container.run("echo x", check=True)
                    if number % 10 == 0:
                        container.spawn(["sleep", "1000"])


@pytest.mark.slow
def test_six_hundred_jobs_that_end_while_the_daemon_sleeps(roomy: PrivateDaemon) -> None:
    """PID 1 drops a connection that does not read; the daemon must come back to it, not give the container up."""
    import os
    import signal

    with client_of(roomy) as client, client.create() as container:
        jobs = [container.spawn(["sleep", "1000"]) for _ in range(600)]
        first = container.info().pid
        os.kill(roomy.pid, signal.SIGSTOP)
        try:
            for pid in processes_of(roomy) - {first}:
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: processes_of(roomy) == {first})
        finally:
            os.kill(roomy.pid, signal.SIGCONT)
        assert {job.wait().verdict for job in jobs} == {Verdict.SIGNALED}
        assert container.run("echo works").stdout == b"works\n"
        wait_until(lambda: not holdings(roomy)["jobs"])
