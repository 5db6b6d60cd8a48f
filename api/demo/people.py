"""Consumer credit tables for three institutions: synthetic people from a seed, or a real file split three ways.

Both lay the rows where real institutions have them, each in its own format and with its own column names, and return the
mapping onto the standard. Synthetic figures stay within the standard's public bounds and rows per person, so that the
plain answer over the raw tables is the truth that noisy answers must approach.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from exchange.node.engine import Location
from exchange.node.source import Field
from privacy.errors import Malformed

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SEED = 20_261_122
REGIONS = ("north", "east", "south", "west", "central")
PRODUCTS = ("card", "mortgage", "car", "cash")
EDUCATION = ("graduate", "university", "school", "other", "unknown")
_EDUCATION_CODES = {1: "graduate", 2: "university", 3: "school", 4: "other"}
_CARD_MONTHS = (("09", "0", 1), ("08", "2", 2), ("07", "3", 3), ("06", "4", 4), ("05", "5", 5), ("04", "6", 6))


@dataclass(frozen=True, slots=True)
class Institution:
    """One party of the demonstration: its table where it lies, and how it maps onto the standard."""

    party: str
    name: str
    location: Location
    mapping: Mapping[str, Field]
    rows: int
    persons: int


def synthesise(directory: Path, *, rows: int) -> list[Institution]:
    """Write three seeded tables of ``rows`` rows each under ``directory``; a tenth of the people bank at two of them."""
    import numpy as np  # noqa: PLC0415

    random = np.random.default_rng(SEED)
    tables: list[pd.DataFrame] = []
    for index in range(3):
        own = _people(random, rows, first=index * 10_000_000)
        if tables:
            # the first tenth of this bank's people are customers of the bank before it, too
            persons = own["person"].unique()
            shared = dict(zip(persons[: len(persons) // 10], tables[-1]["person"].unique()[::-1], strict=False))
            own["person"] = own["person"].map(lambda person, known=shared: known.get(person, person))
        tables.append(own)
    return _lay_out(directory, tables)


def split_cards(directory: Path, file: Path) -> list[Institution]:
    """Split the public credit-card file over three institutions: a row for each client and month, some clients at two.

    Raises:
        Malformed: if the file lacks a column that the split needs.
    """
    import pandas as pd  # noqa: PLC0415

    try:
        wide = pd.read_csv(file)
    except (OSError, ValueError):
        raise Malformed("the file cannot be read as CSV", fix="pass the path of credit_card_clients.csv") from None
    needed = ["id", "limit_bal", "education"]
    needed += [name for _, pay, bill in _CARD_MONTHS for name in (f"pay_{pay}", f"bill_amt{bill}")]
    missing = [name for name in needed if name not in wide.columns]
    if missing:
        raise Malformed(
            f"the file has no column {missing[0]}", fix="pass the UCI credit card clients file, lower-case names"
        )
    long = pd.concat(
        pd.DataFrame(
            {
                "person": "client-" + wide["id"].astype(str),
                "education": wide["education"].map(_EDUCATION_CODES).fillna("unknown"),
                "month": month,
                "balance": wide[f"bill_amt{bill}"],
                "credit_limit": wide["limit_bal"],
                "months_overdue": wide[f"pay_{pay}"].clip(lower=0),
                "bank": wide["id"] % 3,
                "second": wide["id"] % 10 == 0,
            }
        )
        for month, pay, bill in _CARD_MONTHS
    )
    tables = []
    for index in range(3):
        # every tenth client shows half of the months at the next bank as well
        visiting = long["second"] & (long["bank"] == (index + 1) % 3) & long["month"].isin(["04", "05", "06"])
        table = long[(long["bank"] == index) | visiting]
        tables.append(table.drop(columns=["bank", "second"]).reset_index(drop=True))
    return _lay_out(directory, tables)


def _people(random: "np.random.Generator", rows: int, *, first: int) -> "pd.DataFrame":
    """One bank's table: one to six rows a person, two percent of balances missing, a few limits out of range."""
    import numpy as np  # noqa: PLC0415
    import pandas as pd  # noqa: PLC0415

    per_person = random.integers(1, 7, size=rows)
    persons = np.repeat(np.arange(rows), per_person)[:rows]
    count = int(persons[-1]) + 1
    region = random.choice(REGIONS, size=count, p=[0.28, 0.26, 0.2, 0.16, 0.1])
    education = random.choice(EDUCATION, size=count, p=[0.3, 0.4, 0.2, 0.05, 0.05])
    income = np.round(np.minimum(random.lognormal(11.6, 0.5, size=count), 1_900_000), 2)
    limit = np.round(np.minimum(income[persons] * random.uniform(0.2, 0.9, size=rows), 900_000), 2)
    balance = np.round(np.minimum(limit * random.beta(1.2, 3, size=rows), 199_000), 2)
    table = pd.DataFrame(
        {
            "person": [f"p{first + person:08d}" for person in persons],
            "region": region[persons],
            "product": random.choice(PRODUCTS, size=rows, p=[0.55, 0.1, 0.15, 0.2]),
            "education": education[persons],
            "month": [f"{month:02d}" for month in random.integers(1, 13, size=rows)],
            "balance": balance,
            "credit_limit": limit,
            "months_overdue": np.minimum(random.poisson(0.25, size=rows), 9),
            "income": income[persons],
            "opened": _openings(rows, first=first),
        }
    )
    table.loc[random.random(rows) < 0.02, "balance"] = np.nan
    table.loc[random.random(rows) < 0.005, "credit_limit"] = -1.0
    return table


