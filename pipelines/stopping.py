"""A polite end: signals are noted, and acted on between two items."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def sigterm_noted() -> Iterator[threading.Event]:
    """An event that SIGTERM sets, as long as the block runs (main thread only)."""
    with _noted(signal.SIGTERM) as (event, _):
        yield event


@contextmanager
def stops_noted() -> Iterator[tuple[threading.Event, list[int]]]:
    """The same for SIGTERM and SIGINT, with those that came; a second SIGINT ends at once."""
    with _noted(signal.SIGTERM, signal.SIGINT) as noted:
        yield noted


@contextmanager
def _noted(*signals: signal.Signals) -> Iterator[tuple[threading.Event, list[int]]]:
    event, came = threading.Event(), list[int]()
    if threading.current_thread() is not threading.main_thread():
        yield event, came
        return

    def note(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and number in came:
            raise KeyboardInterrupt
        came.append(number)
        event.set()

    before = [(number, signal.signal(number, note)) for number in signals]
    try:
        yield event, came
    finally:
        for number, handler in before:
            signal.signal(number, handler)
