"""The public credit-card file, which is no part of the project: tests of real figures skip, saying so, where it is absent."""

from pathlib import Path

import pytest

CARDS = Path(__file__).parents[2] / "shared" / "data" / "credit_card_clients.csv"

with_cards = pytest.mark.skipif(
    not CARDS.exists(), reason="the public credit-card file does not lie beside the project"
)
