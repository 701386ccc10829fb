"""Brings blobs into a repository: those that it lacks, in parts, several at once, going on where it broke."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from ccr.cli.transfer.blobs_at_once import all_of, each, raise_broken
from ccr.cli.transfer.content import Blob, DamagedError, Region, algorithm_of, short
from ccr.cli.transfer.journal import Journal
from ccr.cli.transfer.progress import Bar, Bars
from ccr.cli.transfer.retry import Patience
from ccr.cli.transfer.storage import ExpiredError, ForgottenError, Storage
from ccr.cli.transfer.uploads import GoneError, IncompleteError, Part, Signed, Upload, Uploads

_SESSIONS: Final = 3
_URLS: Final = 3
_UNDER_WAY: Final = frozenset({"open", "verifying"})


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a blob: sent, present, or mounted; `bytes` are those that S3 took in this run."""

    digest: str
    size: int
    state: str
    bytes: int


class Push:
    """Of one image. At most `jobs` parts travel at once, and a block of each is in memory."""

    def __init__(
        self, uploads: Uploads, journal: Journal, patience: Patience, repository: str, jobs: int
    ) -> None:
        self._uploads, self._journal, self._patience = uploads, journal, patience
        self._repository, self._jobs = repository, jobs
        self._storage = Storage(patience)
        self._parts = ThreadPoolExecutor(jobs, "part")

    def all(self, blobs: Sequence[Blob], mount_from: Sequence[str], bars: Bars) -> list[Sent]:
        """Raises CliError; nothing goes on in the background then."""
        return each(blobs, lambda blob: self._blob(blob, mount_from, bars), self._patience, self._parts)

    def _blob(self, blob: Blob, mount_from: Sequence[str], bars: Bars) -> Sent:
        bar = bars.bar(short(blob.digest), blob.size)
        for attempt in range(_SESSIONS):
            upload = self._session(blob, mount_from)
            if upload.state not in _UNDER_WAY:
                bar.done(upload.state)
                return Sent(blob.digest, blob.size, upload.state, 0)
            sending = _Sending(upload, blob, bar)
            try:
                self._send(sending)
            except (GoneError, ForgottenError, IncompleteError) as error:
                # Another push of the same blob may have ended it, or a day has passed.
                if not isinstance(error, IncompleteError):
                    self._journal.ended(self._repository, blob.digest)
                if attempt == _SESSIONS - 1:
                    raise
                bar.restart()
            else:
                bar.done("sent")
                return Sent(blob.digest, blob.size, "sent", sending.sent)
        raise AssertionError  # the loop returns or raises

    def _session(self, blob: Blob, mount_from: Sequence[str]) -> Upload:
        """The one that was under way, or a new one."""
        known = self._journal.upload(self._repository, blob.digest)
        if known:
            try:
                upload = self._uploads.find(known)
            except GoneError:
                upload = Upload("gone")
            if upload.state in _UNDER_WAY:
                return upload
            self._journal.ended(self._repository, blob.digest)
        known_there = [one for one in self._journal.repositories(blob.digest) if one != self._repository]
        upload = self._uploads.open(blob, list(dict.fromkeys([*mount_from, *known_there])))
        if upload.state in _UNDER_WAY and upload.whole is None:
            self._journal.opened(self._repository, blob.digest, upload.session)
        return upload

    def _send(self, sending: _Sending) -> None:
        upload, blob = sending.upload, sending.blob
        try:
            if upload.state == "verifying":
                sending.bar.moved(blob.size)
            elif upload.whole is not None:
                _verify(blob)
                self._put(upload.whole, lambda: self._sign_whole(upload.session), blob.region, sending)
            else:
                self._send_parts(sending)
        except DamagedError:
            self._uploads.cancel(upload.session)
            self._journal.ended(self._repository, blob.digest)
            raise
        try:
            self._uploads.complete(upload.session, sending.verifying)
        except DamagedError:
            self._journal.ended(self._repository, blob.digest)
            raise
        if upload.whole is None:
            self._journal.ended(self._repository, blob.digest)

    def _send_parts(self, sending: _Sending) -> None:
        """Hashes a few parts ahead of what is being sent; S3 checks each part, the registry the whole."""
        ahead = threading.BoundedSemaphore(3 * self._jobs)
        under_way: list[Future[None]] = []
        batch: list[Part] = []
        for number, region in sending.regions():
            part = Part(number, region.size, _hash(region, self._patience))
            if sending.has(part):
                sending.bar.moved(part.size)
            else:
                batch.append(part)
            # Small batches at first, so that the line is not idle; then as many as are sent at once.
            if len(batch) >= min(self._jobs, len(under_way) + 1):
                self._submit(sending, batch, ahead, under_way)
        if batch:
            self._submit(sending, batch, ahead, under_way)
        all_of(under_way)

    def _submit(
        self,
        sending: _Sending,
        batch: list[Part],
        ahead: threading.BoundedSemaphore,
        under_way: list[Future[None]],
    ) -> None:
        for _ in batch:
            while not ahead.acquire(timeout=0.2):
                raise_broken(under_way)
                self._patience.check()
        raise_broken(under_way)
        urls = self._uploads.sign(sending.upload.session, batch)
        for part in batch:
            future = self._parts.submit(self._put_part, sending, part, urls[part.number])
            future.add_done_callback(lambda _: ahead.release())
            under_way.append(future)
        under_way[:] = [one for one in under_way if not one.done() or one.exception() is not None]
        batch.clear()

    def _put_part(self, sending: _Sending, part: Part, signed: Signed) -> None:
        session = sending.upload.session
        region = sending.region(part.number)
        self._put(signed, lambda: self._uploads.sign(session, [part])[part.number], region, sending)

    def _put(self, signed: Signed, sign: Callable[[], Signed], region: Region, sending: _Sending) -> None:
        """With a new URL where the first has expired meanwhile."""
        for attempt in range(_URLS):
            try:
                self._put_patiently(signed, region, sending)
            except ExpiredError:
                if attempt == _URLS - 1:
                    raise
                signed = sign()
            else:
                sending.arrived(region.size)
                return

    def _put_patiently(self, signed: Signed, region: Region, sending: _Sending) -> None:
        moved = sending.bar.moved
        self._patience.again(lambda: self._storage.put(signed.url, signed.headers, region, moved))

    def _sign_whole(self, session: str) -> Signed:
        """Raises GoneError where it is under way no more."""
        signed = self._uploads.find(session).whole
        if signed is None:
            raise GoneError("the upload is under way no more")
        return signed


