"""What has happened when a page of the runbooks is opened, and what happens between its commands."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from fanout.ports import free_port
from tests.acceptance.conftest import wait_for
from tests.frontdoor import Authority, Door, front_door
from tests.runbooks.stage import Stage

Scene = Callable[[Stage], None]

RUNNING = ("--max-concurrency", "4", "--batch-size", "20")
"""Options with which a run lasts for a while: its service takes its time."""


def goes_on(stage: Stage) -> None:
    """A run is in the middle, and far from its end."""
    stage.service.seconds = 0.2
    stage.worker()
    stage.start(*RUNNING)
    wait_for(lambda: stage.done() > 0, stage.status)
    stage.service.seconds = 2


def ended(stage: Stage) -> None:
    """Let the run end."""
    stage.service.seconds = 0
    wait_for(lambda: stage.status()["closed"], stage.status, within=90)


def slow(stage: Stage) -> None:
    stage.service.seconds = 0.2
    stage.worker()
    stage.start("--max-concurrency", "2", "--batch-size", "10")
    wait_for(lambda: stage.done() > 0, stage.status)
    stage.service.seconds = 2


def without_workers(stage: Stage) -> None:
    stage.start()


def too_few_slots(stage: Stage) -> None:
    stage.write_urls(600)
    stage.service.seconds = 1
    stage.worker("--max-batches", "2")
    stage.start("--max-concurrency", "40", "--batch-size", "20")
    wait_for(lambda: stage.done() > 0, stage.status)
    stage.service.seconds = 5


def a_worker_comes(stage: Stage) -> None:
    stage.worker()


def ten_fail(stage: Stage) -> None:
    stage.service.refuses = ("0.png",)
    stage.worker()
    stage.start("--retries", "0")
    wait_for(lambda: stage.status()["closed"], stage.status, within=90)


def mended(stage: Stage) -> None:
    stage.service.refuses = ()


def too_many_fail(stage: Stage) -> None:
    stage.service.down = True
    stage.worker()
    stage.start("--retries", "0", "--tolerated-failures", "20", *RUNNING)
    wait_for(lambda: stage.status()["closed"], stage.status, within=90)


def service_is_back(stage: Stage) -> None:
    stage.service.down = False


def one_kills(stage: Stage) -> None:
    stage.write_urls(200, broken=(7,))
    stage.worker()
    stage.start("--heartbeat-timeout", "3")
    wait_for(lambda: stage.status()["closed"], stage.status, within=90)


def two_workers(stage: Stage) -> None:
    """The first has all that is in flight, and the second nothing yet."""
    stage.service.seconds = 0.2
    stage.worker()
    stage.start("--heartbeat-timeout", "3", *RUNNING)
    wait_for(lambda: stage.done() > 0, stage.status)
    stage.service.seconds = 5
    stage.worker()


def a_worker_is_killed(stage: Stage) -> None:
    (child,) = children(stage.workers[0])
    os.kill(stage.workers[0].pid, signal.SIGKILL)
    os.kill(child, signal.SIGKILL)
    wait_for(lambda: "Heartbeat" in str(stage.status()["trouble"]), stage.status)


def another_comes(stage: Stage) -> None:
    stage.service.seconds = 0
    stage.worker()


def too_much_at_once(stage: Stage) -> None:
    """More has failed than batches in flight hold, so that some is committed; the rest takes its time."""
    stage.write_urls(500)
    stage.service.seconds = 0.3
    stage.service.most = 10
    stage.worker()
    stage.start("--retries", "0", "--max-concurrency", "20", "--batch-size", "20")
    wait_for(lambda: stage.failed() > 100, stage.status)
    stage.service.seconds = 3
    stage.service.most = 30


def no_room(stage: Stage) -> None:
    """The store is on a small disk, which somebody fills."""
    disk = stage.project.folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=True)
    stage.at_end.append(lambda: subprocess.run(["umount", "--lazy", str(disk)], check=True))
    stage.project.environment["FANOUT_STORE"] = str(disk)
    goes_on(stage)
    fill(disk / "somebody's.log")
    stage.service.seconds = 0
    wait_for(lambda: "space" in str(stage.status()["trouble"]), stage.status)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (64 * 1024, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass


def there_is_room(stage: Stage) -> None:
    (stage.project.folder / "disk" / "somebody's.log").unlink()


def large_items(stage: Stage) -> None:
    with (stage.project.folder / "urls.csv").open("a") as file:
        file.write(f'200,"data:;,{"x" * 100_000}"\n')
    stage.worker()
    stage.start("--max-item-bytes", "80000")
    wait_for(lambda: stage.status()["closed"], stage.status, within=90)


def children(process: subprocess.Popen[str]) -> list[int]:
    """Return the processes that a process has started."""
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(pid) for pid in text.split()]


# ---- scenes with a server of their own


def own_server(stage: Stage) -> None:
    """A run is in the middle, on a server that may die."""
    start_server(stage)
    goes_on(stage)


def start_server(stage: Stage) -> None:
    ui_port = free_port("127.0.0.1")
    stage.project.environment["FANOUT_WEB_URL"] = f"http://127.0.0.1:{ui_port}"
    server = stage.project.spawn("dev", "--port", str(stage.port), "--ui-port", str(ui_port))
    stage.server = server
    wait_for(lambda: "Temporal" in stage.project.log(server), lambda: stage.project.log(server))
    wait_for(lambda: stage.project.fanout("list").returncode == 0)


def server_is_killed(stage: Stage) -> None:
    assert stage.server is not None
    for pid in (*children(stage.server), stage.server.pid):
        os.kill(pid, signal.SIGKILL)
    stage.server.wait()


def server_comes_back(stage: Stage) -> None:
    stage.service.seconds = 0
    start_server(stage)


def server_is_lost(stage: Stage) -> None:
    server_is_killed(stage)
    for worker in stage.workers:
        stage.stop(worker, signal.SIGKILL)
    for file in (stage.project.folder / ".fanout").glob("temporal.db*"):
        file.unlink()
    stage.service.seconds = 0
    start_server(stage)


# ---- scenes of a deploy


BAD_DEPLOY = """
import os

