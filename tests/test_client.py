"""The analyst's client and commands over real processes: previews, accuracy, stored answers, jobs, files."""

import asyncio
import csv
import json
import os
import re
import subprocess
import sys
import time
import zipfile

import duckdb
import pytest

from api.demo import people, town
from exchange import connect
from exchange.analyst.noisy import Figure
from exchange.analyst.syntax import QueryFault
from exchange.protocol.errors import Overreach, Unknown
from privacy.errors import Malformed, Refused
from privacy.terms import NANO

COUNTS = "SELECT region, COUNT(*) FROM consumer_credit GROUP BY region"
AVERAGES = "SELECT region, product, COUNT(*), AVG(balance) FROM consumer_credit GROUP BY region, product"
HEAVY = ("opendp", "duckdb", "pandas", "numpy", "fastapi", "sqlglot", "xlsxwriter")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    home = tmp_path_factory.mktemp("client")
    institutions = people.synthesise(home, rows=30_000)
    with town.Town(home, institutions, clock=lambda: time.time_ns() // 1000) as made:
        made.settle()
        made.start_exchange()
        for one in institutions:
            made.start_node(one.party)
        yield made


@pytest.fixture
def client(running):
    with connect(running.home / "lender-x", running.url) as opened:
        yield opened


def query(client, sql, **wish):
    return client.query(sql, purpose=town.PURPOSE, **wish)


def cli(running, *arguments):
    return subprocess.run(
        [sys.executable, "-P", "-m", "api.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200", "TOUCHSTONE_URL": running.url},
    )


def test_the_client_is_thin():
    script = f"import sys; from exchange import connect; print([m for m in {HEAVY} if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.strip() == "[]"


def test_where_the_desk_and_the_exchange_are_is_said_or_asked_for(running, monkeypatch):
    monkeypatch.delenv("TOUCHSTONE_DESK", raising=False)
    monkeypatch.delenv("TOUCHSTONE_URL", raising=False)
    with pytest.raises(Unknown, match="TOUCHSTONE_DESK"):
        connect(exchange=running.url)
    with pytest.raises(Unknown, match="TOUCHSTONE_URL"):
        connect(running.home / "lender-x")
    monkeypatch.setenv("TOUCHSTONE_DESK", str(running.home / "lender-x"))
    monkeypatch.setenv("TOUCHSTONE_URL", running.url)
    connect().close()


def test_a_question_from_preview_to_repeat_and_roll_up(client):
    question = query(client, AVERAGES, budget=0.02)
    looked = question.preview(seconds=30)
    assert looked.allowed
    assert not looked.free
    assert looked.price == 20_000_000
    assert looked.left["bank-a"] == town.BUDGETS[town.PURPOSE]
    assert looked.repeats == town.BUDGETS[town.PURPOSE] // 20_000_000 - 1
    assert all(looked.on_line.values())
    assert looked.expected["count"] == pytest.approx(half := looked.expected["count"])
    assert looked.expected["avg_balance"] is None, "how exact an average is depends on how many rows there are"
    assert "0.02 rho" in str(looked)

    stages = []
    result = question.run(lambda stage, waiting: stages.append((stage, waiting)))
    assert stages[-1][0] == "answered"
    assert not result.free
    assert set(result.receipt["charged"].values()) == {20_000_000}
    counts = [row[2] for row in result.table.rows if isinstance(row[2], Figure)]
    assert counts
    assert all((figure.high - figure.low) / 2 == pytest.approx(half) for figure in counts), "as it was foretold"

    assert question.preview().free
    again = question.run()
    assert again.free
    assert again.table == result.table
    assert again.sources == result.sources

    rolled = query(client, COUNTS).run()
    assert rolled.free
    assert rolled.sources == result.sources, "the receipt names the release that it comes from"
    by_region = {row[0]: row[1] for row in rolled.table.rows}
    children = [(row[0], row[2]) for row in result.table.rows if isinstance(row[2], Figure)]
    for region in ("north", "east"):
        added = sum(float(figure.value) for name, figure in children if name == region)
        assert float(by_region[region].value) == pytest.approx(added, abs=2 * town.MIN_GROUP)
    filtered = query(client, "SELECT COUNT(*) FROM consumer_credit WHERE product = 'card' AND region = 'north'").run()
    assert filtered.free
    (cell,) = [row[2] for row in result.table.rows if row[:2] == ("north", "card")]
    assert filtered.table.rows[0][0].value == cell.value


def test_an_accuracy_that_is_wished_is_reached_at_the_least_price(client):
    sql = "SELECT education, COUNT(*), SUM(balance) FROM consumer_credit GROUP BY education"
    question = query(client, sql, accuracy={"count": 80})
    looked = question.preview(seconds=30)
    assert looked.expected["count"] == pytest.approx(80, rel=0.01)
    result = question.run()
    halves = [(row[1].high - row[1].low) / 2 for row in result.table.rows if isinstance(row[1], Figure)]
    assert halves
    assert max(halves) <= 80.001
    assert result.receipt["charged"]["bank-a"] == looked.price
    finer = query(client, sql, accuracy={"count": 60})
    step = finer.preview(seconds=30)
    assert not step.free
    fresh = query(client, sql, accuracy={"count": 60}, fresh=True)
    assert step.price < 1.5 * looked.price, "what is stored is part of the better answer"
    refined = finer.run()
    assert len(refined.sources) == 2
    halves = [(row[1].high - row[1].low) / 2 for row in refined.table.rows if isinstance(row[1], Figure)]
    assert max(halves) <= 60.1
    assert not fresh.preview(seconds=30).free


def test_an_average_is_priced_after_a_pilot(client):
    sql = "SELECT AVG(months_overdue) FROM consumer_credit WHERE product = 'card'"
    question = query(client, sql, accuracy={"avg_months_overdue": 0.2})
    looked = question.preview(seconds=30)
    assert looked.pilot > 0
    result = question.run()
    (figure,) = [row[0] for row in result.table.rows]
    assert (figure.high - figure.low) / 2 <= 0.21
    assert query(client, sql, accuracy={"avg_months_overdue": 0.2}, rows=30_000).preview().free


@pytest.mark.parametrize(
    ("wish", "match"),
    [
        ({"accuracy": {"count": 5}, "budget": 0.1}, "both"),
        ({"accuracy": {"count": 0}}, "positive"),
        ({"accuracy": {"count": float("nan")}}, "positive"),
        ({"budget": 1e-12}, "budget"),
        ({"budget": 1000}, "budget"),
        ({"accuracy": {"income": 5}}, "lacks"),
    ],
)
def test_wishes_that_make_no_sense_are_refused(client, wish, match):
    with pytest.raises(Malformed, match=match):
        query(client, COUNTS, **wish)


def test_what_cannot_be_asked_says_why(client):
    with pytest.raises(QueryFault):
        query(client, "SELECT * FROM consumer_credit")
    with pytest.raises(Unknown):
        query(client, "SELECT COUNT(*) FROM nowhere")
    with pytest.raises(Refused):
        query(client, COUNTS, accuracy={"count": 1e-4}).run()
    forbidden = query(client, "SELECT education, SUM(income) FROM consumer_credit GROUP BY education", budget=0.01)
    looked = forbidden.preview(seconds=30)
    assert not looked.allowed
    assert any(reason.startswith("income as sum") for reason in looked.refusals)
    assert looked.nearest is not None
    with pytest.raises(Overreach) as refusal:
        forbidden.run()
    assert forbidden.offer(refusal.value) == looked.nearest


def test_a_question_that_was_put_is_found_again(running, client):
    sql = "SELECT month, COUNT(*) FROM consumer_credit GROUP BY month"
    job = query(client, sql, budget=0.01).submit()
    with connect(running.home / "lender-x", running.url) as elsewhere:
        found = elsewhere.job(job.id[:12])
        assert found.sql == sql
        assert found.id in {held.id for held in elsewhere.jobs()}
        result = found.result()
        assert found.state() == "answered"
        assert found.receipt() == result.receipt
    assert client.release(job.id).session == job.id
    with pytest.raises(Unknown):
        client.job("ffffffffffff")
    with pytest.raises(Unknown):
        client.job("")


def test_the_async_face_gives_the_same(client):
    question = query(client, COUNTS)
    assert asyncio.run(question.arun()).table == question.run().table
    assert asyncio.run(question.apreview()).free


def test_tables_reach_frames_streams_and_files(client, tmp_path):
    result = query(client, AVERAGES).run()
    frame = result.to_pandas()
    assert list(frame.columns[:5]) == ["region", "product", "count", "count_low", "count_high"]
    assert len(frame) == len(result.table.rows)
    told = frame.dropna(subset=["count"])
    assert ((told["count_low"] <= told["count"]) & (told["count"] <= told["count_high"])).all()
    assert type(result.__arrow_c_stream__()).__name__ == "PyCapsule"
    for ending in ("parquet", "csv", "json", "xlsx"):
        result.write(tmp_path / f"answer.{ending}")
    with (tmp_path / "answer.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert [row["region"] for row in listed] == list(frame["region"])
    held = duckdb.sql(f"SELECT * FROM '{tmp_path}/answer.parquet'").fetchall()
    assert len(held) == len(frame)
    assert json.loads((tmp_path / "answer.json").read_text())["receipt"] == json.loads(json.dumps(result.receipt))
    assert "xl/worksheets/sheet2.xml" in zipfile.ZipFile(tmp_path / "answer.xlsx").namelist()
    with pytest.raises(Refused, match="such a file"):
        result.write(tmp_path / "answer.doc")
    assert "<table>" in result._repr_html_()


def test_the_command_line_previews_asks_writes_and_finds_again(running, tmp_path):
    home = str(running.home / "lender-y")
    asked = ("query", home, "-e", COUNTS, "--purpose", town.PURPOSE)
    looked = cli(running, *asked, "--budget", "0.011", "--preview", "--json")
    assert looked.returncode == 0, looked.stderr
    assert json.loads(looked.stdout)["price_nano_rho"] == 11 * NANO // 1000
    file = tmp_path / "question.sql"
    file.write_text(COUNTS)
    answered = cli(running, "query", home, "-f", str(file), "--purpose", town.PURPOSE, "--budget", "0.011", "--json")
    assert answered.returncode == 0, answered.stderr
    told = json.loads(answered.stdout)
    assert told["schema_version"] == "1"
    assert {row["region"] for row in told["rows"]} >= {"north", "east"}
    written = cli(running, *asked, "-o", str(tmp_path / "out.csv"))
    assert written.returncode == 0, written.stderr
    assert "Free" in written.stderr
    listed = json.loads(cli(running, "job", "list", home, "--json").stdout)["jobs"]
    assert [job["state"] for job in listed] == ["answered"]
    session = listed[0]["id"]
    assert json.loads(cli(running, "job", "receipt", home, session[:10]).stdout)["session"] == session
    assert "north" in cli(running, "job", "show", home, session[:10]).stdout
    watched = cli(running, "job", "watch", home, session[:10])
    assert watched.returncode == 0, watched.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "match"),
    [
        (("-e", "SELECT balance FROM consumer_credit"), 1, r"\^"),
        (("-e", COUNTS, "--accuracy", "count"), 1, "column=number"),
        (("-e", COUNTS, "--accuracy", "count=5", "--budget", "0.1"), 1, "both"),
        (("-e", "SELECT SUM(income) FROM consumer_credit", "--budget", "0.01"), 3, "income as sum"),
        (("-e", COUNTS, "--budget", "0"), 2, "budget"),
        ((), 1, "-e SQL or -f FILE"),
        (("-f", "/nonexistent.sql"), 1, "cannot be read"),
    ],
)
def test_wrong_commands_end_in_a_sentence_and_a_documented_code(running, arguments, code, match):
    home = str(running.home / "lender-y")
    ended = cli(running, "query", home, "--purpose", town.PURPOSE, *arguments)
    assert ended.returncode == code, ended.stderr
    assert re.search(match, ended.stderr), ended.stderr
    assert "Traceback" not in ended.stderr


