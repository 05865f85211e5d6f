"""The original's command line form: flags derived from a protobuf message, and its text for a response.

Pure: words to messages, messages to lines. Syntax and error texts are spec/warden.md §11 and §15.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from warden.errors import BadInput

_ELEMENT = re.compile(r"([A-Za-z_]\w*)(?:\[(\d+)\])?")


def request_name(command: str) -> str:
    """bind_mounts → BindMounts: the name of the message before "Request"."""
    return "".join(part.capitalize() for part in command.split("_"))


def parse_flags(message: Any, words: list[str]) -> None:
    """Sets the fields that *words* (`--field VALUE`, bools without a value) name; raises BadInput."""
    position = 0
    while position < len(words):
        flag = words[position]
        if not flag.startswith("--") or flag == "--":
            raise BadInput(f"Invalid flag: '{flag}'.")
        position += 1
        holder, field, index = _resolve(message, flag)
        if field.type == field.TYPE_BOOL:
            # The original's bools have no value; some of ours are true by default, so a value is accepted.
            given = position < len(words) and words[position] in ("true", "false")
            _store(holder, field, index, not given or words[position] == "true", flag)
            position += given
            continue
        if position == len(words) or words[position].startswith("--"):
            raise BadInput(f"In flag: '{flag}', a value is missing.")
        _store(holder, field, index, convert(field, words[position], flag), flag)
        position += 1


def _resolve(message: Any, flag: str) -> tuple[Any, Any, int | None]:
    """The message, field and index that a flag with dots and brackets points at."""
    elements = flag[2:].split(".")
    for depth, element in enumerate(elements):
        match = _ELEMENT.fullmatch(element)
        if match is None:
            raise BadInput(f"Invalid flag element: '{element}'.")
        name, index = match[1], None if match[2] is None else int(match[2])
        field = message.DESCRIPTOR.fields_by_name.get(name)
        if field is None:
            raise BadInput(f"In flag: '{flag}', the field: '{name}' is invalid.")
        _check_index(field, index, flag, name)
        is_message, last = field.type == field.TYPE_MESSAGE, depth == len(elements) - 1
        if is_message == last:
            raise BadInput(f"In flag: '{flag}', the field: '{name}' is invalid.")
        if last:
            return message, field, index
        message = _descend(message, field, index, flag)
    raise BadInput(f"Invalid flag: '{flag}'.")


def _check_index(field: Any, index: int | None, flag: str, name: str) -> None:
    if field.is_repeated != (index is not None):
        problem = "is not indexed" if field.is_repeated else "is not indexed correctly"
        raise BadInput(f"In flag: '{flag}', the field: '{name}' {problem}.")


def _descend(message: Any, field: Any, index: int | None, flag: str) -> Any:
    inner = getattr(message, field.name)
    if index is None:
        return inner
    if index == len(inner):
        return inner.add()
    if index > len(inner):
        raise BadInput(f"In flag: '{flag}', the field: '{field.name}' is not indexed correctly.")
    return inner[index]


def _store(holder: Any, field: Any, index: int | None, value: object, flag: str) -> None:
    try:
        if index is None:
            setattr(holder, field.name, value)
        elif index == len(getattr(holder, field.name)):
            getattr(holder, field.name).append(value)
        elif index < len(getattr(holder, field.name)):
            getattr(holder, field.name)[index] = value
        else:
            raise BadInput(f"In flag: '{flag}', the field: '{field.name}' is not indexed correctly.")
    except ValueError as error:
        raise BadInput(f"In flag: '{flag}', {value!r} is out of range.") from error


def convert(field: Any, text: str, flag: str) -> object:
    """A word as the field's type wants it: bytes, a number, or the number of an enum's constant."""
    if field.type == field.TYPE_ENUM:
        constant = field.enum_type.values_by_name.get(text)
        if constant is None:
            raise BadInput(f"The constant: '{text}' is not defined in the module: '{field.enum_type.name}'.")
        return constant.number
    if field.type == field.TYPE_BYTES:
        return text.encode("utf-8", "surrogateescape")
    try:
        return int(text, 0)
    except ValueError:
        raise BadInput(f"In flag: '{flag}', {text!r} is not a number.") from None


def missing_fields(message: Any) -> str:
    """The first required field without a value, as a path, or ""."""
    return next(iter(message.FindInitializationErrors()), "")


def response_lines(message: Any, prefix: str = "") -> Iterator[bytes]:
    """`field : value` for each field that is set, in the order of the tags; nested names have dots."""
    for field, value in message.ListFields():
        if not field.is_repeated:
            yield from _value_lines(field, value, prefix + field.name)
            continue
        for index, item in enumerate(value):
            yield from _value_lines(field, item, f"{prefix}{field.name}[{index}]")


def _value_lines(field: Any, value: Any, name: str) -> Iterator[bytes]:
    if field.type == field.TYPE_MESSAGE:
        yield from response_lines(value, name + ".")
    elif field.type == field.TYPE_BYTES:
        yield name.encode() + b" : " + value
    elif field.type == field.TYPE_ENUM:
        yield f"{name} : {field.enum_type.values_by_number[value].name}".encode()
    elif field.type != field.TYPE_BOOL:
        yield f"{name} : {value}".encode()
    elif value:
        yield f"{name} : true".encode()


def field_help(descriptor: Any, prefix: str = "--") -> Iterator[str]:
    """One line per flag: its name, its type, and whether it must be given."""
    for field in descriptor.fields:
        name = prefix + field.name + ("[N]" if field.is_repeated else "")
        if field.type == field.TYPE_MESSAGE:
            yield from field_help(field.message_type, name + ".")
            continue
        note = " (required)" if field.is_required else ""
        yield f"  {name} {_type_name(field)}".rstrip() + note


def _type_name(field: Any) -> str:
    if field.type == field.TYPE_BOOL:
        return ""
    if field.type == field.TYPE_ENUM:
        return "|".join(constant.name for constant in field.enum_type.values)
    return "TEXT" if field.type == field.TYPE_BYTES else "NUMBER"
