"""Requests and responses of events to the model and back."""

from __future__ import annotations

from warden.model.events import EventRecord, EventSelection
from warden.protocol import warden_pb2 as pb
from warden.protocol.convert import raw, settings_from, settings_to, text


def events_to_request(wanted: EventSelection) -> pb.EventsRequest:
    request = pb.EventsRequest()
    for name, moment in (("since_us", wanted.since), ("until_us", wanted.until)):
        if moment is not None:
            setattr(request, name, round(moment * 1e6))
    if wanted.after is not None:
        request.after = wanted.after
    request.types.extend(map(raw, sorted(wanted.types)))
    request.containers.extend(map(raw, sorted(wanted.containers)))
    request.names.extend(map(raw, sorted(wanted.events)))
    request.networks.extend(map(raw, sorted(wanted.networks)))
    request.volumes.extend(map(raw, sorted(wanted.volumes)))
    return request


def request_to_events(request: pb.EventsRequest) -> EventSelection:
    return EventSelection(
        since=request.since_us / 1e6 if request.HasField("since_us") else None,
        until=request.until_us / 1e6 if request.HasField("until_us") else None,
        after=request.after if request.HasField("after") else None,
        types=frozenset(map(text, request.types)),
        containers=frozenset(map(text, request.containers)),
        events=frozenset(map(text, request.names)),
        networks=frozenset(map(text, request.networks)),
        volumes=frozenset(map(text, request.volumes)),
    )


def record_to_response(record: EventRecord) -> pb.EventsResponse:
    return pb.EventsResponse(
        seq=record.seq,
        time_us=round(record.time * 1e6),
        type=raw(record.type),
        name=raw(record.event),
        handle=raw(record.container),
        id=raw(record.id),
        attributes=settings_to(record.attributes.items()),
    )


def response_to_record(response: pb.EventsResponse) -> EventRecord:
    return EventRecord(
        seq=response.seq,
        time=response.time_us / 1e6,
        type=text(response.type),
        event=text(response.name),
        container=text(response.handle),
        id=text(response.id),
        attributes=dict(settings_from(response.attributes)),
    )
