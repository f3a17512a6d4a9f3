from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fanout.errors import StoreError
from fanout.models import Totals
from fanout.pages import RestRef
from fanout.storage import codec, commits
from fanout.storage.records import Commit, DataObject, Manifest, Part, Publication, RollUp, RunRecord
from tests.unit.storage.outputs import record, run_result

COMMIT = Commit(
    nonce="n",
    key="000001/00000002",
    token="t",
    start=10,
    count=5,
    more=[[12, 1]],
    results=[DataObject("_data/x", 3, 99)],
    failures=[DataObject("_data/y", 1, 9)],
    succeeded=3,
    failed=1,
    error_types={"ValueError": 1},
)
ROLL_UP = RollUp("n", 1, 0, 9, [[3, 1]], Totals(7, 1, {"E": 1}, 2, 99), [Part("results/x", 0, 9, 7, 99)], [])
PUBLICATION = Publication("n", 1, 0, 9, [[3, 1]], [RestRef("k", 0, 1, 5, 6, due=1.5)], {"aaaaaaaa": [0, 3]})
RUN = record(params={"px": 512, "ü": [1, None, {"a": 1.5}]}, previous="s3://bucket/x")
MANIFEST = Manifest(RUN, run_result(9, 8, 1), ["_rollups/000000.json"], "2026-01-01T00:00:00+00:00", "0.1.0")


@pytest.mark.parametrize(
    "one", [COMMIT, PUBLICATION, ROLL_UP, RUN, MANIFEST, replace(COMMIT, results=[], failures=[])]
)
def test_every_record_is_read_as_it_was_written(one: object) -> None:
    data = codec.encode(one)
    assert codec.decode(type(one), data, "x") == one
    assert data.count(b"\n") == 1


def test_fields_of_a_newer_version_are_passed_over() -> None:
    fields = json.loads(codec.encode(COMMIT))
    fields["new"] = fields["results"][0]["new"] = {"x": 1}
    assert codec.decode(Commit, json.dumps(fields).encode(), "x") == COMMIT


def test_fields_that_an_older_version_did_not_write_have_their_defaults() -> None:
    data = b'{"nonce":"n","key":"k","token":"t","start":0,"count":0}'
    assert codec.decode(Commit, data, "x") == Commit("n", "k", "t", 0, 0)


def test_a_commit_from_before_there_were_checkpoints_names_one_object_or_none() -> None:
    old = json.loads(codec.encode(COMMIT))
    old["results"], old["failures"] = old["results"][0], None
    old["failed"] = 0
    del old["results"]["first"], old["items"], old["rests"], old["version"]
    found = codec.decode(Commit, json.dumps(old).encode(), "x")
    assert found == replace(COMMIT, failures=[], failed=0)
    assert commits.outcomes(replace(found, count=4)) == [(10, 2), (13, 1)]


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 100, b"{}", b"[]", b'{"nonce":"n","key"', b'{"start":"x"}', b"\xff\xfe", b"null"]
)
@pytest.mark.parametrize("kind", [Commit, RollUp, RunRecord, Manifest])
def test_a_damaged_object_is_named(kind: type, data: bytes) -> None:
    with pytest.raises(StoreError, match=r"_commits/x\.json cannot be read as a"):
        codec.decode(kind, data, "_commits/x.json")
