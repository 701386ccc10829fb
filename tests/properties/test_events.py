"""Whatever is delivered, drained, crashed and repeated at once: every event arrives, in order, or is dead."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from chalicelib.events.courier import LEASE_SECONDS, Courier
from chalicelib.events.drain import BUS, Drainer
from chalicelib.events.stores import Queue, Webhook
from chalicelib.spec.cloud_events import Event, EventType
from tests.properties.effort import effort
from tests.properties.events_in_memory import Audience, MemoryEvents
from tests.properties.interleaving import BROKEN, Fate, Operation, Stopping

LANES = ("account", "account/registry/one", "account/registry/two")
SCHEDULE = (5, 50)
HOOK = Webhook("account", "hook", "https://receiver.example/", "1", ())
PICKY = Webhook("account", "picky", "https://receiver.example/", "2", (), repositories=("registry/t*",))
TARGETS = (HOOK.key, PICKY.key, BUS)
AT_ONCE = 4


class Events(RuleBasedStateMachine):
    """Drainers and couriers, each of which may stop, fail or die at each call that it makes."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.number = 0
        self.memory, self.audience = MemoryEvents(), Audience()
        self.told: dict[str, list[str]] = {lane: [] for lane in LANES}
        self.running: list[Operation] = []
        store: Any = Stopping(self.memory)
        target: Any = Stopping(self.audience)
        clock = lambda: self.now  # noqa: E731
        self.drainer = Drainer(store, lambda _: [HOOK, PICKY], clock, has_bus=True)
        self.courier = Courier(store, target, clock, SCHEDULE, lambda: 0.5)

    @rule(lane=st.sampled_from(LANES))
    def commit(self, lane: str) -> None:
        """A change: its event is in the outbox as it is acknowledged."""
        self.number += 1
        order = f"{int(self.now * 1_000_000) + self.number:017d}-{0:016x}"
        repository = lane.partition("/")[2]
        self.memory.put(Event(EventType.TAG_MOVED, "account", order, lane, repository))
        self.told[lane].append(order)

    @precondition(lambda self: len(self.running) < AT_ONCE)
    @rule()
    def drain(self) -> None:
        self._begin("drain", self.drainer.drain)

    @precondition(lambda self: len(self.running) < AT_ONCE and self.memory.rows)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        queues = sorted(self.memory.rows, key=lambda one: (one.target, one.lane))
        queue = data.draw(st.sampled_from(queues))
        self._begin(f"deliver to {queue.target}", lambda: self.courier.deliver(queue))

    def _begin(self, label: str, work: Any) -> None:
        operation = Operation(label, work)
        if not operation.is_done:
            self.running.append(operation)

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, AT_ONCE - 1), steps=st.integers(1, 8))
    def go_on(self, which: int, steps: int) -> None:
        operation = self.running[which % len(self.running)]
        for _ in range(steps):
            if not operation.is_done:
                operation.step()
        self._forget()

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, AT_ONCE - 1), fate=st.sampled_from(BROKEN))
    def crash(self, which: int, fate: Fate) -> None:
        self.running[which % len(self.running)].step(fate)
        self._forget()

    def _forget(self) -> None:
        self.running = [one for one in self.running if not one.is_done]

    @rule(seconds=st.sampled_from([1, 5, 10, LEASE_SECONDS + 1]))
    def let_time_pass(self, seconds: int) -> None:
        self.now += seconds

    @rule(whom=st.sampled_from(TARGETS))
    def break_or_mend(self, whom: str) -> None:
        self.audience.down ^= {whom}

    def teardown(self) -> None:
        for operation in self.running:
            while not operation.is_done:
                operation.step(Fate.DIE_BEFORE)
        self.audience.down.clear()
        for _ in range(20 * (self.number + 1)):
            self.now += 2 * LEASE_SECONDS
            self.drainer.drain()
            queues = self.memory.due(int(self.now), 100)
            for queue in queues:
                self.courier.deliver(queue)
            if not self.memory.rows and not self.memory.outbox:
                break
        self._check()

    def _check(self) -> None:
        assert not self.memory.outbox
        assert not self.memory.rows, "something waits for ever"
        for lane, told in self.told.items():
            for target in TARGETS:
                wanted = told if target != PICKY.key or lane != "account/registry/one" else []
                heard = self.audience.first(target, lane)
                dead = set(self.memory.buried.get(target, {}))
                assert heard == sorted(heard), f"{target} was told of {lane} out of order"
                assert set(heard) <= set(wanted), "forged"
                assert set(wanted) <= set(heard) | dead, "lost"
                assert not any(self.memory.waits.get(Queue(target, lane), {}))


TestEvents = Events.TestCase
TestEvents.settings = effort(60, 20_000, steps=60)
