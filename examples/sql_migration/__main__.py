"""SQL migration: each row of an old table becomes a row of a new one, however often it is tried."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

from temporalio.client import Client

import fanout
from examples.runs import run, serving

CUSTOMERS = 10_000
BATCH = 500
FIRST = ["Amira", "Björn", "Chiara", "Dmitri", "Elif", "Fatou", "Goran", "Hana"]
LAST = ["Andersson", "Bianchi", "Çelik", "Diallo", "Engel", "Fernández", "Grabar"]
CITIES = ["Aarhus", "Bologna", "Coimbra", "Dakar"]
MISTYPED = {1234: "30.02.2021", 5678: "in spring"}

OLD = "CREATE TABLE old_customers (id INTEGER PRIMARY KEY, name TEXT, address TEXT, joined TEXT)"
NEW = """
CREATE TABLE customers (
    id INTEGER PRIMARY KEY, first_name TEXT NOT NULL, last_name TEXT NOT NULL,
    street TEXT NOT NULL, city TEXT NOT NULL, joined DATE NOT NULL
)
"""
OF_THESE = """
SELECT id, name, address, joined FROM old_customers WHERE id IN (SELECT value FROM json_each(?))
"""
# A row that is there already is written again: whatever died after a commit, nothing is there twice.
UPSERT = """
INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET first_name = excluded.first_name, last_name = excluded.last_name,
    street = excluded.street, city = excluded.city, joined = excluded.joined
"""

Row = tuple[int, str, str, str, str, str]


# A processor with `list_size` takes many items at once: one query and one transaction for 500 rows.
@fanout.processor(task_queue="sql-migration", list_size=BATCH, retries=0)
def migrate(ids: list[int], *, database: Path) -> list[str | ValueError]:
    with connected(database) as shop:
        found = {row[0]: convert(*row) for row in shop.execute(OF_THESE, (json.dumps(ids),))}
        shop.executemany(UPSERT, [row for row in found.values() if isinstance(row, tuple)])
    # What could not be converted fails alone; for the others, when they joined is what the run writes down.
    return [row[-1] if isinstance(row, tuple) else row for row in map(found.__getitem__, ids)]


def convert(id: int, name: str, address: str, joined: str) -> Row | ValueError:
    first_name, _, last_name = name.partition(" ")
    street, _, city = address.rpartition(", ")
    try:
        day = datetime.strptime(joined, "%d.%m.%Y").date().isoformat()  # noqa: DTZ007 - a date has no zone
    except ValueError:
        return ValueError(f"not a date: {joined!r}")
    return id, first_name, last_name, street, city, day


@contextmanager
def connected(database: Path) -> Iterator[sqlite3.Connection]:
    """One transaction: committed at the end of the block, rolled back where it fails."""
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        yield connection


async def main() -> None:
    async with serving(migrate) as (client, folder):
        database = folder / "shop.db"
        fill(database)
        started = await start(client, database)
        show("migrated", database, await started.result())
        async for failure in started.failures():
            print(f"  customer {failure.input}: {failure.message}")

        with connected(database) as shop:
            for customer in MISTYPED:
                shop.execute("UPDATE old_customers SET joined = '28.02.2021' WHERE id = ?", (customer,))
        again = await started.rerun()
        show("what failed, mended", database, await again.result())

        show("all once more", database, await (await start(client, database)).result())
        with connected(database) as shop:
            print(*shop.execute("SELECT * FROM customers WHERE id IN (1, 1234, 10000)"), sep="\n")


async def start(client: Client, database: Path) -> fanout.Run:
    ids = fanout.Range(1, CUSTOMERS + 1)
    return await fanout.start(
        client, migrate, ids, id="sql-migration", if_exists="new", params={"database": database}
    )


def fill(database: Path) -> None:
    with connected(database) as shop:
        # Readers do not wait for who writes.
        shop.execute("PRAGMA journal_mode = WAL")
        shop.execute(OLD)
        shop.execute(NEW)
        shop.executemany(
            "INSERT INTO old_customers VALUES (?, ?, ?, ?)", map(customer, range(1, CUSTOMERS + 1))
        )


def customer(id: int) -> tuple[int, str, str, str]:
    name = f"{FIRST[id % len(FIRST)]} {LAST[id % len(LAST)]}"
    address = f"Via Roma {id % 90 + 1}, {CITIES[id % len(CITIES)]}"
    return id, name, address, MISTYPED.get(id, f"{id % 28 + 1:02}.{id % 12 + 1:02}.{2000 + id % 25}")


def show(what: str, database: Path, result: fanout.RunResult) -> None:
    with connected(database) as shop:
        [[rows]] = shop.execute("SELECT count(*) FROM customers")
    print(f"{what}: {result.succeeded:,} rows, {result.failed} failed; the new table has {rows:,}")


if __name__ == "__main__":
    run(main())
