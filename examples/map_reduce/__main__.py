"""Map-reduce: which words are the most frequent ones in the language reference, which comes with Python itself."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections import Counter
from pydoc_data.topics import topics

import fanout

PARAGRAPHS = [text for topic in topics.values() for text in topic.split("\n\n") if text.strip()]
SHOWN = 8


# --8<-- [start:map-reduce]
@fanout.processor
async def words(paragraph: str) -> dict[str, int]:
    """Map: count the words of one paragraph."""
    return Counter(re.findall(r"[a-z]+", paragraph.lower()))


@fanout.reducer
class WordCount:
    """Reduce: make one count of all, and of that the percentage of each word."""

    def zero(self) -> dict[str, int]:
        return {}

    def add(self, total: dict[str, int], output: dict[str, int]) -> dict[str, int]:
        return self.merge(total, output)

    def merge(self, total: dict[str, int], other: dict[str, int]) -> dict[str, int]:
        for word, count in other.items():
            total[word] = total.get(word, 0) + count
        return total

    def finish(self, total: dict[str, int]) -> list[tuple[str, float]]:
        whole = sum(total.values())
        return [(word, 100 * count / whole) for word, count in Counter(total).most_common(SHOWN)]


# --8<-- [end:map-reduce]


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with fanout.local(words, store=folder) as client:
            run = await fanout.start(client, words, PARAGRAPHS, reduce=WordCount, batch_size=200)
            result = await run.result()
    for word, percentage in result.reduced:
        print(f"{word:<4} {percentage:.0f} %")


if __name__ == "__main__":
    asyncio.run(main())
