"""Reducers by themselves: what may be one, the ready-made ones, and a value as it grows."""

from __future__ import annotations

import dataclasses
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fanout
from fanout import folding, reducers
from fanout.children.fitness import MOST_DEATHS, check_deaths
from fanout.children.life import Account
from fanout.errors import ReducerFailed
from fanout.folding import Fold, Told
from fanout.reducing import as_reduction, find
from fanout.reduction import Reduction
from fanout.workers.threads import Threads
from tests.unit.storage.outputs import record

MIB = 1024 * 1024
NUMBERS = st.integers(-(10**40), 10**40) | st.floats(-1e300, 1e300)


@pytest.fixture
def threads() -> Iterator[Threads]:
    made = Threads(1)
    yield made
    made.close()


TOLD = Told(index=int, key="k{}".format)


def added(outputs: Sequence[Any]) -> list[tuple[int, bytes]]:
    return [(position, json.dumps(output).encode()) for position, output in enumerate(outputs)]


# ---- ready-made


def reduced(reducer: Any, outputs: Sequence[Any], dice: random.Random) -> Any:
    """Reduce outputs in some grouping and order, with values that go through JSON in between."""
    bound = find(as_reduction(reducer))
    left = list(enumerate(outputs))
    dice.shuffle(left)
    values = [bound.dump(bound.zero())]
    while left:
        size = dice.randint(1, len(left))
        group, left = left[:size], left[size:]
        total = bound.zero()
        for index, output in group:
            told = {"index": index, "key": f"k{index}"} if bound.told else {}
            total = bound.add(total, bound.read(json.dumps(output).encode()), **told)
        values.append(bound.dump(total))
    dice.shuffle(values)
    while len(values) > 1:
        one, other = bound.load(values.pop()), bound.load(values.pop(0))
        values.insert(dice.randint(0, len(values)), bound.dump(bound.merge(one, other)))
    return json.loads(bound.finish(bound.load(values[0])))


@given(outputs=st.lists(NUMBERS, max_size=30), seed=st.integers(0, 2**32))
def test_a_sum_is_exact_and_so_the_same_in_any_grouping(outputs: list[float], seed: int) -> None:
    found = reduced(reducers.Sum(), outputs, random.Random(seed))
    exact = sum(map(Fraction, outputs), Fraction())
    assert found == (exact if all(isinstance(n, int) for n in outputs) else float(exact))


