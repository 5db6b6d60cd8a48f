"""Bugs planted on purpose, one at a time in a copy of the project: the tests must report each. ``python -m tests.planted``.

Every bug is a small change of the source, as exact text that must occur once, and the tests that should report it. The
copies are temporary; the checkout is never touched. The chosen tests must pass in an unchanged copy, and fail in the changed
one: a copy whose tests cannot even be collected counts as not caught, as does one that hangs. The run prints a table and
ends with 1 if a bug survived or a change no longer applies. ``python -m tests.planted WORD ...`` plants the bugs whose names
hold one of the words; two at a time are under test.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("privacy", "exchange", "valuation", "api", "benchmarks", "tests", "docs")
PATIENCE = 1800
"""Seconds that the tests of one bug may take; a healthy run takes some seconds."""

SURVIVED, STALE = "SURVIVED", "DOES NOT APPLY"


@dataclass(frozen=True)
class Bug:
    """``changes`` of ``file``, each old text and new text, and the ``tests`` that should report them."""

    name: str
    file: str
    changes: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    bug: Bug
    caught_by: str
    seconds: float


def bug(name, file, *changes, tests):
    return Bug(name, file, changes, tuple(f"tests/{test}" for test in tests.split()))


NOISE, SENSITIVITY, LEDGER = "privacy/noise.py", "privacy/sensitivity.py", "privacy/ledger.py"
PACKING, MASKS, SEAL, UNSEAL = "privacy/packing.py", "privacy/masks.py", "privacy/seal.py", "privacy/unseal.py"
SOURCE, VAULT, AGENT = "exchange/node/source.py", "exchange/node/vault.py", "exchange/node/agent.py"
PRINTER, EXPRESSION, PLAN = "exchange/node/printer.py", "privacy/expression.py", "privacy/plan.py"
RESERVES, FOLLOWING, AUDITED = "exchange/node/reserves.py", "exchange/node/following.py", "exchange/audit/rules.py"
STANDINGS, RULINGS = "exchange/protocol/access.py", "exchange/node/rulings.py"
DESK, ENVELOPE, OFFENCES = "exchange/analyst/desk.py", "exchange/protocol/envelope.py", "privacy/offences.py"

DRAWN = "_mechanism(scale)(within)"
COMPARED = "if price > Fraction(reach * reach) / (2 * scale.sigma**2) * (1 + Fraction(1, 1 << 40)):"
THOUSAND = "test_differential.py::test_a_thousand_plans_of_the_whole_language_say_what_plain_python_says"
STANDING_BY = "test_access.py::test_whatever_is_sent_an_approval_is_in_force_iff_enough_officers_stand_by_it"
EVERYBODY = "test_sensitivity.py::test_reach_is_the_farthest_of_all_neighbours"
COSTS = "test_sensitivity.py::test_the_measures_cost_no_more_than_the_plan_exactly"
CHARGE = """        receipt, charged = self._vault.charge(
            plan,
            session=standing.session,
            partner=asker,
            dataset=dataset,
            versions=versions,
            pledge=self._vault.drawn_from(dataset, partner=asker, purpose=plan.purpose, day=today),
        )
