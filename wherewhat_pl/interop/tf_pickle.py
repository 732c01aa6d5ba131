"""Pickles of published TensorFlow 1 networks, read as data: a file can run nothing, and take no memory it only claims.

A pickle is a program for a small stack machine. Python's own reader imports whatever it names, calls it, and allocates
what a length says before it looks whether that many bytes are there. Here the standard library only splits the file
into instructions; they act on plain containers and on inert stand-ins for the few names in :data:`NAMES`.
"""

from __future__ import annotations

import math
import os
import pickletools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from data_modules.errors import one_line
from wherewhat_pl.errors import ConfigError, naming, short

MOST_INSTRUCTIONS = 1_000_000  # thirty times those of the largest published file
LARGEST_KEY = 1 << 60  # larger whole numbers can be chosen to collide in a dictionary
TEXT_OF_BYTES = ("latin1", "latin-1")  # in which pickles before protocol 3 keep bytes

BUILTINS = ("bytes", "dict", "frozenset", "object", "set")
#: what a file may name -> what stands for it; the same things are called differently by Python 2 and 3, numpy 1 and 2
NAMES = {
    "dnnlib.tflib.network.Network": "network",
    "dnnlib.util.EasyDict": "dict",
    "collections.OrderedDict": "dict",
    "numpy.ndarray": "ndarray",
    "numpy.dtype": "dtype",
    "_codecs.encode": "encode",
    **{f"numpy.{core}.multiarray._reconstruct": "empty array" for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": "scalar" for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": "array" for core in ("core", "_core")},
    **{f"{copyreg}._reconstructor": "new" for copyreg in ("copyreg", "copy_reg")},
    **{f"{builtins}.{name}": name for builtins in ("builtins", "__builtin__") for name in BUILTINS},
}
ALIASES = {"posix": "os", "nt": "os", "__builtin__": "builtins"}  # how pickles spell what people know otherwise
KINDS = re.compile(r"([<>|=]?)(f[248]|[iu][1248]|b1|[SU][1-9]\d{0,4})")  # of numbers and texts; no objects, no records

PUSHED = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
CONTAINERS = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set}
TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(eq=False, repr=False)
class Network:
    """Stands for ``dnnlib.tflib.network.Network``.

    Attributes:
        state: what it was pickled with.
    """

    state: dict[Any, Any] = field(default_factory=dict)


@dataclass(eq=False, repr=False)
class Array:
    """Stands for an array, which is pickled before its content.

    Attributes:
        values: read-only, of any type and byte order that :data:`KINDS` has.
    """

    values: np.ndarray | None = None


@dataclass(eq=False, repr=False)
class _Kind:
    """Stands for a ``numpy.dtype``."""

    name: str
    order: str


@dataclass(frozen=True, eq=False, repr=False)
class _Name:
    """Stands for a class or a function; ``meaning`` is a value of :data:`NAMES`."""

    name: str
    meaning: str


def read_pickle(path: Path) -> Any:
    """What a pickle holds, in plain values and containers, :class:`Network`, :class:`Array` and numpy scalars.

    ``EasyDict`` and ``OrderedDict`` become dictionaries, texts of Python 2 are read as Latin-1. Containers may hold
    themselves and one another in any depth and number: look into them no further than needed, and never print them.

    Raises:
        ConfigError: it is no such file, is damaged, claims what it does not hold, or names something else; one
            sentence that names the file and what was refused.
    """
    if not path.is_file():  # a pipe would be waited for
        raise ConfigError(f"pkl={path}: no such file")
    # Whole names of what is wrong need the room in one line.
    with naming(short(path.name, 60)), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            return _Machine(size).run(_Bounded(file, size))
        except ConfigError:
            raise
        except MemoryError:
            raise ConfigError("refused: it claims more than this machine's memory holds; or that is full") from None
        except Exception as error:  # of many kinds, which mean the same to the user
            if "sys.maxsize" in str(error):  # so says the standard library of a length, before it would read
                raise ConfigError("refused: it claims more than any memory holds") from None
            raise ConfigError(f"is no pickle of networks, or is damaged ({one_line(error, 80)})") from None


