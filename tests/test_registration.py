"""A dataset and its policy are kept together after every check, or not at all."""

import copy
import json
from itertools import count

import duckdb
import pytest

from exchange.node.engine import SourceFault
from exchange.node.registration import refresh, register
from exchange.node.vault import Vault, create
from exchange.protocol.errors import PeerFault, Unknown
from privacy.errors import Malformed, PrivacyError, Refused
from privacy.terms import NANO

STANDARD = "consumer_credit/1"


@pytest.fixture
def vault(tmp_path):
    create(tmp_path / "node", party="bank-a")
    ticks = count(1_700_000_000_000_000, 1000)
    opened = Vault.open(tmp_path / "node", clock=lambda: next(ticks))
    yield opened
    opened.close()


@pytest.fixture
def dataset(tmp_path):
    path = tmp_path / "it's 账户.csv"
    path.write_text("cust,area,bal,late\np1,north,10.5,0\n", "utf-8")
    return {
        "name": "accounts",
        "title": "Accounts",
        "standard": STANDARD,
        "population": "bank-a/customers",
        "source": {"kind": "csv", "path": str(path)},
        "mapping": {
            "person": {"source": "cust"},
            "region": {"source": "area"},
            "balance": {"source": "bal"},
            "product": {"constant": "card"},
        },
        "refreshed": "2026-10-31",
    }


@pytest.fixture
def policy():
    return {
        "owner": "bank-a",
        "dataset": "accounts",
        "standard": STANDARD,
        "version": 1,
        "everyone": NANO,
        "partner": NANO,
        "grants": [
            {
                "purpose": "credit-risk-statistics",
                "recipients": ["*"],
                "columns": {"*": ["count"], "region": ["group", "filter"], "balance": ["sum", "count"]},
                "min_parties": 3,
                "min_group": 20,
                "rho_per_query": NANO // 10,
                "budget": NANO,
                "shared_from": None,
            }
        ],
        "bounds": {"balance": [0, 10_000_000]},
        "domains": {"region": ["north", "east"]},
        "pledging": None,
    }


def kept_nothing(vault):
    return vault.datasets() == [] and vault.book.head[0] == 0


def changed(document, path, value):
    document = copy.deepcopy(document)
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    if value is KeyError:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return document


def test_a_sound_registration_is_kept_as_it_stands(vault, dataset, policy):
    registered = register(vault, dataset=dataset, policy=policy)
    assert vault.dataset(STANDARD) == registered
    assert vault.datasets() == [registered]
    assert vault.policy("accounts").to_json() == policy
    assert registered.mapping["product"].constant == "card"
    assert registered.location.path == dataset["source"]["path"]
    head = vault.book.head
    register(vault, dataset=dataset, policy=policy)
    assert vault.book.head == head  # the same facts again change nothing


