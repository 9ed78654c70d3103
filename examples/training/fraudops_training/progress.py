"""How far long work is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterator
from typing import TypeVar

Item = TypeVar("Item")

SECONDS_BETWEEN_LINES = 10


def follow(items: Collection[Item], title: str) -> Iterator[Item]:
    """The items, with what is done and what is left on stderr."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, title, file=sys.stderr, leave=False)
        return
    said = time.monotonic()
    for number, item in enumerate(items):
        if time.monotonic() - said >= SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            say(f"{title}: {number} of {len(items)} done")
        yield item


def say(message: str) -> None:
    """One line for people; the standard output is for results."""
    print(message, file=sys.stderr, flush=True)
