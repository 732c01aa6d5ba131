"""A pickle is read as data: what it holds comes out, what it wants to run is named, what it claims is not believed."""

import builtins
import contextlib
import os
import pickle
import random
import struct
import tracemalloc
from collections import OrderedDict

import numpy as np
import pytest

from wherewhat_pl.errors import ConfigError
from wherewhat_pl.interop import tf_pickle
from wherewhat_pl.interop.tf_pickle import Array, Network, read_pickle


@pytest.fixture
def read(tmp_path):
    """A function: bytes, or a value and a protocol -> what is read."""

    def act(content, protocol=None):
        file = tmp_path / "a.pkl"
        file.write_bytes(content if protocol is None else pickle.dumps(content, protocol))
        return read_pickle(file)

    return act


@pytest.fixture
def refused(read):
    """A function: bytes of a pickle -> the one line that says why it is refused; neither memory nor time is taken."""

    def act(content, most_bytes=1 << 20):
        tracemalloc.start()
        try:
            with pytest.raises(ConfigError) as caught:
                read(content)
            assert tracemalloc.get_traced_memory()[1] < most_bytes
        finally:
            tracemalloc.stop()
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith("a.pkl: ")
        return str(caught.value)

    return act


def unwrapped(value):
    return value.values if isinstance(value, Array) else value


PLAIN = [
    None, True, -1, 2**40, 0.5, "text", "\xe9\u4e2d", b"bytes", b"", [1, (2,), [], ()], {"a": {"b": [1]}, 4: None},
    {1, "a"}, (1, 2, 3, 4), OrderedDict(a=1, b=2),
]  # fmt: skip
ARRAYS = [
    np.arange(6.0).reshape(2, 3), np.arange(6, dtype=">f4"), np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2), np.float32(0.5), np.array(3.0, "f2"), np.bool_(True),
    np.array(["Const-4", "Noise-1"]), np.array([b"a"]), np.zeros((0,)), np.str_("a"), np.array([True, False]),
]  # fmt: skip


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_and_arrays_come_out_as_they_went_in(read, protocol):
    assert read(PLAIN, protocol) == PLAIN
    for ours, theirs in zip(read(ARRAYS, protocol), ARRAYS, strict=True):
        np.testing.assert_array_equal(unwrapped(ours), theirs)
        assert unwrapped(ours).dtype == theirs.dtype


def test_what_python_2_wrote_is_read_as_latin_1(read):
    """An array, a text, an OrderedDict and an EasyDict, in the instructions that Python 2's protocol 2 has for them."""
    written = (
        b"\x80\x02(cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03"
        b"(K\x01K\x02\x85cnumpy\ndtype\nq\x04U\x02f8K\x00K\x01\x87Rq\x05(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
        b"K\x00tb\x89U\x10" + struct.pack("<2d", 1, 2) + b"tb"
        b"U\x04caf\xe9ccollections\nOrderedDict\nq\x06]q\x07]q\x08(U\x01aK\x01ea\x85Rq\x09"
        b"cdnnlib.util\nEasyDict\nq\x0a)\x81q\x0bU\x01bK\x02s}bt."
    )
    array, text, ordered, easy = read(written)
    assert array.values.tolist() == [1, 2]
    assert (text, ordered, easy) == ("caf\xe9", {"a": 1}, {"b": 2})


def test_a_network_may_hold_itself(read):
    network = read(b"\x80\x02cdnnlib.tflib.network\nNetwork\n)\x81q\x00}U\x01ah\x00sb.")
    assert isinstance(network, Network)
    assert network.state["a"] is network


class Call:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    ("function", "arguments", "word"),
    [
        (os.system, ("touch {}",), "os.system"),
        (builtins.eval, ("open('{}', 'w')",), "builtins.eval"),
        (builtins.exec, ("open('{}', 'w')",), "builtins.exec"),
        (builtins.getattr, ("{}", "upper"), "builtins.getattr"),
        (np.load, ("{}",), "numpy.load"),
        (np.save, ("{}", 1), "numpy.save"),
        (os.popen, ("touch {}",), "os.popen"),
    ],
)
def test_what_a_pickle_wants_to_run_is_named_and_not_run(refused, tmp_path, protocol, function, arguments, word):
    target = tmp_path / "target.npy"
    wanted = Call(function, *(str(part).format(target) for part in arguments))
    said = refused(pickle.dumps([1, {"a": wanted}], protocol))
    assert "refused: it asks for" in said
    assert word in said
    assert "nothing was run" in said
    assert not target.exists()


