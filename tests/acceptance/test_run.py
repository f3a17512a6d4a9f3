"""`fanout run`, with workers running elsewhere."""

from __future__ import annotations

import json
import re

import pexpect
import pytest

from tests.acceptance.conftest import COMMAND, Project, on_terminal, plain, wait_for


def test_a_run_that_succeeds_ends_with_its_numbers_and_exit_code_0(served: Project, run_id: str) -> None:
    reduce = ("--reduce", "top_k", "--reduce-arg", "k=1")
    done = served.fanout("run", "jobs:double", "1..1000", "--id", run_id, *reduce)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    shown = '[{"index": 999, "key": "999", "output": 2000, "value": 2000}]'
    assert f"reduced    {shown}" in done.stderr
    assert json.loads(served.fanout("status", run_id, "--json").stdout)["reduced"] == json.loads(shown)
    assert "Temporal Web: http://" in done.stderr
    assert f"{run_id}: 1,000 of 1,000 items (100 %)" in done.stderr
    assert "status     SUCCEEDED" in done.stderr
    assert f"fanout results {run_id}" in done.stderr
    rows = served.fanout("results", run_id, "--ordered")
    assert [json.loads(line)["output"] for line in rows.stdout.splitlines()] == [
        2 * n for n in range(1, 1001)
    ]


def test_failures_have_exit_code_3_their_reasons_and_their_places(served: Project, run_id: str) -> None:
    done = served.fanout("run", "jobs:picky", "1..100", "--id", run_id, "--json")
    assert done.returncode == 3, done.stderr
    result = json.loads(done.stdout)
    assert (result["succeeded"], result["failed"], result["error_types"]) == (90, 10, {"ValueError": 10})
    assert "10 (10 ValueError)" in done.stderr
    failures = [json.loads(line) for line in served.fanout("failures", run_id).stdout.splitlines()]
    assert [row["message"] for row in failures] == [f"{n} is round" for n in range(10, 101, 10)]
    assert len(served.fanout("failures", run_id, "--limit", "3").stdout.splitlines()) == 3
    assert served.fanout("wait", run_id).returncode == 3


def test_more_failures_than_are_tolerated_have_exit_code_4(served: Project, run_id: str) -> None:
    done = served.fanout(
        "run", "jobs:picky", "1..100", "--id", run_id, "--tolerated-failures", "9%", "--json"
    )
    assert done.returncode == 4, done.stderr
    result = json.loads(done.stdout)
    assert (result["status"], result["failed"]) == ("FAILED_TOLERANCE_EXCEEDED", 10)
    assert "10 of the 100 items that were settled failed; tolerated_failures is 9%" in done.stderr
    assert "FAILED_TOLERANCE_EXCEEDED" in served.fanout("status", run_id).stdout
    assert len(served.fanout("failures", run_id).stdout.splitlines()) == 10
    wrong = served.fanout("run", "jobs:picky", "1..100", "--tolerated-failures", "many")
    assert wrong.returncode == 2
    assert "--tolerated-failures" in wrong.stderr
    assert "such as '2.5%'" in wrong.stderr


def test_a_table_is_read_with_its_key_its_columns_and_parameters(served: Project, run_id: str) -> None:
    (served.folder / "people.csv").write_text("id,name,age\na,Ada,36\nb,Bob,NA\n")
    flags = [
        "--key",
        "id",
        "--column",
        "id",
        "--column",
        "name",
        "--param",
        "greeting=hi",
        "--null-value",
        "NA",
    ]
    done = served.fanout("run", "jobs:name", "people.csv", "--id", run_id, *flags)
    assert done.returncode == 0, done.stderr
    one = served.fanout("item", run_id, "--key", "b", "--json")
    assert json.loads(one.stdout) == {"outcome": "succeeded", "index": 1, "key": "b", "output": "hi Bob"}


def test_items_come_from_stdin(served: Project, run_id: str) -> None:
    done = served.fanout(
        "run", "jobs:name", "-", "--id", run_id, stdin='{"name": "Ada"}\n\n{"name": "Bob"}\n'
    )
    assert done.returncode == 0, done.stderr
    assert len(served.fanout("results", run_id).stdout.splitlines()) == 2


def test_a_trial_is_continued_with_the_rest(served: Project, run_id: str) -> None:
    trial = served.fanout("run", "jobs:double", "1..1000", "--id", run_id, "--limit", "100")
    assert trial.returncode == 0, trial.stderr
    assert f"fanout run jobs:double 1..1000 --id {run_id} --continue" in trial.stderr
    assert len(served.fanout("results", run_id).stdout.splitlines()) == 100
    rest = served.fanout("run", "jobs:double", "1..1000", "--id", run_id, "--continue", "--json")
    assert rest.returncode == 0, rest.stderr
    assert json.loads(rest.stdout)["items"] == 900
    rows = served.fanout("results", run_id, "--ordered").stdout.splitlines()
    assert [json.loads(row)["index"] for row in rows] == list(range(1000))


