"""``python -m valuation.desk`` prints ``docs/formulas.md``."""

from valuation.desk.page import page

if __name__ == "__main__":
    print(page(), end="")  # noqa: T201  this room's one command
