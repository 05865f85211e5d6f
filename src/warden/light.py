"""What would cost a short-lived program more to import from the standard library than its own work takes.

`typing`, `enum`, `contextlib`, `re`, `logging` and `signal` together are 15 ms, each pulling `collections` and `functools`
in; a tool of LXC's wants to be done in 20. So what starts often takes these few things from here. For type checkers they
*are* the originals, and they behave as these do as far as warden uses them. Three are for what comes later or not at all:

>>> re = late("re")                         # imported when the first attribute is asked for
>>> _NAME = pattern(r"[a-z]{1,15}")         # compiled when it is used
>>> log = logger("warden.lxc")              # found when there is something to say
"""

from __future__ import annotations

import sys

# Checkers take any name like this one for true.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator
    from contextlib import contextmanager, suppress
    from enum import Enum, IntEnum
    from hashlib import blake2b
    from logging import getLogger as logger
    from re import compile as pattern
    from types import MappingProxyType
    from typing import Any, NamedTuple

    _tuplegetter: Callable[[int, str], property]
else:
    import _signal as signal  # the same without its numbers as enums
    from _collections import _tuplegetter

    MappingProxyType = type(type.__dict__)

__all__ = [
    "TYPE_CHECKING",
    "Enum",
    "IntEnum",
    "MappingProxyType",
    "NamedTuple",
    "blake2b",
    "contextmanager",
    "late",
    "logger",
    "pattern",
    "signal",
    "suppress",
]


class _LateModule:
    """Keeps nothing: what somebody replaces in the module is seen."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        __import__(self._name)
        return getattr(sys.modules[self._name], name)


class _Late:
    """Stands for something until an attribute of it is asked for."""

    def __init__(self, find: Callable[[], object]) -> None:
        self._find = find

    def __getattr__(self, name: str) -> Any:
        self.__dict__[name] = value = getattr(self._find(), name)
        return value


def late(module: str) -> Any:
    """The module of that name, imported when it is used."""
    return _LateModule(module)


def _pattern(text: str | bytes, flags: int = 0) -> Any:
    def compiled() -> object:
        import re

        return re.compile(text, flags)

    return _Late(compiled)


def _logger(name: str) -> Any:
    def found() -> object:
        import logging

        return logging.getLogger(name)

    return _Late(found)


def _blake2b(*arguments: bytes, **options: int) -> Any:
    """hashlib imports OpenSSL too, 2 ms."""
    try:
        from _blake2 import blake2b as made
    except ImportError:
        from hashlib import blake2b as made
    return made(*arguments, **options)  # type: ignore[arg-type]


# ---- contextlib


class _suppress:
    def __init__(self, *kinds: type[BaseException]) -> None:
        self._kinds = kinds

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: object) -> bool:
        return kind is not None and issubclass(kind, self._kinds)


def _contextmanager(function: Callable[..., Iterator[object]]) -> Callable[..., object]:
    def made(*args: object, **kwargs: object) -> _Context:
        return _Context(function(*args, **kwargs))

    for name in ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__"):
        setattr(made, name, getattr(function, name))
    made.__wrapped__ = function  # type: ignore[attr-defined]
    return made


class _Context:
    """A generator with one yield as a context manager."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def __enter__(self) -> object:
        try:
            return next(self._generator)
        except StopIteration:
            raise RuntimeError("generator didn't yield") from None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if error is None:
            if next(self._generator, self) is self:
                return False
            raise RuntimeError("generator didn't stop")
        before = error.__traceback__
        try:
            self._generator.throw(error)
        except StopIteration as stop:
            return stop is not error  # it ended: the error was dealt with
        except BaseException as raised:
            # a StopIteration that passes through a generator becomes a RuntimeError (PEP 479)
            if raised is error or (isinstance(error, StopIteration) and raised.__cause__ is error):
                error.__traceback__ = before
                return False
            raise
        raise RuntimeError("generator didn't stop after throw()")


# ---- typing


class _NamedTupleType(type):
    def __new__(meta, name: str, bases: tuple[type, ...], space: dict[str, Any]) -> type:
        if bases == (tuple,):
            return super().__new__(meta, name, bases, space)
        fields = tuple(space.get("__annotations__", ()))
        defaults = {field: space.pop(field) for field in fields if field in space}
        for place, field in enumerate(fields):
            space[field] = _tuplegetter(place, f"Field number {place}")
        more = {"__slots__": (), "__match_args__": fields, "_fields": fields, "_field_defaults": defaults}
        return super().__new__(meta, name, bases, space | more)