"""
READ = "            clipped = clip(plan, dataset, sampling_key=self._vault.sampling, ready=self._vault.prepared)\n"

BUGS = (
    # -- noise and reach
    bug(
        "half of the noise, priced in full",
        SENSITIVITY,
        ("_least_grains(lattice, share)", "_least_grains(lattice, 4 * share)"),
        tests=COSTS,
    ),
    bug(
        "half of the noise at the sampler",
        NOISE,
        ("scale=float(scale.sigma)", "scale=float(scale.sigma) / 2"),
        (COMPARED, COMPARED.replace("price >", "price > 4 *")),
        tests="test_audit.py::test_each_mechanism_loses_what_is_claimed_and_no_more",
    ),
    bug(
        "noise of floats, rounded",
        NOISE,
        ("from fractions import Fraction\n", "from fractions import Fraction\nimport random\n"),
        (DRAWN, "[value + round(random.gauss(0, float(scale.sigma))) for value in within]"),
        tests="test_boundaries.py::test_room_keeps_the_house_rules",
    ),
    bug(
        "noise from a fixed seed",
        NOISE,
        ("from fractions import Fraction\n", "from fractions import Fraction\nfrom random import Random\n"),
        (DRAWN, "[v + round(g.gauss(0, float(scale.sigma))) for g in [Random(7)] for v in within]"),
        tests="test_noise.py::test_cells_measures_and_answers_are_drawn_independently",
    ),
    bug("no noise", NOISE, (DRAWN, "within"), tests="test_noise.py::test_mean_and_variance_are_those_declared"),
    bug(
        "the library's price is not compared",
        NOISE,
        (COMPARED, "if price < 0:"),
        tests="test_noise.py::test_a_price_that_opendp_does_not_confirm_is_refused",
    ),
    bug(
        "reach of a row instead of a person",
        SENSITIVITY,
        ("return (plan.rows_per_unit * weight(plan, measure)) ** 2", "return weight(plan, measure) ** 2"),
        tests=EVERYBODY,
    ),
    bug(
        "a person's other institutions forgotten",
        SENSITIVITY,
        ("return Fraction(most * most, max(most, plan.counted))", "return Fraction(1, plan.counted)"),
        tests=COSTS,
    ),
    bug(
        "noise on a small roster for that roster alone",
        SENSITIVITY,
        ("    most = plan.institutions_per_unit\n", "    most = min(plan.institutions_per_unit, len(plan.parties))\n"),
        tests="test_proofs.py::test_institutions_that_answer_alone_cost_a_person_one_cap_together",
    ),
    bug(
        "rows at more parties than are honest",
        SENSITIVITY,
        ("Fraction(min(most, honest) ** 2, honest)", "Fraction(most**2, honest)"),
        tests="test_shared_noise.py::test_the_receipt_prices_every_coalition",
    ),
    bug(
        "a histogram's rows in bands of their own",
        SENSITIVITY,
        ("if isinstance(measure, CountUnits):", "if isinstance(measure, CountUnits) or width(measure) > 1:"),
        tests=EVERYBODY,
    ),
    bug(
        "people in one group each",
        SENSITIVITY,
        ("return min(plan.rows_per_unit, plan.groups_count)", "return 1"),
        tests=f"{EVERYBODY} test_audit.py::test_a_person_in_several_groups_loses_what_is_claimed_and_no_more",
    ),
    bug(
        "rounding to grains forgotten",
        SENSITIVITY,
        (" + _root_up(Fraction(touched))) ** 2", ") ** 2"),
        tests="test_sensitivity.py::test_a_sum_that_could_outgrow_61_bits_is_counted_in_the_finest_grain_that_fits",
    ),
    bug(
        "totals not rounded to grains",
        NOISE,
        ("total // scale.grain", "total"),
        tests="test_noise.py::test_huge_sums_are_noised_in_grains",
    ),
    bug(
        "grains not multiplied back",
        DESK,
        ("    grains = {scale.measure.key: scale.grain for", "    grains = {scale.measure.key: 1 for"),
        tests="test_caught.py::test_the_asker_brings_huge_sums_back_from_their_grains",
    ),
    bug(
        "a product priced as its first factor",
        EXPRESSION,
        ("found = min(corners), max(corners)", "found = extent(left, bounds)"),
        tests=f"{EVERYBODY} test_sensitivity.py::test_no_row_takes_a_term_or_a_step_to_it_out_of_its_range",
    ),
    bug(
        "a CASE priced as its first branch",
        EXPRESSION,
        ("found = min(low for low, _ in ranges), max(high for _, high in ranges)", "found = ranges[0]"),
        tests="test_sensitivity.py::test_no_row_takes_a_term_or_a_step_to_it_out_of_its_range",
    ),
    bug(
        "partial sums without room",
        EXPRESSION,
        ("_check_room(sum(max(abs(low), abs(high)) for low, high in parts))", "_check_room(0)"),
        tests="test_plan.py::test_nothing_on_the_way_to_a_cell_may_need_more_than_62_bits",
    ),
    bug(
        "reach of the bounds' width instead of the larger bound",
        SENSITIVITY,
        (
            "max(map(abs, extent(measure.term, plan.clipped)))",
            "(lambda low, high: high - low)(*extent(measure.term, plan.clipped))",
        ),
        tests=EVERYBODY,
    ),
    bug(
        "shared noise divided by n instead of n - t",
        "privacy/plan.py",
        ("else len(self.parties) - self.shared", "else len(self.parties)"),
        tests="test_shared_noise.py",
    ),
    bug(
        "each measure priced as if it were alone",
        SENSITIVITY,
        ("share=Fraction(price - aside, NANO)", "share=Fraction(plan.rho - aside, NANO)"),
        tests=COSTS,
    ),
    bug(
        "nothing set aside for sums of discrete Gaussians",
        SENSITIVITY,
        ("aside = 0 if plan.shared is None else 1", "aside = 0"),
        tests="test_shared_noise.py::test_the_noise_of_all_but_t_parties_keeps_the_price",
    ),
    bug(
        "prices of measures above the plan's",
        PLAN,
        ("sum(self.prices) == self.rho", "sum(self.prices) >= self.rho"),
        tests="test_plan.py::test_prices_that_do_not_add_up_are_malformed",
    ),
    # -- what a question says
    bug(
        "one year in two spellings",
        EXPRESSION,
        ('"year": "([0-9]{4})"', '"year": r"(\\d{4})"'),
        tests="test_plan.py::test_a_date_has_one_spelling",
    ),
    bug(
        "AND and OR of one name",
        EXPRESSION,
        ('" OR ".join', '" AND ".join'),
        tests="test_plan.py::test_twins_have_names_of_their_own",
    ),
    bug(
        "a product counted as a sum",
        EXPRESSION,
        ('both = "product" if _contents(left) and _contents(right) else use', "both = use"),
        tests="test_necessity.py::test_products_are_granted_apart_from_sums",
    ),
    bug(
        "what decides a CASE not counted as used",
        EXPRESSION,
        ("if isinstance(found, OneOf | Missing)}", "if isinstance(found, Missing)}"),
        tests="test_necessity.py::test_atoms_are_what_the_plan_says",
    ),
    # -- reading rows
    bug(
        "values not clipped to the standard's bounds",
        SOURCE,
        ('f"CASE WHEN {name} < {low} THEN {low} WHEN {name} > {high} THEN {high} ELSE {name} END"', "name"),
        tests=THOUSAND,
    ),
    bug(
        "values not clipped to the plan's bounds",
        PRINTER,
        ('return f"CASE{cases} ELSE {name} END" if cases else name', "return name"),
        tests=THOUSAND,
    ),
    bug(
        "NULL counted as a bound",
        PRINTER,
        (
            'return f"CASE{cases} ELSE {name} END" if cases else name',
            'return f"greatest(least({name}, {asked.upper}), {asked.lower})"',
        ),
        tests=THOUSAND,
    ),
    bug(
        "NOT of unknown taken for true",
        PRINTER,
        ('f"(NOT {self.test(inner)})"', 'f"(NOT coalesce({self.test(inner)}, FALSE))"'),
        tests=THOUSAND,
    ),
    bug(
        "people counted as rows",
        PRINTER,
        ('f"count(DISTINCT {self._unit})"', 'f"count({self._unit})"'),
        tests=THOUSAND,
    ),
    bug(
        "one row too many a person",
        SOURCE,
        ('"rank of row" <= {dataset.standard.rows_per_unit}', '"rank of row" <= {dataset.standard.rows_per_unit + 1}'),
        tests="test_source.py::test_at_most_so_many_rows_of_a_person_count",
    ),
    bug(
        "rows bounded per group instead of per person",
        SOURCE,
        ("PARTITION BY told.{unit} ORDER BY", "PARTITION BY told.{unit}, told.{names[-2]} ORDER BY"),
        tests="test_caught.py::test_rows_in_several_groups_are_bounded_together",
    ),
    bug(
        "a category outside its domain counted as the first",
        SOURCE,
        (
            'f"nullif(list_position({_mark(parameters, list(column.domain))}, {_text(raw)}), 0) AS {name}"',
            'f"greatest(list_position({_mark(parameters, list(column.domain))}, {_text(raw)}), 1) AS {name}"',
        ),
        tests="test_source.py::test_categories_outside_the_domain_are_unknown",
    ),
    bug(
        "rows without a person counted",
        SOURCE,
        (" FROM ({rows}) WHERE {quote(unit)} IS NOT NULL", " FROM ({rows})"),
        tests="test_source.py::test_rows_without_a_person_are_left_out_and_identifiers_stay_texts",
    ),
    # -- the ledger and the order of an answer
    bug(
        "one unit over the cap",
        LEDGER,
        ("if plan.rho > left:", "if plan.rho > left + 1:"),
        tests="test_ledger.py::test_the_last_unit_can_be_spent_and_not_one_more",
    ),
    bug(
        "the last unit cannot be spent",
        LEDGER,
        ("if plan.rho > left:", "if plan.rho >= left:"),
        tests="test_ledger.py::test_the_last_unit_can_be_spent_and_not_one_more",
    ),
    bug(
        "the partner's cap forgotten",
        LEDGER,
        ('        ("partner", caps.partner - spent.partner),\n', ""),
        tests="test_ledger.py::test_the_last_unit_can_be_spent_and_not_one_more",
    ),
    bug(
        "epsilon converted without its logarithm",
        LEDGER,
        ("(-log(delta) + (alpha - 1) * log1p(-1 / alpha) - log(alpha))", "(alpha - 1) * log1p(-1 / alpha)"),
        tests="test_ledger.py::test_epsilon_is_never_below_the_gaussian_and_close_to_it",
    ),
    bug(
        "a coalition is shown the public's epsilon",
        LEDGER,
        ("plan.rho * exposure(plan, honest)", "plan.rho * exposure(plan, count)"),
        tests="test_shared_noise.py::test_the_receipt_prices_every_coalition",
    ),
    bug(
        "refunded after an abort",
        "exchange/node/tables.py",
        (
            '"UPDATE part SET stage = ?, roster',
            '"DELETE FROM charge WHERE session = ?", [body["session"] if body["stage"] == "aborted" else ""])\n'
            '    cursor.execute(\n        "UPDATE part SET stage = ?, roster',
        ),
        tests="test_caught.py::test_what_was_charged_stays_charged_when_the_rows_cannot_be_read",
    ),
    bug(
        "rows read before the charge",
        AGENT,
        (READ, ""),
        (CHARGE, READ[4:] + CHARGE),
        tests="test_caught.py::test_the_charge_is_on_disk_when_rows_are_read",
    ),
    bug(
        "noise drawn anew for a repeated question",
        AGENT,
        ("if noised is None:", "if noised is None or charged == 0:"),
        ("            self._vault.keep_noised(", "            charged and self._vault.keep_noised("),
        tests="test_caught.py::test_noise_is_drawn_once_for_one_question_and_anew_for_another",
    ),
    bug(
        "stored answers known without their plan",
        VAULT,
        (
            "return canonical.digest([plan.hash, dataset.name, dataset.refreshed])",
            "return canonical.digest([dataset.name, dataset.refreshed])",
        ),
        tests="test_caught.py::test_noise_is_drawn_once_for_one_question_and_anew_for_another",
    ),
    bug(
        "stored answers known without the version of the data",
        VAULT,
        (
            "return canonical.digest([plan.hash, dataset.name, dataset.refreshed])",
            "return canonical.digest([plan.hash, dataset.name])",
        ),
        tests="test_vault.py::test_a_plan_is_charged_once_for_each_version_of_the_data",
    ),
    bug(
        "an old ledger accepted",
        VAULT,
        ("if self.book.journal.hash_at(seq) != head:", "if seq < 0:"),
        tests="test_caught.py::test_a_ledger_that_forgot_what_was_shown_is_refused",
    ),
    bug(
        "refused after reading rows",
        AGENT,
        (
            "        decision = decide(request,",
            "        clip(plan, dataset, sampling_key=self._vault.sampling)\n        decision = decide(request,",
        ),
        tests="test_caught.py::test_a_refusal_is_decided_without_reading_a_row",
    ),
    # -- masks and packing
    bug(
        "masks without the session",
        MASKS,
        ('"session": context.session', '"session": ""'),
        tests="test_masks.py::test_everything_enters_the_mask",
    ),
    bug(
        "masks without the plan",
        MASKS,
        ('"plan": context.plan_hash', '"plan": ""'),
        tests="test_masks.py::test_everything_enters_the_mask",
    ),
    bug(
        "masks without the roster",
        MASKS,
        ('"roster": context.roster_hash', '"roster": ""'),
        tests="test_masks.py::test_everything_enters_the_mask",
    ),
    bug(
        "masks without the index",
        MASKS,
        ('"index": index', '"index": 0'),
        tests="test_masks.py::test_everything_enters_the_mask",
    ),
    bug(
        "masks of one sign",
        MASKS,
        ("sign = 1 if me < name else -1", "sign = 1"),
        tests="test_masks.py::test_masks_cancel_over_the_whole_roster",
    ),
    bug(
        "masks from names alone",
        MASKS,
        ("salt=first[1] + second[1]", "salt=b''"),
        tests="test_masks.py::test_everything_enters_the_mask",
    ),
    bug(
        "masks reduced instead of rejected",
        MASKS,
        ("        if candidate < modulus:\n            return candidate\n", "        return candidate % modulus\n"),
        tests="test_masks.py::test_masks_are_uniform_below_the_modulus",
    ),
    bug(
        "a constant nonce in every session",
        AGENT,
        ("nonce=secrets.token_hex(32)", 'nonce="00" * 32'),
        tests="test_caught.py::test_two_sessions_share_no_nonce_no_key_agreement_and_no_mask",
    ),
    bug(
        "sums unpacked without their range",
        PACKING,
        ("if not layout.parties <= slot <= ceiling:", "if ceiling < 0:"),
        tests="test_packing.py::test_numbers_that_are_no_sum_of_parties_are_refused",
    ),
    bug(
        "slots without room for the sum",
        PACKING,
        ("width = magnitude + 1 + (parties - 1).bit_length() + 1", "width = magnitude + 2"),
        tests="test_packing.py::test_all_parties_at_their_extremes_fit",
    ),
    # -- Paillier
    bug(
        "no gcd of foreign ciphertexts",
        SEAL,
        ("if gmpy2.gcd(product, n) != 1:", "if n < 0:"),
        tests="test_seal.py::test_a_hostile_number_is_no_ciphertext",
    ),
    bug(
        "no range of foreign ciphertexts",
        SEAL,
        ("type(ciphertext) is not int or not 1 < ciphertext < key.n_squared", "type(ciphertext) is not int"),
        tests="test_seal.py::test_a_hostile_number_is_no_ciphertext",
    ),
    bug(
        "unblinded ciphertexts accepted",
        SEAL,
        ("if residue in (1, n - 1):", "if residue < 0:"),
        tests="test_seal.py::test_a_hostile_number_is_no_ciphertext "
        "test_seal.py::test_parts_that_multiply_to_an_unblinded_number_are_refused_by_the_fold",
    ),
    bug(
        "encrypted without blinding",
        SEAL,
        ("return self.power(token_bytes(DIGITS), value)", "return self.power(bytes(DIGITS), value)"),
        tests="test_seal.py::test_no_ciphertext_is_unblinded_and_no_randomness_is_used_twice",
    ),
    bug(
        "a key's proof is not verified",
        "exchange/protocol/keys.py",
        ("    verify(key, Proof.from_json(told.proof, key), context=envelope.signer)\n", ""),
        tests="test_caught.py::test_a_key_without_its_proof_is_not_accepted",
    ),
    # -- messages, sessions, the asker
    bug(
        "signatures not verified",
        ENVELOPE,
        (
            "Ed25519PublicKey.from_public_bytes(key).verify(self.signature, signed)",
            "Ed25519PublicKey.from_public_bytes(key)",
        ),
        tests="test_envelope.py::test_another_kind_signer_body_or_signature_is_refused",
    ),
    bug(
        "any signer accepted",
        ENVELOPE,
        ("key = directory.get(self.signer)", "key = directory.get(self.signer, next(iter(directory.values()), None))"),
        tests="test_caught.py::test_a_signature_is_its_signers_alone",
    ),
    bug(
        "the signer's name is not signed",
        ENVELOPE,
        ("canonical.encode([kind, signer])", "canonical.encode([kind])"),
        tests="test_caught.py::test_a_signature_is_its_signers_alone",
    ),
    bug(
        "a roster of other parties accepted",
        AGENT,
        ("if tuple(sorted(held)) != plan.parties or len(held) != len(accepts):", "if self._vault.party not in held:"),
        tests="test_caught.py::test_a_node_commits_to_the_parties_of_the_plan_only",
    ),
    bug(
        "a roster of other plans accepted",
        AGENT,
        (
            "if (accept.session, accept.plan_hash) != (standing.session, plan.hash):",
            "if accept.session != standing.session:",
        ),
        tests="test_caught.py::test_a_node_commits_to_the_parties_of_the_plan_only",
    ),
    bug(
        "promises of the others not checked",
        AGENT,
        ("        check_commits(standing.roster, parties=plan.parties, commits=promised)\n", ""),
        tests="test_caught.py::test_a_node_answers_only_when_all_have_promised_its_roster",
    ),
    bug(
        "the exchange's product opened as it is",
        DESK,
        (
            "        product = seal.fold(parts)\n",
            '        product = seal.Sealed.from_wire(record.get("product"), public)\n',
        ),
        tests="test_caught.py::test_the_asker_opens_the_product_of_the_signed_answers_only",
    ),
    bug(
        "answers of fewer parties opened",
        DESK,
        ("if tuple(sorted(held)) != plan.parties or len(held) != len(envelopes):", "if not held:"),
        tests="test_caught.py::test_the_asker_takes_each_partys_own_word_only",
    ),
    bug(
        "a second answer of a node",
        "exchange/protocol/session.py",
        (
            "    (Part.CHARGED, Move.ANSWER): Part.ANSWERED,\n",
            "    (Part.CHARGED, Move.ANSWER): Part.ANSWERED,\n    (Part.ANSWERED, Move.ANSWER): Part.ANSWERED,\n",
        ),
        tests="test_session.py",
    ),
    # -- minimum necessity
    bug(
        "the least number of parties ignored",
        OFFENCES,
        ("if others < least:", "if others < 0:"),
        tests="test_necessity.py::test_the_purpose_and_the_owner_both_say_how_many_must_answer",
    ),
    bug(
        "identifiers allowed where granted",
        "privacy/floor.py",
        ("if column.kind is Kind.IDENTIFIER:", "if column.kind is None:"),
        tests="test_necessity.py::test_identifiers_and_unknown_columns_are_refused_whatever_is_granted",
    ),
    bug(
        "wider bounds than the owner declares",
        OFFENCES,
        ("(allowed is None or not allowed.covers(plan.clipped[column]))", "allowed is None"),
        tests="test_necessity.py::test_sums_keep_within_the_declared_bounds",
    ),
    bug(
        "the price of a question not limited",
        OFFENCES,
        ("if plan.rho > grant.rho_per_query:", "if plan.rho < 0:"),
        tests="test_necessity.py::test_the_price_fits_to_the_unit",
    ),
    bug(
        "a prohibition overridden by a grant",
        "privacy/policy.py",
        ("            and self.column in (ANY, atom.column)\n", "            and self.column == ANY\n"),
        tests="test_policy.py::test_a_prohibition_overrides_every_grant",
    ),
    bug(
        "a role assumed where none is known",
        "privacy/recipients.py",
        ("(role is not None and one == f", "(role is None or one == f"),
        tests="test_policy.py::test_a_role_that_is_not_known_is_no_recipient",
    ),
    bug(
        "filters not held to the grid",
        "privacy/grain.py",
        ("([] if upper is None else [upper + 1])", "[]"),
        tests="test_policy.py::test_cuts_fall_on_the_grid",
    ),
    bug(
        "rows beyond those that are open",
        "privacy/scope.py",
        ("return column == other and set(listed) <= set(opened)", "return column == other"),
        tests="test_policy.py::test_only_some_rows_may_be_open",
    ),
    # -- the exchange
    bug(
        "journal entries not chained",
        "exchange/journal.py",
        (
            "            digest = sha256(_LABEL + tip.hash + text).digest()",
            "            digest = sha256(_LABEL + text).digest()",
        ),
        (
            "    digest = sha256(_LABEL + tip.hash + text).digest()\n    if line",
            "    digest = sha256(_LABEL + text).digest()\n    if line",
        ),
        tests="test_journal.py::test_the_chain_is_what_the_format_says "
        "test_journal.py::test_a_frame_made_anew_with_a_good_crc_breaks_the_chain",
    ),
    bug(
        "two liens of one rank",
        "exchange/hub/register.py",
        ("    check_free(view, asset=held.asset, rank=held.rank)\n", ""),
        tests="test_caught.py::test_one_lien_is_live_for_an_asset_and_rank",
    ),
    bug(
        "pledges: one officer is enough",
        "exchange/protocol/pledge.py",
        ("OFFICERS = 2", "OFFICERS = 1"),
        tests="test_pledges.py::test_two_officers_approve_both_parties_sign_and_only_then_a_lien_is_filed",
    ),
    bug(
        "pledges: a later rank although the first forbids it",
        "exchange/hub/register.py",
        ("if lien.rank > held.rank or other.forbids_juniors:", "if lien.rank > held.rank:"),
        tests="test_pledges.py::test_a_later_rank_needs_leave_where_the_first_agreement_forbids_it",
    ),
    bug(
        "pledges: cents lost in a realisation",
        "exchange/protocol/waterfall.py",
        ("        paid[i] += 1\n", "        paid[i] += 0\n"),
        tests="test_pledges.py::test_what_is_paid_out_is_what_came_in_and_nobody_is_paid_before_his_rank",
    ),
    bug(
        "pledges: an owner releases what the claim needs",
        "exchange/protocol/pledge.py",
        ("if by_owner and left < self.claim:", "if by_owner and left < 0:"),
        tests="test_pledges.py::test_an_owner_releases_what_the_claim_does_not_need_and_the_lender_whatever_it_wants",
    ),
    bug(
        "the same rows pledged by a second owner",
        "exchange/protocol/likeness.py",
        ("if pledged and any(share.seen and share.value >= BLOCK", "if pledged and all(share.seen and share.value > 1"),
        ("any(share.high >= REVIEW", "any(share.high > 1"),
        tests="test_collateral.py::test_rows_under_another_owner_are_found",
    ),
    bug(
        "a lien although the search found a copy",
        "exchange/hub/liens.py",
        ("if refusal is None else searched), refusal", "if offer_id else searched), None"),
        tests="test_collateral.py::test_rows_under_another_owner_are_found",
    ),
    bug(
        "an auditor who takes the exchange's word for a search",
        "exchange/audit/collateral.py",
        (
            'require((state, found) == (told["state"], told["found"])',
            'require((state, told["found"]) == (state, told["found"])',
        ),
        tests="test_collateral.py::test_an_exchange_that_lets_a_copy_pass_is_found_by_its_own_log",
    ),
    bug(
        "silence about pledged rows that reads as confirmed",
        "exchange/hub/watch.py",
        ("if now - heard > LATE_AFTER:", "if now - heard > LATE_AFTER * LATE_AFTER:"),
        tests="test_collateral.py::test_each_state_has_its_cause_and_silence_is_late",
    ),
    bug(
        "row hashes without their key",
        "exchange/node/fingerprint.py",
        ('f"sha256(${key} || concat_ws', 'f"sha256(left(${key}, 0) || concat_ws'),
        tests="test_fingerprint.py::test_without_the_key_or_with_another_nothing_matches",
    ),
    bug(
        "a token taken twice",
        "api/service.py",
        ("if caller.token_id in self._tokens:", "if caller.token_id is None:"),
        tests="test_caught.py::test_a_token_is_taken_once",
    ),
    bug(
        "a body that its token does not name",
        "api/service.py",
        ("        caller.check(body)", "        caller.check"),
        tests="test_strangers.py::test_no_token_but_the_callers_own_for_this_request_opens_a_route",
    ),
    bug(
        "addresses remembered without end",
        "api/limits.py",
        ("return place if len(self._seen) < MOST_ADDRESSES - 1 else _REST", "return place"),
        tests="test_strangers.py::test_what_is_remembered_of_addresses_is_bounded",
    ),
    bug(
        "a write over what somebody else has just written",
        "exchange/hub/store.py",
        ("if events and self._check is not None:", "if self._check is not None and not events:"),
        tests="test_strangers.py::test_of_two_writers_with_the_same_tag_one_wins",
    ),
    bug(
        "a client too old that is heard all the same",
        "exchange/protocol/version.py",
        ("if version < oldest:", "if version < 0:"),
        tests="test_strangers.py::test_every_version_in_the_range_is_spoken_and_no_other",
    ),
    bug(
        "a token for any request",
        "exchange/protocol/request.py",
        ("if any(claims.get(name) != expected for name, expected in bound.items()):", "if not bound:"),
        tests="test_request.py::test_another_request_or_key_is_denied",
    ),
    bug(
        "access: an approval beyond its last day",
        STANDINGS,
        (
            "case Standing.APPROVED if self.until is None or day > self.until:",
            "case Standing.APPROVED if self.until is None:",
        ),
        tests="test_access.py::test_an_approval_by_two_lasts_as_long_as_the_shorter_one",
    ),
    bug(
        "access: one officer approves twice",
        STANDINGS,
        (
            "if act is not Act.WITHDRAW and officer in now.approvals:",
            "if act is Act.REFUSE and officer in now.approvals:",
        ),
        tests="test_access.py::test_two_different_officers_must_approve_where_the_grant_says_so",
    ),
    bug(
        "access: the longer of two approvals",
        STANDINGS,
        ("return ranked[persons - 1] if", "return ranked[0] if"),
        tests="test_access.py::test_an_approval_by_two_lasts_as_long_as_the_shorter_one",
    ),
    bug(
        "access: a dismissed officer's approval",
        VAULT,
        ("if one.officer in officers", "if one.officer"),
        tests=f"{STANDING_BY} test_access.py::test_an_approval_ends_with_a_withdrawal_a_dismissal_or_a_stricter_policy",
    ),
    bug(
        "access: officers who ask",
        VAULT,
        ("SELECT party, key FROM pinned WHERE role <> 'officer'", "SELECT party, key FROM pinned"),
        tests="test_access.py::test_what_no_officer_or_no_asker_signed_leaves_no_trace",
    ),
    bug(
        "access: one key under two names",
        VAULT,
        ("WHERE key = ? AND party <> ?", "WHERE key = ? AND party = ? AND FALSE"),
        tests="test_access.py::test_officers_neither_ask_nor_share_a_key",
    ),
    bug(
        "access: an approval longer than the grant allows",
        RULINGS,
        ("if until > day + timedelta(days=consent.days):", "if until < day - timedelta(days=consent.days):"),
        tests=STANDING_BY,
    ),
    bug(
        "access: a ruling about another request",
        RULINGS,
        ("if told.request != request.id:", "if not told.request:"),
        tests="test_access.py::test_what_no_officer_or_no_asker_signed_leaves_no_trace",
    ),
    bug(
        "access: a ruling for another institution",
        RULINGS,
        ("if told.owner != vault.party:", "if not told.owner:"),
        tests="test_access.py::test_a_ruling_that_has_no_place_counts_for_nothing_and_is_on_record",
    ),
    bug(
        "access: a standing approval where each question is to be seen",
        RULINGS,
        ("case Manner.ONCE if asked.message.standing:", "case Manner.ONCE if not asked.message.why:"),
        tests="test_access.py::test_a_standing_request_needs_a_grant_that_is_approved_so",
    ),
    bug(
        "access: a replay is judged again",
        RULINGS,
        ("if before is not None:", "if before is not None and before.signer != vault.party:"),
        tests="test_access.py::test_a_ruling_again_gets_the_same_word_and_changes_nothing",
    ),
    bug(
        "access: everybody sees a request",
        "exchange/hub/access.py",
        ('if held is None or (caller != held["asker"] and not owners & set(held["owners"])):', "if held is None:"),
        tests="test_access.py::test_a_request_exists_for_its_asker_and_the_officers_of_its_owners_alone",
    ),
    bug(
        "access: a word about another request",
        "exchange/analyst/access.py",
        ("if envelope.signer != owner or word.request != request:", "if envelope.signer != owner:"),
        tests="test_access.py::test_an_exchange_cannot_change_what_a_desk_believes",
    ),
    bug(
        "access: a question that nobody approved",
        AGENT,
        ("policies=[policy], approvals=approvals)", "policies=[policy], approvals=None)"),
        tests="test_access.py::test_a_question_is_answered_once_officers_have_approved_it_and_no_longer",
    ),
    # -- reserves and step-ins
    bug(
        "a reserve is ignored",
        VAULT,
        ("                reserves=kept,\n", "                reserves=(),\n"),
        tests="test_reserves.py::test_what_is_kept_back_is_nobody_s_whatever_partner_purpose_or_dataset",
    ),
    bug(
        "a reserve holds under its own dataset's purpose alone",
        LEDGER,
        ("    rooms += [(UNRESERVED, one.caps.everyone - spent.everyone - whole) for one in kept]\n", ""),
        tests="test_reserves.py::test_after_any_charge_every_reserve_could_still_be_spent_to_the_last_unit",
    ),
    bug(
        "a reserve is given back twice",
        RESERVES,
        ("if ends is not None and over == (None,):", "if ends is not None:"),
        tests="test_reserves.py::test_parts_go_back_by_the_lender_s_word_and_a_new_lender_has_the_rest",
    ),
    bug(
        "what was drawn from a reserve is still in it",
        RESERVES,
        ("        Reserve(pledge, purpose, left=max(0, int(left)),", "        Reserve(pledge, purpose, left=300,"),
        tests="test_reserves.py::test_only_a_verified_step_in_opens_the_reserve_and_a_cure_shuts_it",
    ),
    bug(
        "a step-in is believed without signatures",
        FOLLOWING,
        (
            "            step = read_step(said, self._keys(said))",
            "            step = unverified(said, STEPS[said.kind])",
        ),
        ("import (\n    Acceptance,", "import (\n    STEPS,\n    Acceptance,"),
        tests="test_reserves.py::test_the_exchange_s_word_opens_and_gives_back_nothing",
    ),
    bug(
        "an officer whom the exchange invents refuses a pledge",
        FOLLOWING,
        ("                if said is None or said.kind != Endorsement.kind:\n", "                if made:\n"),
        tests="test_reserves.py::test_an_officer_s_word_counts_once_the_lender_has_signed_it",
    ),
    bug(
        "a pledge lapses when the exchange says so",
        FOLLOWING,
        ("            if day.isoformat() <= made.last_day:", "            if not made.last_day:"),
        tests="test_reserves.py::test_the_exchange_s_word_opens_and_gives_back_nothing",
    ),
    bug(
        "a lien without the node's word on its reserve",
        "exchange/protocol/pledge.py",
        (
            "        if (0 if message.kept is None else message.kept.reserve) != self.reserve:",
            "        if self.reserve < 0:",
        ),
        tests="test_reserves.py::test_without_the_node_s_word_or_too_late_there_is_no_lien",
    ),
    bug(
        "who stepped in draws for any purpose",
        LEDGER,
        ("    elif drawn.purpose == plan.purpose:", "    elif drawn.purpose:"),
        tests="test_reserves.py::test_a_reserve_pays_for_its_own_purpose_alone",
    ),
    bug(
        "the auditor believes a draw without a step-in",
        AUDITED,
        ('    require(stepped, "it draws', '    require(held, "it draws'),
        tests="test_reserves.py::test_an_auditor_believes_no_draw_without_a_step_in",
    ),
)


def planted(bug: Bug, text: str) -> str | None:
    """Return the changed source, or nothing if a change does not apply exactly once."""
    for old, new in bug.changes:
        if text.count(old) != 1:
            return None
        text = text.replace(old, new, 1)
    return text


def stale(root: Path = ROOT) -> list[str]:
    """Return the names of bugs that no longer apply to the source, or whose tests are not there."""
    return [
        bug.name
        for bug in BUGS
        if planted(bug, (root / bug.file).read_text("utf-8")) is None
        or not all(_is_there(root, test) for test in bug.tests)
    ]


def _is_there(root: Path, test: str) -> bool:
    file, _, name = test.partition("::")
    path = root / file
    return path.exists() and (
        not name or re.search(rf"^def {re.escape(name)}\(", path.read_text("utf-8"), re.MULTILINE) is not None
    )


def copy_to(folder: Path) -> None:
    """Copy what the tests need; nothing that was built or cached."""
    ignored = shutil.ignore_patterns("__pycache__", ".hypothesis", "*.pyc")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for path in ROOT.glob("*.*"):
        if path.is_file():
            shutil.copy2(path, folder / path.name)


def run(folder: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Run tests in a copy; returns pytest's exit code and its output. Hypothesis draws the same examples every time."""
    environment = {**os.environ, "CI": "1", "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return -1, ""
    return done.returncode, done.stdout


def attempt(bug: Bug) -> Result:
    """Plant one bug in a copy of its own and see which test reports it."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="planted-") as name:
        folder = Path(name)
        copy_to(folder)
        changed = planted(bug, (folder / bug.file).read_text("utf-8"))
        if changed is None:
            return Result(bug, STALE, 0.0)
        (folder / bug.file).write_text(changed, "utf-8")
        code, output = run(folder, bug.tests)
    found = re.search(r"^(?:FAILED|ERROR) tests/(.+?)(?: - .*)?$", output, re.MULTILINE)
    caught = found.group(1) if code == 1 and found else f"{SURVIVED} (pytest ended with {code})"
    return Result(bug, caught, time.monotonic() - start)


def healthy(bugs: Sequence[Bug]) -> str:
    """Run the chosen tests in an unchanged copy; returns what is wrong there, or nothing."""
    tests = sorted({test for bug in bugs for test in bug.tests})
    # a file that is run whole is not asked for by name again
    tests = [test for test in tests if "::" not in test or test.partition("::")[0] not in tests]
    with tempfile.TemporaryDirectory(prefix="planted-") as name:
        copy_to(Path(name))
        code, output = run(Path(name), tests)
    return "" if code == 0 else output


def main(words: Sequence[str]) -> int:
    """Plant the bugs whose names hold one of ``words`` (all of them, if there are none) and print the table."""
    bugs = [bug for bug in BUGS if not words or any(word in bug.name for word in words)]
    complaint = healthy(bugs)
    if complaint:
        print(f"The tests fail without any bug:\n{complaint}")  # noqa: T201  a command
        return 1
    print("| bug | place | caught by | seconds |\n|---|---|---|---|", flush=True)  # noqa: T201
    results = []
    with ThreadPoolExecutor(max_workers=2) as pool:
        for result in pool.map(attempt, bugs):
            results.append(result)
            row = f"| {result.bug.name} | {result.bug.file} | {result.caught_by} | {result.seconds:.0f} |"
            print(row, flush=True)  # noqa: T201
    missed = [result for result in results if result.caught_by == STALE or result.caught_by.startswith(SURVIVED)]
    print(f"\n{len(results) - len(missed)} of {len(results)} planted bugs were caught.")  # noqa: T201
    return 1 if missed or not results else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
