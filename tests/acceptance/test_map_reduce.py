"""The example that counts words: what it prints is what a plain count says, and what its README shows."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from examples.map_reduce.__main__ import PARAGRAPHS, SHOWN

ROOT = Path(__file__).parents[2]


def test_words_of_the_language_reference_are_counted() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.map_reduce"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    counts = Counter(word for text in PARAGRAPHS for word in re.findall(r"[a-z]+", text.lower()))
    expected = [(word, f"{100 * count / counts.total():.0f}") for word, count in counts.most_common(SHOWN)]
    assert re.findall(r"(\w+) +(\d+) %", done.stdout) == expected
    assert f"```text\n{done.stdout}```" in (ROOT / "examples/map_reduce/README.md").read_text()
