"""What is done on a schedule or for an event, by functions on AWS and by threads of the local process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from chalicelib.events.tally import Told
from chalicelib.observation import measuring
from chalicelib.observation.measuring import Run
from chalicelib.registry.reconcile import Drift
from chalicelib.wiring import Deployment


def collect(deployment: Deployment, seconds: float) -> Run:
    """Free what nothing needs any more, for less than `seconds`."""
    report = deployment.collect(seconds)
    values = measuring.of_collection(asdict(report.total), report.failures, deployment.uploads_open())
    return Run("collect", values, {"is_complete": report.is_complete})


def sweep(deployment: Deployment, seconds: float) -> Run:
    """Look through the bucket for what no row names. Keys that are missing are told, 100 at the most."""
    report = deployment.sweep(seconds)
    values = measuring.of_sweep(report.buried, report.aborted, len(report.missing))
    told = {"looked_at": report.looked_at, "is_complete": report.is_complete}
    return Run("sweep", values, {**told, "missing": report.missing[:100]})


def reconcile(deployment: Deployment, seconds: float) -> Run:
    """Go on with migrations, half of the time at the most; compare what is counted with what is stored."""
    until = deployment.clock() + seconds
    deployment.migrate(seconds / 2)
    drifts = deployment.reconcile_all(until - deployment.clock())
    return Run("reconcile", measuring.of_reconciliation(map(_account, drifts)))


def lifecycle(deployment: Deployment, seconds: float) -> Run:
    """Carry out the lifecycle policies, as far as the time goes."""
    done = deployment.apply_lifecycle(seconds)
    told = {"repositories": done.repositories, "left": done.left, "is_complete": done.is_complete}
    return Run("lifecycle", measuring.of_lifecycle(done.gone), told)


def tell(deployment: Deployment, seconds: float) -> Run:
    """Try again what is due, and tell of what no stream has led to."""
    return of_told("tell", deployment.tell_all(seconds))


def of_told(work: str, counted: Told) -> Run:
    return Run(work, measuring.of_deliveries(**asdict(counted)))


def stream(deployment: Deployment, event: Mapping[str, Any], seconds: float) -> Run:
    """Tell of what one event of the outbox's stream says was put there."""
    return of_told("stream", deployment.tell(event, seconds))


def adopt(deployment: Deployment, event: Mapping[str, Any], _seconds: float) -> Run:
    """Take notice of one S3 event: objects created under `staged/`."""
    deployment.adopt(event)
    return Run("adopt", {}, {"objects": len(event["Records"])})


def verifier(deployment: Deployment, event: Mapping[str, Any], seconds: float) -> Run:
    """Verify the direct upload that the event names."""
    deployment.verify(event["session"], seconds)
    return Run("verifier", {}, {"session": event["session"]})


def _account(found: Drift) -> tuple[int, int, int]:
    """What it uses once that is repaired, its limit, and by how much it was wrong."""
    used = found.counted if found.stored is None else found.stored
    return used, found.limit, found.drift or 0


JOBS: Final[Mapping[str, Callable[[Deployment, float], Run]]] = {
    "collect": collect,
    "sweep": sweep,
    "reconcile": reconcile,
    "lifecycle": lifecycle,
    "tell": tell,
}
FOR_EVENTS: Final[Mapping[str, Callable[[Deployment, Mapping[str, Any], float], Run]]] = {
    "stream": stream,
    "adopt": adopt,
    "verifier": verifier,
}
