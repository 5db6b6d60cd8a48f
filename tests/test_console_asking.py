"""The asker's pages with scripts off, over real processes: preview, refusal, answer, and access that officers grant in theirs."""

import csv
import html
import io
import json
import re
import threading
import time
from contextlib import ExitStack
from urllib.parse import parse_qs, urlsplit

import pytest

from api.console.desk.errands import Errand, Errands
from api.console.vocabulary import PURPOSES as TITLES
from api.demo import town
from exchange import connect
from exchange.analyst.result import FORMATS, shown
from privacy.errors import PrivacyError, Refused
from privacy.purposes import PURPOSES
from privacy.terms import NANO
from tests.consoles import Seen, Street, kept_town, running, visitor
from tests.test_access import Office, in_days

PURPOSE = town.PURPOSE
BANKS = ("bank-a", "bank-b", "bank-c")
SQL = "SELECT education, COUNT(*), AVG(balance) FROM consumer_credit GROUP BY education"
BEYOND = "SELECT region, AVG(income) FROM consumer_credit GROUP BY region"


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    with running(kept_town(tmp_path_factory)) as made:
        yield made


@pytest.fixture(scope="module")
def asker(street):
    with visitor(street.console("lender-x")) as made:
        yield made


@pytest.fixture(scope="module")
def client(street):
    with connect(street.home / "lender-x", street.url) as made:
        yield made


def form(sql, **more):
    return {"sql": sql, "purpose": PURPOSE, **more}


def linked(answer, words):
    """Return where the link with these words leads."""
    found = re.search(rf'href="([^"]*)"[^>]*>\s*(?:<[^>]*>)?{re.escape(words)}', answer.text)
    assert found, (words, Seen(answer.text).text[:2000])
    return html.unescape(found.group(1))


def english(address):
    """Return the address of a page in English."""
    return f"{address}{'&' if '?' in address else '?'}lang=en"


def twin(address):
    """Return the address of a page's facts."""
    path, _, query = address.partition("?")
    return f"{path}.json?{query}"


def answered(visit, job):
    """Look at a question's page until it is over, as the page itself would."""
    until = time.monotonic() + 120
    while True:
        answer = visit.get(job, params={"lang": "en"})
        assert answer.status_code == 200, answer.text
        again = re.search(r'http-equiv="refresh" content="(\d+)"', answer.text)
        if again is None:
            return answer
        assert time.monotonic() < until, Seen(answer.text).text
        time.sleep(int(again.group(1)))


# -- before it is put ----------------------------------------------------------------------------------------------------


def test_a_preview_tells_what_the_client_is_told_and_asks_nothing(asker, client):
    before = [job.id for job in client.jobs()]
    told = asker.get("/ask.json", params=form(SQL)).json()["preview"]
    looked = client.query(SQL, purpose=PURPOSE).preview(seconds=30)
    assert told["price_nano_rho"] == looked.price
    assert (told["allowed"], told["free"], told["repeats"]) == (True, False, looked.repeats)
    assert {one["party"]: one["left_nano_rho"] for one in told["parties"]} == dict(looked.left)
    for one in told["parties"]:
        assert float(one["share"]) == pytest.approx(looked.price / looked.left[one["party"]], abs=1e-4)
        assert one["more"] == looked.left[one["party"]] // looked.price - 1
    assert {one["column"]: one["half_width"] is None for one in told["expected"]} == {
        name: half is None for name, half in looked.expected.items()
    }
    assert float(told["expected"][0]["half_width"]) == pytest.approx(looked.expected["count"], rel=0.005)
    assert [job.id for job in client.jobs()] == before
    sized = asker.get("/ask.json", params=form(SQL, rows="20000")).json()["preview"]
    assert all(one["half_width"] for one in sized["expected"])


def test_a_wished_error_sets_the_price(asker, client):
    wished = asker.get("/ask.json", params=form(SQL, rows="5000") | {"accuracy.count": "500"}).json()
    looked = client.query(SQL, purpose=PURPOSE, rows=5000, accuracy={"count": 500}).preview(seconds=30)
    assert wished["preview"]["price_nano_rho"] == looked.price < NANO // 10
    assert wished["columns"] == ["count", "avg_balance"]
    page = asker.get("/ask", params=form(SQL, rows="5000", lang="en") | {"accuracy.count": "500"})
    field = next(one for one in Seen(page.text).all("input") if one["name"] == "accuracy.count")
    assert field["value"] == "500"


