"""What can go wrong between parties, and whose fault it is.

::

    PrivacyError (privacy.errors)
     +-- PeerFault      a party broke the protocol; its message changed nothing
     +-- Unknown        there is no such thing, or it is not yours to see: the two read the same
     +-- Denied         the caller did not prove who it is
     +-- Revoked        the exchange has taken the caller's key away
     +-- Uninvited      an invite is unknown, used, expired or another party's
     +-- Forbidden      the caller is known, and may not do this
     +-- Throttled      the caller asks too often; it may go on after some seconds
     +-- Slow           a request took too long to arrive
     +-- Stale          what the caller had read has changed since
     +-- TooOld         the caller speaks a version of the protocol that is no longer spoken here
     +-- TooNew         the caller speaks a version of the protocol that is not spoken here yet
     +-- Taken          someone holds what was asked for: the holder and the time are public facts
     +-- Encumbered     a live lien forbids it: holder and time are public facts
     +-- Overreach      minimum necessity refused the plan, item by item
"""

from privacy.errors import PrivacyError, Refused
from privacy.necessity import Decision
from privacy.offences import APPROVAL, Violation
from privacy.plan import Plan


class PeerFault(PrivacyError):
    """A party sent what the protocol does not allow at this point."""


class Unknown(PrivacyError):
    """Nothing of that name exists for this caller."""

    def __init__(self, what: str) -> None:
        super().__init__(f"no such {what}", fix=f"check the name of the {what}")


class Denied(PrivacyError):
    """The caller is not who it says it is."""


class Revoked(PrivacyError):
    """The caller proved to have a key that the exchange's operator has revoked."""

    def __init__(self) -> None:
        super().__init__(
            "the exchange has revoked this key",
            fix="ask its operator for an invite, and enrol anew with `touchstone join`",
        )


class Uninvited(PrivacyError):
    """Nobody is enrolled by this invite: it is unknown, replaced, used, expired, or another party's."""


class Forbidden(PrivacyError):
    """The caller's role does not allow this, or the message is another party's to send."""


class Throttled(PrivacyError):
    """A party has made more requests than it may; ``seconds`` until it may make the next."""

    def __init__(self, seconds: int) -> None:
        super().__init__("you ask more often than the exchange allows", fix=f"go on after {seconds} s")
        self.seconds = seconds


class Slow(PrivacyError):
    """The body of a request did not arrive in time."""


class Stale(PrivacyError):
    """A write was to happen only if a record still was what its sender had read, and it is not."""


class TooOld(PrivacyError):
    """The caller's version of the protocol is below those spoken here, ``oldest`` to ``newest``."""

    def __init__(self, *, oldest: int, newest: int) -> None:
        super().__init__(_speaks(oldest, newest, "older"), fix="install a newer release of touchstone")
        self.oldest = oldest
        self.newest = newest


class TooNew(PrivacyError):
    """The caller's version of the protocol is above those spoken here, ``oldest`` to ``newest``."""

    def __init__(self, *, oldest: int, newest: int) -> None:
        super().__init__(
            _speaks(oldest, newest, "newer"),
            fix="use the release of touchstone that the exchange's operator names, or wait until the exchange is updated",
        )
        self.oldest = oldest
        self.newest = newest


def _speaks(oldest: int, newest: int, yours: str) -> str:
    spoken = f"version {oldest}" if oldest == newest else f"versions {oldest} to {newest}"
    return f"the exchange speaks {spoken} of the protocol, and yours is {yours}"


class Taken(Refused):
    """A lien of this rank is live on the asset; ``holder`` and ``since`` (ISO 8601, UTC) are public facts of the registry."""

    def __init__(self, *, asset: str, rank: int, holder: str, since: str) -> None:
        super().__init__(
            f"{asset} is pledged to {holder} at rank {rank} since {since}",
            fix="ask the holder for a release, or take a later rank",
        )
        self.asset = asset
        self.rank = rank
        self.holder = holder
        self.since = since


UNLESS_LET_IN = "without its leave"
"""How what a holder could let happen ends."""


class Encumbered(Refused):
    """A live lien on the asset forbids what its owner wants; ``holder`` and ``since`` are public facts of the registry."""

    def __init__(self, *, asset: str, rank: int, holder: str, since: str, doing: str) -> None:
        super().__init__(
            f"{asset} is pledged to {holder} at rank {rank} since {since} and cannot be {doing}",
            fix=f"have the holder release its lien{', or let this pledge in' if doing.endswith(UNLESS_LET_IN) else ''} first",
        )
        self.asset = asset
        self.rank = rank
        self.holder = holder
        self.since = since
        self.doing = doing


class Overreach(Refused):
    """The plan asks for more than its purpose needs; carries every violation and the nearest plan that passes.

    ``keeps`` are the days that the nearest request keeps its result.
    """

    def __init__(self, violations: tuple[Violation, ...], nearest: Plan | None, keeps: int | None = None) -> None:
        items = ", ".join(sorted({violation.item for violation in violations}))
        fix = (
            "ask the nearest request that passes" if nearest else "declare another purpose or ask the owner for access"
        )
        if all(violation.item == APPROVAL for violation in violations):
            fix = "ask the owner for an approval"
        super().__init__(f"the request exceeds what its purpose needs: {items}", fix=fix)
        self.violations = violations
        self.nearest = nearest
        self.keeps = keeps

    @classmethod
    def of(cls, decision: Decision) -> "Overreach":
        """Wrap a decision that does not allow its plan."""
        return cls(decision.violations, decision.nearest, decision.keeps)
