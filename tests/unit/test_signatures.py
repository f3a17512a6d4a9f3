"""Signatures of messages: what changes from one item to the next does not show in them."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fanout.signatures import LONGEST, signature

HEX = "0123456789abcdef"
NAME = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)

CHANGING = {
    "numbers": st.one_of(
        st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.integers(0).map("{:,}".format)
    ).map(str),
    "hexadecimal ids": st.text(HEX, min_size=8, max_size=64).filter(
        lambda text: any(c.isdigit() for c in text)
    ),
    "addresses in memory": st.integers(0, 2**64).map(hex),
    "UUIDs": st.uuids().map(str),
    "quoted strings": st.text(st.characters(exclude_characters="\"'`\\")).map(lambda text: f"'{text}'"),
    "strings as Python writes them": st.text().map(repr),
    "paths": st.lists(NAME, min_size=1).map(lambda names: "/" + "/".join(names) + "-17.csv"),
    "relative paths": st.lists(NAME, min_size=2).map(lambda names: "/".join(names) + ".csv"),
    "URLs": st.builds("https://{}.example/{}?q={}".format, NAME, NAME, st.integers()),
    "times": st.datetimes().map(lambda moment: moment.isoformat(" ", "milliseconds")),
    "times of logs": st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
    "e-mail addresses": st.builds("{}@{}.example".format, NAME, st.text(HEX, min_size=1, max_size=9)),
    "IP addresses": st.ip_addresses(v=4).map(str),
}
TEMPLATES = [
    "{}",
    "no such thing: {}",
    "read({}) failed",
    "at={}: gave up",
    "got {}, then\n {} again",
    "it's {}!",
]


@pytest.mark.parametrize("part", CHANGING)
@given(template=st.sampled_from(TEMPLATES), data=st.data())
def test_messages_that_differ_only_in_a_changing_part_have_one_signature(
    part: str, template: str, data: st.DataObject
) -> None:
    one, other = data.draw(CHANGING[part]), data.draw(CHANGING[part])
    assert signature(template.replace("{}", one)) == signature(template.replace("{}", other))


TRICKY = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *"'\"`\\/.:,@<>-+_=%~ eE0xTZ…",
                "://",
                "17",
                "b'",
                "<n>",
                "<str>",
                "C:\\",
                "é",
                "\n",
                "2024-05-01",
                "..",
                "ab",
            ]
        ),
        st.text(max_size=3),
    ),
    max_size=40,
).map("".join)


@given(TRICKY)
@example("'a 'b' c'")
@example("'a C:\\b\\' c")
@example(">17/etc")
@example("'" + "x" * (LONGEST - 3) + "'yz")
def test_the_signature_of_a_signature_is_itself(message: str) -> None:
    once = signature(message)
    assert signature(once) == once
    assert len(once) <= LONGEST
    assert not any(c.isdecimal() for c in once)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("10 is round", "<n> is round"),
        ("item17: took 1.5s of -3 s", "item<n>: took <n>s of <n> s"),
        ("can't open 'a b.txt' or \"c\"", "can't open <str> or <str>"),
        ("<Job object at 0x7f3a10> got b'it\\'s' ", "<Job object at <n>> got <str>"),
        ("GET https://a.example/x?y=1, status 404.", "GET <url>, status <n>."),
        ("no file /data/in/part-0001.csv:18", "no file <path>:<n>"),
        ("no file C:\\data\\x.csv", "no file <path>"),
        ("application/json and/or 3/10", "application/json and/or <n>/<n>"),
        ("order a8f3k2x of bob@shop.example", "order <id> of <email>"),
        ("at 2024-05-01T10:00:00+02:00, from 10.0.0.1:5432", "at <time>, from <ip>:<n>"),
        ("Wed, 01 May 2024 10:00:00 GMT: 10:00:01", "<time>: <time>"),
        ("commit 0f3c9a1d2e, 9b2c4e51-0d1f-4d1a-8a55-0c6a0f0e7c11", "commit <n>, <uuid>"),
        ("the deadline of the users' files", "the deadline of the users' files"),
        ("", ""),
    ],
)
def test_what_stays_can_be_read(message: str, expected: str) -> None:
    assert signature(message) == expected


@pytest.mark.parametrize(
    "piece",
    ["'", "' ", " 'a", "\\'", "'\\", "\"'`", "1.", "1,", "1a", "a.", "a@", "a@b.", "/", "a/", "./", "a.b/", "a:",
     "a://", "C:\\", "\\", "0x", "f", "-", "-1.", "1-", "2024-", "10:", "1.1.1.1.", "<", "<n>", "_1", "aA1", "1e", " "],
)  # fmt: skip
def test_hostile_messages_take_time_in_proportion_to_their_length(piece: str) -> None:
    def seconds(size: int) -> float:
        message = piece * (size // len(piece)) + "1_!"
        best = min(_timed(message) for _ in range(3))
        return max(best, 0.0005)

    # Quadratic would be 256 times as long.
    assert seconds(16 * 5_000) / seconds(5_000) < 80


def _timed(message: str) -> float:
    began = time.thread_time()
    signature(message)
    return time.thread_time() - began