WRONG_DATASETS = [
    (("name",), KeyError, "not a dataset"),
    (("name",), "", "valid name"),
    (("name",), "../../etc/passwd", "valid name"),
    (("name",), "a" * 64, "valid name"),
    (("name",), "lоan", "valid name"),  # noqa: RUF001  a Cyrillic letter
    (("name",), "Loan", "valid name"),
    (("name",), 5, "valid name"),
    (("title",), None, "not a dataset"),
    (("title",), ["Accounts"], "not a dataset"),
    (("title",), "", "not a dataset"),
    (("title",), "x" * 5_000_000, "not a dataset"),
    (("population",), None, "not a dataset"),
    (("population",), "", "not a dataset"),
    (("population",), 7, "not a dataset"),
    (("population",), KeyError, "not a dataset"),
    (("refreshed",), None, "not a dataset"),
    (("refreshed",), "yesterday", "not a dataset"),
    (("refreshed",), "2026-02-30", "not a dataset"),
    (("refreshed",), 20261031, "not a dataset"),
    (("source",), None, "not a dataset"),
    (("source",), [], "not a dataset"),
    (("source", "kind"), "postgres", "not a file"),
    (("source", "kind"), None, "not a file"),
    (("source", "path"), 5, "not a dataset"),
    (("source", "path"), "a\x00b", "not a dataset"),
    (("source", "path"), KeyError, "not a dataset"),
    (("source", "table"), "t", "not a file"),
    (("mapping",), [], "not a dataset"),
    (("mapping",), None, "not a dataset"),
    (("mapping",), {}, "does not fit the standard"),
    (("mapping", "person"), KeyError, "does not fit the standard"),
    (("mapping", "shoe_size"), {"source": "bal"}, "does not fit the standard"),
    (("mapping", "region"), {}, "either a source or a constant"),
    (("mapping", "region"), {"source": "area", "constant": "north"}, "either a source or a constant"),
    (("mapping", "region"), "area", "not a dataset"),
    (("mapping", "region"), {"source": "area", "cast": "INT"}, "not a dataset"),
    (("mapping", "region"), {"source": ["area"]}, "not a dataset"),
    (("mapping", "region"), {"constant": 5}, "not a dataset"),
    (("mapping", "region"), {"source": "missing"}, "no column for region"),
    (("mapping", "region"), {"source": 'area" , "bal'}, "no column for region"),
    (("mapping", "region"), {"source": "area; DROP TABLE x"}, "no column for region"),
    # the name of a column of the standard is not a column of the source
    (("mapping", "region"), {"source": "balance"}, "no column for region"),
]


@pytest.mark.parametrize(("path", "value", "reason"), WRONG_DATASETS)
def test_a_dataset_that_does_not_fit_is_refused_and_nothing_is_kept(vault, dataset, policy, path, value, reason):
    with pytest.raises(Malformed, match=reason) as caught:
        register(vault, dataset=changed(dataset, path, value), policy=policy)
    assert caught.value.fix
    assert kept_nothing(vault)


@pytest.mark.parametrize("document", [None, [], "dataset", 5, {}])
def test_what_is_no_document_is_refused(vault, dataset, policy, document):
    with pytest.raises(Malformed):
        register(vault, dataset=document, policy=policy)
    with pytest.raises(Malformed):
        register(vault, dataset=dataset, policy=document)
    assert kept_nothing(vault)


def test_a_standard_of_another_release_is_refused(vault, dataset, policy):
    with pytest.raises(Unknown):
        register(vault, dataset=changed(dataset, ("standard",), "consumer_credit/2"), policy=policy)
    assert kept_nothing(vault)


def test_a_source_that_cannot_be_read_is_refused_without_its_path(vault, dataset, policy, tmp_path):
    for path in (tmp_path / "absent.csv", tmp_path):
        with pytest.raises(SourceFault) as caught:
            register(vault, dataset=changed(dataset, ("source", "path"), str(path)), policy=policy)
        assert str(path) not in caught.value.reason + caught.value.fix
    assert kept_nothing(vault)


