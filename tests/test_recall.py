"""What is remembered holds exactly as long as the tables that it mentions stay as they are."""

from exchange.recall import Recall

ASKED = "SELECT * FROM account JOIN owner USING (id) WHERE id = ?"


def test_an_answer_holds_until_one_of_its_tables_changes():
    recall = Recall(["account", "owner", "other"])
    stamp = recall.stamp(ASKED)
    assert recall.find(ASKED, [1]) is None
    recall.keep(ASKED, [1], stamp, [{"id": 1}])
    assert recall.find(ASKED, [1]) == [{"id": 1}]
    assert recall.find(ASKED, [2]) is None
    recall.changed(["other"])
    assert recall.find(ASKED, [1]) == [{"id": 1}]
    recall.changed(["owner"])
    assert recall.find(ASKED, [1]) is None


def test_an_answer_asked_before_a_change_is_not_taken_for_one_after_it():
    recall = Recall(["account"])
    stamp = recall.stamp("SELECT * FROM account")
    recall.changed(["account"])
    recall.keep("SELECT * FROM account", [], stamp, [{"id": 1}])
    assert recall.find("SELECT * FROM account", []) is None


def test_who_changes_what_it_got_changes_nothing_else():
    recall = Recall(["account"])
    rows = [{"id": 1}]
    recall.keep("SELECT * FROM account", [], recall.stamp("SELECT * FROM account"), rows)
    rows[0]["id"] = 2
    recall.find("SELECT * FROM account", [])[0]["id"] = 3
    assert recall.find("SELECT * FROM account", []) == [{"id": 1}]


def test_what_cannot_be_told_apart_or_depends_on_no_table_is_not_held():
    recall = Recall(["account"])
    recall.keep("SELECT now()", [], recall.stamp("SELECT now()"), [{"now": 1}])
    assert recall.find("SELECT now()", []) is None
    recall.keep("SELECT * FROM account WHERE id IN ?", [[1]], (0,), [])
    assert recall.find("SELECT * FROM account WHERE id IN ?", [[1]]) is None
    recall.keep("SELECT * FROM account", [], (0,), [{"id": 1}] * 2_000)
    assert recall.find("SELECT * FROM account", []) is None


def test_tables_made_again_are_asked_again_and_memory_is_bounded():
    recall = Recall(["account"])
    recall.changed(["account"])
    recall.keep("SELECT * FROM account", [], recall.stamp("SELECT * FROM account"), [{"id": 1}])
    stamp = recall.stamp("SELECT * FROM account")
    recall.forget()
    assert recall.find("SELECT * FROM account", []) is None
    recall.keep("SELECT * FROM account", [], stamp, [{"id": 1}])
    assert recall.find("SELECT * FROM account", []) is None, "it was asked of the tables that are gone"
    for number in range(10_000):
        recall.keep("SELECT * FROM account WHERE id = ?", [number], recall.stamp("account"), [])
    assert len(recall._held) <= 4_096
