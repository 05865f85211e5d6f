"""Dataclasses that cost nothing until they are used.

The standard library's `dataclass` compiles six functions for each class, 0.4 ms at every start of every program, whether an
instance is ever made or not, and brings `inspect` with it (4 ms). The model has some hundred classes, and a tool that lives
for 20 ms needs a few. Here a class gets its fields and shared functions; its `__init__` is compiled when so many instances
were made that it is worth it. For type checkers, and for whoever hands an instance to `dataclasses` or to a library that
knows them, these *are* dataclasses. What is supported is what warden uses: `frozen`, `slots` and `eq` of the decorator,
`default`, `default_factory`, `init`, `repr` and `compare` of a field, inheritance, `__post_init__`, `__match_args__`.
"""

from __future__ import annotations

from _operator import attrgetter

# not typing's: importing it takes longer than all that this module does
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

__all__ = ["MISSING", "FrozenInstanceError", "asdict", "dataclass", "field", "fields", "is_dataclass", "replace"]

#: So many instances are made by the shared `__init__` before the class gets one of its own: compiling costs as much as 30.
ENOUGH = 24


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


_MISSING = _Missing()


class _FrozenInstanceError(AttributeError):
    """A field of a frozen instance was set or deleted."""


class _Field:
    """One field: the attributes of `dataclasses.Field` that have a meaning here."""

    __slots__ = ("compare", "default", "default_factory", "init", "name", "repr", "type")

    def __init__(self, default: Any, default_factory: Any, init: bool, repr: bool, compare: bool) -> None:
        self.default, self.default_factory = default, default_factory
        self.init, self.repr, self.compare = init, repr, compare
        self.name = self.type = ""

    def initial(self) -> Any:
        """The value without an argument; MISSING if there must be one."""
        return self.default if self.default_factory is _MISSING else self.default_factory()


def _field(
    *,
    default: Any = _MISSING,
    default_factory: Any = _MISSING,
    init: bool = True,
    repr: bool = True,
    compare: bool = True,
) -> Any:
    return _Field(default, default_factory, init, repr, compare)


def _dataclass(cls: Any = None, /, *, frozen: bool = False, slots: bool = False, eq: bool = True) -> Any:
    if cls is None:
        return lambda decorated: _made(decorated, frozen, slots, eq)
    return _made(cls, frozen, slots, eq)


def _made(cls: type, frozen: bool, slots: bool, eq: bool) -> type:
    own = _own_fields(cls)
    given: dict[str, object] = {**_GIVEN, "__init__": _shared_init()}
    if eq:
        given["__eq__"] = _eq
    if frozen:
        given |= _FROZEN
    # as the standard's: __eq__ without __hash__ leaves none, a frozen class with __eq__ gets one
    if eq and cls.__dict__.get("__hash__") is None:
        given["__hash__"] = _hash if frozen else None
    given = {name: value for name, value in given.items() if name == "__hash__" or name not in cls.__dict__}
    given["__record_own__"] = own
    if slots:
        cls = _with_slots(cls, own, given)
    else:
        for name, value in given.items():
            setattr(cls, name, value)
    if cls.__bases__ != (object,) or _is_out_of_order(own):
        cls.__record_fields__  # type: ignore[attr-defined]  # noqa: B018  raises what is to be said about it
    return cls


def _is_out_of_order(own: Mapping[str, Any]) -> bool:
    """A cheap look: one of them has a default and a later one has none, of whatever kind."""
    optional = False
    for value in own.values():
        if value is not _MISSING:
            optional = True
        elif optional:
            return True
    return False


def _own_fields(cls: type) -> dict[str, Any]:
    """What the class itself says of each of its fields: a `_Field`, a default, MISSING."""
    found: dict[str, Any] = {}
    space = cls.__dict__
    for name, annotation in space.get("__annotations__", _NONE).items():
        if "ClassVar" in str(annotation) and str(annotation).removeprefix("typing.").startswith("ClassVar"):
            continue
        value = found[name] = space.get(name, _MISSING)
        default = value.default if value.__class__ is _Field else value
        if default.__class__.__hash__ is None:
            raise ValueError(f"mutable default of field {name!r} of {cls.__name__}: use default_factory")
        if default is value:
            continue
        if default is _MISSING:
            delattr(cls, name)
        else:
            setattr(cls, name, default)
    return found