WRONG_POLICIES = [
    (("owner",), "bank-b", Refused, "not for this dataset"),
    (("dataset",), "other", Refused, "not for this dataset"),
    (("standard",), "consumer_credit/2", Refused, "not for this dataset"),
    (("grants", 0, "columns", "income"), ["sum"], Malformed, "does not map"),
    (("grants", 0, "columns", "shoe_size"), ["sum"], Malformed, "does not map"),
    (("bounds", "income"), [0, 1], Malformed, "does not map"),
    (("domains", "education"), ["school"], Malformed, "does not map"),
    (("bounds", "balance"), [-1, 10], Malformed, "bounds of balance leave"),
    (("bounds", "balance"), [0, 20_000_001], Malformed, "bounds of balance leave"),
    (("bounds", "balance"), [5, 4], Malformed, "lower bound lies above"),
    (("bounds", "balance"), [0, 1.5], Malformed, "not an integer"),
    (("bounds", "balance"), [0], Malformed, "not a policy"),
    (("bounds", "region"), [0, 1], Malformed, "bounds of region leave"),
    (("bounds", "person"), [0, 1], Malformed, "bounds of person leave"),
    (("domains", "region"), ["north", "mars"], Malformed, "values of region leave"),
    (("domains", "region"), ["North"], Malformed, "values of region leave"),
    (("domains", "balance"), ["1"], Malformed, "values of balance leave"),
    (("domains", "person"), ["p1"], Malformed, "values of person leave"),
    (("grants", 0, "purpose"), "marketing", Malformed, "unknown purpose"),
    (("grants", 0, "columns", "region"), ["read"], Malformed, "unknown use"),
    (("grants", 0, "budget"), -1, Malformed, "whole number"),
    (("grants", 0, "budget"), True, Malformed, "whole number"),
    (("everyone",), -1, Malformed, "budget is not"),
    (("everyone",), 1.5, Malformed, "budget is not"),
    (("grants", 0, "grain"), {"balance": "year"}, Malformed, "balance cannot have this grain"),
    (("grants", 0, "grain"), {"region": 10}, Malformed, "region cannot have this grain"),
    (("grants", 0, "grain"), {"income": 10}, Malformed, "does not map"),
    (("grants", 0, "domains"), {"region": ["mars"]}, Malformed, "values of region leave"),
    (("grants", 0, "domains"), {"balance": ["1"]}, Malformed, "values of balance leave"),
    (("grants", 0, "rows"), [{"one_of": ["1"], "column": "balance"}], Malformed, "does not let be filtered on"),
    (("grants", 0, "rows"), [{"between": [0, 5], "term": {"value": "region"}}], Malformed, "no meaning"),
    (("grants", 0, "recipients"), ["role:king"], Malformed, "a recipient is none"),
    (
        ("prohibitions",),
        [dict.fromkeys(("purpose", "use", "recipient"), "*") | {"column": "shoe_size"}],
        Malformed,
        "prohibits columns",
    ),
    (("version",), KeyError, Malformed, "not a policy"),
    (("surprise",), 1, Malformed, "extra or mistyped"),
]


@pytest.mark.parametrize(("path", "value", "kind", "reason"), WRONG_POLICIES)
def test_a_policy_that_does_not_fit_is_refused_and_nothing_is_kept(vault, dataset, policy, path, value, kind, reason):
    with pytest.raises(kind, match=reason) as caught:
        register(vault, dataset=dataset, policy=changed(policy, path, value))
    assert caught.value.fix
    assert kept_nothing(vault)


def test_bounds_and_domains_may_be_as_wide_as_the_standard_and_no_wider(vault, dataset, policy):
    policy["bounds"]["balance"] = [0, 20_000_000]
    policy["domains"]["region"] = ["west", "north", "east", "south", "central"]
    register(vault, dataset=dataset, policy=policy)
    assert vault.policy("accounts").to_json() == policy


def test_an_old_policy_version_leaves_both_documents_as_they_were(vault, dataset, policy):
    first = register(vault, dataset=dataset, policy=changed(policy, ("version",), 4))
    moved = changed(dataset, ("refreshed",), "2026-11-30")
    for version in (3, 4):
        with pytest.raises(PeerFault, match="newer version"):
            register(vault, dataset=moved, policy=changed(changed(policy, ("version",), version), ("everyone",), 5))
        assert vault.dataset(STANDARD) == first
        assert vault.policy("accounts").everyone == NANO
    newer = changed(changed(policy, ("version",), 5), ("everyone",), 5)
    assert register(vault, dataset=moved, policy=newer).refreshed == "2026-11-30"
    assert vault.dataset(STANDARD).refreshed == "2026-11-30"
    assert vault.policy("accounts").everyone == 5


