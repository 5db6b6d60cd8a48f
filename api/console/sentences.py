"""Sentences that records carry in English, told in the reader's language where they are made like one of those known here.

The rooms that make them know of no language. A sentence that is made otherwise stays as it came, so nothing is lost.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache

from api.console.wording import Words, msg

CUSTODY = (
    msg("the dataset was withdrawn"),
    msg("the node could not read the rows on {day}"),
    msg("on {day} the node found other rows than it had declared"),
    msg("the version of {day} keeps fewer of the pledged rows than nine in ten"),
    msg("the node has said nothing since {moment}"),
    msg("the version of {day} has no fingerprint yet"),
    msg("the rows should have been loaded anew by {day}"),
    msg("the rows of {day} are there, by the node's word of {moment}"),
)
"""Why pledged rows are held to be there, late or gone."""

CHANGES = (
    msg("access at all: {atoms}"),
    msg("{n} rho for everybody together instead of {old_n}"),
    msg("{n} rho for each asker instead of {old_n}"),
    msg("a pledge to other lenders, of a larger loan or for longer"),
    msg("to {names} after a step-in, whatever is granted for it, from up to {n} rho kept back"),
    msg("after a step-in: {sentence}"),
    msg("answers joined by {n} institution instead of {old_n}"),
    msg("answers joined by {n} institutions instead of {old_n}"),
    msg("groups from {n} rows on instead of {old_n}"),
    msg("{n} rho a question instead of {old_n}"),
    msg("{n} rho for the purpose instead of {old_n}"),
    msg("shared noise that withstands {n}"),
    msg("{n} cells an answer instead of {old_n}"),
    msg("any number of cells an answer instead of {old_n}"),
    msg("kept for {n} days instead of {old_n}"),
    msg("days beyond {day} to {last_day}"),
    msg("without, or with a weaker, approval of the owner's officers"),
    msg("{column} by any cut instead of {old_word}"),
    msg("{column} by {word} instead of {old_word}"),
    msg("counts told to ± {n} instead of ± {old_n}"),
    msg("sums of {column} told to ± {n} instead of ± {old_n}"),
    msg("{column} named as {names}"),
    msg("sums of {column} within wider bounds"),
    msg("rows beyond those that were open"),
)
"""What a change of a policy opens or closes."""

FIGURES = (
    msg("rows as count"),
    msg("{column} as {use}"),
    msg("{amount} ({low_amount} to {high_amount})"),
    msg("fewer than {n}"),
    msg("{n} group without figures: {sentence}"),
    msg("{n} groups without figures: {sentence}"),
    msg("{n} group of rows without a label: {sentence}"),
    msg("{n} groups of rows without a label: {sentence}"),
    msg("little spread beside the noise: the error is larger than shown"),
    msg("few rows beside the noise: the error is larger than shown"),
    msg("the noise is larger than the spread: shown as 0"),
    msg("noise carried it beyond its limit: shown there"),
    msg("each party alone"),
    msg("all parties together, withstanding {n}"),
)
"""What a question uses, and what is said of the figures of its answer."""

STRUCTURES = (
    msg("borrower: {party}"),
    msg("lender: {party}"),
    msg("guarantor: {party}"),
    msg("counter guarantor: {party}"),
    msg("settlor: {party}"),
    msg("trustee: {party}"),
    msg("operator: {party}"),
    msg("originator: {party}"),
    msg("issuer: {party}"),
    msg("servicer: {party}"),
    msg("{amount} CNY"),
    msg("{amount} times"),
    msg("{amount} % a year of covered"),
    msg("expected loss without the guarantee"),
    msg("expected loss with it"),
    msg("fee floor"),
    msg("fee charged"),
    msg("fees over the life of the loan"),
    msg("lender's largest loss, guarantor paying"),
    msg("guarantor's largest loss"),
    msg("lender's largest loss, both failing"),
    msg("income of the trust"),
    msg("fees"),
    msg("distributed to beneficiaries"),
    msg("kept by the settlor"),
    msg("revenue that went nowhere"),
    msg("present value of distributions to come"),
    msg("share of the pool pledged by data"),
    msg("recognised value to senior class"),
    msg("of it, what the loans can claim"),
    msg("expected loss of the pool"),
    msg("expected loss of the senior class"),
    msg("probability that the senior class loses"),
    msg("Payments, and who is paid what if the borrower stops in a period"),
    msg("From revenue to distribution"),
    msg("Beneficiaries"),
    msg("Who is paid what in each scenario"),
    msg("Cash by period: {sentence}"),
    msg("period"),
    msg("balance"),
    msg("principal"),
    msg("interest"),
    msg("guarantee fee"),
    msg("claim"),
    msg("guarantor pays"),
    msg("costs"),
    msg("earlier ranks"),
    msg("later ranks"),
    msg("pledgor"),
    msg("lender recovers"),
    msg("guarantor recovers"),
    msg("lender loses"),
    msg("guarantor loses"),
    msg("counter-guarantor loses"),
    msg("lender loses if both fail"),
    msg("period to"),
    msg("basis"),
    msg("metered"),
    msg("forecast"),
    msg("revenue"),
    msg("settlor keeps"),
    msg("brought over"),
    msg("carried over"),
    msg("fee: {party}"),
    msg("beneficiary"),
    msg("units"),
    msg("use"),
    msg("paid"),
    msg("scenario"),
    msg("as agreed"),
    msg("pool"),
    msg("collected"),
    msg("senior interest"),
    msg("senior principal"),
    msg("junior interest"),
    msg("junior principal"),
    msg("senior loses"),
    msg("junior loses"),
    msg("to senior"),
    msg("to junior"),
    msg("reserve"),
    msg("residual"),
    msg("triggers"),
    msg("senior balance"),
    msg("claims of earlier rank are paid first; the subrogated claim inherits that"),
    msg("the fee charged is below its floor: the guarantor pays for the risk"),
    msg("the guarantor is no better a risk than the borrower"),
    msg("no data secures the guarantor's recourse: subrogation is unsecured"),
    msg("lenders usually keep 20 to 30 % of the risk"),
    msg("in some periods nothing was used: their income was carried over"),
    msg("one beneficiary's data earns more than half of the metered use"),
    msg("fees take more than a quarter of the income"),
    msg("the income does not cover the fees"),
    msg("nothing was metered yet: every figure rests on forecasts"),
    msg("{amount} % of the pool is pledged by data, more than half"),
    msg("only {amount} % of the pool is pledged by data; the label needs more than half"),
    msg("the cover is below its floor on the first day: no cash reaches the junior class"),
    msg("what the loans can claim of the recognised value does not cover the senior class"),
    msg("the senior class is not repaid in full: {sentence}"),
    msg("trips in a scenario: {sentence}"),
    msg("defaulted balance above its limit, as a share of the pool at the start"),
    msg("recognised value of the loans that pay, below its floor times the senior balance"),
    msg("reserve below its floor while the senior class is out"),
    msg("the servicer failed"),
    msg("asset correlations are usually 0.12 to 0.25"),
    msg("data is not eligible collateral for regulatory capital; no capital relief follows from this structure"),
    msg("default probabilities are per year; expected losses are of the first year, on the amount at the start"),
    msg("a claim is the balance with the interest of the period in which the borrower stops paying"),
    msg("the value stated for the data has its haircuts off and no prior claims; it fades by its half-life"),
    msg(
        "recoveries on other assets of the borrower are not counted in the table; the loss given default stands for all of them"
    ),
    msg(
        "a counter-guarantor pays the guarantor, not the lender: if the guarantor fails, the lender leans on the data alone"
    ),
    msg(
        "metered use is what the exchange logged; forecasts are the operator's, and the present value rests on them alone"
    ),
    msg("the trust's share of a revenue is rounded down to the cent, the settlor keeps the rest"),
    msg("unpaid fees are carried over without interest; distributions are made at the end of each period"),
    msg("present values count actual days over 365 at one annual rate, with no value after the last period"),
    msg("a loan that stopped has no cover any more; what it recovers arrives once, after the stated lag"),
    msg(
        "cover counts the recognised value of data pledged for loans that pay, never an appraised value; it fades by half-life"
    ),
    msg("excess interest goes to the holder of the residual until a trigger trips, and cannot be called back"),
    msg("loans of one obligor default together; excess interest and the reserve are not counted against the losses"),
    msg(
        "no guarantee or liquidity of a third party is counted: a rating may lean on such support, these figures do not"
    ),
    msg(
        "the loss distribution counts defaults up to each obligor's last payment, at the balance of the start, on one factor"
    ),
    msg("the trust property is registered apart from the settlor's"),
    msg("the settlor owes nothing if the income falls short"),
)
"""What documents of guarantees, trusts and securitisations say: parties, figures, heads, remarks, assumptions."""

_SHAPES: Mapping[str, str] = {
    "day": r"\d{4}-\d\d-\d\d",
    "moment": r"\d{4}-\d\d-\d\dT[\d:.]+Z",
    "n": r"[\d.]+(?:e[+-]?\d+)?",
    "amount": r"-?[\d,.]+",
    "use": r"[a-z]+",
    "column": r"\w+",
    "word": r"\w+",
}
"""What stands for a value, by the last word of its name; whatever it may be where it is not listed."""


_USES: Mapping[str, str] = {"product": msg("multiplied")}
"""Uses that pages call by another word."""


@cache
def _known() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((text, re.compile(_shape(text))) for text in (*CUSTODY, *CHANGES, *FIGURES, *STRUCTURES))


def _shape(text: str) -> str:
    parts = re.split(r"\{(\w+)\}", text)
    return "".join(
        f"(?P<{part}>{_SHAPES.get(_kind(part), '.+')})" if place % 2 else re.escape(part)
        for place, part in enumerate(parts)
    )


def _kind(name: str) -> str:
    return name.rpartition("_")[2]


def retold(words: Words, text: str) -> str:
    """Return a sentence of a record in this language, with its days and moments as the language writes them."""
    for sentence, pattern in _known():
        if found := pattern.fullmatch(text):
            return words.say(sentence, **{name: _value(words, name, told) for name, told in found.groupdict().items()})
    return text


def _value(words: Words, name: str, told: str) -> str:
    ways: Mapping[str, Callable[[str], str]] = {
        "day": words.day,
        "moment": words.instant,
        "word": words.say,
        "use": lambda use: words.say(_USES.get(use, use)),
        "atoms": lambda listed: words.listed(retold(words, one) for one in listed.split(", ")),
        "names": lambda listed: words.listed(listed.split(", ")),
        "sentence": lambda inner: retold(words, inner),
    }
    return ways.get(_kind(name), str)(told)