class _Settled:
    """What follows from the fields, found when the class is used; most classes of a program are not."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, _instance: object, owner: Any) -> Any:
        cls = next(each for each in owner.__mro__ if "__record_own__" in each.__dict__)
        every: dict[str, _Field] = {}
        for base in reversed(cls.__mro__[1:]):
            if "__record_own__" in base.__dict__:
                every.update(base.__record_fields__)
        for name, value in cls.__record_own__.items():
            each = value if isinstance(value, _Field) else _Field(value, _MISSING, True, True, True)
            each.name, each.type = name, cls.__dict__["__annotations__"][name]  # noqa: RUF063
            every[name] = each
        _check_order(cls, every)
        cls.__record_fields__ = every
        cls.__record_key__ = _key_of([each.name for each in every.values() if each.compare])
        if isinstance(cls.__dict__["__match_args__"], _Settled):
            cls.__match_args__ = tuple(each.name for each in every.values() if each.init)  # type: ignore[misc]
        return getattr(cls, self._name)


def _check_order(cls: type, every: Mapping[str, _Field]) -> None:
    """As the compiler would at the 24th instance."""
    optional = ""
    for each in every.values():
        if each.init and (each.default is not _MISSING or each.default_factory is not _MISSING):
            optional = each.name
        elif each.init and optional:
            raise TypeError(f"{cls.__name__}: field {each.name!r} without a default follows {optional!r} with one")


def _key_of(names: list[str]) -> Callable[[object], object]:
    """What is compared, by one call of C. Of a single name it would give no tuple, of none it cannot be made."""
    return attrgetter(*(names if len(names) > 1 else names * 2)) if names else _nothing


def _nothing(_value: object) -> tuple[()]:
    return ()


def _with_slots(cls: type, own: Mapping[str, object], given: Mapping[str, object]) -> type:
    """Slots are made with the class (type.__new__), so the class is made again."""
    inherited = {slot for base in cls.__mro__[1:] for slot in base.__dict__.get("__slots__", ())}
    members: dict[str, object] = {
        name: value
        for name, value in cls.__dict__.items()
        if name not in own and name not in ("__dict__", "__weakref__")
    }
    members |= {**given} | {
        "__slots__": tuple(name for name in own if name not in inherited),
        "__qualname__": cls.__qualname__,
    }
    return type(cls)(cls.__name__, cls.__bases__, members)


def _shared_init() -> Callable[..., None]:
    every: dict[str, _Field] = {}
    names: tuple[str, ...] = ()
    left = ENOUGH

    def __init__(self: Any, /, *args: object, **kwargs: object) -> None:
        nonlocal every, names, left
        cls = type(self)
        if left == ENOUGH:  # of the class that this was made for
            owner = next(each for each in cls.__mro__ if each.__dict__.get("__init__") is __init__)
            every = owner.__record_fields__  # type: ignore[attr-defined]
            names = tuple(each.name for each in every.values() if each.init)
        left -= 1
        # a class that inherits this, or that called it from an __init__ of its own, keeps it
        if left <= 0 and cls.__dict__.get("__init__") is __init__:
            cls.__init__ = _compiled_init(cls)
            cls.__init__(self, *args, **kwargs)
            return
        if len(args) > len(names):
            raise TypeError(f"{cls.__name__}() takes {len(names)} positional arguments but {len(args)} were given")
        values = dict(zip(names, args, strict=False))
        for name, value in kwargs.items():
            if name in values or name not in names:
                what = "multiple values for argument" if name in values else "an unexpected keyword argument"
                raise TypeError(f"{cls.__name__}() got {what} {name!r}")
            values[name] = value
        for each in every.values():
            value = values[each.name] if each.name in values else each.initial()
            if value is not _MISSING:
                object.__setattr__(self, each.name, value)
            elif each.init:
                raise TypeError(f"{cls.__name__}() missing a required argument: {each.name!r}")
        if hasattr(cls, "__post_init__"):
            self.__post_init__()

    return __init__


def _compiled_init(cls: type) -> Callable[..., None]:
    """`__init__` with the fields as its parameters: 0.5 µs an instance instead of 3."""
    scope: dict[str, Any] = {"_set": object.__setattr__, "_missing": _MISSING}
    parameters, lines = ["self"], []
    for name, each in cls.__record_fields__.items():  # type: ignore[attr-defined]
        value = name
        if each.default_factory is not _MISSING:
            scope[f"_make_{name}"] = each.default_factory
            value = f"_make_{name}() if {name} is _missing else {name}" if each.init else f"_make_{name}()"
        if each.init:
            scope[f"_default_{name}"] = each.default
            optional = each.default is not _MISSING or each.default_factory is not _MISSING
            parameters.append(f"{name}=_default_{name}" if optional else name)
        elif each.default is not _MISSING:
            scope[f"_default_{name}"], value = each.default, f"_default_{name}"
        if each.init or value != name:
            lines.append(f"_set(self, {name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    # names of fields are identifiers of our own source: nothing from outside is compiled here
    exec(f"def __init__({', '.join(parameters)}):\n " + "\n ".join(lines or ["pass"]), scope)
    made: Callable[..., None] = scope["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    return made


def _eq(self: Any, other: object) -> bool:
    key = self.__class__.__record_key__
    return bool(key(self) == key(other)) if other.__class__ is self.__class__ else NotImplemented


def _hash(self: Any) -> int:
    return hash(self.__class__.__record_key__(self))


def _repr(self: Any) -> str:
    shown = (f"{name}={getattr(self, name)!r}" for name, each in self.__record_fields__.items() if each.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _refuse_set(_self: object, name: str, _value: object) -> None:
    raise _FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_delete(_self: object, name: str) -> None:
    raise _FrozenInstanceError(f"cannot delete field {name!r}")


def _getstate(self: Any) -> list[object]:
    return [getattr(self, name) for name in self.__record_fields__]


def _setstate(self: Any, state: list[object]) -> None:
    for name, value in zip(self.__record_fields__, state, strict=True):
        object.__setattr__(self, name, value)


class _StandardFields:
    """`__dataclass_fields__`, made when somebody asks: by it the standard library and msgspec know a dataclass."""

    def __get__(self, _instance: object, owner: Any) -> dict[str, Any]:
        import dataclasses

        made = {}
        for name, each in owner.__record_fields__.items():
            options: dict[str, Any] = {"init": each.init, "repr": each.repr, "compare": each.compare}
            options |= {} if each.default is _MISSING else {"default": each.default}
            options |= {} if each.default_factory is _MISSING else {"default_factory": each.default_factory}
            made[name] = standard = dataclasses.field(**options)
            standard.name, standard.type = name, each.type
            standard._field_type = dataclasses._FIELD  # type: ignore[attr-defined]
        return made


class _Signature:
    """`__signature__` of the class: its fields, for help() and inspect."""

    def __get__(self, _instance: object, owner: Any) -> Any:
        import inspect

        whole = inspect.signature(_compiled_init(owner))
        return whole.replace(parameters=list(whole.parameters.values())[1:])


def _fields(of: Any) -> tuple[_Field, ...]:
    return tuple(of.__record_fields__.values())


def _is_dataclass(value: object) -> bool:
    return hasattr(value, "__record_fields__")


def _replace(value: Any, /, **changes: object) -> Any:
    for each in _fields(value):
        if each.init:
            changes.setdefault(each.name, getattr(value, each.name))
    return type(value)(**changes)


def _asdict(value: Any) -> dict[str, Any]:
    return {each.name: _plain(getattr(value, each.name)) for each in _fields(value)}


def _plain(value: Any) -> Any:
    if _is_dataclass(value):
        return _asdict(value)
    if isinstance(value, (list, tuple)):
        items: Iterator[Any] = (_plain(item) for item in value)
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    return value


_NONE: dict[str, object] = {}
_GIVEN: dict[str, object] = {
    "__record_fields__": _Settled("__record_fields__"),
    "__record_key__": _Settled("__record_key__"),
    "__match_args__": _Settled("__match_args__"),
    "__dataclass_fields__": _StandardFields(),
    "__signature__": _Signature(),
    "__repr__": _repr,
}
_FROZEN: dict[str, object] = {
    "__setattr__": _refuse_set,
    "__delattr__": _refuse_delete,
    "__setstate__": _setstate,
    "__getstate__": _getstate,
}

if TYPE_CHECKING:
    from dataclasses import MISSING, FrozenInstanceError, asdict, dataclass, field, fields, is_dataclass, replace
else:
    MISSING, FrozenInstanceError = _MISSING, _FrozenInstanceError
    FrozenInstanceError.__name__ = FrozenInstanceError.__qualname__ = "FrozenInstanceError"
    asdict, dataclass, field, fields, is_dataclass, replace = (
        _asdict,
        _dataclass,
        _field,
        _fields,
        _is_dataclass,
        _replace,
    )
