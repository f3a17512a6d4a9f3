"""Clients whose payloads go through a codec, as those have that encrypt them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Self

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.converter import (
    ActivitySerializationContext,
    DataConverter,
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
)
from temporalio.worker import Worker

import fanout
from fanout.models import Status
from tests.integration.engine import Engine, tree

ENCODING = b"binary/mirrored"


class Mirror(PayloadCodec):
    """Writes payloads backwards: enough for a reader to see which went through it."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Write backwards."""
        return [
            Payload(metadata={"encoding": ENCODING}, data=one.SerializeToString()[::-1]) for one in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Read backwards."""
        return [Payload.FromString(one.data[::-1]) for one in payloads]


class Told(Mirror, WithSerializationContext):
    """One that wants to know whose payloads they are, as codecs do that have a key for each."""

    inputs: ClassVar[list[str]] = []
    """Whose the inputs of batches were, as their workflows encoded them."""

    def __init__(self, context: SerializationContext | None = None) -> None:
        self._context = context

    def with_context(self, context: SerializationContext) -> Self:
        """Return one for a workflow or an activity."""
        return type(self)(context)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Write backwards, and note whose it is."""
        if any(b'"last":' in one.data for one in payloads):
            context = self._context
            self.inputs.append(
                str(context.activity_type) if isinstance(context, ActivitySerializationContext) else ""
            )
        return await super().encode(payloads)


@fanout.processor
async def shout(word: str) -> str:
    return word.upper()


@pytest.mark.parametrize("codec", [Mirror(), Told()], ids=["plain", "told"])
async def test_all_payloads_of_a_run_go_through_the_codec(engine: Engine, codec: Mirror) -> None:
    Told.inputs.clear()
    client = await Client.connect(
        engine.server.address,
        namespace=engine.server.namespace,
        data_converter=replace(DataConverter.default, payload_codec=codec),
        plugins=[fanout.Plugin([shout], store=engine.store, allowed_roots=[engine.folder])],
    )
    async with Worker(client, task_queue=engine.queue):
        run = await engine.start(client, shout, ["secret one", "secret two"], partition_size=1)
        result = await run.result()
        outputs = [row.output async for row in run.results(ordered=True)]
        events = [event for node in (await tree(client, run.id)).walk() for event in node.events]
    assert (result.status, outputs) == (Status.SUCCEEDED, ["SECRET ONE", "SECRET TWO"])
    written = b"".join(event.SerializeToString() for event in events)
    assert ENCODING in written
    assert b"secret" not in written
    assert Told.inputs == ["fanout:shout"] * 2 * isinstance(codec, Told)
