"""Files of variables, as docker reads them: NAME=VALUE as it stands, NAME alone from the caller, # begins a comment."""

from __future__ import annotations

from collections.abc import Mapping

from warden.errors import BadInput, ConfigError


def read_env_file(path: str, caller: Mapping[str, str]) -> dict[str, str]:
    """The variables of one file; a NAME that *caller* does not have is left out. Raises BadInput, ConfigError with file and
    line."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise BadInput(f"--env-file {path}: {error.strerror}") from None
    found = {}
    for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        try:
            line = raw.decode().removesuffix("\r").lstrip(" \t")
        except UnicodeDecodeError:
            raise ConfigError("it is not UTF-8 text", path=path, line=number) from None
        if not line or line.startswith("#"):
            continue
        name, sign, value = line.partition("=")
        _check(name, path, number)
        if sign and "\0" in value:
            raise ConfigError("a value has no NUL", path=path, line=number)
        if sign:
            found[name] = value
        elif name in caller:
            found[name] = caller[name]
    return found


def _check(name: str, path: str, line: int) -> None:
    if not name:
        raise ConfigError("no name before the '='", path=path, line=line)
    if any(character.isspace() or character == "\0" for character in name):
        raise ConfigError(f"{name!r} has blanks in it, so it names no variable", path=path, line=line)
