"""What a pledge loan must earn: loss given default with its floor, expected loss, floor rate, RAROC, LTV by quantile.

Default is taken at maturity, when the data is oldest, on the full amount, with the value already down because the
borrower whose business it is has failed. What its sale brings comes after prior claims. The loss is floored: no
record of recoveries on data exists, and a low LTV would otherwise show no loss at all. Capital is that of an unsecured
loan, since data relieves none; the desk's formulas compute every step.

Source: EL and RAROC practice; Basel Framework CRE31 with the unsecured loss given default of 40 % of CRE32.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from valuation import desk, exact
from valuation.cash import TERMS, rate_of
from valuation.cost import Appraisal, Remark
from valuation.desk.credit import least_rate, proceeds
from valuation.desk.reals import halved
from valuation.errors import MissingKey
from valuation.loan import Loan
from valuation.money import Money
from valuation.trace import Traced, derived, given

SOURCE = "EL and RAROC practice"
UNSECURED_LGD = Fraction("0.4")
"""Loss given default of a senior unsecured corporate exposure, foundation approach."""

_ONE, _ZERO = Fraction(1), Fraction(0)


@dataclass(frozen=True, slots=True)
class Pricing:
    """The figures of a price. ``ltv_max`` is on the value; ``half_life`` is what the loss and the stresses decay by."""

    half_life: Traced
    recovery: Traced
    economic_lgd: Traced
    lgd: Traced
    expected_loss: Traced
    capital: Traced
    unsecured: Traced
    floor: Traced
    raroc: Traced
    hurdle: Traced
    ltv_max: Traced

    @property
    def roots(self) -> tuple[Traced, ...]:
        """The figures from which the others can be reached."""
        return (self.expected_loss, self.unsecured, self.floor, self.raroc, self.ltv_max)


def half_life_of(appraisal: Appraisal, loan: Loan) -> Traced:
    """The half-life that the lender states, or that of the income's facts.

    Raises:
        MissingKey: if there is neither.
    """
    label = "half-life of the value"
    stated = loan.risk.half_life
    if stated is not None:
        cited, value = stated.cited, stated.value
    else:
        income = appraisal.facts.income
        if income is None:
            raise MissingKey("terms.loan.risk.half_life")
        cited, value = income.fade.cited, income.fade.half_life
    return given("risk.half_life", label, value, unit="years", source=str(cited), evidence=cited.document)


def price(appraisal: Appraisal, loan: Loan, *, amount: Traced, value: Traced, prior: Traced, years: Traced) -> Pricing:
    """Price ``amount`` against ``value``, the lower end before haircuts, after ``prior`` claims, over ``years``."""
    risk = {name: _stated(f"risk.{name}", label, getattr(loan.risk, name), unit) for name, label, unit in _RISKS}
    half_life, rate = half_life_of(appraisal, loan), rate_of(loan)
    cited = loan.risk.pd.cited
    default = given(
        "risk.pd", "default probability of a year", loan.risk.pd.value, unit="share", source=str(cited),
        evidence=cited.document,
    )  # fmt: skip
    at_default = derived(
        "price.value",
        "value at default",
        Money.of(
            value.fraction * (1 - risk["distress"].fraction) * halved(years.fraction, half_life.fraction),
            appraisal.currency,
        ),
        formula="lower value * (1 - distress) * 2^(-years to maturity / half-life)",
        because=(value, risk["distress"], years, half_life),
        source="default at maturity, by a borrower whose business the data is",
    )
    net = proceeds(
        at_default.fraction,
        liquidation=risk["liquidation"].fraction,
        cost=risk["cost"].fraction,
        rate=rate.fraction,
        workout=risk["workout"].fraction,
    )
    recovery = derived(
        "price.recovery",
        "recovery from the data",
        Money.of(max(min(net - prior.fraction, amount.fraction), _ZERO), appraisal.currency),
        formula="min(amount, value at default * (1 - liquidation) * (1 - cost) / (1 + rate)^workout - prior claims), 0 at "
        "least",
        because=(at_default, risk["liquidation"], risk["cost"], rate, risk["workout"], prior, amount),
        source=desk.find("collateral_lgd").source,
    )
    economic = derived(
        "price.lgd.economic",
        "LGD without a floor",
        1 - recovery.fraction / amount.fraction,
        unit="share",
        formula="1 - recovery / amount",
        because=(recovery, amount),
        source=desk.find("collateral_lgd").source,
    )
    loss = derived(
        "price.lgd",
        "LGD, loss given default",
        max(economic.fraction, risk["lgd_floor"].fraction),
        unit="share",
        formula="max(LGD without a floor, floor)",
        because=(economic, risk["lgd_floor"]),
        source="no record of recoveries on data exists",
    )
    return Pricing(
        half_life=half_life,
        recovery=recovery,
        economic_lgd=economic,
        lgd=loss,
        ltv_max=_quantile(risk, half_life=half_life, years=years, rate=rate),
        **_rates(loan, amount, default=default, loss=loss, years=years, rate=rate),
    )


def _rates(
    loan: Loan, amount: Traced, *, default: Traced, loss: Traced, years: Traced, rate: Traced
) -> dict[str, Traced]:
    own = {name: _stated(f"price.{name}", label, getattr(loan.price, name), "1/year") for name, label in _RATES.items()}
    tax = _stated("price.tax", "tax rate of the lender", loan.price.tax, "share")
    unsecured = derived(
        "price.capital.unsecured",
        "capital of an unsecured loan",
        desk.find("irb_capital").figures(
            {
                "PD": default.fraction,
                "LGD": UNSECURED_LGD,
                "M": min(max(years.fraction, _ONE), Fraction(5)),
                "sales_mEUR_or_null": None,
            }
        )["K"],
        unit="share",
        formula="irb_capital at LGD 40 %, maturity of 1 year at least; data relieves no capital",
        because=(default, years),
        source=desk.find("irb_capital").source,
    )
    capital = unsecured
    if loan.price.capital is not None:
        capital = _stated("price.capital", "economic capital, share of the amount", loan.price.capital, "share")
    because = (default, loss, *own.values(), capital, tax)
    least = least_rate(
        funding=own["ftp"].fraction,
        opex=own["opex"].fraction,
        loss=default.fraction * loss.fraction,
        capital=capital.fraction,
        hurdle=own["hurdle"].fraction,
        risk_free=own["risk_free"].fraction,
        tax=tax.fraction,
    )
    told = desk.find("loan_pricing_raroc").figures(
        {
            "EAD": amount.fraction,
            "PD": default.fraction,
            "LGD": loss.fraction,
            "FTP": own["ftp"].fraction,
            "opex": own["opex"].fraction,
            "EC_share": capital.fraction,
            "hurdle": own["hurdle"].fraction,
            "rf": own["risk_free"].fraction,
            "tax": tax.fraction,
            "rate": rate.fraction,
        }
    )
    return {
        "expected_loss": derived(
            "price.el",
            "EL, expected loss of a year",
            Money.of(told["EL"], amount.unit),
            formula="amount * default probability * LGD",
            because=(amount, default, loss),
            source=SOURCE,
        ),
        "capital": capital,
        "unsecured": unsecured,
        "floor": derived(
            "price.floor",
            "floor rate",
            least,
            unit="1/year",
            formula="FTP + opex + default probability * LGD + capital * (hurdle / (1 - tax) - risk free)",
            because=because,
            source=SOURCE,
        ),
        "raroc": derived(
            "price.raroc",
            "RAROC, after tax",
            told["raroc"],
            unit="1/year",
            formula="(rate - FTP - opex - default probability * LGD + capital * risk free) * (1 - tax) / capital",
            because=(rate, *because),
            source=SOURCE,
        ),
        "hurdle": own["hurdle"],
    }


def _quantile(risk: dict[str, Traced], *, half_life: Traced, years: Traced, rate: Traced) -> Traced:
    told = desk.find("ltv_from_quantile").figures(
        {
            "drift": risk["drift"].fraction,
            "half_life": half_life.fraction,
            "sigma": risk["sigma"].fraction,
            "T": years.fraction,
            "liquidation_discount": risk["liquidation"].fraction,
            "confidence": risk["confidence"].fraction,
            "loan_rate": rate.fraction,
        }
    )
    return derived(
        "price.ltv_max",
        "largest loan to value by quantile",
        told["ltv_max"],
        unit="share",
        formula="ltv_from_quantile: a sale at maturity repays loan and interest at this confidence",
        because=(risk["drift"], half_life, risk["sigma"], years, risk["liquidation"], risk["confidence"], rate),
        source=desk.find("ltv_from_quantile").source,
    )


def remarks(pricing: Pricing, loan: Loan, *, ltv: Traced | None) -> list[Remark]:
    """What a credit officer must answer about the price."""
    found = []
    if Fraction(loan.rate) < pricing.floor.fraction:
        text = f"the rate offered, {exact.percent(loan.rate)}, is below the floor of {exact.percent(pricing.floor.fraction)}"
        found.append(Remark("red-flag-price", text))
    if pricing.economic_lgd.fraction < pricing.lgd.fraction:
        text = f"the loss given default is floored: the value alone would leave {exact.percent(pricing.economic_lgd.fraction)}"
        found.append(Remark("lgd-floored", text))
    if pricing.capital.fraction < pricing.unsecured.fraction:
        found.append(Remark("red-flag-capital", "less capital than an unsecured loan needs: data relieves none"))
    if ltv is not None and ltv.fraction > pricing.ltv_max.fraction:
        text = f"the loan is {exact.percent(ltv.fraction)} of the value; a sale bears {exact.percent(pricing.ltv_max.fraction)}"
        found.append(Remark("red-flag-quantile", text))
    return found


def _stated(key: str, label: str, value: Decimal, unit: str) -> Traced:
    return given(key, label, value, unit=unit, source=TERMS)


_RISKS = (
    ("lgd_floor", "floor of the LGD", "share"),
    ("liquidation", "liquidation discount", "share"),
    ("cost", "cost of realisation", "share"),
    ("workout", "years of the workout", "years"),
    ("distress", "value lost when the borrower fails", "share"),
    ("drift", "drift of the value", "1/year"),
    ("sigma", "volatility of the value", "1/root year"),
    ("confidence", "confidence of the LTV by quantile", "share"),
)
_RATES = {"ftp": "FTP, funding cost", "opex": "operating cost", "hurdle": "hurdle", "risk_free": "risk-free rate"}
