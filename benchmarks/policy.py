"""How many requests one core judges in a second, with many grants in sight.

``python -m benchmarks.policy [--grants 100] [--seconds 5]`` prints one JSON object last.
"""

import argparse
import json
import time
from dataclasses import replace
from datetime import date

from api.demo.town import PURPOSE, STANDARD
from exchange.analyst.reading import parse
from exchange.standards import shipped
from privacy.atoms import USES
from privacy.necessity import decide
from privacy.offences import Request
from privacy.policy import Grant, Policy
from privacy.purposes import PURPOSES
from privacy.terms import Kind

STATEMENTS = (
    "SELECT region, product, COUNT(*), AVG(balance) FROM consumer_credit WHERE months_overdue < 3 GROUP BY region, product",
    "SELECT month, SUM(balance), STDDEV_SAMP(balance) FROM consumer_credit GROUP BY month",
    "SELECT COUNT(*), COUNT(DISTINCT person) FROM consumer_credit WHERE region IN ('north', 'east')",
    "SELECT region, AVG(income) FROM consumer_credit GROUP BY region",  # refused: its nearest request is worked out as well
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grants", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    standard = shipped(STANDARD)
    parties = ("bank-a", "bank-b", "bank-c")
    policy = with_grants(given.grants)
    plans = [parse(sql, standard=standard, purpose=PURPOSE, parties=parties, rho=10**8).plan for sql in STATEMENTS]
    requests = [Request(plan, "lender-x", "lender", 30, date(2026, 11, 22)) for plan in plans]
    outcomes = [decide(request, standard=standard, policies=[policy]).outcome.value for request in requests]
    rates = {}
    for name, asked in (("mixed", requests), ("allowed", requests[:3])):
        decided, start = 0, time.process_time()
        while (spent := time.process_time() - start) < given.seconds:
            for request in asked:
                decide(request, standard=standard, policies=[policy])
            decided += len(asked)
        rates[name] = round(decided / spent)
        print(f"{name}: {rates[name]} decisions a second, {given.grants} grants, outcomes {outcomes}")
    print(
        json.dumps(
            {"decisions_per_second": rates["mixed"], "grants": given.grants, "allowed_per_second": rates["allowed"]}
        )
    )


def with_grants(count: int) -> Policy:
    """Return a policy with grants of every purpose for many parties; the asker's is among those for all lenders."""
    standard = shipped(STANDARD)
    columns = {"*": ("count",)} | {
        column.name: USES
        for column in standard.columns
        if column.kind is not Kind.IDENTIFIER and column.name != "income"
    }
    lenders = Grant(PURPOSE, ("role:lender",), columns, 3, 20, 10**8, 10**9)
    others = [
        replace(lenders, purpose=list(PURPOSES)[number % len(PURPOSES)], recipients=(f"partner-{number}",))
        for number in range(count - 1)
    ]
    bounds = {column.name: column.bounds for column in standard.columns if column.bounds is not None}
    domains = {column.name: column.domain for column in standard.columns if column.domain}
    return Policy("bank-a", "accounts", standard.id, 1, 10**10, 10**10, (*others, lenders), bounds, domains)


if __name__ == "__main__":
    main()
