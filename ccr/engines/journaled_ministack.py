"""Runs ministack's DynamoDB with a journal, in ministack's own virtual environment.

    python journaled_ministack.py <port> <folder>

with the keys of its one client in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, where no other user sees them.
Ministack alone keeps its tables in memory and saves them when it is stopped. Here each change is in
the journal (`write` before the answer, `fsync` within two seconds), so `kill -9` loses nothing that
was acknowledged and a power cut at most two seconds. `journal-N` goes on from `snapshot-N`.
Imports nothing but the standard library and what `requirements-engines.txt` installs.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import struct
import sys
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

SYNC_SECONDS: Final = 1.0
COMPACT_BYTES: Final = 64 * 1024 * 1024
ACCOUNT: Final = "000000000000"
REGION: Final = "us-east-1"
_FRAME: Final = struct.Struct(">II")
_NOT_SIGNED: Final[tuple[int, dict[str, str], bytes]] = (
    400,
    {},
    b'{"__type":"UnrecognizedClientException","message":"not signed with the keys of this deployment"}',
)
_AUTHORIZATION: Final = re.compile(
    rb"AWS4-HMAC-SHA256 Credential=([^/, ]+)/(\d{8}/[^/, ]+/dynamodb/aws4_request),"
    rb" ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)
_MUST_BE_SIGNED: Final = frozenset({b"host", b"x-amz-date", b"x-amz-target"})
_CHANGES: Final = frozenset(
    {
        "BatchWriteItem",
        "CreateTable",
        "DeleteItem",
        "DeleteTable",
        "PutItem",
        "TransactWriteItems",
        "UpdateItem",
        "UpdateTable",
    }
)


class Journal:
    """Records of one generation, each `<length><crc32><bytes>`; a torn last one counts as not written.

    None is empty: eight zeros would say so, and zeros are what a power cut leaves.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._synced = self.size = os.fstat(self._file).st_size

    def append(self, record: bytes) -> None:
        frame = _FRAME.pack(len(record), zlib.crc32(record)) + record
        written = os.write(self._file, frame)
        if written != len(frame):
            os.ftruncate(self._file, self.size)
            raise OSError(f"the disk took {written} of {len(frame)} bytes of {self.path}")
        self.size += written

    def records(self) -> Iterator[bytes]:
        """Every whole record; what follows the last of them is cut off."""
        good = 0
        with self.path.open("rb") as source:
            while head := source.read(_FRAME.size):
                if len(head) < _FRAME.size:
                    break
                length, checksum = _FRAME.unpack(head)
                record = source.read(length)
                if not record or len(record) < length or zlib.crc32(record) != checksum:
                    break
                good = source.tell()
                yield record
        os.ftruncate(self._file, good)
        self._synced = self.size = good

    def sync(self) -> None:
        size = self.size
        if size != self._synced:
            os.fsync(self._file)
            self._synced = size

    def close(self) -> None:
        self.sync()
        os.close(self._file)


