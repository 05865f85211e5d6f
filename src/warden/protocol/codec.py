"""Which message class belongs to which type number, and decoding with the checks that the library leaves out.

Owns the table of types, made from the .proto file itself. It does not know what a message means.
"""

from __future__ import annotations

import re
from typing import Any

from google.protobuf.message import DecodeError

from warden.errors import BadInput
from warden.protocol import warden_pb2 as pb
from warden.protocol.framing import encode_frame

#: Kind of every request by its name in the .proto file.
KINDS: dict[str, int] = dict(pb.Message.Type.items())
ERROR: int = KINDS["Error"]
REQUESTS: dict[int, Any] = {kind: getattr(pb, name + "Request") for name, kind in KINDS.items() if kind != ERROR}
# AttachInput is never answered, so it has no response.
RESPONSES: dict[int, Any] = {kind: getattr(pb, name + "Response", None) for name, kind in KINDS.items()}
NAMES: dict[int, str] = {
    kind: re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() for name, kind in KINDS.items()
}  # net_in, as the commands are called


def encode(kind: int, message: Any) -> bytes:
    """The frame of *message*, sent as *kind*."""
    return encode_frame(kind, message.SerializeToString())


def decode_envelope(frame: bytes) -> tuple[int, bytes]:
    """Type number and payload of a frame; raises BadInput when it is no message or its type is unknown."""
    message = _parse(pb.Message, frame, "message")
    return message.type, message.payload


def decode_request(kind: int, payload: bytes) -> Any:
    """The request; raises BadInput for a kind that is no request, undecodable bytes and missing fields."""
    if kind not in REQUESTS:
        raise BadInput(f"message: type {kind} is not a request")
    return _parse(REQUESTS[kind], payload, NAMES[kind])


def decode_response(kind: int, payload: bytes) -> Any:
    """The response, an ErrorResponse included; raises BadInput for what cannot be one."""
    if RESPONSES.get(kind) is None:
        raise BadInput(f"message: type {kind} is not a response")
    return _parse(RESPONSES[kind], payload, NAMES[kind])


def _parse(cls: Any, data: bytes, name: str) -> Any:
    try:
        message = cls.FromString(data)
    except DecodeError:
        raise BadInput(f"{name}: the bytes are not a {cls.DESCRIPTOR.name}") from None
    # The upb runtime does not look for required fields when it parses.
    if not message.IsInitialized():
        raise BadInput(f"{name}: missing required field: " + ", ".join(message.FindInitializationErrors()))
    return message
