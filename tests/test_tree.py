"""The Merkle tree against the recursive definitions of RFC 6962, and every wrong proof refused."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.protocol.tree import EMPTY, Tree, check_consistency, leaf_hash, root_by_inclusion
from privacy.errors import Malformed, Mismatch
from tests import second_verifier as rfc

# the published test vectors of Certificate Transparency: leaves, and the root after each
LEAVES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def grown(count):
    tree = Tree()
    for number in range(count):
        tree.add(b"entry %d" % number)
    return tree


def test_roots_are_those_of_the_published_vectors():
    tree = Tree()
    assert tree.root() == EMPTY
    for leaf, root in zip(LEAVES, ROOTS, strict=True):
        tree.add(leaf)
        assert tree.root().hex() == root
    assert [tree.root(size).hex() for size in range(1, 9)] == ROOTS


def test_every_root_and_proof_is_that_of_the_definition():
    tree, leaves = Tree(), []
    for size in range(1, 34):
        tree.add(b"%d" % size)
        leaves.append(leaf_hash(b"%d" % size))
        for index in range(size):
            steps = tree.inclusion(index, size)
            assert steps == rfc.path(index, leaves)
            assert root_by_inclusion(leaves[index], index=index, size=size, path=steps) == rfc.mth(leaves)
            assert rfc.root_from_path(leaves[index], index, size, steps) == tree.root()
        for old in range(1, size + 1):
            assert tree.root(old) == rfc.mth(leaves[:old])
            steps = tree.consistency(old, size)
            assert steps == rfc.proof(old, leaves)
            check_consistency(old=old, old_root=tree.root(old), new=size, new_root=tree.root(), proof=steps)


@settings(max_examples=80)
@given(st.data())
def test_no_other_leaf_place_size_or_path_leads_to_the_root(data):
    size = data.draw(st.integers(2, 70))
    tree = grown(size)
    index = data.draw(st.integers(0, size - 1))
    leaf, path = tree.leaf(index), tree.inclusion(index, size)
    what = data.draw(st.sampled_from(["leaf", "index", "size", "step", "cut", "more", "swap"]))
    told_index, told_size = index, size
    match what:
        case "leaf":
            leaf = leaf_hash(b"another")
        case "index":
            told_index = data.draw(st.integers(-1, size + 1).filter(lambda n: n != index))
        case "size":
            told_size = data.draw(st.integers(0, 2 * size).filter(lambda n: n != size))
        case "step":
            at = data.draw(st.integers(0, len(path) - 1))
            path[at] = leaf_hash(path[at])
        case "cut":
            path = path[:-1]
        case "more":
            path = [*path, path[-1]]
        case _:
            path = path[::-1]
    if what == "swap" and path == path[::-1]:
        return
    try:
        found = root_by_inclusion(leaf, index=told_index, size=told_size, path=path)
    except Mismatch:
        return
    if found == tree.root():
        # a size is bound only by the head that is signed: the same path may climb the same way in another tree
        assert what == "size"


@settings(max_examples=80)
@given(st.data())
def test_no_fork_is_proved_consistent(data):
    new = data.draw(st.integers(2, 70))
    old = data.draw(st.integers(1, new))
    tree, fork = grown(new), grown(old - 1)
    fork.add(b"another")
    proof = tree.consistency(old, new)
    for steps in (proof, proof[:-1], [*proof, leaf_hash(b"")], [], fork.consistency(old, old)):
        with pytest.raises(Mismatch):
            check_consistency(old=old, old_root=fork.root(), new=new, new_root=tree.root(), proof=steps)
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        bent = [*proof[:at], leaf_hash(proof[at]), *proof[at + 1 :]]
        with pytest.raises(Mismatch):
            check_consistency(old=old, old_root=tree.root(old), new=new, new_root=tree.root(), proof=bent)
    with pytest.raises(Mismatch):
        check_consistency(old=new + 1, old_root=tree.root(), new=new, new_root=tree.root(), proof=proof)


def test_what_is_not_there_is_refused():
    tree = grown(5)
    for ask in (
        lambda: tree.root(6),
        lambda: tree.root(-1),
        lambda: tree.leaf(5),
        lambda: tree.leaf(-1),
        lambda: tree.inclusion(3, 3),
        lambda: tree.inclusion(-1, 3),
        lambda: tree.inclusion(0, 6),
        lambda: tree.consistency(4, 3),
        lambda: tree.consistency(0, 6),
        lambda: tree.consistency(-1, 3),
    ):
        with pytest.raises(Malformed):
            ask()


def test_proofs_hold_while_another_thread_adds():
    tree, failures = grown(1), []
    done = threading.Event()

    def prove():
        while not done.is_set():
            size = tree.size
            try:
                root = tree.root(size)
                path = tree.inclusion(size - 1, size)
                assert root_by_inclusion(tree.leaf(size - 1), index=size - 1, size=size, path=path) == root
                proof = tree.consistency(size // 2 + 1, size)
                old = tree.root(size // 2 + 1)
                check_consistency(old=size // 2 + 1, old_root=old, new=size, new_root=root, proof=proof)
            except (AssertionError, Malformed, Mismatch, IndexError) as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=prove) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(1_000):
        tree.add(b"%d" % number)
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert tree.size == 1_001