class _Bounded:
    """A file that is not asked for more bytes than are left in it: Python would take memory for them first."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size
        self.tell, self.readline = file.tell, file.readline

    def read(self, count: int) -> bytes:
        left = self.size - self.file.tell()
        if count > max(left, 8):  # the length of a text or of bytes, and not of an instruction
            raise ConfigError(f"refused: it claims {_amount(count)} where {left:,} are left; or it was cut off")
        return self.file.read(count)


class _Machine:
    def __init__(self, size: int) -> None:
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []  # the stacks below each mark
        self.memo: dict[int, Any] = {}
        # What is in the file once can be copied time and again.
        self.steps_left, self.bytes_left = MOST_INSTRUCTIONS, size

    def run(self, file: _Bounded) -> Any:
        for opcode, argument, _ in pickletools.genops(file):  # type: ignore[arg-type]
            self.spend(1)
            if opcode.name == "STOP":
                return self.stack.pop()
            self.step(opcode.name, argument)
        raise ValueError("it has no end")

    def step(self, opcode: str, argument: Any) -> None:
        stack = self.stack
        if opcode in PUSHED:
            if isinstance(argument, int) and argument.bit_length() > 64:
                raise ConfigError(f"refused: a number of {argument.bit_length()} bits")
            stack.append(argument)
        elif opcode in CONSTANTS:
            stack.append(CONSTANTS[opcode])
        elif opcode in CONTAINERS:
            stack.append(CONTAINERS[opcode]())
        elif opcode in TUPLES:
            count = TUPLES[opcode]
            stack[len(stack) - count :] = [tuple(self.top(count))]
        else:
            self.act(opcode, argument)

    def act(self, opcode: str, argument: Any) -> None:
        match opcode:
            case "PROTO" | "FRAME":
                pass
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = self.stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = self.stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                self.stack.append(self.memo[argument])
            case "MARK":
                self.marked.append(self.stack)
                self.stack = []
            case "POP" if self.stack:
                self.stack.pop()
            case "POP" | "POP_MARK":
                self.since_mark()
            case "DUP":
                self.stack.append(self.stack[-1])
            case "LIST":
                items = self.since_mark()
                self.stack.append(items)
            case "TUPLE":
                items = self.since_mark()
                self.stack.append(tuple(items))
            case "FROZENSET":
                items = self.since_mark()
                self.stack.append(frozenset(map(_key, items)))
            case "DICT":
                items = self.since_mark()
                self.stack.append({})
                self.put(items)
            case "APPEND":
                item = self.stack.pop()
                _plain(self.stack[-1], list).append(item)
            case "APPENDS":
                items = self.since_mark()
                _plain(self.stack[-1], list).extend(items)
            case "ADDITEMS":
                items = self.since_mark()
                _plain(self.stack[-1], set).update(map(_key, items))
            case "SETITEM":
                items = self.top(2)
                del self.stack[-2:]
                self.put(items)
            case "SETITEMS":
                self.put(self.since_mark())
            case "GLOBAL":
                self.stack.append(_named(*argument.split(" ", 1)))
            case "STACK_GLOBAL":
                module, name = self.top(2)
                self.stack[-2:] = [_named(module, name)]
            case "REDUCE" | "NEWOBJ":
                called, arguments = self.top(2)
                self.stack[-2:] = [self.made(called, _plain(arguments, tuple))]
            case "BUILD":
                state = self.stack.pop()
                self.fill(self.stack[-1], state)
            case _:  # persistent ids, extension codes, old instances, buffers outside of the file
                if opcode == "INST":  # a name and its call in one
                    _named(*argument.split(" ", 1))
                raise ConfigError(f"refused: it uses {opcode}, which no network needs")

    def spend(self, steps: int) -> None:
        self.steps_left -= steps
        if self.steps_left < 0:
            raise ConfigError(f"refused: it has more than {MOST_INSTRUCTIONS:,} instructions")

    def top(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise ValueError("it takes more than there is")
        return self.stack[len(self.stack) - count :]

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marked.pop()
        return items

    def put(self, items: list[Any]) -> None:
        """Keys and values in turn, into the dictionary on top."""
        _plain(self.stack[-1], dict).update(zip(map(_key, items[::2]), items[1::2], strict=True))

    def made(self, called: Any, arguments: tuple[Any, ...]) -> Any:
        """What a class or function would give, as a stand-in."""
        meaning = called.meaning if isinstance(called, _Name) else None
        match meaning, arguments:
            case "network", ():
                return Network()
            case "dict", ():
                return {}
            case "dict", (list(pairs),):  # an OrderedDict of Python 2
                self.spend(len(pairs))
                return {_key(key): value for key, value in pairs}
            case "new", (_Name(meaning="network"), _Name(meaning="object"), None):
                return Network()
            case "new", (_Name(meaning="dict"), _Name(meaning="dict"), dict(items)):
                return items
            case "bytes", ():
                return b""
            case "set" | "frozenset", (list(members),):
                self.spend(len(members))
                return set(map(_key, members))
            case "encode", (str(text), str(encoding)) if encoding in TEXT_OF_BYTES:
                return self.bytes_of(text)
            case "dtype", (str(name), *_) if match := KINDS.fullmatch(name):
                return _Kind(match[2], match[1] or "=")
            case "dtype", (str(name), *_):
                raise ConfigError(f"refused: an array of type '{name[:20]}', not of numbers")
            case "empty array", (_Name(meaning="ndarray"), tuple(shape), b"b" | "b"):  # of bytes, until it is filled
                claimed = _count(shape)
                if shape != (0,):
                    raise ConfigError(f"refused: an array that claims {_amount(claimed)} before it is filled")
                return Array()
            case "scalar", (_Kind() as kind, raw):
                return self.array(raw, kind, (1,), "C")[0]
            case "array", (raw, _Kind() as kind, tuple(shape), "C" | "F" as order, *_):
                return Array(self.array(raw, kind, shape, order))
            case "array", (raw, _Kind() as kind, tuple(shape), "K", tuple(axes)):
                return Array(self.array(raw, kind, shape, "C").transpose(axes))
        name = called.name if isinstance(called, _Name) else type(called).__name__
        raise ConfigError(f"refused: a call of {name} that no network needs")

    def fill(self, owner: Any, state: Any) -> None:
        """What ``__setstate__`` would do."""
        match owner, state:
            case Network(), dict():
                owner.state = state
            case dict(), None | {}:
                self.spend(len(state or {}))
                owner.update(state or {})
            case _Kind(), (3, "<" | ">" | "|" | "=" as order, None, None, None, int(), int(), int()):
                owner.order = order
            case Array(), (int(), tuple(shape), _Kind() as kind, int(fortran), raw):
                owner.values = self.array(raw, kind, shape, "F" if fortran else "C")
            case _:
                what = "numpy.dtype" if isinstance(owner, _Kind) else type(owner).__name__
                raise ConfigError(f"refused: a state of {what} that no network needs")

    def array(self, raw: Any, kind: _Kind, shape: tuple[Any, ...], order: Any) -> np.ndarray:
        """Bytes as an array; nothing is copied, so that it takes no memory beyond the file's own."""
        dtype = np.dtype(f"{kind.order}{kind.name}")
        claimed, raw = _count(shape) * dtype.itemsize, self.bytes_of(raw) if isinstance(raw, str) else raw
        if not isinstance(raw, bytes | bytearray) or len(raw) != claimed:
            held = f"{len(raw):,} bytes" if isinstance(raw, bytes | bytearray) else f"a {type(raw).__name__}"
            raise ConfigError(f"refused: an array that claims {_amount(claimed)} and holds {held}")
        if not claimed:
            return np.empty(0, dtype)
        return np.frombuffer(raw, dtype).reshape(shape, order=order)

    def bytes_of(self, text: str) -> bytes:
        self.bytes_left -= len(text)
        if self.bytes_left < 0:
            raise ConfigError("refused: it makes more bytes than it has")
        return text.encode("latin-1")


def _named(module: Any, name: Any) -> _Name:
    full = f"{_plain(module, str)}.{_plain(name, str)}"
    if full not in NAMES:
        known = f"{ALIASES[module]}.{name}, spelt " if module in ALIASES else ""
        raise ConfigError(f"refused: it asks for {known}{full}, which no network needs; nothing was run")
    return _Name(full, NAMES[full])


def _count(shape: tuple[Any, ...]) -> int:
    """Of numbers in an array."""
    if len(shape) > 16 or not all(type(side) is int and side >= 0 for side in shape):
        raise ConfigError("refused: an array whose shape is none")
    return math.prod(shape)


def _plain(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise ValueError(f"a {type(value).__name__} stands where a {kind.__name__} must")
    return value


def _key(value: Any) -> Any:
    """A key of a dictionary, or a member of a set; to hash tuples in tuples in tuples is to fall off the stack."""
    if type(value) not in (str, int, bytes, float, bool, type(None)):
        raise ValueError(f"a {type(value).__name__} is a key")
    if type(value) is int and abs(value) > LARGEST_KEY:
        raise ValueError("a key is too large a number")
    return value


def _amount(count: int) -> str:
    return f"{count:,} bytes" if count < 10**18 else "more than any memory holds"
