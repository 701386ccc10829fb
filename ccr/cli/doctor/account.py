"""What docs/aws-facts.md says of S3, DynamoDB, Lambda and EventBridge, looked at by the `aws` command.

Objects go below `doctor/` of the bucket and away again; no row is written, and no event delivered.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from ccr.cli.cost.requests import SCHEDULES
from ccr.cli.doctor import aws_command
from ccr.cli.doctor.aws_command import AwsError, Stack
from ccr.cli.doctor.findings import Check, Finding, ok, skipped, wrong
from ccr.cli.doctor.visit import Visit

TRANSACTION_ITEMS: Final = 100
ITEM_BYTES: Final = 400 * 1024
_CONTENT: Final = b"a part of an object of ccr doctor"
_DOC: Final = "change the row in docs/aws-facts.md and the place that it names"

Look = Callable[[Stack], Finding]


def of_stack(look: Look) -> Callable[[Visit], Finding]:
    def looked(visit: Visit) -> Finding:
        if visit.stack is None:
            return skipped("needs --stack")
        try:
            return look(visit.stack)
        except LookupError as error:
            return wrong(f"what AWS answers has no {error}", _DOC)

    return looked


def checksum_refused(stack: Stack) -> Finding:
    bucket, key = _object(stack)
    with _file(_CONTENT) as body:
        try:
            _s3(stack, "put-object", bucket, key, "--body", body, "--checksum-sha256", _sha256(b"other"))
        except AwsError as error:
            refused = error.code
        else:
            _delete(stack, bucket, key)
            return wrong(
                "a PUT with the SHA-256 of other bytes is taken", f"do not use `edge` in CCR_UPLOADS; {_DOC}"
            )
        _s3(stack, "put-object", bucket, key, "--body", body, "--checksum-sha256", _sha256(_CONTENT))
    told = _s3(stack, "head-object", bucket, key, "--checksum-mode", "ENABLED").get("ChecksumSHA256")
    _delete(stack, bucket, key)
    if told != _sha256(_CONTENT):
        return wrong(f"{refused} for other bytes, but HEAD tells the checksum {told}", _DOC)
    return ok(f"{refused} for other bytes, and the right checksum is kept and told")


def none_match(stack: Stack) -> Finding:
    bucket, key = _object(stack)
    with _file(_CONTENT) as body:
        _s3(stack, "put-object", bucket, key, "--body", body, "--if-none-match", "*")
        try:
            _s3(stack, "put-object", bucket, key, "--body", body, "--if-none-match", "*")
        except AwsError as error:
            return ok(
                f"the second PUT is answered {error.code}; whether CloudFront passes it on is not seen here"
            )
        finally:
            _delete(stack, bucket, key)
    return wrong("a second PUT with If-None-Match: * is taken", _DOC)


def smallest_part(stack: Stack) -> Finding:
    bucket, key = _object(stack)
    upload = _s3(stack, "create-multipart-upload", bucket, key)["UploadId"]
    try:
        with _file(_CONTENT) as body:
            parts = [
                _part(stack, bucket, key, upload, "--part-number", number, "--body", body)
                for number in ("1", "2")
            ]
        _complete(stack, bucket, key, upload, parts)
    except AwsError as error:
        _abort(stack, bucket, key, upload)
        if error.code != "EntityTooSmall":
            raise
        return ok(f"{error.code} for a first part of {len(_CONTENT)} bytes")
    _delete(stack, bucket, key)
    return wrong(f"a first part of {len(_CONTENT)} bytes is taken", _DOC)


def part_checksums(stack: Stack) -> Finding:
    bucket, key = _object(stack)
    upload = _checked_upload(stack, bucket, key)
    try:
        listed = _s3(stack, "list-parts", bucket, key, "--upload-id", upload)["Parts"][0]
        if listed.get("ChecksumSHA256") != _sha256(_CONTENT):
            return wrong(f"ListParts tells the checksum {listed.get('ChecksumSHA256')}", _DOC)
        try:
            _complete(stack, bucket, key, upload, [{"PartNumber": 1, "ETag": listed["ETag"]}])
        except AwsError as error:
            return ok(f"ListParts tells it, and completing without it is answered {error.code}")
        _delete(stack, bucket, key)
        return wrong("completing without the checksum of a part is taken", f"it need not be sent: {_DOC}")
    finally:
        _abort(stack, bucket, key, upload)


def copied_checksum(stack: Stack) -> Finding:
    bucket, key = _object(stack)
    upload = _checked_upload(stack, bucket, key)
    try:
        _complete(
            stack, bucket, key, upload, _s3(stack, "list-parts", bucket, key, "--upload-id", upload)["Parts"]
        )
        named = ("--copy-source", f"{bucket}/{key}", "--checksum-algorithm", "SHA256")
        made = _s3(stack, "copy-object", bucket, f"{key}-copy", *named)["CopyObjectResult"]
    finally:
        _delete(stack, bucket, key)
        _delete(stack, bucket, f"{key}-copy")
        _abort(stack, bucket, key, upload)
    told, kind = made.get("ChecksumSHA256", "none"), made.get("ChecksumType", "FULL_OBJECT")
    if told != _sha256(_CONTENT) or kind != "FULL_OBJECT":
        return wrong(
            f"CopyObject of a multipart object tells {told}, {kind}", f"all is read back instead; {_DOC}"
        )
    return ok("CopyObject of a multipart object tells the full SHA-256")


def crc32(stack: Stack) -> Finding:
    headers = aws_command.response_headers("dynamodb", "describe-table", "--table-name", _table(stack))
    if "x-amz-crc32" not in headers:
        return wrong("no x-amz-crc32 in the answer", "answers are read without being checked by it")
    return ok("x-amz-crc32 is in the answer")


def transaction_items(stack: Stack) -> Finding:
    """Conditions alone, on keys that are not there: nothing is written."""
    key = _key(stack)
    items = [
        {"ConditionCheck": {**_absent(stack, key, str(number))}} for number in range(TRANSACTION_ITEMS + 1)
    ]
    with _file(json.dumps(items[:-1]).encode()) as some, _file(json.dumps(items).encode()) as more:
        stack.call("dynamodb", "transact-write-items", "--transact-items", f"file://{some}")
        try:
            stack.call("dynamodb", "transact-write-items", "--transact-items", f"file://{more}")
        except AwsError as error:
            return ok(f"{TRANSACTION_ITEMS} conditions are taken, one more is answered {error.code}")
    return wrong(f"{TRANSACTION_ITEMS + 1} conditions are taken", f"a push needs fewer stages; {_DOC}")


def item_size(stack: Stack) -> Finding:
    """With a condition that does not hold, so that nothing is written whatever is said of the size."""
    small, large = (_put_nowhere(stack, size) for size in (ITEM_BYTES // 2, ITEM_BYTES))
    if (small, large) != ("ConditionalCheckFailedException", "ValidationException"):
        return wrong(f"half of 400 KB is answered {small or 'ok'}, and more than it {large or 'ok'}", _DOC)
    return ok(f"an item of more than {ITEM_BYTES} bytes is answered {large}")


def _put_nowhere(stack: Stack, size: int) -> str:
    """The code that an item with an attribute of `size` is refused with; '' where it is taken."""
    key = _key(stack)
    item = {**_named(key, "size"), "doctor": {"S": "x" * size}}
    condition = ("--condition-expression", "attribute_exists(#k)", "--expression-attribute-names")
    with _file(json.dumps(item).encode()) as place:
        asked = ("--table-name", _table(stack), "--item", f"file://{place}")
        try:
            stack.call("dynamodb", "put-item", *asked, *condition, json.dumps({"#k": next(iter(key))}))
        except AwsError as error:
            return error.code
    return ""


def failed_entries(stack: Stack) -> Finding:
    """An entry whose detail is no JSON: it goes to nobody."""
    bus = stack.outputs.get("EventBusName", "")
    if not bus:
        return skipped("the stack has no event bus")
    entry = {"EventBusName": bus, "Source": "ccr.doctor", "DetailType": "probe", "Detail": "none"}
    told = stack.call("events", "put-events", "--entries", json.dumps([entry]))
    if told.get("FailedEntryCount") != 1:
        return wrong(f"FailedEntryCount is {told.get('FailedEntryCount')} for an entry that is none", _DOC)
    return ok(f"200 with FailedEntryCount 1, {told['Entries'][0].get('ErrorCode')}")


def schedules(stack: Stack) -> Finding:
    rules = stack.call("events", "list-rules", "--name-prefix", f"{stack.name}-").get("Rules", [])
    states = {one["Name"]: one.get("State") for one in rules if one.get("ScheduleExpression")}
    off = sorted(name for name, state in states.items() if state != "ENABLED")
    if off:
        return wrong(f"{', '.join(off)} do not run", "aws events enable-rule --name, for each")
    if len(states) < len(SCHEDULES):
        return wrong(f"{len(states)} schedules of {len(SCHEDULES)}", "deploy again")
    return ok(f"{len(states)} schedules are on")


def snapshots(stack: Stack) -> Finding:
    asked = ("--function-name", f"{stack.name}-registry", "--qualifier", "live")
    told = stack.call("lambda", "get-function-configuration", *asked)
    snap = told.get("SnapStart", {}).get("OptimizationStatus", "Off")
    seen = f"{told.get('Runtime')}, {', '.join(told.get('Architectures', ()))}, SnapStart {snap}"
    if snap != "On":
        return wrong(seen, "deploy again: only a published version has a snapshot, and `live` points to one")
    return ok(seen)


def _checked_upload(stack: Stack, bucket: str, key: str) -> str:
    """With one part, and its SHA-256."""
    told = ("--checksum-algorithm", "SHA256")
    upload = str(_s3(stack, "create-multipart-upload", bucket, key, *told)["UploadId"])
    with _file(_CONTENT) as body:
        named = ("--part-number", "1", "--body", body, "--checksum-sha256", _sha256(_CONTENT))
        _part(stack, bucket, key, upload, *named)
    return upload


def _part(stack: Stack, bucket: str, key: str, upload: str, *more: str) -> dict[str, Any]:
    number = more[more.index("--part-number") + 1]
    etag = _s3(stack, "upload-part", bucket, key, "--upload-id", upload, *more)["ETag"]
    return {"PartNumber": int(number), "ETag": etag}


def _complete(stack: Stack, bucket: str, key: str, upload: str, parts: list[dict[str, Any]]) -> None:
    kept = [
        {name: one[name] for name in ("PartNumber", "ETag", "ChecksumSHA256") if name in one} for one in parts
    ]
    named = ("--upload-id", upload, "--multipart-upload", json.dumps({"Parts": kept}))
    _s3(stack, "complete-multipart-upload", bucket, key, *named)


def _abort(stack: Stack, bucket: str, key: str, upload: str) -> None:
    """Whatever became of it."""
    with suppress(AwsError):
        _s3(stack, "abort-multipart-upload", bucket, key, "--upload-id", upload)


def _delete(stack: Stack, bucket: str, key: str) -> None:
    _s3(stack, "delete-object", bucket, key)


def _s3(stack: Stack, operation: str, bucket: str, key: str, *more: str) -> dict[str, Any]:
    return stack.call("s3api", operation, "--bucket", bucket, "--key", key, *more)


def _object(stack: Stack) -> tuple[str, str]:
    return stack.output("Bucket"), f"doctor/{secrets.token_hex(8)}"


def _table(stack: Stack) -> str:
    return f"{stack.output('TablePrefix')}links"


def _key(stack: Stack) -> dict[str, str]:
    """The names of the table's key, with their types, the hash first."""
    table = stack.call("dynamodb", "describe-table", "--table-name", _table(stack))["Table"]
    types = {one["AttributeName"]: one["AttributeType"] for one in table["AttributeDefinitions"]}
    ordered = sorted(table["KeySchema"], key=lambda one: one["KeyType"] != "HASH")
    return {one["AttributeName"]: types[one["AttributeName"]] for one in ordered}


