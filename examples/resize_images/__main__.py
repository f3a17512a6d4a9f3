"""Resize images: a folder of pictures becomes a folder of thumbnails, and one that is damaged fails alone."""

from __future__ import annotations

import colorsys
from pathlib import Path

from PIL import Image
from pydantic import BaseModel

import fanout
from examples.runs import run, serving

SIZES = [(1600, 1200), (1200, 1600), (2048, 512), (640, 640)]
PICTURES = 11
LONGEST_SIDE = 256


class Picture(BaseModel):
    path: Path
    thumbnail: Path


class Resized(BaseModel):
    before: tuple[int, int]
    after: tuple[int, int]


# A `def` runs in threads of the worker: Pillow lets the others run while it scales. A damaged file stays damaged, so
# it is not tried again.
@fanout.processor(task_queue="resize-images", non_retryable=["UnidentifiedImageError"])
def thumbnail(picture: Picture, *, longest_side: int) -> Resized:
    with Image.open(picture.path) as image:
        before = image.size
        image.thumbnail((longest_side, longest_side))
        # An attempt that dies in the middle leaves no half of a thumbnail under its name.
        half = picture.thumbnail.with_suffix(f".{fanout.info().attempt}.part")
        image.save(half, format="png")
        half.replace(picture.thumbnail)
        return Resized(before=before, after=image.size)


async def main() -> None:
    async with serving(thumbnail) as (client, folder):
        pictures = paint(folder / "pictures", folder / "thumbnails")
        started = await fanout.start(
            client,
            thumbnail,
            fanout.Items(pictures, key="path"),
            id="resize-images",
            if_exists="new",
            params={"longest_side": LONGEST_SIDE},
        )
        result = await started.result()
        async for row in started.results(ordered=True):
            resized = Resized.model_validate(row.output)
            print(f"{Path(row.key).name}  {size(resized.before):>11} -> {size(resized.after)}")
        async for failure in started.failures():
            print(f"{Path(failure.key).name}  {failure.error_type}")
        there = len(list((folder / "thumbnails").glob("*.png")))
        print(f"{result.succeeded} resized, {result.failed} failed, {there} thumbnails in the folder")


def paint(pictures: Path, thumbnails: Path) -> list[Picture]:
    """Make real PNG files of several sizes; the last one is cut off in its first bytes."""
    for folder in (pictures, thumbnails):
        folder.mkdir()
    made = []
    for number in range(PICTURES + 1):
        width, height = SIZES[number % len(SIZES)]
        name = f"{number + 1:02}.png"
        image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
        red, green, blue = colorsys.hsv_to_rgb(number / PICTURES, 0.5, 1.0)
        image = Image.blend(image, Image.new("RGB", image.size, _bytes(red, green, blue)), 0.5)
        image.save(pictures / name)
        made.append(Picture(path=pictures / name, thumbnail=thumbnails / name))
    damaged = made[-1].path
    damaged.write_bytes(damaged.read_bytes()[:10])
    return made


def _bytes(red: float, green: float, blue: float) -> tuple[int, int, int]:
    return round(255 * red), round(255 * green), round(255 * blue)


def size(sides: tuple[int, int]) -> str:
    return f"{sides[0]} x {sides[1]}"


if __name__ == "__main__":
    run(main())
