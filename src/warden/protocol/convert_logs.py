"""Requests and responses of logs to the model and back."""

from __future__ import annotations

from warden.model.job import Chunk
from warden.model.logs import LogPlace, LogSelection
from warden.protocol import warden_pb2 as pb
from warden.protocol.convert import raw, text


def selection_to_request(handle: str, selection: LogSelection) -> pb.LogsRequest:
    request = pb.LogsRequest(handle=raw(handle), follow=selection.follow, lasting=selection.lasting)
    if selection.job is not None:
        request.job_id = selection.job
    for name, moment in (("since_us", selection.since), ("until_us", selection.until)):
        if moment is not None:
            setattr(request, name, round(moment * 1e6))
    if selection.tail is not None:
        request.tail = selection.tail
    if selection.stream is not None:
        request.stream = raw(selection.stream)
    request.places.extend(map(place_to_message, selection.places or ()))
    return request


def request_to_selection(request: pb.LogsRequest) -> LogSelection:
    """Raises BadInput."""
    return LogSelection(
        job=request.job_id if request.HasField("job_id") else None,
        follow=request.follow,
        lasting=request.lasting,
        since=request.since_us / 1e6 if request.HasField("since_us") else None,
        until=request.until_us / 1e6 if request.HasField("until_us") else None,
        tail=request.tail if request.HasField("tail") else None,
        stream=text(request.stream) if request.HasField("stream") else None,
        places=tuple(map(message_to_place, request.places)) or None,
    )


def piece_to_response(piece: Chunk | tuple[LogPlace, ...]) -> pb.LogsResponse:
    """A piece of output, or where each job begins."""
    if not isinstance(piece, Chunk):
        return pb.LogsResponse(places=map(place_to_message, piece))
    return pb.LogsResponse(
        name=raw(piece.stream), data=piece.data, time_us=round(piece.time * 1e6), job_id=piece.job, offset=piece.offset
    )


def response_to_piece(response: pb.LogsResponse) -> Chunk | tuple[LogPlace, ...] | None:
    """The same back; None for the last response."""
    if response.end:
        return None
    if not response.HasField("name"):
        return tuple(map(message_to_place, response.places))
    return Chunk(text(response.name), response.data, response.time_us / 1e6, response.offset, response.job_id)


def place_to_message(place: LogPlace) -> pb.LogPlace:
    skip = place.skips[0] | place.skips[1] << 1
    return pb.LogPlace(job_id=place.job, stdout=place.offsets[0], stderr=place.offsets[1], skip=skip or None)


def message_to_place(message: pb.LogPlace) -> LogPlace:
    skips = bool(message.skip & 1), bool(message.skip & 2)
    return LogPlace(message.job_id, (message.stdout, message.stderr), skips)