DTYPE = b"cnumpy\ndtype\nq\x05U\x02%sK\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
ARRAY = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
HUGE = b"\x8a\x05" + (10**11).to_bytes(5, "little")
CLAIMS = {
    "an array of 100 GB": ARRAY + b"(K\x01" + HUGE + b"\x85" + DTYPE % b"u1" + b"\x89U\x01atb.",
    "and of more than there is": ARRAY + b"(K\x01" + HUGE * 3 + b"\x87" + DTYPE % b"f8" + b"\x89U\x01atb.",
    "with a negative side": ARRAY + b"(K\x01J\xff\xff\xff\xff\x85" + DTYPE % b"f8" + b"\x89U\x01atb.",
    "an array that is never filled": ARRAY.replace(b"K\x00\x85", HUGE + b"\x85") + b".",
    "a scalar of nothing": b"\x80\x02cnumpy.core.multiarray\nscalar\n" + DTYPE % b"f8" + b"U\x01a\x86R.",
    "a buffer": b"\x80\x02cnumpy.core.numeric\n_frombuffer\n(U\x01a" + DTYPE % b"f8" + HUGE + b"\x85U\x01CtR.",
    "long texts": b"\x80\x02cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nU\x09U99999999K\x00K\x01\x87R.",
    "bytes": b"\x80\x04B\xff\xff\xff\xffa.",
    "more bytes": b"\x80\x04\x8e" + (10**11).to_bytes(8, "little") + b"a.",
    "bytes that change": b"\x80\x05\x96" + (10**11).to_bytes(8, "little") + b"a.",
    "a text": b"\x80\x04\x8d" + (10**11).to_bytes(8, "little") + b"a.",
    "a Python 2 text": b"\x80\x02T\xff\xff\xff\x7fa.",
    "a number": b"\x80\x02\x8b\xff\xff\xff\x7fa.",
    "a number in words": b"L" + b"9" * 5000 + b"L\n.",
    "a number of 80 bits": b"\x80\x02\x8a\x0a" + b"\x7f" * 10 + b".",
    "a memo of 4 billion": b"\x80\x02]r\xff\xff\xff\xff.]",
    "a frame": b"\x80\x04\x95" + (10**11).to_bytes(8, "little") + b"N",
}


@pytest.mark.parametrize("content", CLAIMS.values(), ids=CLAIMS)
def test_what_a_pickle_claims_takes_no_memory(read, refused, content):
    if content == CLAIMS["a memo of 4 billion"]:
        assert read(content) == []
    else:
        refused(content)


def test_a_claim_is_said_in_numbers(refused):
    said = refused(CLAIMS["an array of 100 GB"])
    assert said == "a.pkl: refused: an array that claims 100,000,000,000 bytes and holds 1 bytes"
    said = refused(CLAIMS["more bytes"])
    assert said == "a.pkl: refused: it claims 100,000,000,000 bytes where 2 are left; or it was cut off"
    said = refused(CLAIMS["an array that is never filled"])
    assert said == "a.pkl: refused: an array that claims 100,000,000,000 bytes before it is filled"


@pytest.mark.parametrize("opcode", [b"\x8e", b"\x8d", b"\x96"])
def test_a_claim_that_no_number_of_this_machine_holds_is_a_claim_and_no_damage(refused, opcode):
    said = refused(b"\x80\x05" + opcode + b"\xff" * 8 + b"a.")
    assert said == "a.pkl: refused: it claims more than any memory holds"


def test_what_this_machine_has_no_memory_for_is_a_claim_and_no_damage(refused, monkeypatch):
    def full(file, count):
        raise MemoryError

    monkeypatch.setattr(tf_pickle._Bounded, "read", full)
    assert "refused: it claims more than this machine's memory holds" in refused(b"\x80\x02C\x01a.")