class _NamedTuple(tuple, metaclass=_NamedTupleType):  # type: ignore[type-arg]
    __slots__ = ()

    def __new__(cls, /, *args: object, **kwargs: object) -> Any:
        fields = cls._fields  # type: ignore[attr-defined]
        if len(args) > len(fields):
            raise TypeError(f"{cls.__name__}() takes {len(fields)} positional arguments but {len(args)} were given")
        if len(args) == len(fields) and not kwargs:
            return tuple.__new__(cls, args)
        values = dict(zip(fields, args, strict=False))
        for field in kwargs:
            if field in values or field not in fields:
                what = "multiple values for argument" if field in values else "an unexpected keyword argument"
                raise TypeError(f"{cls.__name__}() got {what} {field!r}")
        values = {**cls._field_defaults, **values, **kwargs}  # type: ignore[attr-defined]
        if len(values) < len(fields):
            lacking = next(field for field in fields if field not in values)
            raise TypeError(f"{cls.__name__}() missing a required argument: {lacking!r}")
        return tuple.__new__(cls, [values[field] for field in fields])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._asdict().items())})"

    def _asdict(self) -> dict[str, object]:
        return dict(zip(self._fields, self, strict=True))  # type: ignore[attr-defined]

    def _replace(self, /, **changes: object) -> Any:
        if unknown := [name for name in changes if name not in self._fields]:  # type: ignore[attr-defined]
            raise ValueError(f"Got unexpected field names: {unknown!r}")
        return type(self)(**{**self._asdict(), **changes})

    def __getnewargs__(self) -> tuple[object, ...]:
        return tuple(self)


# ---- enum


class _EnumType(type):
    _member_map_: dict[str, Any]
    _value2member_map_: dict[Any, Any]

    def __new__(meta, name: str, bases: tuple[type, ...], space: dict[str, Any]) -> _EnumType:
        values = {
            key: value for key, value in space.items() if not key.startswith("_") and not hasattr(value, "__get__")
        }
        cls = super().__new__(meta, name, bases, {key: value for key, value in space.items() if key not in values})
        cls._member_map_, cls._value2member_map_ = {}, {}
        for key, value in values.items():
            member: Any = int.__new__(cls, value) if int in cls.__mro__ else object.__new__(cls)  # type: ignore[arg-type]
            member = cls._value2member_map_.setdefault(value, member)
            member.__dict__.setdefault("name", key)
            member.__dict__["value"] = value
            cls._member_map_[key] = member
            type.__setattr__(cls, key, member)
        return cls

    @property
    def __members__(cls) -> dict[str, Any]:
        return dict(cls._member_map_)

    def __call__(cls, value: object) -> Any:
        if isinstance(value, cls):
            return value
        try:
            return cls._value2member_map_[value]
        except (KeyError, TypeError):
            raise ValueError(f"{value!r} is not a valid {cls.__qualname__}") from None

    def __getitem__(cls, name: str) -> Any:
        return cls._member_map_[name]

    def __iter__(cls) -> Iterator[Any]:
        return iter(cls._value2member_map_.values())

    def __len__(cls) -> int:
        return len(cls._value2member_map_)

    def __contains__(cls, value: object) -> bool:
        return isinstance(value, cls)

    def __setattr__(cls, name: str, value: object) -> None:
        if name in cls.__dict__.get("_member_map_", ()):
            raise AttributeError(f"cannot reassign member {name!r}")
        super().__setattr__(name, value)


class _Enum(metaclass=_EnumType):
    name: str
    value: Any

    def __repr__(self) -> str:
        return f"<{type(self).__name__}.{self.name}: {self.value!r}>"

    def __str__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce_ex__(self, _protocol: object) -> Any:
        return type(self), (self.value,)

    def __copy__(self) -> _Enum:
        return self

    def __deepcopy__(self, _memo: object) -> _Enum:
        return self


class _IntEnum(int, _Enum):
    __str__ = int.__repr__


if not TYPE_CHECKING:
    Enum, IntEnum, NamedTuple = _Enum, _IntEnum, _NamedTuple
    blake2b, contextmanager, suppress = _blake2b, _contextmanager, _suppress
    logger, pattern = _logger, _pattern