def _named(key: dict[str, str], name: str) -> dict[str, dict[str, str]]:
    """Of a row that no registry has: names of accounts have no slash."""
    return {one: {kind: "0" if kind == "N" else f"//doctor//{name}"} for one, kind in key.items()}


def _absent(stack: Stack, key: dict[str, str], name: str) -> dict[str, Any]:
    return {
        "TableName": _table(stack),
        "Key": _named(key, name),
        "ConditionExpression": "attribute_not_exists(#k)",
        "ExpressionAttributeNames": {"#k": next(iter(key))},
    }


def _sha256(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


@contextmanager
def _file(content: bytes) -> Iterator[str]:
    with tempfile.NamedTemporaryFile(prefix="ccr-doctor-") as made:
        place = Path(made.name)
        place.write_bytes(content)
        yield str(place)


FACTS: Final = tuple(
    Check(name, what, of_stack(look))
    for name, what, look in (
        (
            "aws-checksum-refused",
            "S3 refuses a PUT of another SHA-256, and keeps and tells the right one",
            checksum_refused,
        ),
        ("aws-if-none-match", "S3 refuses a second PUT with `If-None-Match: *`", none_match),
        ("aws-part-minimum", "parts below 5 MiB are refused, but the last", smallest_part),
        (
            "aws-part-checksums",
            "ListParts tells the checksums of parts, and completing wants them",
            part_checksums,
        ),
        ("aws-copy-checksum", "CopyObject tells the full SHA-256 of a multipart object", copied_checksum),
        ("aws-crc32", "DynamoDB says `x-amz-crc32`", crc32),
        ("aws-transaction-items", "a transaction takes 100 items", transaction_items),
        ("aws-item-size", "an item takes 400 KB", item_size),
        ("aws-failed-entries", "PutEvents answers 200 with `FailedEntryCount`", failed_entries),
        ("aws-schedules", "collection and the other scheduled functions have a rule that is on", schedules),
        ("aws-snapstart", "the alias `live` has a snapshot, on arm64", snapshots),
    )
)
