"""The analyst's client: questions in SQL, previewed for nothing, asked, followed, read off stored answers.

::

    from exchange import connect

    with connect("desk", "http://127.0.0.1:8080") as client:
        question = client.query(
            "SELECT region, AVG(balance) FROM consumer_credit GROUP BY region",
            purpose="credit-risk-statistics",
            accuracy={"avg_balance": 500},
        )
        print(question.preview())
        frame = question.run().to_pandas()

Importing it loads neither the noise library nor an engine, frames or a server.
"""

import os
from collections.abc import Collection, Mapping
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Self

from exchange.analyst.asker import Asker, Asking, Job
from exchange.analyst.desk import Desk
from exchange.analyst.inquiry import Inquiry, Wish
from exchange.analyst.reading import table_of
from exchange.line import seconds
from exchange.protocol.errors import Unknown
from privacy.errors import Malformed
from privacy.policy import MAX_KEEPS
from privacy.release import Release
from privacy.terms import NANO


def connect(home: str | Path | None = None, exchange: str | None = None) -> "Client":
    """Open the desk under ``home`` on its line to the exchange at the URL ``exchange``.

    Without them: the environment's ``TOUCHSTONE_DESK`` and ``TOUCHSTONE_URL``.

    Raises:
        Unknown: if there is no desk, or nothing says where it or the exchange is.
    """
    where = home or os.environ.get("TOUCHSTONE_DESK")
    url = exchange or os.environ.get("TOUCHSTONE_URL")
    if not where:
        raise Unknown("desk named (give its directory, or set TOUCHSTONE_DESK)")
    if not url:
        raise Unknown("exchange named (give its address, or set TOUCHSTONE_URL)")
    return Client(Asker(Path(where), url, seconds=seconds))


class Client:
    """One asker on its line to an exchange; closes the line at the end of a ``with`` block."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    @property
    def desk(self) -> Desk:
        """The desk itself, for what is not a question: keys, offers, liens."""
        return self._asker.desk

    def query(
        self,
        sql: str,
        *,
        purpose: str,
        accuracy: Mapping[str, float] | None = None,
        budget: float | None = None,
        rows: int | None = None,
        shared: int | None = None,
        standard: str | None = None,
        parties: tuple[str, ...] | None = None,
        fresh: bool = False,
        keep_days: int | None = None,
    ) -> Inquiry:
        """Read a statement into a question; nothing is asked yet.

        ``accuracy`` gives by column the half-width of its 95 % interval that is wanted, in the column's unit: the least
        budget that reaches it in every group is found. ``budget`` is the price in rho instead. With neither, the owners'
        price for a question is paid. ``rows`` is how many rows a group is expected to have, where nothing stored tells.
        ``shared`` asks for noise shared among the institutions that withstands so many of them. ``standard`` is
        ``name/version`` (else the newest version of the table that the statement names), ``parties`` the institutions
        (else all that hold data under it). ``fresh`` asks the institutions even where a stored answer would do.
        ``keep_days`` is for how many days you undertake to keep the answer at most (else as long as the purpose needs).

        Raises:
            QueryFault: if the statement is not in the language.
            Malformed: if both accuracy and budget are given, or a number is not positive.
            Unknown: if nobody holds such data.
        """
        if accuracy is not None and budget is not None:
            raise Malformed("both accuracy and budget are given", fix="give one of them")
        numbers = [number for number in (*(accuracy or {}).values(), budget, rows) if number is not None]
        if not all(isfinite(number) and number > 0 for number in numbers):
            raise Malformed("an accuracy, a budget or a number of rows is not positive", fix="give numbers above 0")
        if budget is not None and not 1 <= round(budget * NANO) <= 100 * NANO:
            raise Malformed("the budget is not one that a plan can have", fix="give rho between 1e-9 and 100")
        if keep_days is not None and not 0 <= keep_days <= MAX_KEEPS:
            raise Malformed("the days to keep the answer are out of range", fix=f"give 0 to {MAX_KEEPS} days")
        name = standard or _newest(self._asker.desk.standards(), table_of(sql))
        asked = tuple(sorted(parties)) if parties else self._asker.desk.holders(name)
        asking = Asking(sql=sql, purpose=purpose, standard=name, parties=asked, shared=shared, keeps=keep_days)
        nano = None if budget is None else round(budget * NANO)
        return Inquiry(self._asker, asking, Wish(accuracy=accuracy, budget=nano, rows=rows, fresh=fresh))

    def job(self, session: str) -> Job:
        """Return a question that was put before, by the id of its session or the beginning of it.

        Raises:
            Unknown: if this desk put none, or several, whose id begins like this.
        """
        return self._asker.job(session)

    def jobs(self) -> list[Job]:
        """Return every question that this desk put, newest first."""
        return self._asker.jobs()

    def release(self, session: str) -> Release:
        """Return the release behind an answer, by the session that the result names among its sources: evidence for others.

        Raises:
            Unknown: if it was not opened at this desk.
        """
        stored = self._asker.shelf.get(session)
        if stored is None:
            raise Unknown("opened answer of this session")
        return stored.release

    def close(self) -> None:
        """Close the line."""
        self._asker.desk.line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _newest(held: Collection[str], table: str) -> str:
    """Return the newest version, ``name/version``, of a table under which an institution holds data."""
    found = [name for name in held if name.rpartition("/")[0] == table]
    if not found:
        raise Unknown("data registered under a table of this name")
    return max(found, key=lambda name: int(name.rpartition("/")[2]))