@pytest.mark.parametrize(("language", "title"), [("en", "Line 2, column"), ("zh", "第 2 行")])
def test_a_statement_that_is_not_in_the_language_is_pointed_at_and_rewritten(asker, language, title):
    sql = "SELECT region,\n  MAX(balance)\nFROM consumer_credit GROUP BY region"
    page = asker.get("/ask", params=form(sql, lang=language))
    assert page.status_code == 200
    assert title in Seen(page.text).text
    line, caret = re.search(r"<code>([^<]*)</code>", page.text.partition('role="alert"')[2]).group(1).splitlines()
    assert line[caret.index("^") :].startswith("MAX")
    fault = asker.get("/ask.json", params=form(sql)).json()["fault"]
    again = asker.get(english(fault["at"]))
    assert "Every institution would answer." in again.text
    put = asker.post("/ask", data=form(sql), params={"lang": language})
    assert put.status_code == 422
    assert html.escape(sql, quote=False) in html.unescape(put.text)


def test_a_refusal_names_every_item_and_the_nearest_question_is_one_click_away(asker, client):
    page = asker.get("/ask", params=form(BEYOND, lang="en"))
    told = asker.get("/ask.json", params=form(BEYOND)).json()["preview"]
    looked = client.query(BEYOND, purpose=PURPOSE).preview(seconds=30)
    assert {one["item"] for one in told["items"]} == {"income as count", "income as sum"}
    assert all(f"{one['item']}: {one['why']}; {one['fix']}" in looked.refusals for one in told["items"])
    assert [one["says"] for one in told["parties"]] == ["refused"] * 3
    assert told["access"] is None, "no approval lifts what no policy grants"
    assert "Ask</button>" not in page.text
    before = len(client.jobs())
    put = asker.post("/ask", data=form(BEYOND), params={"lang": "en"})
    assert put.status_code == 403
    assert "income as sum" in Seen(put.text).text
    assert len(client.jobs()) == before
    offer = linked(put, "Take this question")
    assert parse_qs(urlsplit(offer).query)["sql"] == [looked.nearest]
    assert "Every institution would answer." in asker.get(english(offer)).text


def test_what_is_refused_for_its_price_is_offered_at_the_price_that_passes(asker):
    told = asker.get("/ask.json", params=form(SQL, budget="0.15")).json()["preview"]
    assert [one["item"] for one in told["items"]] == ["precision"]
    offer = asker.get(twin(told["nearest"]["at"])).json()
    assert 0.0999 < float(offer["asked"]["budget"]) <= 0.1
    assert offer["preview"]["allowed"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"rows": "many"}, "takes a whole number"),
        ({"budget": "much"}, "takes a number"),
        ({"budget": "-1"}, "not positive"),
        ({"budget": "0.1", "accuracy.count": "9"}, "both accuracy and budget"),
        ({"accuracy.nothing": "9"}, "an accuracy is given for a column that the answer lacks"),
        ({"purpose": "world-peace"}, ""),
        ({"keep_days": "٣"}, "takes a whole number"),
    ],
)
def test_what_is_typed_wrongly_is_told_above_what_was_typed(asker, client, wrong, words):
    before = len(client.jobs())
    for answer in (
        asker.get("/ask", params=form(SQL) | wrong),
        asker.post("/ask", data=form(SQL) | wrong, params={"lang": "en"}),
    ):
        assert answer.status_code == (200 if answer.request.method == "GET" else answer.status_code) < 500
        assert words in html.unescape(answer.text)
        for text in wrong.values():
            assert text == "world-peace" or f'value="{text}"' in answer.text
    assert len(client.jobs()) == before


def test_every_purpose_is_named_in_both_languages():
    assert {one.title for one in PURPOSES.values()} == set(TITLES)


def test_every_example_is_in_the_language(asker):
    for table in asker.get("/ask.json").json()["tables"]:
        assert len(table["examples"]) >= 4
        for one in table["examples"]:
            assert asker.get(twin(one["at"])).json()["fault"] is None, one


# -- asked, followed, answered -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def job(asker):
    """A question that was put on the page, and its page once it is answered."""
    put = asker.post("/ask", data=form(SQL, budget="0.02"))
    assert put.url.path.startswith("/jobs/")
    return answered(asker, put.url.path)


