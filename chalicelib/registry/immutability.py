"""Tags that stay what they are: the patterns of a policy, and the refusal to move or delete such a tag."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from chalicelib.registry.policies import Policy
from chalicelib.spec.digest import Digest
from chalicelib.spec.errors import ErrorCode, RegistryError
from chalicelib.spec.reference import Repository


def immutable_by(policy: Policy | None, tag: str) -> str:
    """The pattern that makes it so; '' where none does, or an exception lets it move."""
    if policy is None or any(fnmatchcase(tag, one) for one in policy.document.get("except", ())):
        return ""
    return next((one for one in policy.document["patterns"] if fnmatchcase(tag, one)), "")


def check_moves(repository: Repository, policy: Policy | None, tags: Mapping[str, Digest]) -> None:
    """`tags` would name something else than they do. Raises DENIED (403)."""
    _check(repository, policy, tags, "push another tag")


def check_deletion(repository: Repository, policy: Policy | None, tags: Mapping[str, Digest]) -> None:
    """Raises DENIED (403)."""
    _check(repository, policy, tags, "who may change that policy can delete it, by force")


def _check(repository: Repository, policy: Policy | None, tags: Mapping[str, Digest], advice: str) -> None:
    for tag, digest in tags.items():
        pattern = immutable_by(policy, tag)
        if pattern:
            message = (
                f"the tag {tag} of {repository.name} is immutable (pattern {pattern}) and names {digest}; "
                f"{advice}"
            )
            detail = {"tag": tag, "digest": digest, "pattern": pattern}
            raise RegistryError(ErrorCode.DENIED, message, (detail,))
