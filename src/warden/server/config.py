"""The daemon's configuration file: YAML in the original's format with additions (spec/warden.md §10).

Owns reading it with the file, line and column of everything that is wrong, and printing what is in force. Which keys
there are stands in settings_table.py.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, cast

import yaml

from warden.errors import BadInput, ConfigError
from warden.model.settings import HOOK_POINTS, EngineSettings
from warden.protocol.convert import CreateDefaults
from warden.records import dataclass, field
from warden.server.settings_table import BY_NAME, GROUPS, SETTINGS, Setting

_DEFAULTS: Mapping[str, Any] = MappingProxyType({setting.name: setting.default for setting in SETTINGS})


@dataclass(frozen=True, slots=True)
class Config:
    """Values by full name ("server.pidfile"), every setting present. *warnings*: keys that were not understood."""

    values: Mapping[str, Any] = field(default_factory=lambda: _DEFAULTS)
    warnings: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def override(self, **values: Any) -> Config:
        """With values from the command line, written `server__pidfile`; None leaves a value alone."""
        given = {name.replace("__", "."): value for name, value in values.items() if value is not None}
        return Config(MappingProxyType({**self.values, **given}), self.warnings)

    @property
    def socket(self) -> str:
        return cast(str, self["server.unix_domain_path"])

    def create_defaults(self) -> CreateDefaults:
        return CreateDefaults(
            image=self["server.default_image"],
            rootfs=self["server.container_rootfs_path"],
            grace_time=self["server.container_grace_time"],
            user_namespace=self["server.user_namespace"],
        )

    def engine_settings(self) -> EngineSettings:
        named = {setting.engine: self[setting.name] for setting in SETTINGS if setting.engine}
        hooks = {point: self[f"hooks.{point}"] for point in HOOK_POINTS if self[f"hooks.{point}"]}
        return EngineSettings(**{**named, "pool_network": self._pool_network(), "hooks": hooks})

    def _pool_network(self) -> str:
        """A pool given as a first address and a number of /30 networks is turned into one prefix."""
        start, size = self["network.pool_start_address"], self["network.pool_size"]
        if start is None:
            return cast(str, self["network.pool_network"])
        return f"{start}/{32 - (math.ceil(math.log2(size)) + 2)}"

    def to_yaml(self) -> str:
        """The configuration in force, in a form that `load` reads."""
        lines: list[str] = []
        group = ""
        for setting in SETTINGS:
            if setting.group != group:
                group = setting.group
                lines += ["", f"{'  ' * group.count('.')}{setting.group.rpartition('.')[2]}:"]
            indent = "  " * (1 + group.count("."))
            lines.append(f"{indent}{setting.key}: {setting.kind.show(self[setting.name])}  # {setting.help}")
        return "\n".join(lines).lstrip("\n") + "\n"


def load(path: str | None) -> Config:
    """The file's values over the defaults; without a path the defaults. Raises ConfigError."""
    if path is None:
        return Config()
    try:
        with open(path, encoding="utf-8") as file:
            return parse(file.read(), path)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", path=path) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"is not UTF-8 text at byte {error.start}", path=path) from None


def parse(source: str, path: str = "") -> Config:
    """As load, from text; *path* is only for messages."""
    try:
        root = yaml.compose(source, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        raise ConfigError(f"not YAML: {error.problem or error.context}", path=path, line=line, column=column) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"not YAML: {str(error).splitlines()[0]}", path=path) from None
    reader = _Reader(path)
    if root is not None:
        reader.read(root, "")
    reader.check_together()
    return Config(MappingProxyType({**_DEFAULTS, **reader.values}), tuple(reader.warnings))


class _Reader:
    """Walks PyYAML's nodes, which know where they stand in the file, and collects values and warnings."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._nodes: dict[str, yaml.Node] = {}
        self.values: dict[str, Any] = {}
        self.warnings: list[str] = []

    def read(self, node: yaml.Node, group: str) -> None:
        for key, name, value in self._items(node, group):
            if name in GROUPS:
                if not _is_null(value):  # a section whose keys are all commented out
                    self.read(value, name)
            elif name in BY_NAME:
                self._nodes[name] = value
                self.values[name] = self._value(BY_NAME[name], value)
            else:
                self._warn(key, name)

    def _items(self, node: yaml.Node, group: str) -> Iterator[tuple[yaml.Node, str, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            raise self._error(node, f"{group or 'the file'}: expected names with values")
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._error(key, f"{group or 'the file'}: a name is expected here")
            name = f"{group}.{key.value}".lstrip(".")
            if name in seen:
                raise self._error(key, f"{name}: given twice")
            seen.add(name)
            yield key, name, value

    def _value(self, setting: Setting, node: yaml.Node) -> Any:
        loader = yaml.SafeLoader("")
        try:
            value = loader.construct_object(node, deep=True)
            return setting.kind.check(value)
        except (BadInput, ValueError, yaml.YAMLError) as error:
            reason = error.message if isinstance(error, BadInput) else "not a value"
            raise self._error(node, f"{setting.name}: {reason}") from None
        finally:
            loader.dispose()

    def _warn(self, key: yaml.Node, name: str) -> None:
        close = difflib.get_close_matches(name, [*BY_NAME, *GROUPS], n=1, cutoff=0.7)
        advice = f"; did you mean {close[0]}" if close else ""
        line = key.start_mark.line + 1
        place = f"{self._path}:{line}: " if self._path else f"line {line}: "
        self.warnings.append(f"{place}{name}: unknown key, ignored{advice}")

    def check_together(self) -> None:
        """What one value alone cannot show."""
        start = self.values.get("network.pool_start_address")
        if start is not None and self.values.get("network.pool_size") is None:
            raise self._error(
                self._nodes["network.pool_start_address"],
                "network.pool_start_address: network.pool_size is needed with it",
            )

    def _error(self, node: yaml.Node, message: str) -> ConfigError:
        mark = node.start_mark
        return ConfigError(message, path=self._path, line=mark.line + 1, column=mark.column + 1)


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"
