"""The answers without noise, computed apart from the product: plain SQL over the union of the three raw tables.

Only the demonstration knows them, because it made or holds all three tables itself.
"""

from collections.abc import Sequence

import duckdb

from api.demo.people import Institution

_COLUMNS = ("person", "region", "product", "education", "month", "balance", "credit_limit", "months_overdue", "income")
_NUMBERS = {
    "balance": "DECIMAL(18, 2)",
    "credit_limit": "DECIMAL(18, 2)",
    "months_overdue": "INTEGER",
    "income": "DECIMAL(18, 2)",
}


class Truth:
    """Plain answers over the union of the institutions' tables."""

    def __init__(self, institutions: Sequence[Institution]) -> None:
        self._engine = duckdb.connect(":memory:")
        parts = [self._part(index, one) for index, one in enumerate(institutions)]
        self._engine.execute("CREATE TABLE rows AS " + " UNION ALL ".join(parts))

    def close(self) -> None:
        """Forget the rows."""
        self._engine.close()

    def by(self, group: str) -> dict[str, tuple[int, int, float]]:
        """Return rows, rows with a balance, and the sum of balances kept to 0 ... 200,000, of cards, by group value."""
        found = self._engine.execute(
            f"SELECT {group}, count(*), count(balance), "  # noqa: S608  a column name of this module
            "sum(CASE WHEN balance < 0 THEN 0 WHEN balance > 200000 THEN 200000 ELSE balance END) "
            f"FROM rows WHERE product = 'card' GROUP BY {group}"
        ).fetchall()
        return {str(value): (int(rows), int(present), float(total or 0)) for value, rows, present, total in found}

    def quality(self, index: int) -> dict[str, int]:
        """Return what the quality of one institution's table is measured from, by measure key."""
        return dict(
            zip(
                (
                    "count(*)", "filled(product)", "filled(month)", "filled(balance)", "filled(credit_limit)",
                    "valid(product)", "valid(month)", "valid(balance)", "valid(credit_limit)",
                ),
                self._engine.execute(
                    "SELECT count(*), count(product), count(month), count(balance), count(credit_limit), "
                    "count(CASE WHEN product IN ('card', 'mortgage', 'car', 'cash') THEN 1 END), "
                    "count(CASE WHEN month BETWEEN '01' AND '12' THEN 1 END), "
                    "count(CASE WHEN balance >= 0 AND balance <= 200000 THEN 1 END), "
                    "count(CASE WHEN credit_limit >= 0 AND credit_limit <= 1000000 THEN 1 END) "
                    "FROM rows WHERE institution = ?",
                    [index],
                ).fetchall()[0],
                strict=True,
            )
        )  # fmt: skip

    def _part(self, index: int, one: Institution) -> str:
        path = one.location.path.replace("'", "''")
        match one.location.kind:
            case "parquet":
                table = f"read_parquet('{path}')"
            case "csv":
                table = f"read_csv('{path}', all_varchar = true)"
            case _:
                self._engine.execute(f"ATTACH '{path}' AS held{index} (READ_ONLY)")
                table = f"held{index}.{one.location.table}"
        selected = []
        for column in _COLUMNS:
            mapped = one.mapping.get(column)
            if mapped is None:
                raw = "NULL"
            else:
                raw = f'"{mapped.source}"' if mapped.source is not None else f"'{mapped.constant}'"
            selected.append(f"CAST({raw} AS {_NUMBERS.get(column, 'VARCHAR')}) AS {column}")
        return f"SELECT {index} AS institution, {', '.join(selected)} FROM {table}"  # noqa: S608  this module's names