def test_nobody_there_is_a_code_of_its_own(running):
    ended = subprocess.run(
        [
            sys.executable, "-P", "-m", "api.cli", "query", str(running.home / "lender-y"), "-e", COUNTS,
            "--purpose", town.PURPOSE, "--exchange", "http://127.0.0.1:9",
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 4
    assert "Traceback" not in ended.stderr


# -- minimum necessity, end to end -------------------------------------------------------------------------------------


def test_an_answer_proves_offline_what_it_needed_and_who_granted_it(running, client, tmp_path):
    result = query(
        client, "SELECT product, AVG(months_overdue) FROM consumer_credit GROUP BY product", budget=0.01
    ).run()
    stored = running.home / "lender-x" / "answers" / f"{result.sources[0]}.json"
    policies = []
    for one in running.institutions:
        policies.append(tmp_path / f"{one.party}.json")
        policies[-1].write_text(json.dumps(town.policy_document(one)))
    shown = cli(running, "policy", "verify", str(stored), *map(str, policies))
    assert shown.returncode == 0, shown.stderr
    assert "the proof holds: 3 uses, each needed for credit-risk-statistics/1" in shown.stdout
    assert "closed: income: credit-risk-statistics does not need it" in shown.stdout
    assert all(f"{one.party}.accounts@1" in shown.stdout for one in running.institutions)
    document = json.loads(stored.read_text())
    document["receipt"]["necessity"]["needed"].pop()
    (tmp_path / "forged.json").write_text(json.dumps(document))
    assert "does not follow" in cli(running, "policy", "verify", str(tmp_path / "forged.json")).stderr
    other = json.loads(policies[0].read_text()) | {"version": 2}
    policies[0].write_text(json.dumps(other))
    assert "another policy" in cli(running, "policy", "verify", str(stored), str(policies[0])).stderr


def test_an_answer_that_would_be_kept_for_too_long_is_refused_with_the_days_that_pass(running, client):
    sql = "SELECT COUNT(*) FROM consumer_credit WHERE education = 'school'"
    asked = ["query", str(running.home / "lender-x"), "--purpose", town.PURPOSE, "-e", sql, "--budget", "0.001"]
    asked.append("--fresh")  # what another test has stored does not ask anybody
    refused = cli(running, *asked, "--keep-days", "9999")
    assert refused.returncode == 3
    assert "retention: the result may be kept for 365 days, the request says 9999" in refused.stderr
    assert "--keep-days 365" in refused.stderr
    looked = query(client, sql, budget=0.001, keep_days=9999, fresh=True).preview(seconds=30)
    assert not looked.allowed
    assert "kept for 365 days at most" in str(looked)
    assert cli(running, *asked, "--keep-days", "365").returncode == 0
