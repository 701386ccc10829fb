"""Pulls everything a registry lists, and compares what it has with what was written to it."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.engines.history import ALWAYS, History, Subject, allowed, lost
from tests.support.client import Client
from tests.support.content import digest_of
from tests.support.process import RegistryProcess

BLOCK = 1024 * 1024
INSPECTORS = 4
# Several media types are asked for, since nothing is ever converted.
_ANY = {"Accept": "*/*"}


@dataclass
class Report:
    """What was found in a registry, and what of it must not be."""

    violations: list[str] = field(default_factory=list)
    found: dict[Subject, str | None] = field(default_factory=dict)
    pulled: set[str] = field(default_factory=set)
    tags: int = 0
    bytes: int = 0
    lost: int = 0
    oldest_lost: float = 0.0


def inspect(registry: RegistryProcess, history: History, before: float, killed: float) -> Report:
    """Everything acknowledged by `before` must be there; `killed` is when the rest could be lost."""
    report = Report()
    with ThreadPoolExecutor(INSPECTORS) as pool:
        for one in pool.map(
            lambda name: _inspect_repository(registry, history, name), history.repositories()
        ):
            report.violations += one.violations
            report.found.update(one.found)
            report.tags += one.tags
            report.bytes += one.bytes
    for subject, writes in sorted(history.writes.items()):
        found = report.found[subject]
        if found not in allowed(writes, before):
            report.violations.append(f"{subject} is {found}, written were {_shown(writes, killed)}")
        for write in lost(writes, found):
            report.lost += 1
            age = killed - (write.acknowledged or 0.0)
            report.oldest_lost = max(report.oldest_lost, age)
    return report


def _inspect_repository(registry: RegistryProcess, history: History, name: str) -> Report:
    client = Client(registry.url, registry.username, registry.password, name)
    report = Report()
    tags = _tags(client)
    report.tags = len(tags)
    for tag in tags:
        subject = Subject(name, "tag", tag)
        if subject not in history.writes:
            report.violations.append(f"{name} lists {tag}, which nobody pushed")
        report.found[subject] = _pull(client, tag, report)
        if report.found[subject] is None:
            report.violations.append(f"{name} lists {tag}, which is not there")
    for subject in [one for one in history.writes if one.repository == name and one not in report.found]:
        report.found[subject] = _find(client, subject, report)
    for repository, digest in history.unfinished:
        if repository == name and client.head(f"blobs/{digest}").status_code != 404:
            report.violations.append(f"{name} shows {digest}, of which not every byte was sent")
    return report


def _find(client: Client, subject: Subject, report: Report) -> str | None:
    if subject.kind == "blob":
        return _pull_blob(client, subject.name, None, report)
    found = _pull(client, subject.name, report)
    if subject.kind == "tag" and found is not None:
        report.violations.append(f"{subject} can be pulled and is not listed")
    return found


def _tags(client: Client) -> list[str]:
    answer = client.get("tags/list")
    if answer.status_code == 404:
        return []
    assert answer.status_code == 200, answer.text
    return list(answer.json()["tags"])


def _pull(client: Client, reference: str, report: Report) -> str | None:
    """The digest of a manifest, once everything that it names has been pulled and checked."""
    answer = client.get(f"manifests/{reference}", headers=_ANY)
    if answer.status_code == 404:
        return None
    where = f"{client.repository} {reference}"
    if answer.status_code != 200:
        report.violations.append(f"{where}: {answer.status_code} {answer.text}")
        return None
    digest = digest_of(answer.content)
    if digest != answer.headers["Docker-Content-Digest"] or reference not in {
        digest,
        *_not_digests(reference),
    }:
        report.violations.append(f"{where}: its bytes hash to {digest}")
    if digest in report.pulled:
        return digest
    report.pulled.add(digest)
    document: dict[str, Any] = json.loads(answer.content)
    for child in document.get("manifests", []):
        if _pull(client, child["digest"], report) is None:
            report.violations.append(f"{where}: its child {child['digest']} is not there")
    for named in [*([document["config"]] if "config" in document else []), *document.get("layers", [])]:
        if _pull_blob(client, named["digest"], named["size"], report) is None:
            report.violations.append(f"{where}: its blob {named['digest']} is not there")
    return digest


def _not_digests(reference: str) -> set[str]:
    return set() if ":" in reference else {reference}


def _pull_blob(client: Client, digest: str, size: int | None, report: Report) -> str | None:
    """The digest, where the registry has the blob; its bytes are checked, the same copy once."""
    answer = client.get(f"blobs/{digest}", allow_redirects=False)
    if answer.status_code == 404:
        return None
    if answer.status_code != 307:
        report.violations.append(f"{client.repository} {digest}: {answer.status_code} {answer.text}")
        return None
    copy = urlsplit(answer.headers["Location"]).path
    if copy in report.pulled:
        return digest
    report.pulled.add(copy)
    found, length = _hashed(client.session, answer.headers["Location"])
    report.bytes += length
    if found != digest or size not in {None, length}:
        report.violations.append(f"{client.repository} {digest}: {length} bytes that hash to {found}")
    return digest


def _hashed(session: requests.Session, url: str) -> tuple[str, int]:
    running, length = hashlib.sha256(), 0
    with session.get(url, stream=True, timeout=60) as answer:
        if answer.status_code != 200:
            return f"nothing: {answer.status_code} {answer.text[:500]}", 0
        for block in answer.iter_content(BLOCK):
            running.update(block)
            length += len(block)
    return f"sha256:{running.hexdigest()}", length


def _shown(writes: list[Any], killed: float) -> str:
    def age(at: float | None) -> str:
        if at is None:
            return "not acknowledged"
        return "long ago" if at == ALWAYS else f"{killed - at:.2f} s before"

    return ", ".join(f"{write.digest} ({age(write.acknowledged)})" for write in writes)
