"""How workflows run in our workers: in Temporal's sandbox, without what it does in vain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from temporalio import workflow
from temporalio.converter import DataConverter, StorageDriverStoreContext, WithSerializationContext
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

SHARED_MODULES = [
    f"fanout.{name}"
    for name in (
        "compensation",
        "counting",
        "errors",
        "inputs",
        "iteminfo",
        "itemworkflows",
        "messages",
        "models",
        "options",
        "outside",
        "pages",
        "patterns",
        "processors",
        "quick",
        "rates",
        "readers",
        "reducers",
        "reducing",
        "reduction",
        "selection",
        "stopping",
        "storage",
        "topology",
        "wire",
        "workflow",
    )
]


def without_needless_imports(existing: WorkflowRunner | None) -> WorkflowRunner:
    """Let the sandbox share the modules that workflows read but never change, instead of importing them each time.

    Args:
        existing: The worker's own runner; None for Temporal's.
    """
    if not isinstance(existing, SandboxedWorkflowRunner):
        return existing or SandboxedWorkflowRunner()
    return replace(existing, restrictions=existing.restrictions.with_passthrough_modules(*SHARED_MODULES))


def without_needless_contexts(existing: WorkflowRunner, converter: DataConverter) -> WorkflowRunner:
    """Let the sandbox not be asked whose each payload is, where nobody wants to know.

    The SDK asks several times for every payload that goes into a workflow or comes out of it, and each time the sandbox
    compiles code and is entered: a fifth of a worker's processor time where activities are short (SDK 1.35). Only
    codecs that ask for it and external storage are told; most workers have neither.

    Args:
        existing: The worker's runner. One that is not Temporal's own sandbox stays what it is.
        converter: The worker's.
    """
    codec: object = converter.payload_codec
    told = isinstance(codec, WithSerializationContext) or converter.external_storage is not None
    if told or type(existing) is not SandboxedWorkflowRunner:
        return existing
    return _Sandbox(existing.restrictions, existing.runner_class)


@dataclass(frozen=True)
class _Sandbox(SandboxedWorkflowRunner):
    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _Instance(super().create_instance(det))


class _Instance(WorkflowInstance):
    def __init__(self, inner: WorkflowInstance) -> None:
        self._inner = inner

    def activate(self, act: Any) -> Any:
        return self._inner.activate(act)

    def get_info(self) -> workflow.Info:
        return self._inner.get_info()

    def get_thread_id(self) -> int | None:
        return self._inner.get_thread_id()

    def get_serialization_context(self, command_info: object) -> None:
        return None

    def get_external_store_context(self, command_info: object) -> StorageDriverStoreContext:
        return StorageDriverStoreContext(target=None)