def test_neither_another_name_nor_another_population_starts_a_new_budget(vault, dataset, policy):
    first = register(vault, dataset=dataset, policy=policy)
    head = vault.book.head
    renamed, its_policy = changed(dataset, ("name",), "other"), changed(policy, ("dataset",), "other")
    with pytest.raises(Refused, match="another dataset"):
        register(vault, dataset=renamed, policy=its_policy)
    with pytest.raises(Refused, match="population"):
        register(vault, dataset=changed(dataset, ("population",), "bank-a/fresh"), policy=policy)
    with pytest.raises(Unknown):
        vault.policy("other")
    assert (vault.dataset(STANDARD), vault.book.head) == (first, head)


def test_refusals_quote_nothing_of_the_rows(vault, dataset, policy, tmp_path):
    canary = "canary-320106199001011234"
    file = tmp_path / "rows.duckdb"
    with duckdb.connect(file) as engine:
        engine.execute(f"CREATE TABLE t AS SELECT '{canary}' AS cust, '{canary}' AS area, '{canary}' AS bal")
    dataset["source"] = {"kind": "duckdb", "path": str(file), "table": "t"}
    for path, value in (
        (("mapping", "region"), {"source": "nothing"}),
        (("source", "table"), "absent"),
        (("source", "path"), str(tmp_path / "absent")),
    ):
        with pytest.raises(PrivacyError) as caught:
            register(vault, dataset=changed(dataset, path, value), policy=policy)
        assert canary not in json.dumps([str(caught.value), caught.value.fix])
    assert register(vault, dataset=dataset, policy=policy).location.table == "t"


@pytest.mark.parametrize("bad", [b'p9,"unclosed,1\n', b"p9,\xff\xfe,1\n", b"p9,a,b,c,d,e,f,g,h,i,j,k,l,m\n"])
def test_a_row_that_cannot_be_read_is_found_before_anything_is_kept_or_charged(tmp_path, bad):
    from exchange.node.engine import Location, SourceFault
    from exchange.node.source import Dataset, Field
    from exchange.standards import shipped
    from tests.sources import read_through

    path = tmp_path / "rows.csv"
    good = b"person,region,balance\n" + b"".join(b"p%d,north,%d\n" % (index, index) for index in range(5000))
    path.write_bytes(good)
    mapping = {name: Field(source=name) for name in ("person", "region", "balance")}
    dataset = Dataset(
        "accounts", "t", shipped("consumer_credit/1"), "p", Location("csv", str(path)), mapping, "2026-01-01"
    )
    assert read_through(dataset) == 5000
    path.write_bytes(good + bad)
    with pytest.raises(SourceFault):
        read_through(dataset)


ELSEWHERE = (
    "http://127.0.0.1/rows.csv",
    "https://example.org/rows.parquet",
    "http://[::ffff:127.0.0.1]/rows.csv",
    "http://169.254.169.254/latest/meta-data",
    "http://2130706433/rows.csv",
    "s3://bucket/rows.parquet",
    "s3://bucket/../rows.parquet",
    "gcs://bucket/rows.parquet",
    "az://store/rows.parquet",
    "hf://datasets/a/b/rows.parquet",
    "ftp://user:pass@host/rows.csv",
    "gopher://host/rows.csv",
    "file:///etc/passwd",
    "FILE://localhost/etc/passwd",
    "postgres://user@host/rows",
    "md:rows",
    "host=127.0.0.1 dbname=rows",
    "host=/var/run/postgresql options=-csearch_path=x",
    "service=rows",
    "data:text/csv,a",
    "//host/share/rows.csv",
    "\\\\host\\share\\rows.csv",
    "/dev/zero",
    "/dev/stdin",
    "/dev/tcp/127.0.0.1/80",
    "/proc/self/environ",
    "/proc/self/fd/0",
    "/proc/self/mem",
    "/etc",
    "/",
    "~/rows.csv",
    "rows.csv|id",
    "*.csv",
    "",
    "\0",
    "a" * 5000,
)


