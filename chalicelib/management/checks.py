"""/checks: fsck of an account by slices, and the repairs of a plan."""

from __future__ import annotations

from typing import Any, Final

from aws_lambda_powertools.event_handler.api_gateway import Router

from chalicelib.identity.refusals import Reason, RefusedError, not_found
from chalicelib.identity.roles import WRITE_PROJECT
from chalicelib.management.models import CheckIn, CheckOut, FindingModel, RepairIn, RepairOut, RepairsOut
from chalicelib.management.problems import ProblemError
from chalicelib.management.services import caller_of, services_of
from chalicelib.registry.proof import Finding, Mend
from chalicelib.spec.reference import Repository, check_name

router = Router()  # type: ignore[no-untyped-call]
# Within what an edge waits for; the next call goes on.
SLICE_SECONDS: Final = 10


@router.post("/checks", tags=["checks"])
def check(check: CheckIn) -> CheckOut:
    """A slice of fsck, read-only: of the account, or one repository of it. Call again with `cursor`."""
    services = services_of(router.context)
    account = _account(check.account)
    fsck, seals = services.fsck, services.seals
    if check.cursor:
        state = seals.unpacked(check.cursor)
        if state is None or state["account"] != account:
            raise ProblemError(409, "`cursor` is that of the answer before; begin again without one")
    else:
        state = fsck.begin(account, _scope(account, check.repository))
    made = fsck.slice(state, fsck.clock() + SLICE_SECONDS)
    cursor = "" if made.state is None else seals.packed(made.state)
    return CheckOut(
        findings=[_finding(one) for one in made.findings], unsettled=made.unsettled, cursor=cursor
    )


@router.post("/checks/repairs", tags=["checks"])
def repair(plan: RepairIn) -> RepairsOut:
    """Apply findings as they were given out; each holds only while its rows are as they were found."""
    services, caller = services_of(router.context), caller_of(router.context)
    made: list[RepairOut] = []
    for finding in plan.findings:
        account = finding.scope.partition("/")[0]
        _may_mend(account)
        document = finding.model_dump(exclude={"seal"})
        if not services.seals.is_of(finding.seal, document):
            raise ProblemError(409, f"the finding on {finding.key} is not as it was found; make a new plan")
    for finding in plan.findings:
        mends = [Mend.of(one.model_dump()) for one in finding.mends]
        if not mends:
            result: Any = "not-mendable"
        else:
            result = "mended" if services.fsck.apply(mends) else "stale"
        made.append(
            RepairOut(
                code=finding.code, table=finding.table, scope=finding.scope, key=finding.key, result=result
            )
        )
    mended = [f"{one.code} {one.scope} {one.key}" for one in made if one.result == "mended"]
    caller.told["mended"] = mended
    return RepairsOut(repairs=made)


def _account(asked: str | None) -> str:
    by = caller_of(router.context).credential
    account = asked or by.account
    if account != by.account and not by.is_operator:
        raise not_found("account", account)
    _may_mend(account)
    return services_of(router.context).tenancy.account(account).id


def _may_mend(account: str) -> None:
    """Whoever may change the account."""
    by = caller_of(router.context).credential
    if not (by.is_operator or (by.account == account and by.may(WRITE_PROJECT))):
        raise RefusedError(Reason.FORBIDDEN, "this credential may not check this account")


def _scope(account: str, repository: str | None) -> str:
    return f"{account}/{Repository(account, check_name(repository)).name}" if repository else ""


def _finding(finding: Finding) -> FindingModel:
    document = finding.document()
    return FindingModel(**document, seal=services_of(router.context).seals.of(document))
