"""Error handling with partial results: all accounts on one page, also when two of the banks have no answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError

from examples.serving import run, serving
from fanout import patterns

BALANCES = {"Alpine Savings": 1204.50, "Harbour Bank": 310.00, "Meadow Union": 87.25}
BANKS = ["Alpine Savings", "Northern Trust", "Harbour Bank", "Old Town Bank", "Meadow Union"]
TWICE = RetryPolicy(maximum_attempts=2, initial_interval=timedelta(milliseconds=100))


@dataclass
class Page:
    balances: dict[str, float]
    missing: list[str]


@activity.defn
async def balance(bank: str) -> float:
    if bank == "Northern Trust":
        raise ConnectionError("api.northern.example does not answer")
    if bank == "Old Town Bank":
        raise ApplicationError("this account was closed", type="AccountClosed", non_retryable=True)
    return BALANCES[bank]


# --8<-- [start:pattern]
@workflow.defn
class Overview:
    @workflow.run
    async def run(self, banks: list[str]) -> Page:
        # Without `return_exceptions`, one bank that fails would take the balances of all others with it.
        accounts = await patterns.gather(
            balance,
            banks,
            return_exceptions=True,
            start_to_close_timeout=timedelta(seconds=10),
            retry_policy=TWICE,
        )
        # An error belongs to an item: each result has its own, so nothing is lost by counting along two lists.
        return Page(
            balances={account.item: account.unwrap() for account in accounts if account.ok},
            missing=[
                f"{account.item}: {account.message} ({account.error_type})"
                for account in accounts
                if not account.ok
            ],
        )


# --8<-- [end:pattern]


async def main() -> None:
    queue = "partial-results"
    async with serving(queue, workflows=[Overview], activities=[balance]) as client:
        page = await client.execute_workflow(Overview.run, BANKS, id=queue, task_queue=queue)
    for bank, there in page.balances.items():
        print(f"{bank:<15} {there:>9,.2f}")
    print(f"{'together':<15} {sum(page.balances.values()):>9,.2f}")
    print("without", *page.missing, sep="\n  ")


if __name__ == "__main__":
    run(main())