ODD = {
    "objects": (ARRAY + b"(K\x01K\x01\x85cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R", "an array of type 'O8'"),
    "records": (b"\x80\x02cnumpy\ndtype\nU\x02V8K\x00K\x01\x87R", "an array of type 'V8'"),
    "fields": (
        b"\x80\x02cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R(K\x03U\x01<N]}J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb.",
        "a state of numpy.dtype",
    ),
    "a subclass": (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncdnnlib.util\nEasyDict\nK\x00\x85U\x01b\x87R.",
        "a call of numpy.core.multiarray._reconstruct",
    ),
    "objects as content": (ARRAY + b"(K\x01K\x01\x85" + DTYPE % b"f8" + b"\x89]tb.", "holds a list"),
    "slots": (b"\x80\x02cdnnlib.util\nEasyDict\n)\x81N}\x86b.", "a state of dict"),
    "a state that is none": (b"\x80\x02cdnnlib.tflib.network\nNetwork\n)\x81]b.", "a state of Network"),
    "arguments": (b"\x80\x02cdnnlib.tflib.network\nNetwork\nK\x01\x85\x81.", "a call of dnnlib.tflib.network.Network"),
    "a call of a value": (b"\x80\x02U\x01a)R.", "a call of str"),
    "another codec": (b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aU\x03zip\x86R.", "a call of _codecs.encode"),
    "a persistent id": (b"Pa\n.", "PERSID"),
    "an extension": (b"\x80\x02\x82\x01.", "EXT1"),
    "an old instance": (b"(S'id'\nios\nsystem\n.", "asks for os.system"),
    "and one of a builtin": (b"(S'1'\ni__builtin__\neval\n.", "asks for builtins.eval, spelt __builtin__.eval"),
    "and one of a known name": (b"(i__builtin__\nset\n.", "it uses INST"),
    "a new instance with names": (b"\x80\x04\x8c\x02os\x8c\x06system\x93)}\x92.", "os.system"),
    "a name in a name": (b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.dumps\x93.", "numpy.ndarray.dumps"),
    "a buffer outside": (b"\x80\x05\x97.", "NEXT_BUFFER"),
}


@pytest.mark.parametrize(("content", "said"), ODD.values(), ids=ODD)
def test_what_stands_in_for_something_does_nothing_else(refused, content, said):
    message = refused(content)
    assert "refused" in message
    assert said in message


@pytest.mark.slow
def test_nesting_without_end_is_no_danger(read, refused):
    depth = 20_000
    read(b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b".")
    # To hash it, Python would call itself 20,000 times.
    said = refused(b"\x80\x02}" + b")" + b"\x85" * depth + b"Ns.", most_bytes=100 << 20)
    assert "a tuple is a key" in said


def test_what_is_there_once_is_not_copied_time_and_again(refused, monkeypatch):
    text = b"X" + struct.pack("<i", 10_000) + b"a" * 10_000
    encode = b"\x80\x02c_codecs\nencode\nq\x00" + text + b"X\x06\x00\x00\x00latin1\x86q\x01"
    assert "makes more bytes than it has" in refused(encode + b"h\x00h\x01R" * 1000 + b".")
    monkeypatch.setattr(tf_pickle, "MOST_INSTRUCTIONS", 10_000)
    # 400 pairs; each copy costs as many instructions as it has pairs.
    pairs = b"\x80\x02ccollections\nOrderedDict\nq\x00](" + b"NN\x86" * 400 + b"e\x85q\x01"
    assert "more than 10,000 instructions" in refused(pairs + b"h\x00h\x01R" * 1000 + b".")
    assert "more than 10,000 instructions" in refused(b"\x80\x02" + b"N0" * 5001 + b"N.")


@pytest.mark.parametrize("content", [b"", b"\x80", b"GIF89a", b"PK\x03\x04", b"\x00" * 100, b"\n", b"."])
def test_what_is_no_pickle_is_one_line(refused, content):
    assert "is no pickle of networks, or is damaged" in refused(content)


def test_any_damage_is_a_sentence_for_the_user_or_harmless(read):
    whole = pickle.dumps([ARRAYS, PLAIN], 2) + b"junk"
    draw = random.Random(0)
    for _ in range(200):
        damaged = bytearray(whole[: draw.randrange(1, len(whole))] if draw.random() < 0.3 else whole)
        for _ in range(draw.randrange(4)):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        with contextlib.suppress(ConfigError):
            read(bytes(damaged))


def test_what_is_no_file_is_one_line(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere.pkl"):
        with pytest.raises(ConfigError, match="no such file"):
            read_pickle(path)