def _openings(rows: int, *, first: int) -> "np.ndarray[tuple[int], np.dtype[np.datetime64]]":
    """Days on which accounts were opened, 2005 to 2024, more of them late; drawn apart from all other figures."""
    import numpy as np  # noqa: PLC0415

    random = np.random.default_rng([SEED, first])
    days = np.sqrt(random.uniform(size=rows)) * 7_304
    return np.datetime64("2005-01-01") + days.astype(int)


_BANKS = (("bank-a", "Bank A"), ("bank-b", "Bank B"), ("bank-c", "Bank C"))
_LOCAL = {
    "bank-b": {
        "person": "cust_no", "region": "area", "product": "prod", "education": "edu", "month": "mon",
        "balance": "bal", "credit_limit": "lim", "months_overdue": "late", "income": "inc", "opened": "open_date",
    }
}  # fmt: skip


def _lay_out(directory: Path, tables: list["pd.DataFrame"]) -> list[Institution]:
    """Write the tables as Parquet, CSV and a DuckDB file; constants stand in the mapping for columns a table lacks."""
    institutions = []
    for (party, name), table in zip(_BANKS, tables, strict=True):
        home = directory / party / "source"
        home.mkdir(parents=True)
        local = _LOCAL.get(party, {})
        mapping = {column: Field(source=local.get(str(column), str(column))) for column in map(str, table.columns)}
        if "product" not in mapping:
            mapping["product"] = Field(constant="card")
        stored = table.rename(columns=local)
        location = {
            "bank-a": Location("parquet", str((home / "accounts.parquet").resolve())),
            "bank-b": Location("csv", str((home / "accounts.csv").resolve())),
            "bank-c": Location("duckdb", str((home / "accounts.duckdb").resolve()), table="accounts"),
        }[party]
        _store(stored, location)
        institutions.append(Institution(party, name, location, mapping, len(table), int(table["person"].nunique())))
    return institutions


def _store(table: "pd.DataFrame", location: Location) -> None:
    match location.kind:
        case "parquet":
            with duckdb.connect(":memory:") as engine:
                engine.register("rows", table)
                engine.execute("COPY rows TO '" + location.path.replace("'", "''") + "' (FORMAT parquet)")
        case "csv":
            table.to_csv(location.path, index=False)
        case _:
            with duckdb.connect(location.path) as engine:
                engine.register("rows", table)
                engine.execute("CREATE TABLE accounts AS SELECT * FROM rows")
