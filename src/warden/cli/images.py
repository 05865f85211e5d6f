"""`warden image build|list|prune|remove`: the image store of this machine, used directly, without the daemon."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from typing import TYPE_CHECKING

from warden.cli import output
from warden.cli.options import Command
from warden.errors import BadInput
from warden.model.settings import DEFAULT_IMAGES
from warden.model.size import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warden.rootfs.images import ImageInfo


def _progress(text: str) -> None:
    output.say(text)


def image(options: Namespace) -> int:
    """`warden image`."""
    from warden.rootfs.images import ImageStore

    store = ImageStore(options.images or os.environ.get("WARDEN_IMAGES") or DEFAULT_IMAGES)
    if options.action == "list":
        if options.image_names:
            raise BadInput("image list takes no names")
        return _list(store.list(), as_json=options.json)
    if options.action == "prune":
        if options.image_names:
            raise BadInput("image prune takes no names")
        _progress(f"{store.prune()} older images removed")
        return 0
    if not options.image_names:
        raise BadInput(f"image {options.action}: which one?", hint=f"warden image {options.action} NAME")
    for name in options.image_names:
        if options.action == "build":
            store.build(name, _progress)
            _progress(f"image {name} is built")
        else:
            store.remove(name)
    return 0


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(seconds))


def _list(found: Sequence[ImageInfo], *, as_json: bool) -> int:
    if as_json:
        output.print_json(
            [{"name": i.name, "size_bytes": i.size_bytes, "created": i.created, "path": str(i.path)} for i in found]
        )
        return 0
    rows = [(i.name, format_size(i.size_bytes), _day(i.created), str(i.path)) for i in found]
    print(output.table(("NAME", "SIZE", "CREATED", "PATH"), rows), end="")
    return 0


COMMANDS = {
    "image": Command(
        "[OPTION...] build|list|prune|remove [IMAGE...]",
        "Builds, lists and removes images. Those that can be built: host (this machine's own /usr, no download), "
        "busybox, debian.\nprune removes older ones that a newer build replaced and no container uses any more.",
        ("images", "json", "action", "image_names"),
        "warden image build host\nwarden image list --json\nwarden image remove debian\nwarden image prune",
        image,
    ),
}
