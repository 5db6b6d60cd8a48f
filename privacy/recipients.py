"""Whom a list of recipients means: parties by name, everybody of a role, or everybody."""

from collections.abc import Iterable

from privacy.errors import Malformed
from privacy.purposes import ROLES

ANYBODY = "*"
ROLE = "role:"
"""Before the name of a role where a list of recipients means everybody of that role."""


def addressed(recipients: Iterable[str], *, asker: str, role: str | None) -> bool:
    """Whether a list of recipients (names, ``role:ROLE``, ``*``) holds an asker."""
    return any(
        one in (asker, ANYBODY) or (role is not None and one == f"{ROLE}{role}" and role in ROLES) for one in recipients
    )


def check_recipients(recipients: Iterable[str]) -> None:
    """Make sure that each recipient is a name, a known role or everybody.

    Raises:
        Malformed: if one is not.
    """
    for one in recipients:
        if not isinstance(one, str) or (one.startswith(ROLE) and one.removeprefix(ROLE) not in ROLES):
            raise Malformed(
                "a recipient is none", fix=f"write a party's name, * or role: and one of {', '.join(ROLES)}"
            )
