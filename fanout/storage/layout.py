"""The names of objects in an output. Pure; all of them sort as their numbers do."""

from __future__ import annotations

import re
from typing import Literal

from fanout.errors import UsageError
from fanout.storage import roots

Kind = Literal["results", "failures"]

KINDS: tuple[Kind, ...] = ("results", "failures")
RUN = "_RUN"
MANIFEST = "manifest.json"
REDUCED = "reduced.json"
REDUCTIONS = "_reduced"
REDUCED_TOTAL = f"{REDUCTIONS}/total.json"
DATA = "_data"
COMMITS = "_commits"
CHECKPOINTS = "_checkpoints"
ROLL_UPS = "_rollups"
PUBLICATIONS = "_publications"
INDEX = "_index"
SELECTION = "_selection"
CLOSED = "_closed.json"
SELECTED = "_selected.json"
COMPENSATED = "_compensated.json"
STAGED = "_items"

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~@+=:-]{0,199}")
_PARTITION_DIGITS = 6
_SEQUENCE_DIGITS = 8
_PART_DIGITS = 5
_POSITION_DIGITS = 12


def check_run_id(run_id: object) -> str:
    """Return a run id that can name a folder, an object and a workflow.

    Raises:
        UsageError: It has other characters than letters, digits and `._~@+=:-`, or is too long.
    """
    if not isinstance(run_id, str) or not _RUN_ID.fullmatch(run_id):
        shown = run_id[:220] if isinstance(run_id, str) else run_id
        raise UsageError(
            f"{shown!r} cannot be a run id: use letters, digits and ._~@+=:- "
            "(a letter or digit first), at most 200 characters"
        )
    return run_id


def batch_key(partition: int, sequence: int, planner: str = "") -> str:
    """Return the key of a batch: `000012/00000034-1a2b3c4d`.

    Args:
        partition: Its partition.
        sequence: Its number there.
        planner: Who planned it: a workflow that was reset plans its batches anew, and must not meet its old ones.
    """
    key = f"{_number(partition, _PARTITION_DIGITS)}/{_number(sequence, _SEQUENCE_DIGITS)}"
    return f"{key}-{planner}" if planner else key


def planned(key: str) -> tuple[str, int]:
    """Return who planned the batch of a key, and its number."""
    number, _, planner = key.rpartition("/")[2].partition("-")
    return planner, int(number.lstrip("abcdefghijklmnopqrstuvwxyz"))


def commit_path(key: str) -> str:
    """Return where the commit of a key lies."""
    return f"{COMMITS}/{roots.check_name(key)}.json"


def commits_folder(partition: int) -> str:
    """Return where the commits of a partition lie."""
    return f"{COMMITS}/{_number(partition, _PARTITION_DIGITS)}"


def checkpoints_folder(key: str) -> str:
    """Return where the checkpoints of a key lie."""
    return f"{CHECKPOINTS}/{roots.check_name(key)}"


def checkpoint_path(key: str, token: str, number: int) -> str:
    """Return where an execution of a batch writes its checkpoint of this number."""
    return f"{checkpoints_folder(key)}/{roots.check_name(token)}.{_number(number, _PART_DIGITS)}.json"


def data_path(kind: Kind, key: str, token: str, number: int = 0) -> str:
    """Return where an execution of a batch writes its rows for the nth time; unique to its token."""
    if "/" in token:
        raise UsageError(f"a token cannot hold a slash: {token!r}")
    name = f"{DATA}/{roots.check_name(key)}.{roots.check_name(token)}"
    return f"{name}.{_number(number, _PART_DIGITS)}.{kind}.jsonl"


def value_path(key: str, token: str, number: int) -> str:
    """Return where an execution of a batch writes the value of its reducer for the nth time; unique to its token."""
    return f"{DATA}/{roots.check_name(key)}.{roots.check_name(token)}.{_number(number, _PART_DIGITS)}.reduced.json"


def reduced_path(partition: int) -> str:
    """Return where the value of the reducer for a partition lies."""
    return f"{REDUCTIONS}/{_number(partition, _PARTITION_DIGITS)}.json"


def data_folder(partition: int) -> str:
    """Return where the batches of a partition write their rows."""
    return f"{DATA}/{_number(partition, _PARTITION_DIGITS)}"


def roll_up_path(partition: int) -> str:
    """Return where the roll-up of a partition lies."""
    return f"{ROLL_UPS}/{_number(partition, _PARTITION_DIGITS)}.json"


def publication_path(partition: int) -> str:
    """Return where it lies what counts of a partition that is being published."""
    return f"{PUBLICATIONS}/{_number(partition, _PARTITION_DIGITS)}.json"


def part_path(kind: Kind, partition: int, number: int) -> str:
    """Return where a published part lies: `results/part-000012-00000.jsonl`."""
    return f"{kind}/part-{_number(partition, _PARTITION_DIGITS)}-{_number(number, _PART_DIGITS)}.jsonl"


def index_path(name: str) -> str:
    """Return the prefix under which a reader keeps its index objects of this name."""
    return f"{INDEX}/{roots.check_name(name)}"


def selection_path(position: int) -> str:
    """Return where the items lie that a rerun has selected, from this position among them on."""
    return f"{SELECTION}/{_number(position, _POSITION_DIGITS)}.json"


def position_of(path: str) -> int:
    """Return the position of the first item in an object of selected ones."""
    return int(path.rpartition("/")[2].removesuffix(".json").lstrip("abcdefghijklmnopqrstuvwxyz"))


def staged_path(run_id: str, nonce: str) -> str:
    """Return the prefix, inside the store of all runs, under which a run's own items are staged."""
    return f"{check_run_id(run_id)}/{STAGED}/{roots.check_name(nonce)}"


def output_url(store_url: str, run_id: str, execution: str) -> str:
    """Return the URL of a run's output."""
    return roots.join(store_url, check_run_id(run_id), execution)


def partition_of(path: str) -> int:
    """Return the partition to which a commit, data object, roll-up or part belongs.

    Raises:
        ValueError: The path is none of these.
    """
    name = path.split("/")[1] if "/" in path else ""
    digits = re.match(r"(?:part-)?(?:[a-z](?=\d))?(\d+)", name)
    if digits is None:
        raise ValueError(f"{path} belongs to no partition")
    return int(digits[1])


def _number(value: int, digits: int) -> str:
    if value < 0:
        raise ValueError(f"numbers of objects begin at 0, got {value}")
    text = f"{value:0{digits}}"
    # A letter sorts after every digit: a1000000 comes after 999999, and b10000000 after that.
    return text if len(text) == digits else f"{chr(ord('a') + len(text) - digits - 1)}{text}"