@pytest.mark.parametrize("kind", ["csv", "parquet", "duckdb"])
def test_a_source_is_a_plain_file_of_this_machine(vault, dataset, policy, kind):
    for path in ELSEWHERE:
        source = {"kind": kind, "path": path} | ({"table": "t"} if kind == "duckdb" else {})
        with pytest.raises(PrivacyError) as caught:
            register(vault, dataset=changed(dataset, ("source",), source), policy=policy)
        assert isinstance(caught.value, Malformed | SourceFault)
    assert vault.prepared.engines._workers == {}, "nothing was opened to find out"
    assert kept_nothing(vault)


def test_a_link_leads_nowhere_but_to_its_own_directory(vault, dataset, policy, tmp_path):
    within, without = tmp_path / "data", tmp_path / "elsewhere"
    for directory in (within, without):
        directory.mkdir()
        (directory / "rows.csv").write_text("cust,area,bal\np1,north,10.5\n")
    (within / "out.csv").symlink_to(without / "rows.csv")
    (within / "up.csv").symlink_to("../elsewhere/rows.csv")
    (within / "far.csv").symlink_to("up.csv")
    (within / "circle.csv").symlink_to("circle.csv")
    (within / "current.csv").symlink_to("rows.csv")
    (tmp_path / "disk").symlink_to(within)
    for name in ("out.csv", "up.csv", "far.csv", "circle.csv"):
        with pytest.raises(Malformed, match="leads"):
            register(vault, dataset=changed(dataset, ("source", "path"), str(within / name)), policy=policy)
    assert kept_nothing(vault)
    # a link beside its file, and a directory that is a link, are the operator's own ways to name it
    for number, path in enumerate((within / "current.csv", tmp_path / "disk" / "rows.csv")):
        named = changed(dataset, ("source", "path"), str(path)) | {"refreshed": f"2026-11-0{number + 1}"}
        kept = register(vault, dataset=named, policy=policy)
        assert kept.location.path == str(within / "rows.csv")


def test_a_link_that_was_laid_after_registering_is_not_followed(vault, dataset, policy, tmp_path):
    within = tmp_path / "data"
    within.mkdir()
    path = within / "rows.csv"
    path.write_text("cust,area,bal\np1,north,10.5\n")
    (tmp_path / "others.csv").write_text("cust,area,bal\nq1,north,1\nq2,north,2\n")
    register(vault, dataset=changed(dataset, ("source", "path"), str(path)), policy=policy)
    path.unlink()
    path.symlink_to(tmp_path / "others.csv")
    with pytest.raises(SourceFault, match="leads elsewhere"):
        refresh(vault, name="accounts", refreshed="2026-11-02")
    path.unlink()
    within.rename(tmp_path / "moved")
    (tmp_path / "moved" / "rows.csv").write_text("cust,area,bal\nq1,north,1\nq2,north,2\n")
    within.symlink_to(tmp_path / "moved")
    with pytest.raises(SourceFault, match="leads elsewhere"):
        refresh(vault, name="accounts", refreshed="2026-11-02")
    assert vault.datasets()[0].refreshed == "2026-10-31"


# -- prepared tables and refreshing ----------------------------------------------------------------------------------


def counted(vault, dataset):
    """Rows that the dataset's prepared table holds, if there is one."""
    rows = vault.prepared.rows(dataset, "SELECT count(*) FROM bounded")
    return None if rows is None else rows[0][0]


def tables(vault):
    return len(list(vault.prepared._directory.glob("*")))


def append(dataset, *lines):
    with open(dataset["source"]["path"], "a", encoding="utf-8") as file:  # noqa: PTH123  beside the documents' own path
        file.writelines(f"{line}\n" for line in lines)


