"""Pulls as events, where a deployment wants them: each is a write that nothing else needs."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chalicelib.registry.changes import Actor
from chalicelib.registry.manifests import Stored
from chalicelib.spec.cloud_events import Event, EventType
from chalicelib.spec.reference import Repository

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PullEvents:
    """`share`: of the pulls, from 0 (none) to 1 (all). Best effort: a write may fail."""

    put: Callable[[Event], None]
    order: Callable[[], str]
    share: float = 0.0
    random: Callable[[], float] = random.random

    def note(self, repository: Repository, reference: str, stored: Stored, actor: Actor) -> None:
        """`reference`: the tag or digest that was asked for."""
        if self.random() >= self.share:
            return
        is_tag = reference != stored.digest
        data = {
            "account": repository.account,
            "registry": repository.registry,
            "repository": repository.name,
            "actor": actor.id,
            "digest": stored.digest,
            "tags": [reference] if is_tag else [],
            "media_type": stored.media_type,
            "size": stored.size,
        }
        subject = f"{repository.name}{':' if is_tag else '@'}{reference}"
        pulled = EventType.MANIFEST_PULLED
        try:
            self.put(Event(pulled, repository.account, self.order(), subject, repository.name, data))
        except Exception:  # noqa: BLE001 - whatever it is, the pull goes on
            _LOG.warning("a pull of %s was not told", subject, exc_info=True)