def test_the_answer_is_the_one_that_the_client_reads(street, asker, client, job):
    told = asker.get(f"{job.url.path}.json").json()
    result = client.job(told["id"]).result()
    table = result.table
    small = [row for row in table.rows if row[1] is None]
    assert [row["cells"] for row in told["result"]["rows"]] == [
        list(map(shown, row)) for row in table.rows if row not in small
    ]
    assert [one["group"] for one in told["result"]["suppressed"]] == [row[0] for row in small]
    assert told["result"]["records"] == result.to_json()["rows"]
    seen = Seen(job.text)
    for row in told["result"]["rows"]:
        assert all(cell in seen.text for cell in row["cells"])
    for one in told["result"]["receipt"]["charged"]:
        assert one["nano_rho"] == result.receipt["charged"][one["party"]] == NANO // 50
        assert one["left_nano_rho"] == result.receipt["left"][one["party"]]
        before = one["nano_rho"] + one["left_nano_rho"]
        assert float(one["share"]) == pytest.approx(one["nano_rho"] / before, abs=1e-4)
    assert told["result"]["receipt"]["necessity"] == result.receipt["necessity"]
    assert [one["party"] for one in told["lanes"]] == list(BANKS)
    assert all(one["answered"] for one in told["lanes"])


def test_the_picture_says_in_words_what_its_intervals_show(asker, client, job):
    for column in ("count", "avg_balance"):
        told = asker.get(f"{job.url.path}.json", params={"column": column}).json()
        picture = told["result"]["picture"]
        table = client.job(told["id"]).result().table
        figures = {row[0]: row[table.columns.index(column)] for row in table.rows}
        figures = {name: figure for name, figure in figures.items() if figure is not None and figure.value is not None}
        top, least = (pick(figures, key=lambda name: figures[name].value) for pick in (max, min))
        assert (picture["top"], picture["least"]) == (top, least)
        assert picture["apart"] == (figures[top].low > figures[least].high)
        page = Seen(asker.get(job.url.path, params={"column": column, "lang": "en"}).text)
        assert ("lie apart" if picture["apart"] else "intervals overlap") in page.text


@pytest.mark.parametrize("ending", FORMATS)
def test_an_answer_is_handed_out_as_the_library_writes_it(tmp_path, asker, client, job, ending):
    told = asker.get(f"{job.url.path}/as/answer.{ending}")
    assert told.status_code == 200
    assert told.headers["content-disposition"].endswith(f'.{ending}"')
    path = tmp_path / f"answer.{ending}"
    client.job(job.url.path.rpartition("/")[2]).result().write(path)
    if ending == "xlsx":
        assert told.content.startswith(b"PK")
    elif ending == "csv":
        assert list(csv.reader(io.StringIO(told.text))) == list(csv.reader(io.StringIO(path.read_text("utf-8"))))
    elif ending == "json":
        assert told.json() == json.loads(path.read_text("utf-8"))
    else:
        assert told.content == path.read_bytes()
    assert asker.get(f"{job.url.path}/as/answer.{ending}x").status_code == 404


def test_the_proof_is_fetched_and_checked(asker, client, job):
    assert "Fetch the proof that it kept its word" in job.text
    proved = asker.post(job.url.path, data={"do": "prove"}, params={"lang": "en"})
    assert proved.status_code == 200
    told = asker.get(f"{job.url.path}.json").json()["proof"]
    assert told["proved"]
    assert str(told["entries"][0]) in Seen(proved.text).text
    assert asker.post(job.url.path, data={"do": "anything"}).status_code == 422


def test_a_console_that_is_started_again_has_every_question_and_its_answer(street, asker, client, job):
    with visitor(street.console("lender-x")) as later:
        assert later.get(f"{job.url.path}.json").json()["result"] == asker.get(f"{job.url.path}.json").json()["result"]
        listed = later.get("/jobs.json").json()["jobs"]
        assert [one["id"] for one in listed] == [one.id for one in client.jobs()]
        assert listed[0]["state"] == "answered"
        assert later.get("/jobs.json", params={"q": "EDUCATION avg"}).json()["count"] == 1
        assert later.get("/jobs.json", params={"q": "no such words"}).json()["jobs"] == []


def test_what_follows_from_an_answer_is_read_off_it_for_nothing(asker, client, job):
    before = [one.id for one in client.jobs()]
    coarser = "SELECT COUNT(*) FROM consumer_credit"
    for sql in (SQL, coarser):
        preview = asker.get("/ask.json", params=form(sql)).json()["preview"]
        assert (preview["free"], preview["price_nano_rho"]) == (True, 0)
        answer = asker.post("/ask", data=form(sql), params={"lang": "en"})
        assert (answer.status_code, answer.url.path) == (200, "/answer")
        told = asker.get("/answer.json", params=form(sql)).json()["result"]
        assert told["records"] == client.query(sql, purpose=PURPOSE).run().to_json()["rows"]
        assert told["free"]
        assert job.url.path.rpartition("/")[2] in told["sources"]
        file = asker.get(linked(answer, ".csv"))
        assert file.headers["content-type"].startswith("text/csv")
    assert [one.id for one in client.jobs()] == before
    none = asker.get("/answer", params=form("SELECT MEDIAN(balance) FROM consumer_credit", lang="en"))
    assert (none.status_code, "No stored answer tells this" in none.text) == (200, True)
    assert (
        asker.get("/answer/as/answer.csv", params=form("SELECT MEDIAN(balance) FROM consumer_credit")).status_code
        == 404
    )


