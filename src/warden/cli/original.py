"""`warden [--socket P] -- REQUEST --field value ...`: one request of the protocol, as the original's client sent it.

`run` is spawn and stream, so that output appears as it comes; its exit code and stream's are the job's (255 for a
signal, the original's rule). Errors end with a code other than 0, which the original did not do.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from contextlib import closing
from typing import TYPE_CHECKING, Any

from warden.cli import connect, flags, output
from warden.errors import BadInput

if TYPE_CHECKING:
    from warden.client.blocking import Client

REQUESTS = {
    "copy_in": "Copy files or directories into the container.",
    "copy_out": "Copy files or directories out of the container.",
    "create": "Create a container, optionally with options.",
    "destroy": "Remove a container.",
    "echo": "Send a text and get it back.",
    "firewall_repair": "Put the daemon's tables of nftables right.",
    "info": "Show the state and statistics of a container.",
    "inspect": "Show everything known of a container as JSON.",
    "kill": "Kill all jobs of a container.",
    "limit": "Set limits by name, or show all that are in force.",
    "limit_bandwidth": "Set the bandwidth limit.",
    "limit_cpu": "Set the processor shares.",
    "limit_disk": "Set or show the disk limit.",
    "limit_memory": "Set or show the memory limit.",
    "link": "Wait for the end of a job and show its result.",
    "list": "List containers.",
    "net_in": "Forward a port of the host into the container.",
    "net_out": "Allow traffic out of the container.",
    "network_create": "Make a network that containers share.",
    "network_inspect": "Show a network and who is on it.",
    "network_list": "List the networks.",
    "network_remove": "Remove a network.",
    "net_refused": "Show what the container was refused.",
    "net_remove": "Take back a rule of net_out.",
    "net_replace": "Replace all rules of net_out.",
    "net_show": "Show rules and ports of the container.",
    "topology": "Show how host and containers are connected.",
    "pause": "Let all processes of a container stand still.",
    "ping": "Ask for a sign of life.",
    "port_remove": "Take back a port of net_in.",
    "rename": "Give a container another handle.",
    "restart": "Stop a container and start its main job.",
    "resume": "Let them go on.",
    "run": "Run a script and show its output.",
    "signal": "Send a signal to a job.",
    "spawn": "Start a script and print its job's number.",
    "start": "Start the main job of a container.",
    "stats": "Show what containers use.",
    "stop": "End all processes of a container.",
    "stream": "Show the output of a job as it comes.",
    "version": "Show the daemon's version.",
    "volume_create": "Make a volume.",
    "volume_inspect": "Show a volume.",
    "volume_list": "List volumes.",
    "volume_prune": "Remove volumes that no container has.",
    "volume_remove": "Remove a volume.",
}


def main(words: list[str], socket: str | None) -> int:
    """Runs one request; the exit code."""
    prepared = prepare(words)
    if prepared is None:
        return 0
    with closing(connect.open_client(Namespace(socket=socket))) as client:
        return send(client, *prepared)


def prepare(words: list[str]) -> tuple[str, Any] | None:
    """The request that *words* ask for, by name; None when they asked for help, which is printed. Raises BadInput."""
    if "--" in words:
        raise BadInput("only one '--' may be given")
    name = words[0] if words else "help"
    if name in ("help", "--help"):
        print("".join(f"\t{request}  {text}\n" for request, text in REQUESTS.items()), end="")
        return None
    if name not in REQUESTS:
        raise BadInput(f"Command: '{name}' is non-existent.")
    request = new_request(name)
    if "--help" in words or "help" in words[1:2]:
        print(f"command: {name}\ndescription: {REQUESTS[name]}\nusage: {name} [options]\n")
        print("\n".join(flags.field_help(request.DESCRIPTOR)))
        return None
    flags.parse_flags(request, words[1:])
    if missing := flags.missing_fields(request):
        raise BadInput(f"Field {missing} is required but nil", hint=f"warden -- {name} --help lists the fields")
    return name, request


def new_request(name: str) -> Any:
    """An empty message for the request *name*."""
    from warden.protocol import warden_pb2 as wire

    request = getattr(wire, flags.request_name(name) + "Request")()
    if name == "run" and not request.HasField("script"):
        request.script = b""  # an argv may be given instead; --script overrides it
    return request


def send(client: Client, name: str, request: Any) -> int:
    """Sends a prepared request and prints its response; a job's exit status for run and stream, else 0."""
    if name == "run":
        return _follow(client, _spawn(client, request))
    if name == "stream":
        return _follow(client, request)
    for line in flags.response_lines(client.call(request)):
        sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()
    return 0


def _spawn(client: Client, request: Any) -> Any:
    from warden.protocol import warden_pb2 as wire

    # The fields of the two requests have the same tags; want_info, which spawn lacks, is dropped as unknown.
    spawn = wire.SpawnRequest.FromString(request.SerializeToString())
    spawn.DiscardUnknownFields()
    return wire.StreamRequest(handle=request.handle, job_id=client.call(spawn).job_id)


def _follow(client: Client, request: Any) -> int:
    status = 0
    for response in client.call_stream(request):
        if response.HasField("data"):
            output.write_bytes(response.name.decode(), response.data)
        if response.HasField("exit_status"):
            status = response.exit_status
    return int(status)
