"""Methods 44 to 46: repayment by month, amortisation along a decaying value, and principal sculpted to cash flow.

Closed forms where the number of months is free: a schedule of any length costs the same, and no balance is the small
difference of two large numbers.
"""

from fractions import Fraction
from math import ceil

from valuation.desk.contract import Field, Text
from valuation.desk.decay import HALF_LIFE, USUAL_HALF_LIFE
from valuation.desk.income import present_value
from valuation.desk.method import Figures, Given, Output, field, method, series
from valuation.desk.reals import exp_less_1, halved, ln, power, power_less_1, rounded
from valuation.errors import OutOfRange

KINDS = ("annuity", "equal_principal", "bullet")
_ZERO = Fraction(0)


def payment_factor(rate: Fraction, periods: int) -> Fraction:
    """Level payment per period that repays 1 over ``periods >= 1``: rate / (1 - (1+rate)^-periods); 1/periods at rate 0.

    ``rate > -1`` per period. Exact while the power stays short.
    """
    if rate == 0:
        return Fraction(1, periods)
    return rate / -power_less_1(1 + rate, -periods)


@method(
    title="Repayment schedule",
    formula="i = rate/12;  annuity: A = (P − R·(1+i)^(−n))·i/(1 − (1+i)^(−n)), principal A − interest, + R in month n;  "
    "equal_principal: (P − R)/n, rest in month n;  bullet: P in month n;  interest = opening balance·i",
    latex=r"A=\frac{(P-Rv^n)\,i}{1-v^n},\quad B_m=A\frac{1-v^{n-m}}i+Rv^{n-m},\quad v=\frac1{1+i},\ i=\frac r{12}",
    source="loan mathematics",
    inputs=(
        field("principal", "¥", ">0", "P"),
        field("annual_rate", "1/y", "(0,1)", "nominal; i = annual_rate/12 per month"),
        field("months", "months", ">=2", "n", whole=True),
        Field("kind", Text(KINDS), "schedule"),
        field("balloon", "¥", ">=0", "residual R repaid with the last instalment; without effect for bullet"),
    ),
    outputs=(
        Output("first_interest", "¥", "interest of month 1"),
        Output("first_principal", "¥", "principal of month 1"),
        Output("mid_balance", "¥", "closing balance after month ⌊n/2⌋"),
        Output("last_principal", "¥", "principal of month n including the balloon"),
        Output("total_interest", "¥", "Σ interest"),
    ),
    conditions=("balloon ≤ principal",),
)
def repayment_schedule(given: Given) -> Figures:
    """Key figures of a monthly schedule."""
    loan: Fraction = given["principal"]
    residual: Fraction = given["balloon"]
    rate, months = given["annual_rate"] / 12, given["months"]
    if residual > loan:
        raise OutOfRange("balloon", "[0,principal]")
    middle = months // 2
    repaid = loan - residual
    match given["kind"]:
        case "annuity":
            level = repaid * payment_factor(rate, months)  # A = repaid * factor + R i

            def after(month: int) -> Fraction:
                # the balance: what is left of the annuity part, and the residual, which only bears interest
                return rounded(level / payment_factor(rate, months - month)) + residual

            # level - repaid * rate, without the cancellation of a long schedule
            first = level * power(1 + rate, -months)
            balance, last = after(middle), after(months - 1)
            interest = level * months + residual * rate * months - repaid
        case "equal_principal":
            first = repaid / months
            balance, last = loan - middle * first, residual + first
            interest = rate * (months * loan - first * Fraction(months * (months - 1), 2))
        case _:
            first, balance, last = _ZERO, loan, loan
            interest = loan * rate * months
    return {
        "first_interest": loan * rate,
        "first_principal": first,
        "mid_balance": balance,
        "last_principal": last,
        "total_interest": interest,
    }