class Store:
    """The engine's state on disk: the newest snapshot and the journal since."""

    def __init__(self, folder: Path) -> None:
        from ministack.core import persistence, responses  # noqa: PLC0415 - not before its environment is set

        _without_reaper()
        from ministack.services import dynamodb  # noqa: PLC0415

        self._engine, self._persistence, self._scope = dynamodb, persistence, responses.request_scope
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._generation = max((_number(path) for path in folder.glob("snapshot-*.json")), default=0)
        self._snapshot_bytes = self._load()
        self.journal = Journal(self._path("journal", "log"))
        self._replay()
        self._remove_older()

    def answer(self, target: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Runs without a pause on the event loop, so the journal has the order in which it was applied."""
        action = target.rpartition(".")[2]
        is_new = action in _CHANGES and not self._is_retry(action, body)
        answer = self._apply(target, body)
        if answer[0] == 200 and is_new:
            self._record(json.dumps([target, body.decode()]).encode())
        return answer

    def _is_retry(self, action: str, body: bytes) -> bool:
        """A transaction sent again under its token changes nothing, and would when it is replayed alone."""
        if action != "TransactWriteItems":
            return False
        token = json.loads(body).get("ClientRequestToken")
        with self._scope(ACCOUNT, REGION):
            return bool(token) and self._engine._txn_token_lookup(token) is not None  # noqa: SLF001

    def _record(self, record: bytes) -> None:
        try:
            self.journal.append(record)
        except OSError as error:
            # The tables have a change that the next start will not know: nobody may build on it.
            print(f"the journal cannot be written: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        # Nobody is answered meanwhile, so in all no more is written than twice what came.
        if self.journal.size > max(COMPACT_BYTES, self._snapshot_bytes):
            self.compact()

    def compact(self) -> None:
        """Write a snapshot, then begin the next journal: a kill between any two steps loses nothing."""
        following = self._generation + 1
        target = self._folder / f"snapshot-{following}.json"
        temporary = target.with_suffix(".tmp")
        with temporary.open("w") as out:
            json.dump(self._engine.get_state(), out, default=self._persistence._json_default)  # noqa: SLF001
            out.flush()
            os.fsync(out.fileno())
            self._snapshot_bytes = out.tell()
        temporary.replace(target)
        _sync_folder(self._folder)
        self.journal.close()
        self._generation = following
        self.journal = Journal(self._path("journal", "log"))
        self._remove_older()

    def _apply(self, target: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = {"x-amz-target": target}
        with self._scope(ACCOUNT, REGION):
            call = self._engine.handle_request("POST", "/", headers, body, {})
            try:
                call.send(None)
            except StopIteration as done:
                status, answered, text = done.value
                return status, answered, text if isinstance(text, bytes) else text.encode()
        raise RuntimeError("ministack's DynamoDB waits within a request: the journal's order is not certain")

    def _load(self) -> int:
        """How many bytes the snapshot has."""
        path = self._path("snapshot", "json")
        if not path.exists():
            return 0
        with path.open() as source:
            hook = self._persistence._json_object_hook  # noqa: SLF001 - the pair of _json_default
            self._engine.load_persisted_state(json.load(source, object_hook=hook))
        return path.stat().st_size

    def _replay(self) -> None:
        for record in self.journal.records():
            target, body = json.loads(record)
            status, _, text = self._apply(target, body.encode())
            if status != 200:
                raise RuntimeError(
                    f"{self.journal.path}: {target} was applied once and is refused now: {text!r}"
                )

    def _remove_older(self) -> None:
        for path in self._folder.iterdir():
            if path.suffix == ".tmp" or (
                path.stem.startswith(("snapshot-", "journal-")) and _number(path) < self._generation
            ):
                path.unlink()

    def _path(self, kind: str, suffix: str) -> Path:
        return self._folder / f"{kind}-{self._generation}.{suffix}"


class Signatures:
    """Signature version 4 of one pair of keys; the access key alone is in every presigned URL."""

    def __init__(self, access_key: str, secret_key: str) -> None:
        self._access_key = access_key.encode()
        self._key_of = lru_cache(maxsize=4)(lambda scope: _signing_key(secret_key.encode(), scope))

    def are_on(self, request: bytes, headers: Mapping[bytes, bytes], body: bytes) -> bool:
        """`request` is the method, the path and the query, each on a line."""
        given = _AUTHORIZATION.fullmatch(headers.get(b"authorization", b""))
        if given is None or given[1] != self._access_key:
            return False
        scope, names, signature = given[2], given[3], given[4]
        if not _MUST_BE_SIGNED.issubset(names.split(b";")):
            return False
        lines = (name + b":" + b" ".join(headers.get(name, b"").split()) for name in names.split(b";"))
        payload = hashlib.sha256(body).hexdigest().encode()
        canonical = b"\n".join((request, *lines, b"", names, payload))
        hashed = hashlib.sha256(canonical).hexdigest().encode()
        signed = b"\n".join((b"AWS4-HMAC-SHA256", headers.get(b"x-amz-date", b""), scope, hashed))
        wanted = hmac.digest(self._key_of(scope), signed, "sha256").hex().encode()
        return hmac.compare_digest(wanted, signature)


def _signing_key(secret: bytes, scope: bytes) -> bytes:
    key = b"AWS4" + secret
    for part in scope.split(b"/"):
        key = hmac.digest(key, part, "sha256")
    return key


class Server:
    """The little of ASGI that an SDK needs."""

    def __init__(self, store: Store, signatures: Signatures) -> None:
        self._store, self._signatures = store, signatures

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        headers = dict(scope["headers"])
        body = await _read(receive)
        request = b"\n".join((scope["method"].encode(), scope["raw_path"], scope["query_string"]))
        if self._signatures.are_on(request, headers, body):
            status, answered, text = self._store.answer(headers.get(b"x-amz-target", b"").decode(), body)
        else:
            status, answered, text = _NOT_SIGNED
        pairs = {"Content-Type": "application/x-amz-json-1.0", **answered, "Content-Length": str(len(text))}
        encoded = [(name.lower().encode(), value.encode()) for name, value in pairs.items()]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": text})


async def _read(receive: Any) -> bytes:
    chunks = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)


def _without_reaper() -> None:
    """Ministack deletes expired items from a thread of its own, past the journal: it never starts here."""
    begin = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name != "dynamodb-ttl-reaper":
            begin(thread)

    threading.Thread.start = start  # type: ignore[method-assign, assignment]


def _sync_regularly(store: Store) -> None:
    while True:
        time.sleep(SYNC_SECONDS)
        try:
            store.journal.sync()
        except OSError as error:
            # A journal just replaced was synced when it was closed; anything else is a failing disk.
            print(f"fsync: {error}", file=sys.stderr, flush=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _number(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


def main(port: int, folder: Path) -> None:
    import uvicorn  # noqa: PLC0415 - of ministack's environment

    signatures = Signatures(os.environ.pop("AWS_ACCESS_KEY_ID"), os.environ.pop("AWS_SECRET_ACCESS_KEY"))
    store = Store(folder)
    threading.Thread(target=_sync_regularly, args=(store,), daemon=True).start()
    config = uvicorn.Config(
        Server(store, signatures),
        host="127.0.0.1",
        port=port,
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=75,
    )
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
