"""The demonstration behind scripts/demo: one container's life, seen through warden.Client; every claim is checked."""

from __future__ import annotations

import sys

import warden
from warden.errors import WardenError
from warden.model.job import Verdict
from warden.model.size import format_size, parse_size
from warden.testing.daemon import PrivateDaemon
from warden.testing.leaks import leaks, look

MEMORY = "64M"
DISK = "16M"

SCRIPT = """
echo "I am $(id -un) on $(hostname), process $$"
for step in 1 2 3; do echo "step $step"; sleep 0.2; done
echo "and this went to stderr" >&2
"""

# Takes memory until somebody objects.
HOG = """
import sys
held = []
while True:
    held.append(bytearray(4 << 20))
    print(f"{len(held) * 4} MiB", flush=True)
"""


class Broken(Exception):
    """A promise of the demonstration was not kept."""


def title(text: str) -> None:
    print(f"\n== {text}", flush=True)


def expect(what: str, condition: bool) -> None:
    if not condition:
        raise Broken(what)


def streamed_script(container: warden.Container) -> None:
    title("a script, its output as it comes")
    stream = container.spawn(SCRIPT).stream()
    seen = {"stdout": b"", "stderr": b""}
    for chunk in stream:
        seen[chunk.stream] += chunk.data
        for line in chunk.data.decode().splitlines():
            print(f"  {chunk.stream}: {line}", flush=True)
    result = stream.result
    expect("the script ends by itself with code 0", result is not None and result.ok)
    expect("all of stdout arrived", b"step 3\n" in seen["stdout"])
    expect("stderr arrived apart from stdout", seen["stderr"] == b"and this went to stderr\n")


def memory_hog(container: warden.Container) -> None:
    title(f"a program that takes more than {MEMORY}")
    result = container.run(["python3", "-c", HOG])
    peak = result.usage.peak_memory_bytes
    verdict = Verdict(result.verdict)
    print(f"  verdict: {verdict.value}, peak {format_size(peak) if peak else 'unknown'} of {MEMORY}")
    print(f"  the last that it said: {result.stdout.decode().split(chr(10))[-2]}")
    expect("the verdict is out_of_memory", verdict is Verdict.OUT_OF_MEMORY)
    limit = parse_size(MEMORY)
    expect(f"the peak {peak} is near the limit {limit}", peak is not None and limit // 2 <= peak <= limit * 1.1)


def usage_and_info(container: warden.Container) -> None:
    title("the container went on; what a job used, and what the container has")
    result = container.run("i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done; echo done", check=True)
    usage = result.usage
    print(f"  job: cpu {usage.cpu_user_s + usage.cpu_system_s:.3f} s, wall {usage.wall_s:.3f} s")
    expect("the job used some processor time", usage.cpu_user_s + usage.cpu_system_s > 0)
    info = container.info()
    memory = info.memory
    print(f"  container: {info.state.value}, address {info.container_ip or '-'}, pid {info.pid}")
    print(f"  memory: {format_size(memory.current)} of {format_size(memory.limit or 0)}, {memory.oom_kills} kills")
    expect("the limit is in force", memory.limit == parse_size(MEMORY))
    expect("the kill was counted", memory.oom_kills >= 1)


def disk_filler(container: warden.Container) -> None:
    title(f"a program that writes more than {DISK}, as root")
    container.limit_disk(byte_limit=DISK)
    result = container.run("head -c 64M /dev/zero > /big", privileged=True)
    disk = container.info().disk
    print(f"  it said: {result.stderr.decode().strip()}")
    print(f"  disk: {format_size(disk.bytes_used) if disk else 'unknown'} of {DISK}")
    expect("the program was refused", not result.ok)
    expect("the limit held", disk is not None and disk.bytes_used <= parse_size(DISK))


def session(socket: str) -> None:
    client = warden.Client(socket)
    try:
        title(f"a container from the image host, memory {MEMORY}")
        with client.create("demo", image="host", memory=MEMORY) as container:
            print(f"  handle: {container.handle}")
            streamed_script(container)
            memory_hog(container)
            disk_filler(container)
            usage_and_info(container)
            title("destroyed")
        expect("no container is left", client.list() == [])
    finally:
        client.close()


def main() -> int:
    private = PrivateDaemon(disk="auto")
    before = look(private.cgroup_parent, private.root)
    try:
        with private:
            title(f"a private daemon on {private.socket}, pid {private.pid}")
            session(private.socket)
            title("the daemon stops")
        found = leaks(before, private.cgroup_parent, private.root)
        expect(f"nothing is left behind, but there is {found}", not found)
    except (Broken, WardenError) as error:
        print(f"demo: failed: {error}", file=sys.stderr)
        return 1
    print("\ndemo: ok")
    return 0


if __name__ == "__main__":
    sys.exit(main())