@method(
    title="Amortisation along a decaying value",
    formula="b_0 = L;  b_k = min(b_{k−1}, max_ltv·V0·2^(−k/(12h))) for k < n;  b_n = 0;  principal_k = b_{k−1} − b_k;  "
    "interest_k = b_{k−1}·rate/12",
    latex=r"b_0=L,\quad b_k=\min\bigl(b_{k-1},\ \ell V_02^{-k/12h}\bigr)\ (k<n),\quad b_n=0",
    source="product rule",
    inputs=(
        field("loan", "¥", ">0", "L"),
        field("value0", "¥", ">0", "V0"),
        field("half_life", "y", HALF_LIFE, "half-life h", usual=USUAL_HALF_LIFE),
        field("months", "months", ">=6", "n", whole=True),
        field("rate", "1/y", "[0,1)", "nominal, rate/12 per month"),
        field("max_ltv", "ratio", "(0,1]", "cap on balance / value"),
    ),
    outputs=(
        Output("first_principal", "¥", "principal of month 1"),
        Output("principal_month_6", "¥", "principal of month 6"),
        Output("last_principal", "¥", "principal of month n"),
        Output("total_interest", "¥", "Σ interest"),
    ),
)
def ltv_constant_amortisation(given: Given) -> Figures:
    """Amortisation that keeps balance ≤ max_ltv × decaying value."""
    loan: Fraction = given["loan"]
    months, half_life = given["months"], given["half_life"]
    ceiling = given["max_ltv"] * given["value0"]

    def balance(month: int) -> Fraction:
        # the ceiling only falls, so the smaller of the loan and the ceiling is the running minimum
        if month in (0, months):
            return loan if month == 0 else _ZERO
        return min(loan, rounded(ceiling * halved(Fraction(month, 12), half_life)))

    # months 0 … flat-1 open with the whole loan, the later ones with the ceiling: a geometric series
    flat = 1
    if ceiling > loan:
        flat = max(1, ceil(12 * half_life * ln(ceiling / loan) / ln(Fraction(2))))
    flat = min(flat, months)
    opening = loan * flat
    if flat < months:
        fading = ln(Fraction(2)) / (12 * half_life)
        geometric = exp_less_1(-fading * (months - flat)) / exp_less_1(-fading)
        opening += ceiling * halved(Fraction(flat, 12), half_life) * geometric
    return {
        "first_principal": balance(0) - balance(1),
        "principal_month_6": balance(5) - balance(6),
        "last_principal": balance(months - 1),
        "total_interest": rounded(opening) * given["rate"] / 12,
    }


@method(
    title="Principal sculpted to DSCR",
    formula="interest_t = b_{t−1}·rate;  principal_t = min((cfads_t/target − interest_t)⁺, b_{t−1});  balloon = b_n;  "
    "PV = Σ cfads_t·(1+rate)^(−t);  LLCR = PV/L;  max_loan = PV/target",
    latex=r"p_t=\min\Bigl(\Bigl(\frac{C_t}{D}-b_{t-1}r\Bigr)^+,\ b_{t-1}\Bigr),\quad LLCR=\frac1L\sum_t\frac{C_t}{(1+r)^t},\quad "
    r"L_{max}=\frac{PV}D",
    source="project-finance practice",
    inputs=(
        series("cfads", "¥/y", "any", "cash flow available for debt service, annual"),
        field("loan", "¥", ">0", "L"),
        field("rate", "1/y", "(0,1)", "annual"),
        field("target_dscr", "", "[1,3]", "target", usual="[1.2,1.5]"),
    ),
    outputs=(
        Output("principal", "¥", "by year; unpaid interest is not capitalised", "list of number"),
        Output("balloon", "¥", "balance after the last year"),
        Output("LLCR", "ratio", "loan life cover ratio"),
        Output("max_loan_at_dscr", "¥", "largest loan at the target"),
    ),
)
def dscr_sculpting(given: Given) -> Figures:
    """Principal sculpted to a target DSCR."""
    balance, rate, target = given["loan"], given["rate"], given["target_dscr"]
    principal = []
    for cash in given["cfads"]:
        # rounding the balance itself would leave a rest where the loan is repaid in full
        repaid = min(rounded(max(cash / target - balance * rate, _ZERO)), balance)
        principal.append(repaid)
        balance -= repaid
    value = present_value(given["cfads"], rate)
    return {
        "principal": principal,
        "balloon": balance,
        "LLCR": value / given["loan"],
        "max_loan_at_dscr": value / target,
    }