@given(
    numbers=st.lists(st.integers(-5, 5), max_size=30),
    k=st.integers(1, 6),
    smallest=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_the_top_ones_are_the_same_in_any_grouping_and_of_equal_ones_the_first(
    numbers: list[int], k: int, smallest: bool, seed: int
) -> None:
    found = reduced(
        reducers.TopK(k, field="n", smallest=smallest), [{"n": n} for n in numbers], random.Random(seed)
    )
    ranked = sorted(enumerate(numbers), key=lambda pair: (pair[1] if smallest else -pair[1], pair[0]))
    assert [(one["index"], one["value"]) for one in found] == ranked[:k]
    assert all(one["key"] == f"k{one['index']}" and one["output"] == {"n": one["value"]} for one in found)


@given(outputs=st.lists(st.floats(-3, 13), max_size=40), seed=st.integers(0, 2**32))
def test_a_histogram_counts_every_value_once(outputs: list[float], seed: int) -> None:
    found = reduced(reducers.Histogram([0, 5, 10]), outputs, random.Random(seed))
    below = [sum(low <= n < high for n in outputs) for low, high in [(-99, 0), (0, 5), (5, 10), (10, 99)]]
    assert found == {"edges": [0, 5, 10], "counts": below}


@given(
    outputs=st.lists(st.lists(st.sampled_from("abc"), max_size=4), max_size=30), seed=st.integers(0, 2**32)
)
def test_counts_are_of_values_or_of_those_in_lists_or_of_objects_of_numbers(
    outputs: list[list[str]], seed: int
) -> None:
    right = Counter(letter for letters in outputs for letter in letters)
    dice = random.Random(seed)
    assert reduced(reducers.Counts(), outputs, dice) == right
    assert reduced(reducers.Counts(), [dict(Counter(letters)) for letters in outputs], dice) == right
    alone = [letter for letters in outputs for letter in letters]
    assert reduced(reducers.Counts("x"), [{"x": letter} for letter in alone], dice) == right
    assert reduced(reducers.Count(), outputs, dice) == len(outputs)


@pytest.mark.parametrize(
    ("reducer", "output", "reason"),
    [
        (reducers.Sum(), "x", "'x' is no number"),
        (reducers.Sum(), True, "'True' is no number"),
        (reducers.Sum("usd"), {"eur": 1}, "the output has no field 'usd'"),
        (reducers.Sum("usd"), 3, "the output has no field 'usd'"),
        (reducers.Counts(), None, "neither a text nor a number"),
        (reducers.Counts(), {"a": 0.5}, "no whole number"),
        (reducers.Histogram([1]), [], "is no number"),
        (reducers.TopK(), {}, "is no number"),
    ],
)
def test_what_a_ready_made_one_cannot_take_is_told(reducer: Any, output: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        reduced(reducer, [output], random.Random(1))


# ---- registration


def changed(**methods: Any) -> type[Any]:
    """Return a class that is a reducer but for some of its methods."""
    fine: dict[str, Any] = {"zero": zero, "add": add, "merge": merge}
    return type("Changed", (), {name: method for name, method in {**fine, **methods}.items() if method})


def zero(self: Any) -> int:
    return 0


def add(self: Any, total: int, output: int) -> int:
    return total + output


def merge(self: Any, total: int, other: int) -> int:
    return total + other


def bare(self: Any):  # type: ignore[no-untyped-def]
    return 0


def odd(self: Any) -> threading:  # type: ignore[name-defined]  # noqa: F821
    return 0


def opaque(self: Any) -> Iterator[Threads]: ...  # type: ignore[empty-body]


async def later(self: Any) -> int:
    return 0


@pytest.mark.parametrize(
    ("methods", "reason"),
    [
        ({"merge": None}, r"reducer 'Changed' has no method merge\(\): a reducer has zero, add and merge"),
        ({"add": zero}, r"add\(\) must take two values beside self, not \(\)"),
        ({"zero": bare}, r"annotate what zero\(\) returns, such as `-> dict\[str, int\]`"),
        ({"zero": odd}, r"annotations of zero\(\) name something unknown"),
        ({"zero": later}, r"zero\(\) is an `async def`: a reducer computes, and waits for nothing"),
        (
            {"zero": opaque},
            r"zero\(\) of reducer 'Changed' is annotated .* cannot be read from or written to JSON",
        ),
        ({"finish": zero}, r"finish\(\) must take the total beside self"),
    ],
)
def test_a_class_that_is_no_reducer_is_refused(methods: dict[str, Any], reason: str) -> None:
    with pytest.raises(fanout.UsageError, match=reason):
        fanout.reducer(changed(**methods))


def limited(self: Any, limit: int = 0) -> None:
    self.limit = limit


def test_arguments_that_would_be_lost_are_refused() -> None:
    with pytest.raises(fanout.UsageError, match="write @fanout.reducer above @dataclass"):
        fanout.reducer(changed(__init__=limited))
    made_one_later = fanout.reducer(changed())
    made_one_later.__annotations__ = {"limit": int}
    made_one_later.limit = 0
    dataclasses.dataclass(made_one_later)
    for given_one in (made_one_later, made_one_later(3)):
        with pytest.raises(fanout.UsageError, match="write @fanout.reducer above @dataclass"):
            as_reduction(given_one)


@dataclasses.dataclass(frozen=True)
class Power:
    exponent: int = 2

    def zero(self) -> int:
        return 0

    def add(self, total: int, output: int) -> int:
        return total + int(output**self.exponent)

    def merge(self, total: int, other: int) -> int:
        return total + other


def test_a_run_names_a_reducer_by_its_name_and_arguments() -> None:
    assert fanout.reducer(Power, name="tests.power") is Power
    named = Reduction("tests.power", {"exponent": 2})
    assert as_reduction(Power) == as_reduction(Power()) == as_reduction("tests.power") == named
    assert as_reduction(Reduction("tests.power", {"exponent": 3})) == as_reduction(Power(3))
    assert as_reduction("elsewhere") == Reduction("elsewhere")
    assert find(as_reduction(Power(3))).add(0, 2) == 8
    refused: list[tuple[Any, str]] = [
        (Reduction("tests.power", {"exponent": "x"}), "reducer 'tests.power': exponent: "),
        (reducers.Histogram, "reducer 'histogram': edges: field required"),
        (Reduction("top_k", {"k": 0}), "k: input should be greater"),
        (reducers.TopK(0), "k: input should be greater"),
        (7, "7 is no reducer"),
        (type("Other", (Power,), {}), "is no reducer: decorate its class with @fanout.reducer"),
        (reducers.Counts("x" * 20_000), "its arguments are larger than 16,384 bytes of JSON"),
    ]
    for given_one, reason in refused:
        with pytest.raises(fanout.UsageError, match=reason):
            as_reduction(given_one)
    with pytest.raises(
        fanout.UnknownReducer, match=r"no reducer 'elsewhere' is registered here; there are: .*\bcount, "
    ):
        find(Reduction("elsewhere"))


# ---- a value as it grows


@fanout.reducer(name="tests.spoiled")
class Spoiled:
    """Changes its total before it raises."""

    calls = 0

    def zero(self) -> list[int]:
        return []

    def add(self, total: list[int], output: int) -> list[int]:
        type(self).calls += 1
        total.append(output)
        if output < 0:
            raise ValueError("negative")
        return total

    def merge(self, total: list[int], other: list[int]) -> list[int]:
        return total + other


@given(outputs=st.lists(st.integers(-2, 5), max_size=40), cuts=st.lists(st.integers(0, 40), max_size=3))
async def test_a_refused_output_leaves_no_trace_and_each_is_added_twice_at_most(
    outputs: list[int], cuts: list[int]
) -> None:
    threads = Threads(1)
    fold = Fold(find(Reduction("tests.spoiled")), threads, MIB)
    Spoiled.calls = 0
    refused: set[int] = set()
    begin = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folding, "BLOCK", 4)
        for cut in [*sorted(cuts), len(outputs)]:
            some = added(outputs)[begin : max(begin, cut)]
            refused |= set(await fold.add(some, TOLD))
            begin = max(begin, cut)
            await fold.encoded()
        assert json.loads(await fold.finished()) == [n for n in outputs if n >= 0]
    assert refused == {position for position, n in enumerate(outputs) if n < 0}
    assert Spoiled.calls <= 2 * len(outputs)
    threads.close()


async def test_what_a_checkpoint_holds_is_merged_once(threads: Threads) -> None:
    first, second = [Fold(find(Reduction("tests.spoiled")), threads, MIB) for _ in range(2)]
    await first.add(added([1, 2]), TOLD)
    await second.merge(await first.encoded())
    assert set(await second.add(added([3, -1, 4]), TOLD)) == {1}
    assert json.loads(await second.encoded()) == [1, 2, 3, 4]


async def test_a_value_that_grows_too_large_by_merging_is_told_before_the_end(threads: Threads) -> None:
    fold = Fold(find(Reduction("tests.spoiled")), threads, 100)
    for _ in range(10):
        await fold.merge(b"[1,2,3,4]")
    with pytest.raises(ReducerFailed, match=r"its value has \d+ bytes of JSON, max_reduced_bytes is 100"):
        await fold.merge(json.dumps([1] * 30).encode())


async def test_an_add_that_takes_an_output_at_first_and_then_does_not_is_told(threads: Threads) -> None:
    taken: list[int] = []

    @fanout.reducer(name="tests.fickle")
    class Fickle(Spoiled):
        def add(self, total: list[int], output: int) -> list[int]:
            taken.append(output)
            if output < 0 or taken.count(output) > 1:
                raise ValueError("no")
            return total

    fold = Fold(find(Reduction("tests.fickle")), threads, MIB)
    with pytest.raises(ReducerFailed, match=r"is not deterministic: add\(\) took an output at first"):
        await fold.add(added([1, -1]), TOLD)


def test_a_batch_that_goes_on_to_kill_its_workers_is_the_reducers_fault() -> None:
    plain = record()
    check_deaths(Account(deaths=100), plain)
    reducing = replace(plain, reduce=Reduction("tests.power"))
    check_deaths(Account(deaths=MOST_DEATHS - 1), reducing)
    with pytest.raises(
        ReducerFailed, match="reducer 'tests.power' kills the workers: 8 have died of one batch, the last 6"
    ):
        check_deaths(Account(deaths=MOST_DEATHS), reducing)
