"""Operator's hooks with the real daemon: when they run, what they are told, and what their failure does."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from scene import client_of, configured_daemon, nothing_new, processes_of, wait_until

from warden.client.blocking import Client
from warden.errors import HookFailed, UnknownHandle
from warden.model.info import State
from warden.model.job import Verdict
from warden.testing.daemon import PrivateDaemon

pytestmark = pytest.mark.root


class Book:
    """Where hooks write: each one the JSON it was given, in a file of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = str(directory / "hook")

    def hook(self, script: str = "", **more: Any) -> list[dict[str, Any]]:
        with open(self.path, "w") as file:
            file.write(f"#!/bin/sh\nname=$(mktemp {self.directory}/told.XXXXXX)\ncat > $name.tmp\n{script}\n")
            file.write("code=$?\nmv $name.tmp $name.json\nexit $code\n")
        os.chmod(self.path, 0o755)
        return [{"path": self.path, **more}]

    def told(self, event: str) -> list[dict[str, Any]]:
        found = [json.loads(path.read_text()) for path in self.directory.glob("told.*.json")]
        return [item for item in found if item["event"] == event]


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)


@contextmanager
def serving(**hooks: Any) -> Iterator[tuple[PrivateDaemon, Client]]:
    with configured_daemon(hooks=hooks, network={"release_delay": 0}) as private, client_of(private) as client:
        yield private, client


def test_every_point_is_told_what_happened(book: Book) -> None:
    hook = book.hook()
    points = ("after_create", "before_stop", "after_destroy", "on_out_of_memory", "on_job_end")
    with serving(**dict.fromkeys(points, hook)) as (_, client):
        container = client.create("box", memory="32M")
        info = container.info()
        created = book.told("after_create")[0]["container"]
        assert (created["handle"], created["id"], created["pid"]) == ("box", info.id, info.pid)
        assert (created["container_ip"], created["state"]) == (info.container_ip, "active")
        container.run("exit 3")
        wait_until(lambda: book.told("on_job_end"))
        assert book.told("on_job_end")[0]["job"]["exit_status"] == 3
        container.run(["python3", "-c", "bytearray(1 << 28)"])
        wait_until(lambda: len(book.told("on_job_end")) == 2 and book.told("on_out_of_memory"))
        assert sorted(item["job"]["verdict"] for item in book.told("on_job_end")) == ["exited", "out_of_memory"]
        container.stop()
        wait_until(lambda: book.told("before_stop"))
        assert book.told("before_stop")[0]["container"]["state"] == "active"
        container.destroy()
        wait_until(lambda: book.told("after_destroy"))
        assert book.told("after_destroy")[0]["container"]["state"] == "destroyed"
        assert len(book.told("on_out_of_memory")) == len(book.told("before_stop")) == 1


def test_a_create_that_a_hook_refuses_leaves_nothing(book: Book) -> None:
    refusing = book.hook("echo no room >&2; [ $WARDEN_HANDLE != bad ]", on_failure="fail")
    with serving(after_create=refusing) as (private, client), nothing_new(private):
        with pytest.raises(HookFailed) as failed:
            client.create("bad")
        assert f"hook after_create {book.path}: exit status 1" in str(failed.value)
        assert "no room" in str(failed.value)
        assert client.list() == []
        with client.create("good") as container:  # same handle pool, same resources: usable again
            assert container.run("echo works").stdout == b"works\n"
        with pytest.raises(HookFailed):
            client.create("bad")


def test_a_stop_that_a_hook_refuses_does_not_happen_and_destroy_still_does(book: Book) -> None:
    with serving(before_stop=book.hook("false", on_failure="fail")) as (_, client):
        container = client.create()
        with pytest.raises(HookFailed):
            container.stop()
        assert container.info().state is State.ACTIVE
        assert container.run("echo works").stdout == b"works\n"
        container.destroy()
        with pytest.raises(UnknownHandle):
            container.info()


def test_a_slow_hook_holds_up_its_own_request_only(book: Book) -> None:
    hook = book.hook(f"[ $WARDEN_HANDLE != slow ] || until [ -e {book.directory}/go ]; do sleep 0.01; done", timeout=120)
    with serving(after_create=hook) as (private, client):
        thread = threading.Thread(target=_create, args=(private, "slow"))
        thread.start()
        wait_until(lambda: bool(processes_of(private)))
        for number in range(10):
            with client.create(f"fast-{number}") as container:
                assert container.run("echo works").stdout == b"works\n"
        assert client.list() == []  # nobody hears of a container before its hooks have agreed
        (book.directory / "go").touch()
        thread.join()
        assert client.list() == ["slow"]
        client.container("slow").destroy()


def _create(private: PrivateDaemon, handle: str) -> None:
    with client_of(private) as client:
        client.create(handle)


@pytest.mark.parametrize("end", [PrivateDaemon.drain, PrivateDaemon.stop, PrivateDaemon.kill])
def test_out_of_memory_is_not_told_again_by_the_next_daemon(book: Book, end: Callable[[PrivateDaemon], object]) -> None:
    with serving(on_out_of_memory=book.hook()) as (private, client), client.create(memory="32M") as container:
        container.run(["python3", "-c", "bytearray(1 << 28)"])
        wait_until(lambda: book.told("on_out_of_memory"))
        end(private)
        private.start()
        container.run(["python3", "-c", "bytearray(1 << 28)"])
        wait_until(lambda: len(book.told("on_out_of_memory")) >= 2)
        assert len(book.told("on_out_of_memory")) == 2


def test_a_job_ended_for_its_output_leaves_an_event(daemon: PrivateDaemon) -> None:
    with client_of(daemon) as client, client.create() as container:
        for _ in range(2):
            assert container.run("yes", output_limit=1000).verdict is Verdict.OUTPUT_LIMIT
        assert container.info().events == ("command exceeded maximum output",)
