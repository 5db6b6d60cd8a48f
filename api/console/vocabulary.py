"""Words that records carry and pages show: roles, states, kinds and columns' meanings, marked as messages."""

from api.console.wording import msg

PLACES = (msg("console at the exchange"), msg("console at the desk"), msg("console at the node"))
ROLES = (msg("institution"), msg("lender"), msg("regulator"), msg("officer"), msg("operator"))
FACETS = (msg("standard"), msg("owner"), msg("level"), msg("state"))
STATES = (
    msg("active"),
    msg("deprecated"),
    msg("withdrawn"),
    msg("confirmed"),
    msg("late"),
    msg("changed"),
    msg("gone"),
    msg("quoted"),
    msg("approved"),
    msg("signed"),
    msg("registered"),
    msg("warning"),
    msg("margin_call"),
    msg("cured"),
    msg("step_in"),
    msg("realised"),
    msg("released"),
    msg("expired"),
    msg("waiting"),
    msg("half approved"),
    msg("refused"),
    msg("lapsed"),
    msg("judging"),
    msg("committing"),
    msg("answering"),
    msg("answered"),
    msg("aborted"),
    msg("allowed"),
    msg("silent"),
    msg("preparing"),
    msg("failed"),
)
ACTS = (msg("approve"), msg("refuse"), msg("withdraw"))
PURPOSES = (
    msg("joint statistics of credit risk over several institutions"),
    msg("quality of one dataset that is to be valued and pledged"),
    msg("exposures and defaults of a loan book by segment"),
    msg("patterns of fraud: how often, how much, in which bands and segments"),
    msg("typologies of money laundering: counts and sums by segment"),
    msg("statistics that a supervisor publishes or acts on"),
    msg("whether a pledged dataset is still there, whole and fresh"),
)
TITLES = (msg("Consumer credit accounts, one row per person, product and statement month"),)
KINDS = (msg("identifier"), msg("category"), msg("measure"), msg("date"))
UNITS = (msg("person"), msg("company"), msg("yuan"), msg("months"))
MEANINGS = (
    msg("natural person, the same identifier at every institution"),
    msg("region of residence"),
    msg("credit product"),
    msg("highest education"),
    msg("calendar month of the statement"),
    msg("amount owed at the statement date"),
    msg("credit granted"),
    msg("whole months that the oldest payment is late"),
    msg("declared yearly income"),
    msg("day on which the account was opened"),
)
"""Of the standards that ship; others are shown as they were published."""
