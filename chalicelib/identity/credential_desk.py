"""The desk where credentials are made, changed, rotated and taken back, by those who may.

Nobody gives more than they have: a robot's grants lie in one project, within its maker's own actions
there. What takes something away raises the generation, so that tokens made before stop within a minute.
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol
from urllib.parse import urlsplit

from chalicelib.identity.credentials import (
    EXPIRY_LIMIT_SECONDS,
    OVERLAP_LIMIT_SECONDS,
    Credential,
    Kind,
    Secret,
    Trust,
    first_generation,
    rotated,
)
from chalicelib.identity.grants import ACTIONS, Grant
from chalicelib.identity.names import check_new_credential_id
from chalicelib.identity.refusals import Reason, RefusedError, not_found, stale
from chalicelib.identity.roles import EVERY_PROJECT, WRITE_MEMBER, WRITE_ROBOT, Role, permissions
from chalicelib.identity.secret import hash_secret, make_secret
from chalicelib.identity.tenancy import Registry, Tenancy
from chalicelib.spec.cloud_events import Event, EventType

GRANTS_LIMIT: Final = 50
CLAIMS_LIMIT: Final = 20
PATTERN_LIMIT: Final = 512
TITLE_LIMIT: Final = 200
# `repo:*` would be everybody whom the issuer knows.
_SUBJECT: Final = re.compile(r"[^*]+|[^*:/|]*[:/|]+[^*:/|].*", re.DOTALL)
# Their keys are fetched only where a deployment asks for it.
LOOPBACK: Final = ("127.0.0.1", "localhost")
PAGE: Final = 100
TRIES: Final = 5


class CredentialStore(Protocol):
    def get(self, id_: str) -> Credential | None: ...
    def page(self, account: str, after: str, limit: int) -> list[Credential]:
        """Sorted by id."""
        ...

    def put(
        self,
        credential: Credential,
        *,
        revoke: bool = False,
        witness: Credential | None = None,
        told: Event | None = None,
    ) -> bool:
        """Holds if the row has the version before (`version` 1: if none is there), and `witness` its own.

        `told` goes into the outbox with it, in the order of the write.
        """
        ...

    def remove(
        self, credential: Credential, *, witness: Credential | None = None, told: Event | None = None
    ) -> bool: ...
    def revoke_registry(self, name: str, at: int) -> None:
        """What was issued for it before `at` (epoch milliseconds) stops counting."""
        ...


@dataclass(frozen=True, slots=True)
class CredentialDesk:
    """`by` is the credential of whoever asks; every method raises RefusedError (FORBIDDEN, NOT_FOUND)."""

    store: CredentialStore
    tenancy: Tenancy
    clock: Callable[[], float] = time.time
    loopback_issuers: bool = False

    def get(self, by: Credential, id_: str) -> Credential:
        """Raises NOT_FOUND for what `by` may not see, too."""
        credential = self.store.get(id_)
        if credential is None or not self._may_see(by, credential):
            raise not_found("credential", id_)
        return credential

    def page(self, by: Credential, after: str, limit: int) -> tuple[list[Credential], str]:
        """Those that `by` may see, and the id to go on after, or ''."""
        seen: list[Credential] = []
        while len(seen) <= limit:
            some = self.store.page(by.account, after, limit + 1)
            seen += [one for one in some if self._may_see(by, one)]
            if len(some) <= limit:
                break
            after = some[-1].id
        return seen[:limit], seen[limit - 1].id if len(seen) > limit else ""

    def create_user(
        self, by: Credential, id_: str, roles: Mapping[str, Role], title: str = "", *, account: str = ""
    ) -> tuple[Credential, str]:
        """A user and the secret, which is not to be had again. Raises INVALID, CONFLICT.

        `account` is for operators: the first owner of an account that they made.
        """
        if account and account != by.account:
            _require(by.is_operator and by.kind is Kind.USER, "make users of other accounts")
        else:
            _require(_is_user(by) and by.may(WRITE_MEMBER), "make users")
            self._check_roles(by, roles)
        user = self._new(by, id_, Kind.USER, title, None)
        return self._create(by, replace(user, account=account or by.account, roles=dict(roles)))

    def create_robot(
        self,
        by: Credential,
        id_: str,
        project: str,
        grants: Iterable[Grant],
        *,
        title: str = "",
        expires: int | None = None,
    ) -> tuple[Credential, str]:
        """A robot of `project` and its secret. `expires` (epoch seconds): a year at most, or None for never.

        Raises INVALID, CONFLICT.
        """
        checked = self._check_grants(by, project, grants)
        robot = self._new(by, id_, Kind.ROBOT, title, expires)
        return self._create(by, replace(robot, project=project, grants=checked))

    def create_trust(
        self,
        by: Credential,
        id_: str,
        project: str,
        grants: Iterable[Grant],
        trust: Trust,
        *,
        title: str = "",
        expires: int | None = None,
    ) -> Credential:
        """A credential without a secret: ID tokens that `trust` trusts sign in as it.

        Raises INVALID, CONFLICT.
        """
        checked = self._check_grants(by, project, grants)
        _check_trust(trust)
        if _is_local(trust.issuer) and not self.loopback_issuers:
            message = (
                f"{trust.issuer} is on the registry's own machine: such issuers take CCR_LOOPBACK_ISSUERS=on"
            )
            raise RefusedError(Reason.INVALID, message)
        credential = self._new(by, id_, Kind.TRUST, title, expires)
        credential = replace(credential, project=project, grants=checked, trust=trust)
        if not self.store.put(credential, told=_told(EventType.CREDENTIAL_CREATED, credential, by.id)):
            raise self._taken(by, id_)
        return credential

    def change(
        self,
        by: Credential,
        before: Credential,
        *,
        title: str | None = None,
        is_disabled: bool | None = None,
        grants: Iterable[Grant] | None = None,
        expires: int | None = None,
    ) -> Credential:
        """What is None stays as it is. Raises INVALID, STALE."""
        self._require_authority(by, before)
        after = replace(before, version=before.version + 1)
        if title is not None:
            after = replace(after, title=_check_title(title))
        if is_disabled is not None:
            _require(by.id != before.id, "disable itself")
            after = replace(after, is_disabled=is_disabled)
        if expires is not None:
            _require(by.id != before.id, "set its own end")
            after = replace(after, expires=self._check_expiry(expires))
        if grants is not None:
            if before.kind is Kind.USER:
                raise RefusedError(Reason.INVALID, "a user has roles, not grants")
            after = replace(after, grants=self._check_grants(by, before.project, grants))
        return self._put(by, before, after, self._witness(by, before, after))

    def set_role(self, by: Credential, before: Credential, project: str, role: Role | None) -> Credential:
        """Give a user of the account a role in `project` (`EVERY_PROJECT`: in all), or take it.

        Raises STALE.
        """
        if before.kind is not Kind.USER or before.account != by.account:
            raise not_found("user", before.id)
        _require(_is_user(by) and by.may(WRITE_MEMBER, project), "change members")
        _require(by.id != before.id, "change its own role")
        _require(by.is_operator or not before.is_operator, "change the role of an operator")
        if project != EVERY_PROJECT:
            self.tenancy.project(by.account, project)
        roles = {name: held for name, held in before.roles.items() if name != project}
        if role is not None:
            roles[project] = role
        after = replace(before, roles=roles, version=before.version + 1)
        return self._put(by, before, after, self._witness(by, before, after))

    def rotate(
        self,
        by: Credential,
        before: Credential,
        overlap: int,
        *,
        proof: Secret | None = None,
        is_versioned: bool = False,
    ) -> tuple[Credential, str]:
        """A new secret; the one before lives for `overlap` seconds more, a week at most.

        Everybody may rotate their own, with a secret (`proof`) that is not on its way out: whoever has stolen
        one must not undo its rotation. Two that are told to rotate at once must not end the secret that all
        others still have: while one is on its way out, the next takes an overlap of 0, or a caller who has
        said which version they rotate (`is_versioned`). Raises INVALID, CONFLICT, STALE when two race.
        """
        if by.id != before.id:
            self._require_authority(by, before)
        elif before.secrets:
            current = {one.id for one in before.secrets if one.expires is None}
            with_current = proof is not None and proof.id in current
            _require(with_current, "rotate its secret with one that is itself rotated away")
        if not before.secrets:
            raise RefusedError(Reason.INVALID, "this credential has no secret to rotate")
        if not 0 <= overlap <= OVERLAP_LIMIT_SECONDS:
            raise RefusedError(Reason.INVALID, f"the overlap is 0 to {OVERLAP_LIMIT_SECONDS} seconds")
        if overlap and not is_versioned and before.has_outgoing(self.clock()):
            message = (
                f"{before.id!r} was rotated, and the secret before still lives: name the version you have "
                "read in If-Match, or end all secrets but the new one with an overlap of 0 seconds"
            )
            raise RefusedError(Reason.CONFLICT, message)
        secret = make_secret()
        after = rotated(before, hash_secret(secret), int(self.clock()), overlap)
        told = _told(EventType.CREDENTIAL_ROTATED, after, by.id)
        if not self.store.put(after, revoke=after.generation > before.generation, told=told):
            raise stale("credential", before.id)
        return after, secret

    def delete(self, by: Credential, credential: Credential) -> None:
        """Raises STALE."""
        self._require_authority(by, credential)
        _require(by.id != credential.id, "delete itself")
        told = _told(EventType.CREDENTIAL_DELETED, credential, by.id)
        if not self.store.remove(credential, witness=self._witness(by, credential, None), told=told):
            raise stale("credential", credential.id)

    def forget_registry(self, registry: Registry) -> None:
        """While it is deleted: its grants go, and with them the robot named after it that has no others."""
        self.end_tokens(registry)
        named = self.store.get(registry.name)
        for one in [*([named] if named else []), *self._all(registry.account)]:
            self._let_go(one, lambda held: _without_registry(held, registry))

    def end_tokens(self, registry: Registry) -> None:
        """When it is deleted or moved: what was issued for it, to users too, and uploads under way."""
        self.store.revoke_registry(registry.name, int(self.clock() * 1000))

    def forget_project(self, account: str, project: str) -> None:
        """Its robots and trusts go with it, and the roles in it: the next one of that name is another."""
        for one in self._all(account):
            self._let_go(one, lambda held: _without_project(held, project))

    def forget_account(self, account: str) -> None:
        """When it goes, and before another gets its id: lists are behind, and may have missed the newest."""
        for one in self._all(account):
            self._let_go(one, lambda _held: None)

    def _all(self, account: str) -> Iterator[Credential]:
        after = ""
        while some := self.store.page(account, after, PAGE):
            yield from some
            after = some[-1].id

    def _let_go(self, credential: Credential, what: Callable[[Credential], Credential | None]) -> None:
        """Lists are behind, and others write, too: each try begins with what is there by then."""
        held: Credential | None = credential
        for _ in range(TRIES):
            if held is None or (left := what(held)) == held:
                return
            if left is None:
                if self.store.remove(held, told=_told(EventType.CREDENTIAL_DELETED, held)):
                    return
            else:
                after = replace(left, version=held.version + 1, generation=held.generation + 1)
                if self.store.put(after, revoke=True, told=_told(EventType.CREDENTIAL_CHANGED, after)):
                    return
            held = self.store.get(credential.id)
        raise stale("credential", credential.id)

    def _witness(self, by: Credential, before: Credential, after: Credential | None) -> Credential | None:
        """Another owner, where an account loses one, who must be there unchanged when it does.

        Else two owners who take each other away at once would leave nobody. Raises CONFLICT for the last.
        """
        if not before.keeps_account or (after is not None and after.keeps_account):
            return None
        for one in (by, *self._all(before.account)):
            # Lists are behind, and `by` was read before this request had its turn.
            held = self.store.get(one.id) if one.id != before.id else None
            if held is not None and held.account == before.account and held.keeps_account:
                return held
        message = f"{before.id!r} is the last owner of the account that lives on: make another first"
        raise RefusedError(Reason.CONFLICT, message)

    def _put(
        self, by: Credential, before: Credential, after: Credential, witness: Credential | None
    ) -> Credential:
        revoke = _takes_away(before, after)
        if revoke:
            after = replace(after, generation=before.generation + 1)
        told = _told(EventType.CREDENTIAL_CHANGED, after, by.id)
        if not self.store.put(after, revoke=revoke, witness=witness, told=told):
            raise stale("credential", before.id)
        return after

    def _new(self, by: Credential, id_: str, kind: Kind, title: str, expires: int | None) -> Credential:
        return Credential(
            check_new_credential_id(id_),
            by.account,
            kind,
            title=_check_title(title),
            expires=None if expires is None else self._check_expiry(expires),
            generation=first_generation(self.clock()),
            created=int(self.clock()),
            created_by=by.id,
        )

    def _create(self, by: Credential, credential: Credential) -> tuple[Credential, str]:
        secret = make_secret()
        credential = replace(credential, secrets=(Secret(hash_secret(secret)),))
        if not self.store.put(credential, told=_told(EventType.CREDENTIAL_CREATED, credential, by.id)):
            raise self._taken(by, credential.id)
        return credential, secret

    def _taken(self, by: Credential, id_: str) -> RefusedError:
        """Ids are one set for all accounts: who may not see whose it is learns that it is gone, no more."""
        held = self.store.get(id_)
        if held is not None and self._may_see(by, held):
            return RefusedError(Reason.CONFLICT, f"there is a credential {id_!r} already: choose another id")
        message = f"the id {id_!r} cannot be had for a credential: choose another"
        return RefusedError(Reason.CONFLICT, message)

    def _check_expiry(self, expires: int) -> int:
        now = int(self.clock())
        if not now < expires <= now + EXPIRY_LIMIT_SECONDS:
            raise RefusedError(Reason.INVALID, "a credential expires in the future, within a year, or never")
        return expires

    def _check_roles(self, by: Credential, roles: Mapping[str, Role]) -> None:
        for project in roles:
            if project != EVERY_PROJECT:
                self.tenancy.project(by.account, project)

    def _check_grants(self, by: Credential, project: str, grants: Iterable[Grant]) -> tuple[Grant, ...]:
        _require(_is_user(by) and by.may(WRITE_ROBOT, project), "make robots in this project")
        checked = tuple(Grant.parse(grant.pattern, grant.actions) for grant in grants)
        if not 0 < len(checked) <= GRANTS_LIMIT:
            raise RefusedError(Reason.INVALID, f"a robot has 1 to {GRANTS_LIMIT} grants")
        own = permissions(by.role(project)) & set(ACTIONS)
        bound: list[Grant] = []
        for grant in checked:
            registry = self.tenancy.registry(by.account, grant.registry)
            if registry.project != project:
                raise not_found("registry", grant.registry)
            _require(grant.actions <= own, "grant more than it has itself")
            bound.append(replace(grant, incarnation=registry.incarnation))
        return tuple(bound)

    def _may_see(self, by: Credential, credential: Credential) -> bool:
        if credential.account != by.account:
            return False
        return credential.id == by.id or self._has_authority(by, credential)

    def _has_authority(self, by: Credential, credential: Credential) -> bool:
        if credential.account != by.account or not _is_user(by):
            return False
        if credential.kind is Kind.USER:
            # Who can rotate a secret has it: an owner is no operator.
            return by.may(WRITE_MEMBER) and (by.is_operator or not credential.is_operator)
        within = all(grant.actions <= permissions(by.role(credential.project)) for grant in credential.grants)
        return by.may(WRITE_ROBOT, credential.project) and within

    def _require_authority(self, by: Credential, credential: Credential) -> None:
        if not self._may_see(by, credential):
            raise not_found("credential", credential.id)
        _require(self._has_authority(by, credential), "change this credential")


def _told(type_: EventType, credential: Credential, actor: str = "") -> Event:
    """Whose, and by whom: no secret, and no grant."""
    data = {
        "account": credential.account,
        "credential": credential.id,
        "kind": str(credential.kind),
        "actor": actor,
    }
    return Event(type_, credential.account, "", credential.id, data=data)


def _without_registry(credential: Credential, registry: Registry) -> Credential | None:
    """What is left of it; None where nothing is."""
    if credential.account != registry.account:
        return credential
    left = credential.without_grants_on(registry)
    if left == credential.grants:
        return credential
    is_its_own = credential.kind is Kind.ROBOT and credential.id == registry.name
    return None if is_its_own and not left else replace(credential, grants=left)


def _without_project(credential: Credential, project: str) -> Credential | None:
    if credential.kind is not Kind.USER:
        return None if credential.project == project else credential
    roles = {name: role for name, role in credential.roles.items() if name != project}
    return credential if roles == dict(credential.roles) else replace(credential, roles=roles)


def _is_user(by: Credential) -> bool:
    """Robots and trusts make no credentials and change none but their own secret."""
    return by.kind is Kind.USER


def _takes_away(before: Credential, after: Credential) -> bool:
    return (
        (after.is_disabled and not before.is_disabled)
        or dict(after.roles) != dict(before.roles)
        or after.grants != before.grants
        or (after.expires is not None and (before.expires is None or after.expires < before.expires))
    )


def _check_title(title: str) -> str:
    if len(title) > TITLE_LIMIT or not title.isprintable():
        raise RefusedError(Reason.INVALID, f"a title has at most {TITLE_LIMIT} printable characters")
    return title


def _check_trust(trust: Trust) -> None:
    if not _is_issuer(trust.issuer):
        message = "an issuer is an https:// URL of a host, without a user, a query or a fragment"
        raise RefusedError(Reason.INVALID, message)
    if not trust.audience:
        raise RefusedError(Reason.INVALID, "a trust names an audience")
    if not _SUBJECT.fullmatch(trust.subject):
        message = "a subject says whose it is before its first *, beyond a first separator: repo:acme/app:*"
        raise RefusedError(Reason.INVALID, message)
    texts = [trust.issuer, trust.audience, trust.subject, *trust.claims, *trust.claims.values()]
    if len(trust.claims) > CLAIMS_LIMIT or max(map(len, texts)) > PATTERN_LIMIT:
        message = f"a trust has at most {CLAIMS_LIMIT} claims, each of at most {PATTERN_LIMIT} characters"
        raise RefusedError(Reason.INVALID, message)


def _is_issuer(text: str) -> bool:
    """Where it leads is looked at when its keys are fetched: a name may mean another address by then."""
    if not (text.isascii() and text.isprintable()) or set(text) & set(" ?#@\\"):
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    is_local = parts.scheme == "http" and parts.hostname in LOOPBACK and port is not None
    return bool(parts.hostname) and (parts.scheme == "https" or is_local)


def _is_local(issuer: str) -> bool:
    host = urlsplit(issuer).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in LOOPBACK or host.endswith(".localhost")


def _require(holds: bool, what: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise RefusedError(Reason.FORBIDDEN, f"this credential may not {what}")
