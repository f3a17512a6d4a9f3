"""What the runs of the runbooks do: the module is copied into the folder of each page."""

import ctypes
import urllib.request

from pydantic import BaseModel

import fanout


class Image(BaseModel):
    id: int
    url: str


@fanout.processor(retries=1, timeout=30)
def fetch(image: Image) -> int:
    if image.url.startswith("broken:"):
        ctypes.string_at(0)  # as a decoder does that meets a file it was not made for
    with urllib.request.urlopen(image.url) as answer:
        return len(answer.read())
