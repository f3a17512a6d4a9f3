"""The sandbox of our workers: unlike Temporal's only where nobody can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from temporalio.api.common.v1 import Payload
from temporalio.converter import DataConverter, PayloadCodec, SerializationContext, WithSerializationContext
from temporalio.worker import UnsandboxedWorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from fanout.workers.sandbox import without_needless_contexts

RUNNER = SandboxedWorkflowRunner(SandboxRestrictions.default.with_passthrough_modules("pandas"))


class Plain(PayloadCodec):
    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)


class Told(Plain, WithSerializationContext):
    def with_context(self, context: SerializationContext) -> Self:
        return self


def test_workflows_are_not_asked_whose_payloads_are_where_no_codec_is_told() -> None:
    for codec in (None, Plain()):
        made = without_needless_contexts(RUNNER, replace(DataConverter.default, payload_codec=codec))
        assert type(made) is not SandboxedWorkflowRunner
        assert isinstance(made, SandboxedWorkflowRunner)
        assert made.restrictions == RUNNER.restrictions


def test_where_a_codec_is_told_and_with_a_runner_of_ones_own_all_stays_as_it_is() -> None:
    told = replace(DataConverter.default, payload_codec=Told())
    assert without_needless_contexts(RUNNER, told) is RUNNER
    own = UnsandboxedWorkflowRunner()
    assert without_needless_contexts(own, DataConverter.default) is own