def test_a_question_is_nobody_elses(street, asker, job):
    with visitor(street.console("lender-y")) as other:
        assert other.get(job.url.path).status_code == 404
        assert other.get(f"{job.url.path}/as/answer.csv").status_code == 404
    with visitor(street.at_exchange("lender-x")) as away:
        assert away.get("/ask").status_code == 404, "answers are opened beside the key and nowhere else"
        assert away.get(job.url.path).status_code == 404


def test_an_officer_of_a_lender_has_nothing_to_rule_on(street):
    with visitor(street.console("x-credit")) as officer:
        for address in ("/", "/inbox", "/requests", "/reviews"):
            for language in ("en", "zh"):
                assert officer.get(address, params={"lang": language}).status_code == 200, address
        assert officer.get("/ask").status_code == 404


def test_an_errand_tells_its_end_and_how_it_failed():
    errands = Errands()

    def refused(tell):
        tell("judging", ("bank-a",))
        raise Refused("no", fix="ask less")

    name, errand = errands.start(refused)
    assert errands.find(name) is errand
    assert errand.is_over(within=20)
    assert (errand.stage, errand.waiting) == ("judging", ("bank-a",))
    with pytest.raises(Refused, match="no"):
        errand.outcome()
    done = Errand(lambda _: "made")
    assert done.is_over(within=20)
    assert done.outcome() == "made"
    for _ in range(200):
        errands.start(lambda _: "")
    assert errands.find(name) is None
    assert errands.find("nothing") is None


def test_an_errand_that_breaks_does_not_hang_and_is_told_to_the_process(monkeypatch):
    heard = threading.Event()
    monkeypatch.setattr(threading, "excepthook", lambda _: heard.set())

    def broken(_):
        raise KeyError

    errand = Errand(broken)
    assert errand.is_over(within=20)
    with pytest.raises(PrivacyError, match="unexpected"):
        errand.outcome()
    assert heard.wait(20)


# -- access --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    made = Office(tmp_path_factory.mktemp("office"))
    street = Street(made.home, made.url)
    with ExitStack() as stack:
        stack.callback(made.town.stop)
        stack.callback(street.stop)
        made.at = {party: stack.enter_context(visitor(street.console(party))) for party in ("lender-x", "bank-a-li")}
        made.street = street
        yield made


def requested(office, sql, **more):
    """Ask for access on the page that a preview leads to; return where the request stands."""
    visit = office.at["lender-x"]
    page = visit.get("/ask", params=form(sql, lang="en"))
    assert "The owners want to see this question before it is answered" in page.text
    told = visit.get(linked(page, "Ask the owners for access"))
    fields = {name: text for name, text in parse_qs(urlsplit(str(told.url)).query).items() if name != "lang"}
    assert f">{sql}</textarea>" in html.unescape(told.text)
    sent = visit.post("/requests", data={**fields, "why": "to price a loan", "days": "9", **more})
    assert sent.status_code == 200, sent.text
    return sent.url.path