def test_an_id_that_exists_is_refused_attached_to_or_replaced(project: Project, run_id: str) -> None:
    project.worker()
    same = ["run", "jobs:double", "5", "--id", run_id]
    assert project.fanout(*same).returncode == 0
    refused = project.fanout(*same)
    assert refused.returncode == 1
    assert "--if-exists attach" in refused.stderr
    assert project.fanout(*same, "--if-exists", "attach").returncode == 0
    assert project.fanout(*same, "--if-exists", "new").returncode == 0
    listed = project.fanout("list", "--task-queue", project.queue, "--json").stdout.splitlines()
    assert len(listed) == 2


def test_without_a_worker_the_bar_says_so_instead_of_hanging(project: Project, run_id: str) -> None:
    process = project.spawn("run", "jobs:double", "1..10", "--id", run_id)
    advice = f'no worker polls "{project.queue}": start one with: fanout worker jobs'
    wait_for(lambda: advice in project.log(process), lambda: project.log(process))
    project.worker()
    assert process.wait(60) == 0
    assert "SUCCEEDED" in project.log(process)


def test_a_detached_run_prints_its_id_and_that_nobody_works_on_it(project: Project, run_id: str) -> None:
    done = project.fanout("run", "jobs:double", "1..10", "--id", run_id, "--detach")
    assert done.returncode == 0
    assert done.stdout == f"{run_id}\n"
    assert "no worker polls" in done.stderr
    assert f"fanout watch {run_id}" in done.stderr


def test_ctrl_c_detaches_and_says_how_to_come_back(project: Project, run_id: str) -> None:
    project.worker()
    terminal = pexpect.spawn(
        COMMAND,
        ["run", "jobs:gated", "1..50", "--id", run_id],
        cwd=str(project.folder),
        env=project.environment,
        encoding="utf-8",
        dimensions=(30, 100),
        timeout=40,
    )
    terminal.expect(r"50 in flight")
    terminal.sendintr()
    terminal.expect(re.escape(f"detached: run {run_id} goes on. Come back with: fanout watch {run_id}"))
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130

    (project.folder / "gate").touch()
    assert project.fanout("watch", run_id).returncode == 0


def test_a_terminal_gets_a_bar_that_ends_full(served: Project, run_id: str) -> None:
    shown, code = on_terminal(served, "run", "jobs:picky", "1..100", "--id", run_id)
    assert code == 3
    assert "\x1b[" in shown
    assert "100 / 100 items (100 %)" in plain(shown)
    assert "completed with failures   10 failed" in plain(shown)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["jobs:doubel", "1..3"], 2, "module 'jobs' has no processor 'doubel'; did you mean 'double'?"),
        (["job:double", "1..3"], 2, "no module 'job'"),
        (["jobs:double", "missing.csv"], 1, "there is no file 'missing.csv'"),
        (["jobs:double", "items.parquet"], 2, "--reader"),
        (["jobs:double", "none-*.csv"], 1, "none-"),
        (["jobs:double", "1..3", "--max-concurency", "5"], 2, "--max-concurrency"),
        (["jobs:double", "1..3", "--max-concurrency", "0"], 2, "--max-concurrency: input should be greater"),
        (["jobs:double", "1..3", "--param", "px=5"], 2, "'px'"),
        (["jobs:double", "1..3", "--continue"], 2, "--id"),
    ],
)
def test_what_cannot_be_is_told_before_the_run_starts(
    project: Project, words: list[str], code: int, says: str
) -> None:
    done = project.fanout("run", *words)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_no_server_is_exit_code_6_with_what_to_do(empty: Project) -> None:
    done = empty.fanout("run", "jobs:double", "1..3", "--address", "127.0.0.1:1")
    assert done.returncode == 6
    assert "no Temporal server answers at 127.0.0.1:1" in done.stderr
    assert "fanout dev" in done.stderr


def test_an_unknown_processor_name_fails_the_run_with_those_there_are(served: Project, run_id: str) -> None:
    done = served.fanout("run", "thumbnail", "1..3", "--id", run_id)
    assert done.returncode == 1
    assert "no processor 'thumbnail' is registered" in done.stderr
    assert "double" in done.stderr
    status = served.fanout("status", run_id)
    assert re.search(r"error +run .* failed: .*no processor 'thumbnail' is registered", status.stdout)
    assert "thumbnail" in json.loads(served.fanout("status", run_id, "--json").stdout)["error"]