if os.environ.get("BAD_DEPLOY"):
    from datetime import timedelta
    from temporalio import workflow
    from fanout.children.partition import Partition

    good = Partition.run

    async def run(self):
        await workflow.sleep(timedelta(seconds=1))
        return await good(self)

    Partition.run = run
"""
"""What an untested change of workflow code is like: it begins with something else than the history says."""


def bad_deploy(stage: Stage) -> None:
    with (stage.project.folder / "images.py").open("a") as module:
        module.write(BAD_DEPLOY)
    stage.stop(stage.workers.pop())
    stage.project.environment["BAD_DEPLOY"] = "1"
    stage.worker()
    wait_for(lambda: "workflow code" in str(stage.status()["trouble"]), stage.status, within=90)


def rolled_back(stage: Stage) -> None:
    stage.stop(stage.workers.pop())
    del stage.project.environment["BAD_DEPLOY"]
    stage.service.seconds = 0
    stage.worker()


# ---- scenes of credentials


OLD_KEY, NEW_KEY = "key-of-last-year", "key-of-this-year"


def old_key(stage: Stage) -> None:
    """A run is in the middle, on a server that asks for an API key."""
    environment = stage.project.environment
    authority = Authority(stage.project.folder, "ours")
    door = stage.door = Door(environment["TEMPORAL_ADDRESS"], {OLD_KEY})
    opened = ExitStack()
    address = opened.enter_context(front_door(door, authority))
    stage.at_end.append(opened.close)
    environment |= {
        "TEMPORAL_ADDRESS": address,
        "TEMPORAL_TLS_SERVER_CA_CERT_PATH": str(authority.path),
        "TEMPORAL_API_KEY": OLD_KEY,
    }
    goes_on(stage)


def new_key_is_valid_too(stage: Stage) -> None:
    assert stage.door is not None
    stage.door.keys = {OLD_KEY, NEW_KEY}
    stage.project.environment |= {"TEMPORAL_API_KEY": NEW_KEY, "OLD_KEY": OLD_KEY}


def old_workers_leave(stage: Stage) -> None:
    stage.stop(stage.workers.pop(0))


def old_key_is_withdrawn(stage: Stage) -> None:
    assert stage.door is not None
    stage.door.keys = {NEW_KEY}
    stage.service.seconds = 0


BEGINS: dict[str, Scene] = {
    "capacity": lambda _: None,
    "downstream-overloaded": too_much_at_once,
    "emergency-pause": goes_on,
    "history-warnings": large_items,
    "lost-database": own_server,
    "many-failures": ten_fail,
    "nondeterminism": goes_on,
    "poison-items": one_kills,
    "queue-backlog": too_few_slots,
    "rotating-credentials": old_key,
    "run-again": ten_fail,
    "run-is-slow": slow,
    "run-is-stuck": without_workers,
    "server-down": own_server,
    "stop-a-run": goes_on,
    "store-full": no_room,
    "tolerance-exceeded": too_many_fail,
    "workers-die": two_workers,
}
"""By page: what has happened before its first command."""

HAPPENS: dict[str, Scene] = {
    "a bad deploy": bad_deploy,
    "a new key is valid too": new_key_is_valid_too,
    "a worker comes": a_worker_comes,
    "a worker is killed": a_worker_is_killed,
    "another comes": another_comes,
    "it ends": ended,
    "it is mended": mended,
    "it runs": goes_on,
    "new workers come": a_worker_comes,
    "old workers leave": old_workers_leave,
    "rolled back": rolled_back,
    "the database is lost": server_is_lost,
    "the old key is withdrawn": old_key_is_withdrawn,
    "the server comes back": server_comes_back,
    "the server is killed": server_is_killed,
    "the service is back": service_is_back,
    "there is room": there_is_room,
    "workers on the new server": a_worker_comes,
}
"""By the words of a page: what happens between its commands."""
