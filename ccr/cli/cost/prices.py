"""The price list: each price with its unit, what is free of it, its source and the day it was looked up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from ccr.cli.exits import CliError

LIST: Final = "prices.json"
NAMES: Final = ("region", "currency", "date", "prices", "assumptions")


@dataclass(frozen=True, slots=True)
class Price:
    """`tiers` are (up to, price) in units, the last without an end; `free` is of what a unit has `per`."""

    unit: str
    per: float
    free: float
    tiers: tuple[tuple[float | None, float], ...]
    source: str
    seen: str

    def of(self, amount: float, *, is_free: bool) -> float:
        """For a month's `amount`, less what is free of it."""
        left = max(0.0, amount - (self.free if is_free else 0)) / self.per
        cost, begun = 0.0, 0.0
        for end, price in self.tiers:
            inside = left - begun if end is None else min(left, end) - begun
            if inside <= 0:
                break
            cost += inside * price
            begun += inside
        return cost


@dataclass(frozen=True, slots=True)
class Prices:
    """Of one region."""

    region: str
    currency: str
    date: str
    prices: Mapping[str, Price]
    assumptions: Mapping[str, float]
    reasons: Mapping[str, str]


def load(place: Path | None = None) -> Prices:
    """The list of this version; what `place` has of it instead. Raises CliError."""
    own = json.loads((files("ccr.cli.cost") / LIST).read_text(encoding="utf-8"))
    if place is None:
        return _prices(own)
    try:
        other = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CliError(f"{place} is no price list: {error}") from error
    try:
        return _prices(_merged(own, other))
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise CliError(f"{place} is no price list: {error}; `ccr cost --prices-shown` prints one") from error


def document() -> Any:
    """The list of this version as it is."""
    return json.loads((files("ccr.cli.cost") / LIST).read_text(encoding="utf-8"))


def _merged(own: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Raises ValueError for what is none of the list's names."""
    _check_names(other, own, "a list")
    found = own | {name: other[name] for name in ("region", "currency", "date") if name in other}
    for kind in ("prices", "assumptions"):
        given = other.get(kind, {})
        _check_names(given, own[kind], f"the {kind}")
        for name, entry in given.items():
            _check_names(entry, own[kind][name], name)
        found[kind] = own[kind] | {name: own[kind][name] | entry for name, entry in given.items()}
    return found


def _check_names(given: Mapping[str, Any], known: Mapping[str, Any], what: str) -> None:
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        raise ValueError(f"{what} has no {', '.join(unknown)}")


def _prices(said: dict[str, Any]) -> Prices:
    assumptions = {name: _number(name, one["value"]) for name, one in said["assumptions"].items()}
    return Prices(
        region=str(said["region"]),
        currency=str(said["currency"]),
        date=str(said["date"]),
        prices={name: _price(name, one) for name, one in said["prices"].items()},
        assumptions=assumptions,
        reasons={name: str(one["why"]) for name, one in said["assumptions"].items()},
    )


def _price(name: str, one: dict[str, Any]) -> Price:
    tiers = tuple(
        (None if end is None else _number(name, end), _number(name, at)) for end, at in one["tiers"]
    )
    ends = [end for end, _ in tiers[:-1]]
    if not tiers or tiers[-1][0] is not None or None in ends or ends != sorted(set(ends), key=float):  # type: ignore[arg-type]
        raise ValueError(f"the tiers of {name} do not grow to one without an end (null)")
    per = _number(name, one["per"])
    if per <= 0:
        raise ValueError(f"{name} is charged per nothing")
    return Price(
        str(one["unit"]), per, _number(name, one["free"]), tiers, str(one["source"]), str(one["seen"])
    )


def _number(name: str, said: Any) -> float:
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said < float("inf"):
        raise ValueError(f"{said!r} of {name} is no number from 0 on")
    return float(said)