def test_registering_makes_the_table_and_refreshing_renews_it(vault, dataset, policy):
    first = register(vault, dataset=dataset, policy=policy)
    assert counted(vault, first) == 1
    append(dataset, "p1,south,20,0", "p2,south,20,0")
    assert counted(vault, first) == 1  # rows of one version never change
    second = refresh(vault, name="accounts", refreshed="2026-11-30")
    assert (second.refreshed, counted(vault, second)) == ("2026-11-30", 3)
    assert vault.dataset(STANDARD) == second
    assert counted(vault, first) is None
    append(dataset, "p2,south,20,0")
    third = register(vault, dataset=changed(dataset, ("refreshed",), "2026-12-31"), policy=policy)
    assert (counted(vault, third), tables(vault)) == (4, 1)
    assert vault.policy("accounts").to_json() == policy


def test_a_registration_that_is_refused_leaves_the_tables_as_they_were(vault, dataset, policy):
    first = register(vault, dataset=dataset, policy=policy)
    with pytest.raises(Refused, match="population"):
        register(vault, dataset=changed(dataset, ("population",), "bank-a/fresh"), policy=policy)
    assert (counted(vault, first), tables(vault)) == (1, 1)


@pytest.mark.parametrize("day", ["2026-10-31", "2026-10-30", "2026-02-30", "soon", ""])
def test_a_refresh_needs_a_later_date(vault, dataset, policy, day):
    first = register(vault, dataset=dataset, policy=policy)
    with pytest.raises(Malformed, match="not later"):
        refresh(vault, name="accounts", refreshed=day)
    assert (vault.dataset(STANDARD), counted(vault, first)) == (first, 1)


def test_a_refresh_of_what_cannot_be_read_changes_nothing(vault, dataset, policy):
    with pytest.raises(Unknown):
        refresh(vault, name="accounts", refreshed="2026-11-30")
    first = register(vault, dataset=dataset, policy=policy)
    append(dataset, '"unclosed')
    head = vault.book.head
    with pytest.raises(SourceFault):
        refresh(vault, name="accounts", refreshed="2026-11-30")
    assert (vault.dataset(STANDARD), vault.book.head) == (first, head)
    assert (counted(vault, first), tables(vault)) == (1, 1)


def test_without_room_for_a_table_a_dataset_is_registered_all_the_same(vault, dataset, policy, monkeypatch):
    def full(*_, **__):
        raise SourceFault("the node's directory cannot be written", fix="make room on its disk")

    monkeypatch.setattr(vault.prepared, "make", full)
    first = register(vault, dataset=dataset, policy=policy)
    assert (vault.dataset(STANDARD), counted(vault, first)) == (first, None)
    append(dataset, '"unclosed')
    with pytest.raises(SourceFault, match="cannot be read"):
        register(vault, dataset=changed(dataset, ("refreshed",), "2026-11-30"), policy=policy)


def test_the_command_line_refreshes_a_stopped_node(tmp_path, dataset, policy):
    from typer.testing import CliRunner

    from api import cli

    home, run = tmp_path / "home", CliRunner().invoke
    for name, document in (("dataset", dataset), ("policy", policy)):
        (tmp_path / f"{name}.json").write_text(json.dumps(document), "utf-8")
    assert run(cli.app, ["node", "init", str(home), "bank-a"]).exit_code == 0
    documents = [str(tmp_path / "dataset.json"), str(tmp_path / "policy.json")]
    assert run(cli.app, ["node", "register", str(home), *documents]).exit_code == 0
    append(dataset, "p2,south,20,0")
    told = run(cli.app, ["node", "refresh", str(home), "accounts", "--date", "2026-11-30"])
    assert (told.exit_code, "refreshed accounts" in told.output) == (0, True)
    with pytest.raises(Malformed, match="not later"):
        run(cli.app, ["node", "refresh", str(home), "accounts", "--date", "2026-11-30"], catch_exceptions=False)
    held = Vault.open(home, clock=lambda: 1_800_000_000_000_000)
    assert counted(held, held.dataset(STANDARD)) == 2
    held.close()
