"""What a process that serves tells of itself: lines on standard error, and instruments to be scraped."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from chalicelib.observation import measuring
from chalicelib.observation.lines import Lines
from chalicelib.observation.measuring import Run
from chalicelib.observation.prometheus import Instruments
from chalicelib.observation.seen import Seen


@dataclass(frozen=True, slots=True)
class ProcessWatch:
    """`has_requests`: with a line for each request. `asked` is set by each, and cleared by whoever looks."""

    lines: Lines
    has_requests: bool = True
    instruments: Instruments = field(default_factory=Instruments)
    asked: threading.Event = field(default_factory=threading.Event)

    def request(self, seen: Seen) -> None:
        self.asked.set()
        if self.has_requests:
            self.lines.request(seen)
        status = f"{seen.status // 100}xx"
        self.instruments.take(measuring.of_request(seen), operation=seen.operation, status=status)

    def run(self, done: Run) -> None:
        """Of one run of scheduled work, once it is over."""
        values = {metric.name: value for metric, value in done.values.items()}
        self.lines.run(done.work, **done.told, **values)
        self.instruments.take(done.values)