def test_access_is_asked_for_approved_in_two_clicks_and_the_question_answered(office):
    sql = "SELECT product, COUNT(*) FROM consumer_credit GROUP BY product"
    lender, officer = office.at["lender-x"], office.at["bank-a-li"]
    early = answered(lender, lender.post("/ask", data=form(sql)).url.path)
    assert "Why there is no answer" in early.text
    assert "approval" in Seen(early.text).text
    assert linked(early, "Ask the owners for access").startswith("/requests?")
    assert lender.get(f"{early.url.path}.json").json()["state"] == "refused"
    request = requested(office, sql)
    mine = lender.get(f"{request}.json").json()
    assert (mine["state"], mine["waiting_for"]) == ("waiting", list(BANKS))
    assert all(side["consequence"] is None for side in mine["owners"])
    # first click: what waits for the officer; second: the button
    home = officer.get("/", params={"lang": "en"})
    assert linked(home, "A request for access waits for officers") == request
    page = officer.get(request, params={"lang": "en"})
    seen = Seen(page.text)
    sentence = office.shown("bank-a-li", request.rpartition("/")[2])["consequences"]["bank-a"]
    assert sentence in seen.text
    assert seen.text.index(sentence) < seen.text.index(sql) < seen.text.index("to price a loan")
    assert sentence in Seen(officer.get("/inbox").text).text
    beyond = officer.post(request, data={"do": "approve", "owner": "bank-a", "days": "91"}, params={"lang": "en"})
    assert beyond.status_code == 403
    assert "the grant lets an approval last 90 days" in beyond.text
    approved = officer.post(request, data={"do": "approve", "owner": "bank-a", "days": "20"}, params={"lang": "en"})
    assert approved.status_code == 200
    (side,) = officer.get(f"{request}.json").json()["owners"]
    assert (side["standing"], side["until"]) == ("approved", str(in_days(20)))
    assert [(one["officer"], one["act"], one["counted"]) for one in side["rulings"]] == [
        ("bank-a-li", "approve", False),
        ("bank-a-li", "approve", True),
    ]
    assert request not in officer.get("/").text
    assert officer.get("/inbox.json").json()["waiting"] == []
    assert lender.get(f"{request}.json").json()["waiting_for"] == ["bank-b", "bank-c"]
    for other in ("bank-b-zhao", "bank-c-chen"):
        assert office.access("approve", other, request.rpartition("/")[2]).returncode == 0
    assert linked(lender.get("/", params={"lang": "en"}), "Your request was approved: put the question") == request
    ready = lender.get(linked(lender.get(request, params={"lang": "en"}), "Put the question now"))
    assert lender.get(twin(str(ready.url))).json()["preview"]["allowed"]
    asked = parse_qs(urlsplit(str(ready.url)).query)
    put = lender.post("/ask", data={name: text[0] for name, text in asked.items()})
    told = answered(lender, put.url.path)
    assert "mortgage" in Seen(told.text).text
    with connect(office.home / "lender-x", office.url) as client:
        result = client.job(put.url.path.rpartition("/")[2]).result()
    assert lender.get(f"{put.url.path}.json").json()["result"]["records"] == result.to_json()["rows"]
    taken = officer.post(request, data={"do": "withdraw", "owner": "bank-a", "because": "the loan was repaid"})
    assert taken.status_code == 200
    assert lender.get(f"{request}.json").json()["state"] == "withdrawn"
    assert "the loan was repaid" in lender.get(request).text


def test_a_refusal_needs_a_reason_and_the_reason_reaches_the_asker(office):
    request = requested(office, "SELECT region, COUNT(*) FROM consumer_credit GROUP BY region", standing="yes")
    lender, officer = office.at["lender-x"], office.at["bank-a-li"]
    assert lender.get(f"{request}.json").json()["standing"]
    for wrong in ({"do": "refuse", "because": " "}, {"do": "approve", "days": "soon"}, {"do": "burn"}):
        assert officer.post(request, data=wrong).status_code == 422
    silent = lender.post(request, data={"do": "approve", "days": "3"})
    assert silent.status_code == 404, "who asks does not approve"
    refused = officer.post(request, data={"do": "refuse", "because": "ask for <b>fewer</b> groups"})
    assert refused.status_code == 200
    for language, words in (("en", "refused"), ("zh", "已拒绝")):
        page = lender.get(request, params={"lang": language})
        assert words in Seen(page.text).text
        assert "ask for <b>fewer</b> groups" in Seen(page.text).text
        assert "<b>fewer" not in page.text
    assert request not in lender.get("/").text
    with visitor(office.street.console("lender-y")) as other:
        assert other.get(request).status_code == 404
        assert other.get("/requests.json").json()["requests"] == []


def test_a_request_is_not_sent_without_a_reason_and_keeps_what_was_typed(office):
    lender = office.at["lender-x"]
    before = lender.get("/requests.json").json()["requests"]
    for wrong, words in (({"why": " "}, "one line of plain text"), ({"days": "91", "why": "x"}, "0 to 90 days")):
        told = lender.post("/requests", data=form(SQL, budget="0.1", days="5") | wrong, params={"lang": "en"})
        assert told.status_code == 422
        assert words in told.text
        assert SQL in html.unescape(told.text)
    beyond = lender.post("/requests", data=form(BEYOND, why="to see", days="5"))
    assert beyond.status_code == 403
    assert "income as sum" in beyond.text
    assert lender.get("/requests.json").json()["requests"] == before


def test_the_officers_pages_are_theirs(office):
    assert office.at["lender-x"].get("/inbox").status_code == 404
    officer = office.at["bank-a-li"]
    assert officer.get("/ask").status_code == 404
    assert officer.get("/jobs").status_code == 404
    assert officer.get("/requests.json").json()["form"] is None
    assert officer.get("/reviews.json").json()["reviewer"] is False