class _Sending:
    """One blob in one session."""

    def __init__(self, upload: Upload, blob: Blob, bar: Bar) -> None:
        self.upload, self.blob, self.bar, self.sent = upload, blob, bar, 0
        self._lock = threading.Lock()

    def regions(self) -> list[tuple[int, Region]]:
        size = self.upload.part_size
        return [(number + 1, self.region(number + 1)) for number in range(-(-self.blob.size // size))]

    def region(self, number: int) -> Region:
        size = self.upload.part_size
        start = (number - 1) * size
        return self.blob.region.part(start, min(size, self.blob.size - start))

    def has(self, part: Part) -> bool:
        found = self.upload.arrived.get(part.number)
        return found is not None and found.size == part.size and found.sha256 in {"", part.sha256}

    def verifying(self, done: int) -> None:
        self.bar.says(f"verifying {100 * done // max(1, self.blob.size)} %")

    def arrived(self, size: int) -> None:
        with self._lock:
            self.sent += size


def _hash(region: Region, patience: Patience) -> str:
    own = hashlib.sha256()
    for block in region.blocks():
        patience.check()
        own.update(block)
    return base64.b64encode(own.digest()).decode()


def _verify(blob: Blob) -> None:
    found = blob.region.digest(algorithm_of(blob.digest))
    if found != blob.digest:
        raise DamagedError(f"a blob is not what its digest says: it should be {blob.digest} and is {found}")
