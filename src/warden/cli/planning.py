"""`warden plan`: what the kernel would be asked for a container. Needs no daemon and no root; changes nothing."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from warden.cli.options import CONTAINER, NAMES, Command
from warden.cli.running import creation_arguments

if TYPE_CHECKING:
    from warden.model.settings import EngineSettings
    from warden.model.spec import ContainerSpec


def container_spec(options: Namespace, settings: EngineSettings) -> ContainerSpec:
    """The specification that these options ask for; raises BadInput."""
    from warden.model import resources
    from warden.model.limits import Limits
    from warden.model.names import names_of
    from warden.model.spec import ContainerSpec, network_fields

    wanted = creation_arguments(options)
    return ContainerSpec(
        handle=wanted["handle"],
        image=wanted["image"] or settings.default_image,
        rootfs=wanted["rootfs"],
        hostname=wanted["hostname"],
        mounts=wanted["mounts"],
        limits=resources.apply(Limits(), resources.settings_of(wanted)),
        **network_fields(wanted["network"], wanted["interfaces"]),
        names=names_of(**{name: wanted[name] for name in NAMES if name in wanted}),
        user_namespace=wanted["user_namespace"] is not False,
        read_only=options.read_only,
        shm_size=wanted.get("shm_size"),
    )


def plan(options: Namespace) -> int:
    """`warden plan`."""
    from warden.engine.preview import preview
    from warden.server.config import load

    settings = load(options.config).engine_settings()
    print(preview(container_spec(options, settings), settings).rstrip("\n"))
    return 0


COMMANDS = {
    "plan": Command(
        "[OPTION...]",
        "Prints the steps that would make this container, in the words of the manual pages. Nothing is done.",
        (*CONTAINER, "config"),
        "warden plan\nwarden plan -m 64M --network none\nwarden plan -v /srv/data:/data:ro --no-user-namespace\n"
        "warden plan --config /etc/warden.yml",
        plan,
    ),
}
