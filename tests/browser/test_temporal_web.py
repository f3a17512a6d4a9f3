"""What an operator sees and clicks on in Temporal Web: the real pages of the development server, in Chromium.

A page takes its time to load, so tests share them.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from fanout import wire
from tests.browser.scene import HELD, ODD, Scene
from tests.browser.temporal_web import TemporalWeb, WorkflowPage

pytestmark = pytest.mark.asyncio(loop_scope="module")

METADATA = "User Metadata"
BATCH = HELD // 250 * 250


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def root(shown: Scene, web: TemporalWeb) -> AsyncIterator[WorkflowPage]:
    """The page that the run's own address leads to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FANOUT_WEB_URL", shown.ui_url)
        await shown.large.info()
        assert shown.large.web_url is not None
        yield await web.open(shown.large.web_url, shown.large.id)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def partition(root: WorkflowPage) -> WorkflowPage:
    """The page of a partition, by the link on the run's page."""
    await root.tab(METADATA)
    return await root.follow("partition-000002")


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def closed(web: TemporalWeb) -> AsyncIterator[None]:
    """Close what a test has opened: each page asks the server for news all the time."""
    before = set(web.browser.pages)
    yield
    for page in set(web.browser.pages) - before:
        await page.close()


async def test_the_list_finds_runs_by_processor_and_status(shown: Scene, web: TemporalWeb) -> None:
    page = await web.list('FanoutProcessor = "thumbnail" AND FanoutStatus = "PAUSED"')
    await page.get_by_role("link", name=shown.paused.id, exact=True).wait_for()
    assert not await page.get_by_role("link", name=shown.large.id, exact=True).count()


async def test_the_list_shows_the_partitions_of_a_run_by_name(shown: Scene, web: TemporalWeb) -> None:
    page = await web.list(f'WorkflowId STARTS_WITH "{shown.large.id}/"')
    links = page.get_by_role("link", name=f"{shown.large.id}/partition-")
    await links.nth(7).wait_for()
    names = [text.strip() for text in await links.all_inner_texts()]
    assert sorted(names) == [wire.partition_id(shown.large.id, number) for number in range(8)]


async def test_the_address_of_a_run_leads_to_its_summary_and_its_numbers(root: WorkflowPage) -> None:
    await root.tab(METADATA)
    await root.read("thumbnail over csv images.csv, 8,000 at most")
    await root.read("fanout status thumbnails")
    told = await root.read("2,000 of 8,000 items done (25 %)", "2 partitions so far")
    for words in ("succeeded: 1,992", "failed: 8", "at most 1,000 items in flight", "ValueError: 5"):
        assert words in told
    # As it is, although this is markdown.
    assert re.search(
        r"^images\.csv:\d+: ValueError: '\S+17\.jpg' is no <b>image</b>: \$2 of \$3$", told, re.MULTILINE
    )
    assert "partition-000002: items 2,000–2,999" in told
    assert "partition-000000: 5 of 1,000 items failed" in told


async def test_a_link_leads_to_a_partition_and_its_numbers(shown: Scene, partition: WorkflowPage) -> None:
    await partition.heading(wire.partition_id(shown.large.id, 2))
    await partition.tab(METADATA)
    await partition.read("partition 2: items 2,000–2,999")
    told = await partition.read("500 of 1,000 items done (50 %)", "in 2 batches")
    assert "last commit: 20" in told


async def test_a_link_leads_from_a_partition_back_to_its_run(shown: Scene, partition: WorkflowPage) -> None:
    await partition.tab(METADATA)
    above = await partition.follow(f"run {shown.large.id}")
    await above.heading(shown.large.id)


async def test_links_lead_through_groups_whatever_the_id_of_the_run(web: TemporalWeb) -> None:
    bottom = await web.workflow(f"{ODD}/partition-000003")
    await bottom.tab(METADATA)
    assert (await bottom.read("0 of 5 items done (0 %)")).startswith("items 15–19 of group-1-000003, of run")
    group = await bottom.follow("group-1-000003")
    await group.heading(f"{ODD}/group-1-000003")
    await group.tab(METADATA)
    told = await group.read("0 of 15 items done (0 %)", "partition-000003: items 15–19")
    assert told.startswith("part of group-2-000000, of run")
    top = await bottom.follow(f"run {ODD}")
    await top.heading(ODD)


async def test_the_timeline_of_a_run_says_what_its_steps_and_partitions_are(root: WorkflowPage) -> None:
    await root.tab("Timeline")
    for words in ("plan, page 1", "partition 0: items 0–999", "partition 7: items 7,000–7,999"):
        await root.see(words)


async def test_batches_say_which_items_they_hold(partition: WorkflowPage) -> None:
    for tab in ("Timeline", "Event History"):
        await partition.tab(tab)
        await partition.see("items 2,000–2,249")
        await partition.see(f"items {BATCH:,}–{BATCH + 249:,}")


async def test_what_came_of_a_run_is_there_once_it_has_ended(shown: Scene, web: TemporalWeb) -> None:
    ended = await web.workflow(shown.ended.id)
    await ended.tab(METADATA)
    await ended.read("COMPLETED_WITH_FAILURES, after", "50 of 50 items done (100 %)", "ValueError: 1")
