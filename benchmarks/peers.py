"""The statement of ``joint_query`` through other libraries: ``python benchmarks/peers.py NAME FILE ...``, by any interpreter.

Each is given all institutions' files at once: they have one trusted holder, who sees every row. A person's rows are
bounded to six, the price is that of the private answer. This script imports nothing of the project, whose
dependencies the libraries are not, and prints the answer as one JSON object: version, and by group the count, sum and average.
"""

import importlib
import importlib.metadata
import json
import resource
import sys

RHO = 0.002
EPSILON = 0.334
"""What 0.002 rho come to at the delta of 1e-6."""

DELTA = 1e-6
REGIONS = ("north", "east", "south", "west", "central")
PRODUCTS = ("card", "mortgage", "car", "cash")
ROWS = 6
LIMIT = 200_000
"""Upper bound of a balance."""

MEMORY = 12 << 30
"""Bytes of memory at most: a library that needs more fails, and the machine goes on."""


def opendp(files: list[str]) -> dict[str, list[float]]:
    import polars as pl  # type: ignore[import-not-found,unused-ignore]

    dp = importlib.import_module("opendp.prelude")
    dp.enable_features("contrib")
    keys = pl.DataFrame(
        [(region, product) for region in REGIONS for product in PRODUCTS], schema=["region", "product"], orient="row"
    )
    # floats would be noised for their rounding over 10**9 rows, a thousand times as much
    cents = (pl.col("balance").cast(pl.Float64) * 100).round().cast(pl.Int64)
    context = dp.Context.compositor(
        data=pl.scan_parquet(files).select("person", "region", "product", cents),
        privacy_unit=dp.unit_of(contributions=1, identifier="person"),
        privacy_loss=dp.loss_of(rho=RHO),
        split_evenly_over=1,
        margins=[dp.polars.Margin(by=["region", "product"], max_length=10**9, max_groups=len(keys))],
    )
    query = (
        context.query()
        .truncate_per_group(ROWS)
        .group_by("region", "product")
        .agg(dp.len(signed=True), pl.col("balance").fill_null(0).dp.sum((0, 100 * LIMIT)))
        .with_keys(keys.lazy())
    )
    released = query.release().collect()
    return {
        f"{row['region']} {row['product']}": [
            row["len"],
            row["balance"] / 100,
            row["balance"] / 100 / max(row["len"], 1),
        ]
        for row in released.to_dicts()
    }


def smartnoise(files: list[str]) -> dict[str, list[float]]:
    import pandas as pd
    import snsql  # type: ignore[import-not-found,unused-ignore]

    columns = ["person", "region", "product", "balance"]
    frame = pd.concat([pd.read_parquet(file, columns=columns) for file in files], ignore_index=True)
    frame["balance"] = frame["balance"].astype(float)
    table = {
        "max_ids": ROWS,
        "censor_dims": False,
        "person": {"type": "string", "private_id": True},
        "region": {"type": "string"},
        "product": {"type": "string"},
        "balance": {"type": "float", "lower": 0.0, "upper": float(LIMIT)},
    }
    reader = snsql.from_df(
        frame,
        privacy=snsql.Privacy(epsilon=EPSILON, delta=DELTA),
        metadata={"": {"held": {"accounts": table}}},
    )
    rows = reader.execute(
        "SELECT region, product, COUNT(*) AS n, SUM(balance) AS total, AVG(balance) AS mean "
        "FROM held.accounts GROUP BY region, product"
    )
    return {
        f"{region} {product}": [float(n), float(total), float(mean)] for region, product, n, total, mean in rows[1:]
    }


PEERS = {"opendp": (opendp, "opendp"), "smartnoise": (smartnoise, "smartnoise-sql")}


def main() -> None:
    name, *files = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    work, package = PEERS[name]
    try:
        answer = work(files)
    except ImportError as missing:
        print(json.dumps({"missing": missing.name}))
        return
    print(json.dumps({"version": importlib.metadata.version(package), "answer": answer}))


if __name__ == "__main__":
    main()
