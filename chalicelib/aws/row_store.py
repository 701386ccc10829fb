"""Rows as fsck sees them: `registry.proof.RowStore` on DynamoDB and S3."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from chalicelib.aws.bucket import S3Bucket
from chalicelib.aws.content_store import scopes_of
from chalicelib.aws.keys import shard_of
from chalicelib.aws.tables import Tables
from chalicelib.registry.proof import FIXED, Mend, Place, Row, Value

HEADS_AT_ONCE: Final = 8
MOVES: Final = 10


@dataclass(frozen=True, slots=True)
class _Form:
    """The keys of a table, and the attributes that matter of its rows."""

    hash_key: str
    range_key: str
    attributes: tuple[str, ...]


_IDLE: Final = ("idle", "shard", "version")
FORMS: Final[Mapping[str, _Form]] = {
    "manifests": _Form(
        "repository",
        "digest",
        (
            *("media_type", "size", "state", "held", "tags", "parents", "holds", "subject", "storage_key"),
            *("pushed", *_IDLE),
        ),
    ),
    "tags": _Form("repository", "tag", ("digest", "media_type", "size", "version", "moved")),
    "links": _Form("repository", "digest", ("size", "storage_key", "references", "touched", *_IDLE)),
    "blobs": _Form("account", "digest", ("size", "storage_key", "links", "kept", *_IDLE)),
    "trash": _Form("repository", "digest", ("state", "held", "holds", "storage_key", "due", "giving")),
    "history": _Form("repository", "move", ("digest",)),
    "usage": _Form("account", "", ("bytes", "free", "turn")),
    "buried": _Form("shard", "storage_key", ()),
}


class DynamoRowStore:
    """Queries and transactions of the client itself: the models would hide what is missing in a row."""

    def __init__(self, client: Any, tables: Tables, bucket: S3Bucket) -> None:
        self._client, self._tables, self._bucket = client, tables, bucket

    def repositories(self, account: str) -> list[str]:
        return sorted(scopes_of(self._tables, account))

    def page(self, table: str, scope: str, after: str, limit: int) -> list[Row]:
        form, rows = FORMS[table], list[Row]()
        while len(rows) < limit:
            last = rows[-1].key if rows else after
            found = self._query(table, scope, limit - len(rows), after=last)
            rows += [_row(Place(table, scope, item[form.range_key]["S"]), item) for item in found["Items"]]
            if "LastEvaluatedKey" not in found:
                break
        return rows

    def newest_moves(self, scope: str, tag: str) -> list[Row]:
        found = self._query("history", scope, MOVES, begins=f"{tag}#", forward=False)
        return [_row(Place("history", scope, item["move"]["S"]), item) for item in found["Items"]]

    def together(self, places: Sequence[Place]) -> dict[Place, Row]:
        if not places:
            return {}
        wanted = [{"Get": {**self._target(one), **_projection(one.table)}} for one in places]
        answers = self._client.transact_get_items(TransactItems=wanted)["Responses"]
        pairs = zip(places, answers, strict=True)
        return {one: _row(one, answer["Item"]) for one, answer in pairs if answer.get("Item")}

    def stored(self, keys: Iterable[str]) -> set[str]:
        wanted = list(keys)
        if not wanted:
            return set()
        with ThreadPoolExecutor(HEADS_AT_ONCE) as pool:
            answers = pool.map(self._bucket.has, wanted)
            return {key for key, is_there in zip(wanted, answers, strict=True) if is_there}

    def mend(self, mends: Sequence[Mend]) -> bool:
        try:
            self._client.transact_write_items(TransactItems=[self._write(one) for one in mends])
        except ClientError as error:
            reasons = error.response.get("CancellationReasons") or []
            if {one.get("Code") for one in reasons} & {"ConditionalCheckFailed", "TransactionConflict"}:
                return False
            raise
        return True

    def _query(
        self, table: str, scope: str, limit: int, *, after: str = "", begins: str = "", forward: bool = True
    ) -> Any:
        form = FORMS[table]
        names, values = {"#h": form.hash_key}, {":h": {"S": scope}}
        condition = "#h = :h"
        if after or begins:
            names["#r"], values[":r"] = form.range_key, {"S": after or begins}
            condition += " AND #r > :r" if after else " AND begins_with(#r, :r)"
        projection = _projection(table)
        return self._client.query(
            TableName=self._name(table),
            ConsistentRead=True,
            KeyConditionExpression=condition,
            ProjectionExpression=projection["ProjectionExpression"],
            ExpressionAttributeNames={**projection["ExpressionAttributeNames"], **names},
            ExpressionAttributeValues=values,
            ScanIndexForward=forward,
            Limit=limit,
        )

    def _write(self, mend: Mend) -> dict[str, Any]:
        """A put where no row may be, else an update, a deletion or a check."""
        target, condition = self._target(mend.place), _condition(mend)
        if mend.is_check:
            return {"ConditionCheck": {**target, **condition}}
        if mend.put is None:
            return {"Delete": {**target, **condition}}
        if mend.expect is None:
            item = {**target["Key"], **{name: _attribute(value) for name, value in _made(mend).items()}}
            return {"Put": {"TableName": target["TableName"], "Item": item, **condition}}
        return {"Update": {**target, **_update(mend, condition)}}

    def _target(self, place: Place) -> dict[str, Any]:
        form = FORMS[place.table]
        scope = shard_of(place.key) if place.table == "buried" else place.scope
        key = {form.hash_key: {"S": scope}}
        if form.range_key:
            key[form.range_key] = {"S": place.key}
        return {"TableName": self._name(place.table), "Key": key}

    def _name(self, table: str) -> str:
        return str(getattr(self._tables, table).Meta.table_name)


def _projection(table: str) -> dict[str, Any]:
    form = FORMS[table]
    names = [form.hash_key, *([form.range_key] if form.range_key else []), *form.attributes]
    expression = ", ".join(f"#p{number}" for number in range(len(names)))
    placeholders = {f"#p{number}": name for number, name in enumerate(names)}
    return {"ProjectionExpression": expression, "ExpressionAttributeNames": placeholders}


def _row(place: Place, item: Mapping[str, Any]) -> Row:
    values = {name: _value(item[name]) for name in FORMS[place.table].attributes if name in item}
    return Row(place, values)


def _value(attribute: Mapping[str, Any]) -> Value:
    if "NULL" in attribute:
        return None
    return int(attribute["N"]) if "N" in attribute else str(attribute["S"])


def _attribute(value: Value) -> dict[str, Any]:
    return {"N": str(value)} if isinstance(value, int) else {"S": str(value)}


def _made(mend: Mend) -> dict[str, Value]:
    return {name: value for name, value in (mend.put or {}).items() if value is not None}


def _condition(mend: Mend) -> dict[str, Any]:
    """Every attribute that matters is as it was found: those that were not there too."""
    form = FORMS[mend.place.table]
    names = {"#h": form.hash_key}
    if mend.expect is None:
        return {"ConditionExpression": "attribute_not_exists(#h)", "ExpressionAttributeNames": names}
    terms, values = ["attribute_exists(#h)"], dict[str, Any]()
    if mend.expect:
        for number, name in enumerate(one for one in form.attributes if one != FIXED):
            names[f"#e{number}"] = name
            value = mend.expect.get(name)
            if value is None:
                terms.append(f"(attribute_not_exists(#e{number}) OR attribute_type(#e{number}, :null))")
                values[":null"] = {"S": "NULL"}
            else:
                terms.append(f"#e{number} = :e{number}")
                values[f":e{number}"] = _attribute(value)
    made: dict[str, Any] = {"ConditionExpression": " AND ".join(terms), "ExpressionAttributeNames": names}
    return {**made, "ExpressionAttributeValues": values} if values else made


def _update(mend: Mend, condition: dict[str, Any]) -> dict[str, Any]:
    put = mend.put or {}
    names = {f"#s{number}": name for number, name in enumerate(put)}
    made = [(number, value) for number, value in enumerate(put.values()) if value is not None]
    taken = [number for number, value in enumerate(put.values()) if value is None]
    expression = ""
    if made:
        expression += "SET " + ", ".join(f"#s{number} = :s{number}" for number, _ in made)
    if taken:
        expression += " REMOVE " + ", ".join(f"#s{number}" for number in taken)
    values = {f":s{number}": _attribute(value) for number, value in made}
    values |= condition.get("ExpressionAttributeValues", {})
    return {
        "UpdateExpression": expression,
        "ConditionExpression": condition["ConditionExpression"],
        "ExpressionAttributeNames": {**condition["ExpressionAttributeNames"], **names},
        **({"ExpressionAttributeValues": values} if values else {}),
    }
