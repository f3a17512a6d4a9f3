"""The runbooks are walked through, with runs that have those very faults: commands, and words about Temporal Web."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fanout.ports import free_port
from tests.acceptance.conftest import Project, connected, empty_project
from tests.conftest import TestServer
from tests.runbooks.scenes import BEGINS, HAPPENS, own_server
from tests.runbooks.service import Service
from tests.runbooks.stage import FOLDER, Stage, marks
from tests.runbooks.web import Browser, browser

PAGES = sorted(page for page in FOLDER.glob("*.md") if page.name != "index.md")
PARTS = ("Symptom", "Confirm", "Why", "Remedy", "Knobs", "Prevention")
WITHOUT_WEB = {"server-down"}
"""Where Temporal Web is down itself."""


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with browser() as made:
        yield made


@pytest.fixture
def stage(
    request: pytest.FixtureRequest, tmp_path: Path, dev_server: TestServer, service: Service, run_id: str
) -> Iterator[Stage]:
    project: Project = empty_project(tmp_path)
    begins = BEGINS[request.param.stem]
    port = free_port("127.0.0.1")
    if begins is own_server:
        project.environment["TEMPORAL_ADDRESS"] = f"127.0.0.1:{port}"
        project.environment["FANOUT_TASK_QUEUE"] = "fanout"
    else:
        connected(project, dev_server)
    made = Stage(project, service, run_id, port)
    try:
        begins(made)
        yield made
    finally:
        project.close()
        for end in made.at_end:
            end()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("stage", PAGES, indirect=True, ids=lambda page: str(page.stem))
def test_a_page_holds_what_it_says(stage: Stage, chromium: Browser, request: pytest.FixtureRequest) -> None:
    page: Path = request.node.callspec.params["stage"]
    for mark in marks(page):
        if mark.what == "scene":
            HAPPENS[mark.name](stage)
        elif mark.what == "web":
            chromium.look(stage.web_url, stage.run_id, mark, f"{page.name}:{mark.line}")
        else:
            stage.run(mark, page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_a_page_has_all_that_an_operator_looks_for(page: Path) -> None:
    text = page.read_text()
    missing = [part for part in PARTS if not re.search(rf"^(## {part}|\*\*{part})", text, re.MULTILINE)]
    assert not missing
    assert "Temporal Web" in text
    assert page.stem in WITHOUT_WEB or any(mark.what == "web" for mark in marks(page))
    assert f"({page.name})" in (FOLDER / "index.md").read_text()


def test_each_page_has_a_scene_and_each_scene_a_page() -> None:
    assert {page.stem for page in PAGES} == set(BEGINS)
    assert {mark.name for page in PAGES for mark in marks(page) if mark.what == "scene"} == set(HAPPENS)
