"""What each request makes of calls and of DynamoDB's units; tests/endpoints/test_costs.py measures each.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final

READ_BYTES: Final = 4096
WRITE_BYTES: Final = 1024
# Of a manifest's row, with the document in it and what it holds beside that: all but layers, and each layer.
ROW_BYTES: Final = 580
ROW_LAYER_BYTES: Final = 227
# As `chalicelib.registry.parts` cuts a stream, and what one request through a function carries.
PART_BYTES: Final = 8 * 1024**2
CHUNK_BYTES: Final = 4 * 1024**2


@dataclass(frozen=True, slots=True)
class Request:
    """Of one function. `dynamodb` calls use `reads` and `writes`: units, twice in transactions, with indexes.

    S3 charges for `puts` (PUT, COPY, POST and LIST) and `gets`, and nothing for deleting.
    """

    dynamodb: int = 0
    reads: float = 0
    writes: float = 0
    puts: int = 0
    gets: int = 0
    deletes: int = 0

    @property
    def s3(self) -> int:
        """Calls that the function makes."""
        return self.puts + self.gets + self.deletes


TOKEN: Final = Request(dynamodb=2, reads=4, writes=1)
HEAD_BLOB: Final = Request(dynamodb=1, reads=1)
# Behind the edge a blob that is not there may wait in S3.
MISSING_BLOB: Final = Request(dynamodb=2, reads=2, puts=1)
GET_BLOB: Final = Request(dynamodb=1, reads=1)
HEAD_MANIFEST: Final = Request(dynamodb=1, reads=1)
OPEN_UPLOAD: Final = Request(dynamodb=1, writes=2)
CLOSE_SMALL_UPLOAD: Final = Request(dynamodb=2, writes=12, puts=1)
# What S3 took itself, told by its event to the function `adopt`.
ADOPT: Final = Request(dynamodb=4, reads=2, writes=12, gets=1)
# The outbox's stream, after one change that no webhook and no bus waits for.
TELL_CHANGE: Final = Request(dynamodb=3, reads=1, writes=2)


def manifest_row_bytes(layers: int) -> int:
    return ROW_BYTES + ROW_LAYER_BYTES * layers


def get_manifest(layers: int) -> Request:
    """By digest."""
    return Request(dynamodb=1, reads=_reads(layers))


def note_pull(layers: int) -> Request:
    """Once a day, with the first pull of a manifest."""
    return Request(dynamodb=1, writes=_row_writes(layers))


def put_manifest(layers: int, new_blobs: int) -> Request:
    """That moves a tag, or makes it."""
    links = layers + 1
    rows = 2 * (_row_writes(layers) + 1 + 1 + 1 + 1 + links)
    moved = 2 * _row_writes(layers)
    indexes = 2 + new_blobs
    return Request(dynamodb=2, reads=links + 5, writes=rows + moved + indexes)


def put_gateway_upload(size: float) -> Request:
    """A layer in one request, streamed in parts; closing it is `CLOSE_UPLOAD`."""
    parts = ceil(size / PART_BYTES)
    if size < PART_BYTES:
        return Request(dynamodb=2, writes=2, puts=1)
    return Request(dynamodb=2, writes=2, puts=parts + 1)


def put_chunks(size: float) -> tuple[int, Request]:
    """How many requests a layer takes through a function, and what they use together."""
    chunks = max(1, ceil(size / CHUNK_BYTES))
    tails = ceil(chunks / 2)
    pairs = chunks // 2
    begun = 1 if pairs else 0
    return chunks, Request(
        dynamodb=2 * chunks, writes=2 * chunks, puts=tails + pairs + begun, gets=pairs, deletes=pairs
    )


def close_upload(size: float) -> Request:
    """What PATCH has brought becomes a blob."""
    completing = 1 if size >= PART_BYTES else 0
    return Request(dynamodb=2, writes=12, puts=completing)


def _reads(layers: int) -> int:
    return ceil(manifest_row_bytes(layers) / READ_BYTES)


def _row_writes(layers: int) -> int:
    return ceil(manifest_row_bytes(layers) / WRITE_BYTES)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A function that runs every so many `minutes`, whether anybody pushes or not; `each` of an idle run."""

    minutes: int
    each: Request


SCHEDULES: Final = {
    "collect": Schedule(15, Request(dynamodb=96, reads=48)),
    "sweep": Schedule(24 * 60, Request(dynamodb=3, reads=1.5, writes=1, puts=2)),
    "reconcile": Schedule(6 * 60, Request(dynamodb=2, reads=1.5)),
    "lifecycle": Schedule(60, Request(dynamodb=2, reads=1.5)),
    "tell": Schedule(1, Request(dynamodb=5, reads=2.5)),
}
# In MB, of every function of the deployment.
MEMORY: Final = {
    "registry": 1769,
    "management": 1769,
    "adopt": 512,
    "collect": 1024,
    "sweep": 1024,
    "reconcile": 1024,
    "verifier": 1769,
    "lifecycle": 1024,
    "setup": 512,
    "stream": 1024,
    "tell": 1024,
}
# Those that start from a snapshot: what clients wait for.
SNAPSHOTS: Final = ("registry", "management")
EDGE_MEMORY: Final = 128
GATEWAY_CPUS: Final = 0.5
GATEWAY_GB: Final = 1.0
ALARMS: Final = 52
SECRETS: Final = 2
GATEWAY_SECRETS: Final = 1
