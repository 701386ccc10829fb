"""Lines of JSON: of Powertools' Logger, for all that `chalicelib` and `ccr` say.

https://docs.aws.amazon.com/powertools/python/latest/core/logger/
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, Final, TextIO

from aws_lambda_powertools import Logger

from chalicelib.observation.seen import Seen, current

# The loggers of the modules are below it, so that what they say becomes a line like any other.
_ROOT: Final = "chalicelib"
_COMMAND: Final = "ccr"


class _Stream(logging.StreamHandler[TextIO]):
    """To what is standard output, or error, at the time: it may be another one than when this was made."""

    def __init__(self, stream: Callable[[], TextIO]) -> None:
        self._now = stream
        super().__init__(stream())

    @property
    def stream(self) -> TextIO:
        return self._now()

    @stream.setter
    def stream(self, _: TextIO) -> None:
        return


class _OfRequest(logging.Filter):
    """Says which request a line is of, and whose it is; not in the line of the request, which says it."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def filter(self, record: logging.LogRecord) -> bool:
        record.service = self._service
        if current() and not hasattr(record, "request_id"):
            record.request_id = current()
        return True


class Lines:
    """The log of one process or function, `service`, from INFO on."""

    def __init__(self, service: str, stream: Callable[[], TextIO] = lambda: sys.stdout) -> None:
        handler = _Stream(stream)
        handler.addFilter(_OfRequest(service))
        self._logger = Logger(service=_ROOT, level="INFO", logger_handler=handler, utc=True)
        command = logging.getLogger(_COMMAND)
        command.setLevel(logging.INFO)
        command.addHandler(handler)
        self._handler = handler

    def request(self, seen: Seen, **more: Any) -> None:
        """One line for one request; `more` goes into the same line."""
        self._logger.info("request", extra={**seen.line(), **more})

    def run(self, work: str, **more: Any) -> None:
        """One line for one run of scheduled work."""
        self._logger.info("run", extra={"work": work, **more})

    def close(self) -> None:
        """As it was before: Powertools keeps a logger that it has once set up."""
        for name in (_ROOT, _COMMAND):
            logging.getLogger(name).removeHandler(self._handler)
        vars(logging.getLogger(_ROOT)).pop("init", None)
        vars(logging.getLogger(_ROOT)).pop("powertools_handler", None)
