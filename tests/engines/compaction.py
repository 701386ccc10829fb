"""Runs in ministack's environment for `test_tables.py`: kills the store within, and says what is left."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

PREFIX = "DynamoDB_20120810."
ADD = {
    "TableName": "table",
    "Key": {"name": {"S": "updated"}},
    "UpdateExpression": "ADD hits :one",
    "ExpressionAttributeValues": {":one": {"N": "1"}},
}


def load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("journaled_ministack", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["journaled_ministack"] = module
    spec.loader.exec_module(module)
    return module


def apart(work: Callable[[], Any]) -> tuple[int, Any]:
    """`work` in a child of its own, since ministack's tables are global: its exit code and its result."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        code = 1
        try:
            os.write(writer, json.dumps(work()).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as result:
        text = result.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), json.loads(text) if text else None


def contents(store: Any) -> dict[str, Any]:
    _, _, tables = store.answer(f"{PREFIX}ListTables", b"{}")
    _, _, found = store.answer(f"{PREFIX}Scan", b'{"TableName": "table"}')
    items = sorted(json.loads(found)["Items"], key=lambda item: item["name"]["S"])
    return {"tables": json.loads(tables)["TableNames"], "items": items}


def hits(store: Any) -> str:
    (item,) = [item for item in contents(store)["items"] if item["name"]["S"] == "updated"]
    return str(item["hits"]["N"])


def compact_until(module: ModuleType, folder: Path, line: int) -> None:
    """Die before the `line`th line that compaction runs in the module, as of `kill -9`."""
    store = module.Store(folder)
    seen = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal seen
        if frame.f_code.co_filename != module.__file__:
            return None
        if event == "line":
            seen += 1
            if seen == line:
                os._exit(9)
        return trace

    sys.settrace(trace)
    store.compact()
    sys.settrace(None)


def kill(module: ModuleType, folder: Path, copies: Path) -> dict[str, Any]:
    def look(path: Path) -> Any:
        return apart(lambda: contents(module.Store(path)))[1]

    before = look(folder)
    states: list[Any] = []
    line, code = 0, 9
    while code == 9:
        line += 1
        copy = copies / str(line)
        shutil.copytree(folder, copy)
        code, _ = apart(lambda at=line, path=copy: compact_until(module, path, at))
        for _ in range(2):
            state = look(copy)
            if state not in states:
                states.append(state)
    assert code == 0, code
    return {"kills": line - 1, "before": before, "states": states}


def compact(module: ModuleType, folder: Path) -> dict[str, Any]:
    def twice() -> list[str]:
        store = module.Store(folder)
        store.compact()
        store.compact()
        return sorted(path.name for path in folder.iterdir())

    return {"files": apart(twice)[1]}


def retry(module: ModuleType, folder: Path) -> dict[str, Any]:
    body = json.dumps({"TransactItems": [{"Update": ADD}], "ClientRequestToken": "the-same"}).encode()

    def sent_twice() -> Any:
        store = module.Store(folder)
        first, *_ = store.answer(f"{PREFIX}TransactWriteItems", body)
        store.compact()
        again, *_ = store.answer(f"{PREFIX}TransactWriteItems", body)
        return {"statuses": [first, again], "hits": hits(store)}

    done = apart(sent_twice)[1]
    after = apart(lambda: hits(module.Store(folder)))[1]
    return {"statuses": done["statuses"], "hits": [done["hits"], after]}


def full(module: ModuleType, folder: Path) -> dict[str, Any]:
    """A disk that takes nothing more."""

    def refused() -> None:
        store = module.Store(folder)

        def append(_: bytes) -> None:
            raise OSError(28, "No space left on device")

        store.journal.append = append
        try:
            store.answer(f"{PREFIX}UpdateItem", json.dumps(ADD).encode())
        except OSError:
            return

    code, _ = apart(refused)
    return {"exit": code, "hits": apart(lambda: hits(module.Store(folder)))[1]}


def main() -> None:
    module = load(sys.argv[1])
    # Imported once, here, so that the children need not.
    import ministack.services.dynamodb  # noqa: F401, PLC0415 - not before its environment is set

    verbs = {"kill": kill, "compact": compact, "retry": retry, "full": full}
    found = verbs[sys.argv[2]](module, *(Path(argument) for argument in sys.argv[3:]))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
