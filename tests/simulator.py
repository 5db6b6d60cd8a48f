"""A town in one process, under one seed: real nodes, real desk, real exchange; the clock, the network and the disk are ours.

What is real: :class:`Agent`, :class:`Vault` with its SQL, :class:`Desk`, the rounds, catalog and key registry of the
exchange with their SQL, every message, signature, mask and ciphertext. What stands in for the slow part:

- the book: the same decisions and projections over SQLite in memory; what was written survives a crash, nothing else;
- rows: :func:`_clip` gives each institution a small integer vector per plan and version of its data;
- noise: :func:`_noise` is a seeded sampler, so that draws can be counted (OpenDP's own is tested in ``test_noise``);
- randomness of nonces, key agreement and blinding: seeded, so that a seed repeats a run to the last byte;
- opening: sums of ciphertexts sealed here are known without decrypting; one in sixteen is decrypted to compare, and
  whatever is not known is decrypted;
- proofs of a modulus and parsed messages are remembered, as pure functions of their bytes.

The promises are checked while the run goes on and once more at its end; a broken one raises :class:`Broken`, whose
message names the seed that repeats it.
"""

import base64
import contextlib
import hashlib
import itertools
import json
import logging
import random
import sqlite3
import tempfile
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gmpy2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from exchange.analyst import desk as desk_room
from exchange.analyst.desk import Desk
from exchange.hub import catalog, rounds
from exchange.hub import keys as hub_keys
from exchange.hub import store as store_room
from exchange.hub.store import Store
from exchange.hub.view import View
from exchange.journal import Entry, NoSpace, RolledBack
from exchange.line import Unreachable
from exchange.node import agent as agent_room
from exchange.node import tables
from exchange.node.agent import Agent
from exchange.node.engine import Location
from exchange.node.source import Dataset, Field
from exchange.node.vault import Vault
from exchange.protocol import keys as key_room
from exchange.protocol import messages, problems, request
from exchange.protocol.envelope import Envelope
from exchange.protocol.errors import Unknown
from exchange.protocol.messages import Abort, Accept, Ask, Commit, Decline, Key, Publication, Registration, Share
from exchange.protocol.session import roster_hash
from privacy import canonical, seal
from privacy.atoms import USES
from privacy.errors import PrivacyError
from privacy.expression import (
    AllOf,
    Between,
    ByBand,
    ByCase,
    ByCategory,
    Choice,
    Constant,
    Missing,
    Not,
    OneOf,
    Times,
    Value,
)
from privacy.ledger import coalitions
from privacy.masks import Context, Masked, Peer, mask
from privacy.modulus import to_text
from privacy.noise import Noised
from privacy.packing import layout_of, pack
from privacy.plan import (
    CountFilled,
    CountKnown,
    CountPresent,
    CountRows,
    CountUnits,
    CountValid,
    Histogram,
    Plan,
    Sum,
    width,
)
from privacy.policy import Grant, Policy
from privacy.sensitivity import Clipped, calibrate, magnitude
from privacy.terms import NANO, UNKNOWN, Bounds, Column, Kind, Standard
from privacy.unseal import SecretKey
from tests import sources

VECTORS = Path(__file__).parent / "vectors"
PARTIES = tuple(f"bank-{letter}" for letter in "abcdefghi")
LENDER, MALLORY = "lender-x", "lender-y"
JOINT, SINGLE = "credit-risk-statistics", "pledge-valuation"
EPOCH = 1_800_000_000
REGIONS = ("north", "east", "south")
MONTHS = tuple(f"m{number:02}" for number in range(45))
STANDARD = Standard(
    name="credit",
    version=1,
    title="accounts",
    unit="person",
    rows_per_unit=3,
    institutions_per_unit=2,
    columns=(
        Column(name="person", kind=Kind.IDENTIFIER, meaning="natural person"),
        Column(name="region", kind=Kind.CATEGORY, meaning="region", domain=REGIONS),
        Column(name="month", kind=Kind.CATEGORY, meaning="month", domain=MONTHS),
        Column(name="balance", kind=Kind.MEASURE, meaning="balance", bounds=Bounds(0, 1000)),
    ),
)
ACTS = ("calm", "network", "crash", "exchange", "nodes", "analyst", "everything")


class Broken(AssertionError):
    """A promise did not hold."""


class Crash(BaseException):
    """The process of a node or of the exchange ends here: nothing in the code may catch it."""


BALANCE = Value("balance")
BANDS = ByBand("balance", (0, 500, 1000), ("low", "high"))
NORTH = OneOf("region", ("north",))
SOME = {JOINT: (CountRows(), CountUnits(), CountFilled("balance")), SINGLE: (CountRows(), CountValid("balance"))}
PAIRS = (
    (CountRows(), Sum(BALANCE)),
    (CountUnits(), Sum(Times(BALANCE, BALANCE))),
    (CountPresent(BALANCE), Sum(Choice(((NORTH, BALANCE), (Missing("month"), Constant(-7)))))),
    (Histogram(BANDS),),
    (
        CountKnown("region"),
        Sum(Times(Times(Times(BALANCE, BALANCE), Times(BALANCE, BALANCE)), Times(BALANCE, BALANCE))),
    ),
)
"""Two cells a group, whatever is measured; sums of sixth powers are counted in grains."""

TRIPLES = (
    ByCategory("region", REGIONS),
    ByCategory("region", (*REGIONS[:2], UNKNOWN)),
    ByCase(((Between(BALANCE, None, 0), "nothing"), (NORTH, "north")), "other"),
    ByBand("balance", (0, 10, 100, 1000), ("small", "middle", "large")),
)
FILTERS = (NORTH, Not(NORTH), AllOf((NORTH, Between(Times(BALANCE, Constant(2)), 0, 99))))


def plan_of(parties, *, flavour=0, rho=NANO // 50, purpose=JOINT, shared=None, kind=0):
    """Every plan of the simulator is made here; ``flavour`` says how many cells it has, ``kind`` what they are."""
    measures = SOME[purpose][kind % len(SOME[purpose])] if flavour == 0 else PAIRS[kind % len(PAIRS)]
    measures = measures if flavour else (measures,)
    triple = TRIPLES[kind // len(PAIRS) % len(TRIPLES)]
    groups = ((), (), (triple,), (ByCategory("month", MONTHS),))[flavour]
    where = (FILTERS[kind % len(FILTERS)],) if flavour == 1 else ()
    uneven = kind % 2 == 1 and len(measures) > 1
    computed = "Value" in repr((measures, groups, where)) or "ByBand" in repr((measures, groups))
    return Plan(
        standard=STANDARD.id,
        standard_digest=STANDARD.digest,
        purpose=purpose,
        parties=tuple(parties),
        rows_per_unit=STANDARD.rows_per_unit,
        institutions_per_unit=STANDARD.institutions_per_unit,
        groups=groups,
        where=where,
        measures=measures,
        rho=rho,
        bounds=(("balance", Bounds(0, 1000)),) if computed else (),
        prices=(rho // 3, rho - rho // 3) if uneven else (),
        shared=None if shared is None else min(shared, len(parties) - 2),
    )


def lattice(plan):
    """How many integer units one step of each cell is: cells travel in grains and are told in units."""
    grains = {scale.measure.key: scale.grain for scale in calibrate(plan)}
    return [grains[measure.key] for measure, _, _ in plan.cells()]


# -- the disk ----------------------------------------------------------------------------------------------------------


class _Cursor:
    """SQLite under the SQL that the rooms write for DuckDB."""

    def __init__(self, connection, *, lists):
        self._connection = connection
        self._lists = lists
        self._rows = []
        self.description = None

    def execute(self, sql, values=()):
        if self._lists:
            sql, values = sql.replace("VARCHAR[]", "VARCHAR"), [_kept(value) for value in values]
        found = self._connection.execute(sql, values)
        self.description = found.description
        self._rows = found.fetchall()
        if self._lists:
            self._rows = [tuple(map(_told, row)) for row in self._rows]
        return self

    def fetchall(self):
        return self._rows

    def fetchone(self):
        return self._rows[0] if self._rows else None


def _kept(value):
    return "\x01" + json.dumps(value) if isinstance(value, list | tuple) else value


def _told(value):
    return json.loads(value[1:]) if isinstance(value, str) and value.startswith("\x01") else value


def _list_contains(values, one):
    return one in _told(values)


class Memory:
    """A book in memory: ``entries`` are the disk, the catalogue is made from them again after each crash."""

    def __init__(self, owner, projection):
        self.owner = owner
        self.entries = []
        self.hook = lambda _step, _kind: None
        self.clock = lambda: EPOCH * 1_000_000
        self._projection = projection
        self._genesis = sha256(owner.encode()).hexdigest()
        self.journal = self
        self.touched = Counter()
        self._lists = any("[]" in statement for statement in projection.tables)
        self._open(None)

    def _open(self, image):
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        if image is not None:
            self._connection.deserialize(image)
        self._connection.create_function("list_contains", 2, _list_contains)
        self._cursor = _Cursor(self._connection, lists=self._lists)
        if image is None:
            for statement in self._projection.tables:
                self._cursor.execute(statement)

    @property
    def image(self):
        return self._connection.serialize()

    def clone(self, image):
        twin = object.__new__(Memory)
        twin.__dict__.update(self.__dict__)
        twin.entries, twin.journal, twin.touched = list(self.entries), twin, Counter()
        twin._open(image)
        return twin

    @property
    def head(self):
        return len(self.entries), self.entries[-1].hash if self.entries else self._genesis

    @property
    def moment(self):
        return self.entries[-1].at if self.entries else 0

    def hash_at(self, seq):
        if seq == 0:
            return self._genesis
        return self.entries[seq - 1].hash if 0 < seq <= len(self.entries) else None

    def read(self, sql, params=()):
        cursor = self._cursor.execute(sql, params)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def write(self, decide, foreseen=()):
        events, result = decide(self._cursor)
        if not events:
            return result
        kinds = "+".join(kind for kind, _ in events)
        self.hook("before", kinds)
        for kind, body in events:
            seq, previous = self.head[0] + 1, self.head[1]
            text = json.dumps(body, allow_nan=False)
            digest = sha256(f"{previous} {seq} {kind} {text}".encode()).hexdigest()
            entry = Entry(seq, self.clock(), kind, json.loads(text), previous, digest, b"")
            self.entries.append(entry)
            self.touched[entry.body.get("session") or entry.body.get("id")] += 1
            self._projection.apply[kind](self._cursor, entry)
        self.hook("after", kinds)
        return result

    def replay(self):
        """Start again from the disk, as after a crash."""
        self._connection.close()
        self._open(None)
        for entry in self.entries:
            self._projection.apply[entry.kind](self._cursor, entry)

    def close(self):
        self._connection.close()


# -- what is the same in every run -------------------------------------------------------------------------------------


def _signing(party):
    return Ed25519PrivateKey.from_private_bytes(sha256(b"simulated " + party.encode()).digest())


DIRECTORY = {
    party: _signing(party).public_key().public_bytes_raw() for party in (*PARTIES, LENDER, MALLORY, "exchange")
}


def _dataset(party, refreshed="2026-01-01"):
    return Dataset(
        name="accounts",
        title="Accounts",
        standard=STANDARD,
        population=f"{party}/people",
        location=Location("csv", "/nowhere.csv"),
        mapping={column.name: Field(source=column.name) for column in STANDARD.columns},
        refreshed=refreshed,
    )


def _policy(party, *, version=1, everyone=100 * NANO, partner=100 * NANO, purpose=100 * NANO):
    columns = dict.fromkeys(("*", "region", "month", "balance"), USES)
    grants = tuple(
        Grant(name, (LENDER, MALLORY), columns, least, 5, NANO, purpose, shared)
        for name, least, shared in ((JOINT, 3, 0), (SINGLE, 1, 0))
    )
    return Policy(
        owner=party,
        dataset="accounts",
        standard=STANDARD.id,
        version=version,
        everyone=everyone,
        partner=partner,
        grants=grants,
        bounds={"balance": Bounds(0, 1000)},
        domains={"region": REGIONS, "month": MONTHS},
    )


@dataclass
class Template:
    """Books with everybody enrolled, and the two askers' keys: made once in a process."""

    hub: Memory
    nodes: dict[str, Memory]
    images: dict[str, bytes]
    secrets: dict[str, SecretKey]
    key_envelopes: dict[str, Envelope]
    homes: dict[str, Path]
    keep: Any = None


@lru_cache(maxsize=1)
def template():
    told = json.loads((VECTORS / "paillier.json").read_text())
    secret_keys = {
        LENDER: SecretKey.from_jwk(told["secret_jwk"]),
        MALLORY: SecretKey.from_jwk(told["other_secret_jwk"]),
    }
    envelopes = {
        party: Key(key=key.public.to_jwk(), proof=key.prove(context=party).to_json(key.public)).sealed_by(
            party, _signing(party)
        )
        for party, key in secret_keys.items()
    }
    hub = Memory("exchange", store_room.PROJECTION)
    store = Store(hub)
    for party in (*PARTIES, LENDER, MALLORY):
        role = "institution" if party in PARTIES else "lender"
        catalog.enrol(store, party=party, name=party, role=role, key=DIRECTORY[party])
    catalog.publish_standard(store, STANDARD)
    nodes = {}
    for party in PARTIES:
        nodes[party] = Memory(party, tables.PROJECTION)
        vault = _vault(party, nodes[party])
        for other, key in DIRECTORY.items():
            vault.pin(other, key, role="institution" if other in PARTIES else "lender")
        vault.keep(_dataset(party), _policy(party))
        catalog.register(store, _registration(_dataset(party)).sealed_by(party, _signing(party)))
        catalog.publish_policy(store, Publication(policy=_policy(party).to_json()).sealed_by(party, _signing(party)))
    for envelope in envelopes.values():
        hub_keys.register(store, envelope)
    keep = tempfile.TemporaryDirectory()
    homes = {}
    for party in (LENDER, MALLORY):
        homes[party] = Path(keep.name) / party
        homes[party].mkdir()
        pinned = {name: key.hex() for name, key in DIRECTORY.items() if name in PARTIES}
        (homes[party] / "party").write_text(party)
        (homes[party] / "signing.key").write_text(_signing(party).private_bytes_raw().hex())
        (homes[party] / "pinned.json").write_bytes(canonical.encode(pinned))
        (homes[party] / "registered-key.json").write_bytes(canonical.encode(envelopes[party].to_json()))
    images = {"hub": hub.image, **{party: book.image for party, book in nodes.items()}}
    return Template(hub, nodes, images, secret_keys, envelopes, homes, keep)


def _vault(party, book):
    # rows are the simulator's own: there is no table to keep
    prepared = sources.prepared(Path("/nowhere/prepared"), sampling_key=party.encode())
    return Vault(book, party=party, signing=_signing(party), sampling=party.encode(), prepared=prepared)


def _registration(dataset):
    return Registration(
        dataset=dataset.name,
        title=dataset.title,
        standard=dataset.standard.id,
        standard_digest=dataset.standard.digest,
        population=dataset.population,
        columns=tuple(sorted(dataset.mapping)),
        refreshed=dataset.refreshed,
    )


# -- the laboratory: doors of the product that lead to the running world ----------------------------------------------

_RUNNING: list["World"] = []


def _world():
    return _RUNNING[-1]


def _clip(plan, dataset, *, sampling_key, ready):
    return _world().clipped(plan, dataset, party=sampling_key.decode())


def _noise(clipped, plan, receipt):
    return _world().noised(clipped, plan, receipt)


class _Drawn:
    """X25519 keys from the seed; every secret ever made is known to the judge of the run."""

    from_private_bytes = staticmethod(X25519PrivateKey.from_private_bytes)

    @staticmethod
    def generate():
        world = _world()
        secret = X25519PrivateKey.from_private_bytes(world.bytes(32))
        world.agreements[secret.public_key().public_bytes_raw().hex()] = secret
        return secret


class _Opener:
    """A secret key that need not decrypt what was sealed in this run."""

    def __init__(self, secret):
        self._secret = secret
        self.public = secret.public
        self.prove = secret.prove

    def open(self, sealed):
        world = _world()
        checked = seal.Sealed(sealed.ciphertexts, sealed.key)
        known = [world.plaintexts[checked.key.n].get(c) for c in checked.ciphertexts]
        if any(value is None for value in known) or sealed.key != self.public:
            world.stats["decrypted"] += 1
            return self._secret.open(sealed)
        if world.dice.random() < 1 / 16:
            world.stats["decrypted to compare"] += 1
            world.require(list(self._secret.open(sealed)) == known, "a sum decrypts to what was sealed")
        return tuple(known)


def _memo(function, key):
    """Remember a pure function's results, and its refusals, within a world."""

    def cached(*arguments, **options):
        memory = _world().memory if _RUNNING else {}
        name = (function, key(*arguments, **options))
        if name not in memory:
            try:
                memory[name] = (function(*arguments, **options), None)
            except PrivacyError as error:
                memory[name] = (None, error)
        value, error = memory[name]
        if error is not None:
            raise error
        return value

    return cached


_VERIFIED: dict[Any, PrivacyError | None] = {}


def _verify_once(verify):
    def verified(key, proof, *, context):
        name = (key.n, proof, context)
        if name not in _VERIFIED:
            try:
                verify(key, proof, context=context)
                _VERIFIED[name] = None
            except PrivacyError as error:
                _VERIFIED[name] = error
        if _VERIFIED[name] is not None:
            raise _VERIFIED[name]

    return verified


@contextlib.contextmanager
def laboratory():  # noqa: C901  one door after the other
    """Lead the product's doors to the simulator, and back again afterwards."""
    template()
    sealing, folding = seal.seal, seal.fold
    reading = _memo(messages.read, lambda envelope, directory: (envelope, directory.get(envelope.signer)))

    def sealed(masked, key):
        made = sealing(masked, key)
        _world().plaintexts[key.n].update(zip(made.ciphertexts, masked.values, strict=True))
        return made

    def folded(parts):
        made = folding(parts)
        known = _world().plaintexts[made.key.n]
        for index, product in enumerate(made.ciphertexts):
            values = [known.get(part.ciphertexts[index]) for part in parts]
            if None not in values:
                known[product] = sum(values) % made.key.n
        return made

    spelled = _memo(
        Envelope.__dict__["from_json"].__func__,
        lambda _cls, document: (
            (document["kind"], document["signer"], document["body"], document["signature"])
            if isinstance(document, dict) and len(document) == 4 and all(type(v) is str for v in document.values())
            else json.dumps(document, default=str)
        ),
    )
    proving = Envelope.verify

    def once(envelope, directory):
        proving(envelope, directory)

    checked = _memo(once, lambda envelope, directory: (envelope, directory.get(envelope.signer)))

    def verified(envelope, directory):
        """A signature is checked once in a world; what it covers is parsed for each reader, who may change it."""
        checked(envelope, directory)
        return json.loads(envelope.body)

    looked = View.session

    def session(view, name):
        """A session is read once for each change to it."""
        world = _world()
        place = (name, world.exchange.book.touched[name])
        if place not in world.memory:
            world.memory[place] = looked(view, name)
        return world.memory[place]

    hashed = Plan.hash.fget

    def plan_hash(plan):
        memory = _world().memory if _RUNNING else {}
        if plan not in memory:
            memory[plan] = hashed(plan)
        return memory[plan]

    seeded = SimpleNamespace(token_hex=lambda count: _world().bytes(count).hex())
    changes = [
        (agent_room, "clip", _clip),
        (agent_room, "add_noise", _noise),
        (agent_room, "X25519PrivateKey", _Drawn),
        (agent_room, "secrets", seeded),
        (desk_room, "secrets", seeded),
        (key_room, "verify", _verify_once(key_room.verify)),
        (messages, "read", reading),
        (rounds, "read", reading),
        (desk_room, "read", reading),
        (Envelope, "from_json", classmethod(spelled)),
        (Envelope, "verify", verified),
        (View, "session", session),
        (Plan, "hash", property(plan_hash)),
        (desk_room, "epsilon", lru_cache(maxsize=1000)(desk_room.epsilon)),
        (seal, "seal", sealed),
        (seal, "fold", folded),
        (seal, "token_bytes", lambda count: _world().bytes(count)),
        (seal, "randbelow", lambda below: int.from_bytes(sha256(b"h").digest() * 12) % below),
    ]
    before = [(room, name, vars(room)[name]) for room, name, _ in changes]
    level = agent_room.log.level
    agent_room.log.setLevel(logging.CRITICAL)
    seal._make_blinder.cache_clear()
    for room, name, value in changes:
        setattr(room, name, value)
    try:
        yield
    finally:
        for room, name, value in before:
            setattr(room, name, value)
        agent_room.log.setLevel(level)
        seal._make_blinder.cache_clear()


def run(seed, *, act=None):
    """Run the world of one seed and return it, checked; ``laboratory`` must be open."""
    world = World(seed, act=act)
    _RUNNING.append(world)
    try:
        world.run()
    except Broken:
        raise
    except AssertionError:
        raise
    except Exception as error:
        raise Broken(f"seed {seed}: the simulation ended by {type(error).__name__}: {error}") from error
    finally:
        _RUNNING.pop()
        world.close()
    return world


# -- the parties -------------------------------------------------------------------------------------------------------


class Node:
    """A real agent on its vault; a crash leaves the book and nothing else."""

    def __init__(self, world, party):
        self.world = world
        self.party = party
        self.book = template().nodes[party].clone(template().images[party])
        self.book.hook = lambda when, kinds: world.at_disk(self, when, kinds)
        self.book.clock = lambda: world.now * 1_000_000
        self.vault = _vault(party, self.book)
        self.skew = 0
        self.down_until = 0
        self.old_tasks = []
        self.start()

    def start(self):
        self.agent = Agent(
            self.vault,
            NodeLine(self.world, self),
            seconds=lambda: self.world.now + self.skew,
            slot=contextlib.nullcontext,
        )

    def crash(self):
        self.world.stats["crashes"] += 1
        self.world.forget_draws(self.party)
        self.book.replay()
        self.down_until = self.world.now + self.world.dice.choice((0, 2, 15, 200))
        self.start()

    def turn(self):
        """Poll once and do what one is told."""
        world = self.world
        if world.now < self.down_until:
            return
        world.acting = self
        try:
            try:
                tasks = self.agent._poll()
            except RolledBack:
                world.stats["refused: rolled back"] += 1
                return
            except PrivacyError:
                return
            tasks = world.shuffled(self, tasks)
            for task in tasks:
                try:
                    world.acting_session = task.get("session") if isinstance(task, dict) else None
                    self.agent.perform(task)
                except (Crash, Broken):
                    raise
                except Exception as error:  # noqa: BLE001  any other end of a party is what is looked for
                    kind = task.get("task") if isinstance(task, dict) else task
                    world.fail(f"a task ({kind!r}) ended the node {self.party}: {type(error).__name__}: {error}")
        except Crash:
            self.crash()
        except Broken:
            raise
        except Exception as error:  # noqa: BLE001  any other end of a party is what is looked for
            world.fail(f"a poll ended the node {self.party}: {type(error).__name__}: {error}")
        finally:
            world.acting = None


class NodeLine:
    """A node's line to the simulated exchange."""

    def __init__(self, world, node):
        self._world = world
        self._node = node

    def post(self, path, value):
        world, node = self._world, self._node
        kind = value.kind if isinstance(value, Envelope) else path.rpartition("/")[2]
        world.may_crash(f"before sending {kind}")
        document = value.to_json() if isinstance(value, Envelope) else value
        if isinstance(value, Envelope):
            world.leaves(node, path, value)
        answer = world.carry(node.party, path, document, skew=node.skew)
        world.may_crash(f"after sending {kind}")
        return answer


class DeskLine:
    """An asker's line: waiting for an answer lets the town go on."""

    def __init__(self, world, party):
        self._world = world
        self._party = party

    def post(self, path, value):
        document = value.to_json() if isinstance(value, Envelope) else value
        if isinstance(value, Envelope):
            self._world.trace.update(value.body)
            if value.kind == "ask":
                self._world.asked[self._party].append(value.id)
        for _ in range(8):
            with contextlib.suppress(Unreachable):
                return self._world.carry(self._party, path, document)
        raise Unreachable("the exchange does not answer", fix="check the line")

    def get(self, path):
        world = self._world
        if path.startswith("/v1/rotations"):
            return {"rotations": []}  # nobody changes its key in this world
        if not path.startswith("/v1/sessions/"):
            return world.exchange.handle(self._party, path, None)
        seen = int(path.rpartition("seen=")[2])
        session = path.removeprefix("/v1/sessions/").partition("?")[0]
        world.patience += 1
        if world.patience > 60:
            raise Unreachable("the exchange gives no end to this session", fix="ask the operator")
        record = {}
        for _ in range(12):
            record = world.exchange.handle(self._party, f"/v1/sessions/{session}", None)
            heard = record.get("heard") if isinstance(record, dict) else None
            if not isinstance(heard, int) or heard > seen or not record.get("waiting_for"):
                break
            world.tick()
        return record


class Liar:
    """A party that has its own good keys and no manners. Its line is the villain's or the exchange's."""

    TRICKS = (
        "honest", "honest", "zero", "n", "kn", "one", "unblinded", "minus one", "too large", "count", "empty", "stolen",
        "other roster", "two shares", "two commits", "two accepts", "huge", "negative", "any number", "low order",
        "copied agreement", "silent", "abort", "decline", "other session", "other plan", "never ends", "bad text",
    )  # fmt: skip

    def __init__(self, world, party):
        self.world = world
        self.party = party
        self.trick = world.dice.choice(self.TRICKS)
        self.accepts = {}
        self.secrets = {}
        self.old_tasks = []
        self.spoken = {}

    def turn(self):
        world = self.world
        if world.dice.random() < 0.2:
            self.trick = world.dice.choice(self.TRICKS)
        world.stats[f"liar: {self.trick}"] += 1
        with contextlib.suppress(PrivacyError, KeyError, TypeError, ValueError):
            told = world.exchange.handle(self.party, "/v1/poll", {"wait": 10, "seq": 0, "head": "0" * 64})
            for task in told["tasks"]:
                for envelope in self.answer(task):
                    self.send(envelope)

    def send(self, envelope):
        session = json.loads(envelope.body).get("session", "0" * 64)
        with contextlib.suppress(PrivacyError):
            self.world.carry(self.party, f"/v1/sessions/{session}/messages", envelope.to_json())

    def sign(self, message):
        envelope = message.sealed_by(self.party, _signing(self.party))
        self.world.said(self.party, message, envelope)
        return envelope

    def answer(self, task):
        match task["task"]:
            case "judge":
                return self.judge(Envelope.from_json(task["ask"]))
            case "commit":
                return self.commit(task["session"], [Envelope.from_json(item) for item in task["accepts"]])
            case "answer":
                return self.share(task["session"])
        return []

    def accept(self, session, plan_hash):
        world = self.world
        secret = _Drawn.generate()
        public = secret.public_key().public_bytes_raw().hex()
        if self.trick == "low order":
            public = world.dice.choice(("00" * 32, "01" + "00" * 31))
        if self.trick == "copied agreement":
            public = world.dice.choice(sorted(world.agreements))
        message = Accept(
            session=world.bytes(32).hex() if self.trick == "other session" else session,
            plan_hash=world.bytes(32).hex() if self.trick == "other plan" else plan_hash,
            policy_digest="0" * 64,
            version=world.dice.choice(("2026-01-01", "2026-01-01", "2026-01-02")),
            nonce=world.bytes(32).hex(),
            share=public,
            price=0,
            left=0,
            min_group=0,
        )
        envelope = self.sign(message)
        self.accepts.setdefault(session, []).append(envelope)
        self.secrets[envelope.id] = secret
        return envelope

    def judge(self, ask):
        if self.trick == "silent":
            return []
        if self.trick == "decline":
            return [self.sign(Decline(session=ask.id, reason="no", fix="-", offences=()))]
        told = json.loads(ask.body)
        made = [self.accept(ask.id, canonical.digest(told["plan"]))]
        if self.trick == "two accepts":
            made.append(self.accept(ask.id, canonical.digest(told["plan"])))
        return made

    def commit(self, session, accepts):
        world = self.world
        ask, plan = world.question(session)
        if ask is None or self.trick == "silent":
            return []
        if self.trick == "abort":
            return [self.sign(Abort(session=session, reason="no"))]
        held = {envelope.signer: envelope for envelope in accepts}
        roster = roster_hash(session=session, plan_hash=plan.hash, key_fingerprint=ask.key, accepts=held)
        self.spoken[session] = (roster, held)
        if self.trick == "other roster":
            return [self.sign(Commit(session=session, roster_hash=world.bytes(32).hex()))]
        made = [self.sign(Commit(session=session, roster_hash=roster))]
        if self.trick == "two commits":
            made.insert(world.dice.randrange(2), self.sign(Commit(session=session, roster_hash=world.bytes(32).hex())))
        return made

    def share(self, session):
        world = self.world
        ask, plan = world.question(session)
        if ask is None or session not in self.spoken or self.trick == "silent":
            return []
        if self.trick == "abort":
            return [self.sign(Abort(session=session, reason="no"))]
        roster, held = self.spoken[session]
        key = world.public_key(ask.key)
        texts = self.ciphertexts(session, ask=ask, plan=plan, key=key, roster=roster, held=held)
        fields = {"session": session, "roster_hash": roster, "charged": 0, "left": 0, "seq": 0, "head": "0" * 64}
        if self.trick == "other roster":
            fields["roster_hash"] = world.bytes(32).hex()
        if self.trick == "other session":
            fields["session"] = world.dice.choice([*sorted(world.questions), "0" * 64])
        made = [self.sign(Share(**fields, ciphertexts=tuple(texts)))]
        if self.trick == "two shares":
            again = self.ciphertexts(session, ask=ask, plan=plan, key=key, roster=roster, held=held)
            made.append(self.sign(Share(**fields, ciphertexts=tuple(again))))
        return made

    def ciphertexts(self, session, *, ask, plan, key, roster, held):  # noqa: C901  one trick after the other
        world, dice = self.world, self.world.dice
        layout = layout_of(plan, modulus_bits=key.bits)
        cells = [dice.randint(-500, 500) for _ in range(layout.cells)]
        packed = list(pack(Noised(plan.hash, tuple(cells)), layout).plaintexts)
        if self.trick == "huge":
            packed[0] += dice.choice(
                (1 << layout.magnitude, layout.parties << (layout.magnitude + 1), 1 << layout.width)
            )
        if self.trick == "negative":
            packed[0] = (packed[0] - (5 << layout.magnitude)) % key.n
        if self.trick == "any number":
            packed[0] = int.from_bytes(world.bytes(512)) % key.n
        told = {party: json.loads(envelope.body) for party, envelope in held.items()}
        mine = held.get(self.party)
        masked = Masked(tuple(packed), key.n)
        secret = None if mine is None else self.secrets.get(mine.id)
        if secret is not None:
            with contextlib.suppress(PrivacyError):
                masked = mask(
                    SimpleNamespace(plaintexts=packed),
                    me=self.party,
                    secret=secret,
                    nonce=bytes.fromhex(told[self.party]["nonce"]),
                    peers={
                        party: Peer(bytes.fromhex(accept["share"]), bytes.fromhex(accept["nonce"]))
                        for party, accept in told.items()
                        if party != self.party
                    },
                    context=Context(session, plan.hash, roster, key.fingerprint),
                    modulus=key.n,
                )
        sealed = seal.seal(masked, key)
        texts = sealed.to_wire()
        n, octets = key.n, key.ciphertext_bytes
        raw = {
            "zero": 0,
            "n": n,
            "kn": 7 * n,
            "one": 1,
            "unblinded": 1 + n * 42,
            "minus one": n * n - 1,
            "too large": sealed.ciphertexts[0] + n * n,
        }
        if self.trick in raw:
            value = raw[self.trick]
            texts[0] = to_text(value, octets=max(octets, (value.bit_length() + 7) // 8))
        if self.trick == "count":
            texts = texts * 2
        if self.trick == "empty":
            texts = []
        if self.trick == "bad text":
            texts[0] = dice.choice((texts[0] + "=", texts[0][1:], " " + texts[0], "", texts[0][:-1] + "!"))
        if self.trick == "stolen":
            others = [
                share for shares in world.wire["share"].values() for share in shares if share.signer != self.party
            ]
            if others:
                texts = json.loads(dice.choice(others).body)["ciphertexts"]
        return texts


# -- the exchange ------------------------------------------------------------------------------------------------------


class Exchange:
    """The product's own rounds over a book in memory, behind the paths of its service."""

    def __init__(self, world):
        self.world = world
        self.book = template().hub.clone(template().images["hub"])
        self.book.hook = world.hub_at_disk
        self.book.clock = lambda: world.now * 1_000_000
        self.store = Store(self.book)

    def handle(self, caller, path, value):
        """Answer one call; a problem comes back as the error that a client makes of its document."""
        villain = self.world.villain
        try:
            if villain is not None:
                return villain.handle(caller, path, value)
            return self.honest(caller, path, value)
        except Crash:
            self.world.stats["exchange restarts"] += 1
            self.restart()
            raise Unreachable("the exchange does not answer", fix="wait") from None
        except Unreachable:
            raise
        except PrivacyError as error:
            raise problems.error(json.loads(json.dumps(problems.document(error)))) from None

    def restart(self):
        """Start again from the journal alone."""
        self.book.replay()
        self.store = Store(self.book)

    def honest(self, caller, path, value):
        store, now = self.store, self.world.now
        parts = path.split("/")[2:]
        match parts:
            case ["poll"]:
                seq, head = rounds.witness(store, caller, seq=value["seq"], head=value["head"])
                behind = (value["seq"], value["head"]) != (seq, head) and caller in self.world.honest
                tasks = [] if behind else rounds.tasks(store.view(), caller)
                return {"tasks": tasks, "witnessed": {"seq": seq, "head": head}}
            case ["keys"]:
                return {"fingerprint": hub_keys.register(store, Envelope.from_json(value))}
            case ["datasets"]:
                return {"asset": catalog.register(store, Envelope.from_json(value))}
            case ["policies"]:
                return {"asset": catalog.publish_policy(store, Envelope.from_json(value))}
            case ["standards", name, version]:
                standard = store.view().standard(f"{name}/{version}")
                if standard is None:
                    raise Unknown("standard")
                return standard.to_json()
            case ["sessions"]:
                return {"id": rounds.open_session(store, Envelope.from_json(value), now=now)}
            case ["sessions", session]:
                return rounds.describe(store.view(), session, caller=caller)
            case ["sessions", session, "messages"]:
                return {"stage": rounds.receive(store, session, Envelope.from_json(value), now=now).value}
        raise Unknown("page")


class Villain:
    """A hostile exchange: it sees every message, colludes with liars and with mallory, and keeps no promise."""

    def __init__(self, world, tricks):
        self.world = world
        self.tricks = tricks
        self.own = {}  # sessions that only the villain knows of
        self.lost = set()

    def play(self, trick, chance=0.3):
        if trick in self.tricks and self.world.dice.random() < chance:
            self.world.stats[f"villain: {trick}"] += 1
            return True
        return False

    def handle(self, caller, path, value):
        world, dice, exchange = self.world, self.world.dice, self.world.exchange
        parts = path.split("/")[2:]
        if parts == ["poll"]:
            return self.poll(caller, value)
        if parts[0] == "sessions" and len(parts) == 3:
            if self.play("withhold", 0.15):
                return {"stage": "judging"}
            if parts[1] in self.own:
                self.collect(parts[1], Envelope.from_json(value))
                return {"stage": "judging"}
            if self.play("garbage to nodes", 0.1):
                return dice.choice((None, [], {"stage": 7}, "ok"))
            return exchange.honest(caller, path, value)
        if parts[0] == "sessions" and len(parts) == 1:
            told = exchange.honest(caller, path, value)
            if self.play("another session's id", 0.2):
                return {"id": dice.choice([*sorted(world.questions), "0" * 64])}
            if self.play("garbage to desks", 0.05):
                return dice.choice(({}, None, {"id": None}, []))
            return told
        if parts[0] == "sessions":
            return self.record(exchange.honest(caller, path, value), caller)
        return exchange.honest(caller, path, value)

    # what nodes are told

    def poll(self, party, value):
        world, dice = self.world, self.world.dice
        told = self.world.exchange.honest(party, "/v1/poll", value)
        if party not in world.honest:
            return {**told, "tasks": [*told["tasks"], *self.own_tasks(party)]}
        if self.play("garbage poll", 0.05):
            return dice.choice(
                (
                    {}, None, [], {"tasks": []}, {"tasks": 7, "witnessed": told["witnessed"]},
                    {"tasks": [], "witnessed": {"seq": "1", "head": 2}}, {"tasks": [], "witnessed": None},
                    {"tasks": [], "witnessed": {"seq": -1, "head": "0" * 64}},
                    {"tasks": [None, 3, [], {}, {"task": None}, {"task": "dance"}], "witnessed": told["witnessed"]},
                )
            )  # fmt: skip
        if self.play("false witness", 0.05):
            return {**told, "witnessed": {"seq": told["witnessed"]["seq"], "head": "f" * 64}}
        tasks = [self.twist(party, task) for task in told["tasks"]]
        tasks += self.own_tasks(party)
        if self.play("early answer"):
            tasks += [self.answer_task(session) for session in world.recent(3)]
        if self.play("re-open", 0.3):
            tasks += [dict(task) for task in dice.sample(world.given[party], min(3, len(world.given[party])))]
        world.given[party] += tasks
        return {**told, "tasks": tasks}

    def twist(self, party, task):  # noqa: C901, PLR0912  one trick after the other
        world, dice = self.world, self.world.dice
        task = json.loads(json.dumps(task))
        match task["task"]:
            case "judge":
                if self.play("swap key"):
                    task["key"] = template().key_envelopes[MALLORY].to_json()
                if self.play("no key", 0.1):
                    task["key"] = dice.choice((None, {}, task["ask"]))
                if self.play("substitute ask"):
                    task["ask"] = self.substitute(Envelope.from_json(task["ask"])).to_json()
                if self.play("relabel", 0.1):
                    task["ask"]["kind"] = dice.choice(("accept", "key", "share", "none"))
                if self.play("truncate", 0.1):
                    task["ask"]["body"] = task["ask"]["body"][:-3]
            case "commit":
                if self.play("twist roster"):
                    task["accepts"] = self.twist_accepts(party, task["accepts"])
                if self.play("relabel", 0.1):
                    task["accepts"][0]["kind"] = "commit"
            case "answer":
                if self.play("twist commits"):
                    task["commits"] = self.twist_commits(task["session"], task["commits"])
        if self.play("cross the session", 0.05):
            task["session"] = dice.choice((*sorted(world.questions), "0" * 64, None, 7, "\ud800", ["x"]))
        if self.play("mistype", 0.05):
            field_ = dice.choice(sorted(task))
            task[field_] = dice.choice((None, 7, "x", [], {}, [None], [{"kind": "x"}]))
        return task

    def substitute(self, ask):
        """The same session asked otherwise: changed and unsigned, signed by another, or mallory's own."""
        dice = self.world.dice
        body = json.loads(ask.body)
        choice = dice.randrange(5)
        if choice == 0:
            body["plan"]["rho"] += 1
        elif choice == 1:
            body["plan"]["parties"] = body["plan"]["parties"][:-1]
        elif choice == 2:
            body["key"] = template().secrets[MALLORY].public.fingerprint
        elif choice == 3:
            message = Ask.model_validate_json(ask.body)
            return message.sealed_by(MALLORY, _signing(MALLORY))
        else:
            message = Ask.model_validate_json(ask.body)
            return message.sealed_by("exchange", _signing("exchange"))
        return Envelope(ask.kind, ask.signer, canonical.encode(body), ask.signature)

    def twist_accepts(self, party, accepts):
        world, dice = self.world, self.world.dice
        session = json.loads(accepts[0]["body"])["session"]
        choice = dice.randrange(7)
        place = dice.randrange(len(accepts))
        old = [envelope.to_json() for envelopes in world.wire["accept"].values() for envelope in envelopes]
        if choice == 0:
            accepts.pop(place)
        elif choice == 1:
            accepts[place] = dice.choice(old)
        elif choice == 2:
            accepts.append(dice.choice(accepts))
        elif choice == 3:
            ghost = Accept.model_validate_json(accepts[place]["body"].encode())
            accepts.append(ghost.sealed_by("ghost", _signing("ghost")).to_json())
        elif choice == 4:
            dice.shuffle(accepts)
        elif choice == 5:
            # a liar's other accept, or a forged one in an honest party's name
            name = accepts[place]["signer"]
            doubles = [e for e in world.wire["accept"].get((name, session), []) if e.to_json() != accepts[place]]
            if doubles:
                accepts[place] = dice.choice(doubles).to_json()
            else:
                forged = Accept.model_validate_json(accepts[place]["body"].encode())
                forged = forged.model_copy(update={"share": _Drawn.generate().public_key().public_bytes_raw().hex()})
                accepts[place] = {**forged.sealed_by(name, _signing(MALLORY)).to_json()}
        else:
            body = json.loads(accepts[place]["body"])
            body["nonce"] = "0" * 64
            accepts[place]["body"] = canonical.encode(body).decode()
        return accepts

    def twist_commits(self, session, commits):
        world, dice = self.world, self.world.dice
        choice = dice.randrange(6)
        place = dice.randrange(len(commits))
        old = [envelope.to_json() for envelopes in world.wire["commit"].values() for envelope in envelopes]
        if choice == 0:
            commits.pop(place)
        elif choice == 1:
            commits[place] = dice.choice(old)
        elif choice == 2:
            commits = [commits[place]] * len(commits)
        elif choice == 3:
            body = json.loads(commits[place]["body"])
            forged = Commit(session=session, roster_hash=body["roster_hash"])
            commits[place] = forged.sealed_by(commits[place]["signer"], _signing(MALLORY)).to_json()
        elif choice == 4:
            commits = []
        else:
            dice.shuffle(commits)
            commits.append(dice.choice(old))
        return commits

    # sessions of the villain's own: rosters, orders and audiences as it likes

    def open_own(self, ask):
        self.own[ask.id] = {"ask": ask, "accepts": defaultdict(list), "commits": defaultdict(list)}

    def collect(self, session, envelope):
        box = {"accept": "accepts", "commit": "commits"}.get(envelope.kind)
        if box and envelope not in self.own[session][box][envelope.signer]:
            self.own[session][box][envelope.signer].append(envelope)

    def own_tasks(self, party):
        world, dice = self.world, self.world.dice
        tasks = []
        for session, held in self.own.items():
            plan = world.question(session)[1]
            if party not in plan.parties and dice.random() < 0.9:
                continue
            key = template().key_envelopes[dice.choice((MALLORY, held["ask"].signer))]
            if not held["accepts"].get(party):
                tasks.append({"task": "judge", "session": session, "ask": held["ask"].to_json(), "key": key.to_json()})
            elif all(held["accepts"].get(name) for name in plan.parties) and dice.random() < 0.7:
                # one of several accepts of a liar: not the same for every node
                accepts = [dice.choice(held["accepts"][name]).to_json() for name in plan.parties]
                tasks.append({"task": "commit", "session": session, "accepts": accepts})
            if held["commits"] and dice.random() < 0.7:
                tasks.append(self.answer_task(session))
        return tasks

    def answer_task(self, session):
        """All commits that are in hand, complete or not, of this session, once for each party."""
        world, dice = self.world, self.world.dice
        held = [dice.choice(envelopes) for (_, name), envelopes in world.wire["commit"].items() if name == session]
        if held and self.play("forge commits"):
            roster = json.loads(held[0].body)["roster_hash"]
            silent = set(world.question(session)[1].parties) - {envelope.signer for envelope in held}
            forged = Commit(session=session, roster_hash=roster)
            held += [forged.sealed_by(party, _signing(MALLORY)) for party in sorted(silent)]
        return {"task": "answer", "session": session, "commits": [envelope.to_json() for envelope in held]}

    # what desks are told

    def record(self, record, caller):
        world, dice = self.world, self.world.dice
        record = json.loads(json.dumps(record))
        if self.play("garbage to desks", 0.05):
            spoiled = dice.choice(sorted(record))
            record[spoiled] = dice.choice((None, 7, "x", [], {}, [None], [{"kind": "x"}]))
            return record if dice.random() < 0.7 else dice.choice((None, [], {}, 3))
        if self.play("old record", 0.2) and world.records[caller]:
            return json.loads(json.dumps(dice.choice(world.records[caller])))
        if self.play("false ending", 0.1):
            ends = [e for k in ("decline", "abort", "accept") for es in world.wire[k].values() for e in es]
            if ends:
                return {**record, "stage": dice.choice(("refused", "aborted")), "ended_by": dice.choice(ends).to_json()}
        if self.play("false stage", 0.1):
            return {**record, "stage": dice.choice(("answered", "expired", "judging", "done"))}
        if record["stage"] != "answered":
            return record
        world.records[caller].append(json.loads(json.dumps(record)))
        ask = json.loads(record["ask"]["body"])
        key = world.public_key(ask["key"])
        if self.play("wrong product", 0.7):
            self.spoil_product(record, key)
        if self.play("twist shares", 0.7):
            self.twist_shares(record, key)
        if self.play("withhold answer", 0.5):
            record["stage"] = "answering"
        return record

    def spoil_product(self, record, key):
        dice = self.world.dice
        square = key.n_squared
        first = _number(record["product"][0])
        choice = dice.randrange(5)
        if choice == 0:
            first = int(gmpy2.powmod(first, 3, square))
        elif choice == 1:
            first = first * seal.seal(Masked((1,), key.n), key).ciphertexts[0] % square
        elif choice == 2:
            first = seal.seal(Masked((12345,), key.n), key).ciphertexts[0]
        elif choice == 3:
            first = dice.choice((0, key.n, 7 * key.n, 1))
        else:
            first = first * (1 + key.n) % square
        record["product"][0] = to_text(first, octets=key.ciphertext_bytes) if first else "A" * 1024

    def twist_shares(self, record, key):
        world, dice = self.world, self.world.dice
        shares = record["shares"]
        place = dice.randrange(len(shares))
        choice = dice.randrange(7)
        old = [envelope.to_json() for envelopes in world.wire["share"].values() for envelope in envelopes]
        if choice == 0:
            shares.pop(place)
        elif choice == 1:
            own = [share for share in old if share["signer"] == shares[place]["signer"]]
            shares[place] = dice.choice(own if own and dice.random() < 0.7 else old)
        elif choice == 2:
            shares.append(dice.choice(shares))
        elif choice == 3:
            body = json.loads(shares[place]["body"])
            body["ciphertexts"] = [seal.seal(Masked((1,), key.n), key).to_wire()[0]] * len(body["ciphertexts"])
            shares[place]["body"] = canonical.encode(body).decode()
        elif choice == 4:
            body = Share.model_validate_json(shares[place]["body"].encode())
            shares[place] = body.sealed_by(shares[place]["signer"], _signing(MALLORY)).to_json()
        elif choice == 5:
            shares[place]["kind"] = dice.choice(("commit", "abort"))
        else:
            shares[place]["signature"] = shares[place]["signature"][:-2]
        with contextlib.suppress(PrivacyError, KeyError, TypeError, ValueError):
            # a consistent product makes the twist harder to see
            texts = [json.loads(share["body"])["ciphertexts"] for share in shares]
            record["product"] = seal.fold([seal.Sealed.from_wire(text, key) for text in texts]).to_wire()


TO_NODES = (
    "swap key", "no key", "substitute ask", "relabel", "truncate", "twist roster", "twist commits", "cross the session",
    "mistype", "early answer", "forge commits", "re-open", "garbage poll", "false witness", "garbage to nodes", "withhold",
    "own sessions",
)  # fmt: skip
TO_DESKS = (
    "another session's id", "garbage to desks", "old record", "false ending", "false stage", "wrong product",
    "twist shares", "withhold answer",
)  # fmt: skip
VILLAINY = TO_NODES + TO_DESKS


# -- the world ---------------------------------------------------------------------------------------------------------


@dataclass
class Faults:
    """How often the network and the machines fail, as chances per event."""

    lost: float = 0.0
    unheard: float = 0.0
    doubled: float = 0.0
    delayed: float = 0.0
    stale: float = 0.0
    crash: float = 0.0
    hub_crash: float = 0.0
    full: float = 0.0
    jump: float = 0.0


@dataclass
class Pending:
    """A session that a desk waits for."""

    desk: Desk
    session: str
    plan: Plan
    sent: str = field(default="")


class World:
    """One seed's town: everything that happens in it follows from the seed."""

    def __init__(self, seed, *, act=None):
        self.seed = seed
        self.dice = random.Random(f"world {seed}")
        self._bytes = random.Random(f"bytes {seed}")
        self._gauss = random.Random(f"noise {seed}")
        self._kinds = random.Random(f"kinds {seed}")
        self.act = act or self.dice.choice(ACTS)
        self.now = EPOCH
        self.stats = Counter()
        self.steps = Counter()
        self.trace = hashlib.sha256()
        self.memory = {}
        self.plaintexts = defaultdict(dict)
        self.agreements = {}
        self.questions = {}
        self.asked = defaultdict(list)
        self.wire = {kind: {} for kind in ("accept", "commit", "share", "decline", "abort")}
        self.given = defaultdict(list)
        self.records = defaultdict(list)
        self.drawn = set()
        self.voided = 0
        self.used = {}
        self.told_charges = Counter()
        self.ledger = {}
        self.late = []
        self.acting = self.acting_session = None
        self.calm = True
        self.patience = 0
        self.villain = None
        self.faults = Faults()
        self.sessions = 0
        count = self.dice.choices(range(3, 10), weights=(8, 6, 4, 2, 2, 1, 1))[0]
        self.parties = PARTIES[:count]
        liars = 0
        if self.act in ("nodes", "everything") or (self.act == "exchange" and self.dice.random() < 0.5):
            liars = self.dice.randint(1, count - 1) if self.dice.random() < 0.3 else self.dice.randint(1, count - 2)
        self.liars = frozenset(self.dice.sample(self.parties, liars))
        self.honest = tuple(party for party in self.parties if party not in self.liars)
        self.exchange = Exchange(self)
        self.nodes = {party: Node(self, party) for party in self.honest}
        self.actors = {**self.nodes, **{party: Liar(self, party) for party in sorted(self.liars)}}
        self.desks = {}
        for party in (LENDER, MALLORY):
            desk = Desk(template().homes[party], lambda name, _key: DeskLine(self, name))
            desk._key = _Opener(template().secrets[party])
            desk._registered = True
            self.desks[party] = desk
        self.caps = {party: _policy(party).caps for party in self.honest}
        if self.dice.random() < 0.25:
            self._tighten()
        self._set_the_scene()

    def close(self):
        self.exchange.book.close()
        for node in self.nodes.values():
            node.book.close()

    def bytes(self, count):
        return self._bytes.randbytes(count)

    # -- judging

    def fail(self, what):
        raise Broken(
            f"seed {self.seed} ({self.act}, {len(self.parties)} parties, {len(self.liars)} liars, session {self.sessions}): "
            f"{what}\nrepeat: python -m tests.simulator {self.seed}"
        )

    def require(self, holds, promise):
        if not holds:
            self.fail(f"broken promise: {promise}")

    # -- the scene

    def _tighten(self):
        """Budgets of a few questions: the caps bite."""
        for party, node in self.nodes.items():
            caps = {name: self.dice.randint(1, 6) * NANO // 50 for name in ("everyone", "partner", "purpose")}
            policy = _policy(party, version=2, **caps)
            node.vault.keep(_dataset(party), policy)
            catalog.publish_policy(
                self.exchange.store, Publication(policy=policy.to_json()).sealed_by(party, _signing(party))
            )
            self.caps[party] = policy.caps
        self.stats["tight budgets"] += 1

    def _set_the_scene(self):
        dice = self.dice
        if self.act in ("network", "everything"):
            self.faults = Faults(
                lost=dice.choice((0, 0.1, 0.3)),
                unheard=dice.choice((0, 0.1, 0.3)),
                doubled=dice.choice((0, 0.2)),
                delayed=dice.choice((0, 0.2)),
                stale=dice.choice((0, 0.3)),
                jump=dice.choice((0, 0, 0.02)),
            )
            for node in self.nodes.values():
                node.skew = dice.choice((0, 0, 0, 0, 30, -30, 600, -600)) if dice.random() < 0.2 else 0
        if self.act in ("crash", "everything"):
            self.faults.crash = dice.choice((0.01, 0.04, 0.1))
            self.faults.hub_crash = dice.choice((0, 0.03))
            self.faults.full = dice.choice((0, 0.03))
        if self.act in ("exchange", "everything"):
            # whoever disturbs the nodes rarely gets to an answer that a desk could be deceived with
            aims = dice.choice(((TO_NODES, 4), (TO_DESKS, 3), (VILLAINY, 4)))
            tricks = set(dice.sample(aims[0], dice.randint(1, aims[1])))
            tricks |= {"early answer", "withhold"} if "forge commits" in tricks else set()
            if self.liars:
                tricks.add("own sessions")
            self.villain = Villain(self, tricks)

    # -- time, network, disk

    def tick(self):
        dice = self.dice
        self.now += dice.randint(2, 12)
        if dice.random() < self.faults.jump:
            self.now += 130
            self.stats["time jumps"] += 1
        for call in [call for call in self.late if dice.random() < 0.3]:
            self.late.remove(call)
            with contextlib.suppress(PrivacyError):
                self.exchange.handle(*call)
        if self.villain is None or dice.random() < 0.5:
            try:
                rounds.note_heads(self.exchange.store)
                rounds.expire(self.exchange.store, now=self.now)
            except Crash:
                self.exchange.restart()
        names = list(self.actors)
        dice.shuffle(names)
        for name in names:
            if self.calm or dice.random() < 0.8:
                self.actors[name].turn()
        self.acting = None

    def carry(self, caller, path, document, *, skew=0):
        """Bring a call to the exchange, or not, or twice, or later."""
        dice, faults = self.dice, self.faults
        if skew:
            self._check_clock(caller, path, skew)
        if not self.calm:
            if dice.random() < faults.lost:
                self.stats["lost requests"] += 1
                raise Unreachable("lost", fix="try again")
            if faults.delayed and path.endswith("/messages") and dice.random() < faults.delayed:
                self.stats["delayed"] += 1
                self.late.append((caller, path, document))
                raise Unreachable("delayed", fix="try again")
            if dice.random() < faults.doubled:
                self.stats["doubled"] += 1
                with contextlib.suppress(PrivacyError):
                    self.exchange.handle(caller, path, document)
        answer = self.exchange.handle(caller, path, document)
        if not self.calm and dice.random() < faults.unheard:
            self.stats["lost answers"] += 1
            raise Unreachable("unheard", fix="try again")
        return answer

    def _check_clock(self, caller, path, skew):
        """The service's own check of a caller's clock: a minute is forgiven."""
        token = request.token(
            caller=caller,
            audience="exchange",
            key=_signing(caller),
            method="POST",
            path=path,
            body=b"",
            now=self.now + skew,
            token_id="0" * 32,
        )
        request.verify(token, audience="exchange", directory=DIRECTORY, method="POST", path=path, now=self.now).check(
            b""
        )
        self.require(abs(skew) <= 2 * request.LIFETIME, "a clock far from the exchange's is refused")

    def may_crash(self, step):
        self.steps[step] += 1
        if not self.calm and self.dice.random() < self.faults.crash:
            self.stats[f"crash {step}"] += 1
            raise Crash(step)

    def at_disk(self, node, when, kinds):
        if self.calm or self.acting is not node:
            return
        if when == "before" and self.dice.random() < self.faults.full:
            self.stats["disk full"] += 1
            if kinds == "noised":
                self.forget_draws(node.party)
            raise NoSpace
        self.may_crash(f"{when} writing {kinds}")

    def hub_at_disk(self, when, kinds):
        if not self.calm and self.dice.random() < self.faults.hub_crash:
            raise Crash(f"exchange, {when} writing {kinds}")

    def shuffled(self, node, tasks):
        """Tasks as a node gets them from a bad network: in any order, some from earlier polls again."""
        tasks = list(tasks) if isinstance(tasks, list) else tasks
        if self.faults.stale and not self.calm and isinstance(tasks, list):
            if node.old_tasks and self.dice.random() < self.faults.stale:
                self.stats["stale tasks"] += 1
                tasks = tasks + self.dice.sample(node.old_tasks, min(3, len(node.old_tasks)))
            self.dice.shuffle(tasks)
            node.old_tasks += tasks
        return tasks

    # -- rows and noise

    def answer_name(self, plan, dataset, versions, *, party):
        """Standalone, an answer belongs to one's own version of the data; with shared noise, to everybody's.

        It is the version of the accept: an answer may leave, after a crash, when the data has been refreshed since.
        """
        return canonical.digest([plan.hash, dataset.name, versions[party] if plan.shared is None else versions])

    def charged_entries(self, party):
        return [entry.body for entry in self.nodes[party].book.entries if entry.kind == "charged"]

    def clipped(self, plan, dataset, *, party):
        accepts = self.nodes[party].agent._accepts.get(self.acting_session, {})
        versions = {name: accept.version for name, accept in accepts.items()}
        answer = self.answer_name(plan, dataset, versions, party=party)
        charged = [body["answer"] for body in self.charged_entries(party)]
        self.require(answer in charged, f"{party} charges durably before it reads rows")
        node = self.nodes[party]
        deadline = json.loads(node.vault.standing(self.acting_session).ask.body)["expires"]
        in_time = self.now + node.skew <= deadline + agent_room.LEEWAY
        self.require(in_time, f"{party} charges nobody for a session that its asker has given up")
        self.reading = (party, answer)
        totals = sha256(f"{party} {dataset.refreshed}".encode()).digest()
        return Clipped(plan.hash, tuple(totals[index % 32] * 7 for index in range(plan.cells_count)))

    def noised(self, clipped, plan, receipt):
        party, answer = self.reading
        self.require(receipt.plan_hash == plan.hash, "noise is drawn against the plan's own receipt")
        stored = any(
            entry.kind == "noised" and entry.body["answer"] == answer for entry in self.nodes[party].book.entries
        )
        self.require(not stored, f"{party} never draws again for an answer that is stored")
        self.require((party, answer) not in self.drawn, f"{party} never draws twice for one charge")
        self.drawn.add((party, answer))
        self.stats["draws"] += 1
        limit = (1 << magnitude(plan)) - 1
        values = []
        for scale in calibrate(plan):
            part = clipped.totals[len(values) :][: plan.groups_count * width(scale.measure)]
            values += [total + round(self._gauss.gauss(0, float(scale.sigma))) for total in part]
        return Noised(plan.hash, tuple(max(-limit, min(limit, value)) for value in values))

    def forget_draws(self, party):
        """A draw that a crash destroyed before it was stored has left no trace: the next one is the first."""
        book = self.nodes[party].book
        stored = {entry.body["answer"] for entry in book.entries if entry.kind == "noised"}
        gone = {pair for pair in self.drawn if pair[0] == party and pair[1] not in stored}
        self.stats["draws destroyed by a crash"] += len(gone)
        self.drawn -= gone

    def cells(self, party, answer):
        found = [
            tuple(int(cell) for cell in entry.body["cells"])
            for entry in self.nodes[party].book.entries
            if entry.kind == "noised" and entry.body["answer"] == answer
        ]
        self.require(
            len(found) == 1, f"{party} stores exactly one noised vector before it answers (it has {len(found)})"
        )
        return found[0]

    # -- what leaves

    def question(self, session):
        return self.questions.get(session, (None, None))

    def note_question(self, envelope):
        with contextlib.suppress(Exception):
            ask = Ask.model_validate_json(envelope.body)
            self.questions[envelope.id] = (ask, Plan.from_json(ask.plan))

    def public_key(self, fingerprint):
        keys = {secret.public.fingerprint: secret.public for secret in template().secrets.values()}
        return keys.get(fingerprint, template().secrets[LENDER].public)

    def recent(self, count):
        return list(self.questions)[-count:]

    def said(self, party, message, envelope):
        """Note a message that exists: its signer cannot take it back."""
        self.trace.update(envelope.body)
        name = (party, getattr(message, "session", ""))
        held = self.wire.setdefault(envelope.kind, {}).setdefault(name, [])
        if envelope not in held:
            held.append(envelope)
        return held

    def leaves(self, node, path, envelope):
        """Check a message of an honest node on its way out."""
        party = node.party
        message = messages.read(envelope, DIRECTORY)
        self.require(envelope.signer == party, "a node signs with its own name")
        if isinstance(message, Registration | Publication):
            return
        held = self.said(party, message, envelope)
        self.stats[f"sent {envelope.kind}"] += 1
        self.require(len(held) == 1, f"{party} says one {envelope.kind} in a session, and repeats it byte for byte")
        if self.villain is not None and message.session in self.villain.own:
            self.villain.collect(message.session, envelope)
        if isinstance(message, Share):
            self._share_leaves(node, message, envelope)

    def _share_leaves(self, node, share, envelope):
        party, session = node.party, share.session
        standing = node.vault.standing(session)
        self.require(standing is not None and standing.ask.id == session, "a session is the hash of its ask")
        ask = messages.expect(standing.ask, DIRECTORY, Ask)
        plan = Plan.from_json(ask.plan)
        self.require(party in plan.parties, "only parties of a plan answer it")
        asker_key = template().secrets.get(standing.ask.signer)
        self.require(
            asker_key is not None and asker_key.public.fingerprint == ask.key,
            f"{party} answers under the asker's own key",
        )
        for other in plan.parties:
            promises = [json.loads(e.body)["roster_hash"] for e in self.wire["commit"].get((other, session), [])]
            self.require(
                share.roster_hash in promises, f"{party} answers only after {other} committed to the same roster"
            )
        accepts = self._roster(party, session, plan, ask, share.roster_hash)
        self.require(accepts is not None, f"{party} answers for a roster that holds its own accept of this session")
        dataset = node.vault.dataset(plan.standard)
        versions = {name: json.loads(accept.body)["version"] for name, accept in accepts.items()}
        answer = self.answer_name(plan, dataset, versions, party=party)
        if (party, session) not in self.used:
            self.used[party, session] = (answer, self.cells(party, answer), plan, envelope, accepts, ask.key)
            self.ledger.setdefault((party, answer), plan)
            self.require(share.charged in (0, plan.rho), "a share tells what was charged: the plan's rho or nothing")
            self.told_charges[party, answer] += share.charged
            self.require(self.told_charges[party, answer] <= plan.rho, "an answer is charged once")
            if self.dice.random() < 0.4:
                self._check_masks(party, session)

    def _roster(self, party, session, plan, ask, wanted):
        options = [self.wire["accept"].get((name, session), []) for name in plan.parties]
        for chosen in itertools.islice(itertools.product(*options), 256):
            accepts = dict(zip(plan.parties, chosen, strict=True))
            made = roster_hash(session=session, plan_hash=plan.hash, key_fingerprint=ask.key, accepts=accepts)
            if made == wanted:
                return accepts
        return None

    # -- oracles

    def residual(self, party, session, *, knowing):
        """What a share holds once the masks with ``knowing`` parties are taken off: as the key's owner sees it."""
        _, _, plan, envelope, accepts, fingerprint = self.used[party, session]
        key = self.public_key(fingerprint)
        share = json.loads(envelope.body)
        texts = share["ciphertexts"]
        values = [self.plaintexts[key.n][seal.from_text(text, octets=key.ciphertext_bytes)] for text in texts]
        told = {name: json.loads(accept.body) for name, accept in accepts.items()}
        for other in knowing:
            secret = self.agreements.get(told[other]["share"]) or self.agreements.get(told[party]["share"])
            theirs = told[party]["share"] if told[other]["share"] in self.agreements else told[other]["share"]
            values = [
                (value - _independent_mask(
                    secret, theirs, me=party, other=other, told=told, session=session, plan_hash=plan.hash,
                    roster=share["roster_hash"], key=key, index=index,
                )) % key.n
                for index, value in enumerate(values)
            ]  # fmt: skip
        return values, plan, key

    def _check_masks(self, party, session):
        """Take all masks off by a second implementation: the stored noised cells must be below."""
        _, cells, plan, _, _, _ = self.used[party, session]
        others = [name for name in plan.parties if name != party]
        values, plan, key = self.residual(party, session, knowing=others)
        self.stats["shares unmasked"] += 1
        self.require(
            _independent_unpack(values, plan, key, parties=1) == cells,
            f"{party}'s share holds its stored cells under masks bound to session, plan, roster and key",
        )

    def _check_secrecy(self):  # noqa: C901  one attempt after the other
        """Try to read one honest party, as exchange, analyst and all liars together, from everything ever sent."""
        parts = []
        for (party, session), (_, cells, asked, _, accepts, _) in self.used.items():
            honest = [name for name in asked.parties if name in self.honest]
            colluders = [name for name in asked.parties if name not in self.honest]
            known = [name for name in colluders if json.loads(accepts[name].body)["share"] in self.agreements]
            values, plan, key = self.residual(party, session, knowing=known)
            if len(honest) == 1 and len(known) == len(colluders):
                if len(plan.parties) == 1:
                    opened = _independent_unpack(values, plan, key, parties=1)
                    self.require(opened == cells, "a roster of one is answered with that party's noised cells")
                continue
            parts.append((party, session, values, key, frozenset(honest)))
        sums = defaultdict(list)
        for part in parts:
            self.require(
                not _readable(part[2], part[3].n), f"{part[0]}'s part stays hidden from everybody else together"
            )
            sums[part[1]].append(part)
        for one, two in itertools.combinations(parts[:60], 2):
            if one[3] != two[3] or len(one[2]) != len(two[2]):
                continue
            self.stats["differences tried"] += 1
            n = one[3].n
            minus = [(a - b) % n for a, b in zip(one[2], two[2], strict=True)]
            self.require(not _readable(minus, n), f"the difference of {one[0]}'s and {two[0]}'s parts tells nothing")
            if one[1] == two[1] and len(one[4]) == 2:
                continue  # the sum over all honest parties of one session is the answer itself
            plus = [(a + b) % n for a, b in zip(one[2], two[2], strict=True)]
            self.require(not _readable(plus, n), f"the sum of {one[0]}'s and {two[0]}'s parts tells nothing")
        for session, members in sums.items():
            if len(members) < len(members[0][4]):
                continue
            n, total = members[0][3].n, [0] * len(members[0][2])
            rosters = {json.loads(self.used[part[0], session][3].body)["roster_hash"] for part in members}
            for part in members:
                total = [(a + b) % n for a, b in zip(total, part[2], strict=True)]
            plan = self.used[members[0][0], session][2]
            cells = [self.used[part[0], session][1] for part in members]
            honest_sum = tuple(sum(column) for column in zip(*cells, strict=True))
            opened = _independent_unpack(total, plan, members[0][3], parties=len(members))
            if len(rosters) == 1:
                self.require(opened == honest_sum, "masks cancel over the honest parties of one roster")
            self.require(len(rosters) == 1, "honest parties of one session answer one roster")
            self._check_cost(plan, honest=len(members))

    def _check_cost(self, plan, *, honest):
        """What all others together read is a sum of so many honest parts: it costs what the receipt says, and was paid for.

        From the definition: a person's rows at ``k`` institutions at most, three at each, against the noise of the honest.
        """
        colluding = len(plan.parties) - honest
        at = min(STANDARD.institutions_per_unit, honest)
        weights = {"sum(balance)": 1000, PAIRS[1][1].key: 1000**2, PAIRS[2][1].key: 1000, PAIRS[4][1].key: 1000**6}
        cost = 0.0
        for scale in calibrate(plan):
            if isinstance(scale.measure, CountUnits):
                reach = min(3, plan.groups_count) ** 0.5
            else:
                reach = 3 * weights.get(scale.measure.key, 1)
            cost += (at * reach) ** 2 / (2 * honest * float(scale.sigma * scale.grain) ** 2)
        told = [row for viewer, row in coalitions(plan)[2:]]
        self.require(cost * NANO <= told[colluding] * (1 + 1e-9), "the receipt tells what a coalition's view costs")
        promised = plan.shared is None or colluding <= plan.shared
        if promised:
            self.require(cost * NANO <= plan.rho * (1 + 1e-9), "what a promised coalition reads was paid for")
        kind = "standalone" if plan.shared is None else "shared with none" if plan.shared == 0 else "shared with some"
        who = "the asker" if not colluding else "a promised coalition" if promised else "too large a coalition"
        self.stats[f"{kind}: read by {who}"] += 1

    def _check_ledgers(self):  # noqa: C901  one rule after the other
        for party, node in self.nodes.items():
            table = node.vault.spending()
            journal = self.charged_entries(party)
            self.require(
                [(row["answer"], row["nano"]) for row in table] == [(body["answer"], body["nano"]) for body in journal],
                f"{party}'s ledger holds every charge that was ever written, and no refund",
            )
            answers = [row["answer"] for row in table]
            self.require(len(set(answers)) == len(answers), f"{party} charges an answer once")
            by_answer = {row["answer"]: row["nano"] for row in table}
            for (name, answer), plan in self.ledger.items():
                if name == party:
                    self.require(by_answer.get(answer) == plan.rho, f"{party} charged every answer at the plan's rho")
            for name, answer in self.drawn:
                if name == party:
                    self.require(answer in by_answer, f"{party} drew noise only against a charge")
            caps = self.caps[party]
            spent = Counter()
            for row in table:
                spent["all"] += row["nano"]
                spent["partner", row["partner"]] += row["nano"]
                spent["purpose", row["purpose"]] += row["nano"]
            self.require(spent["all"] <= caps.everyone, f"{party} stays within its cap for everybody")
            for name, value in spent.items():
                if name[0] == "partner":
                    self.require(value <= caps.partner, f"{party} stays within its cap for a partner")
                if name[0] == "purpose":
                    self.require(value <= caps.purposes[name[1]], f"{party} stays within its cap for a purpose")
        by_cells = {}
        for (party, _), (answer, cells, *_rest) in self.used.items():
            known = by_cells.setdefault((party, answer), cells)
            self.require(known == cells, f"{party} repeats one answer with the same noised cells")
        shared = [name for name, used in self.used.items() if used[2].shared is not None and len(used[1]) >= 6]
        for one, two in itertools.combinations(shared, 2):
            if one[0] == two[0] and self.used[one][2] == self.used[two][2] and self.used[one][0] != self.used[two][0]:
                changed = {
                    party
                    for party in self.used[one][2].parties
                    if (party, one[1]) in self.used
                    and (party, two[1]) in self.used
                    and self.used[party, one[1]][1] == self.used[party, two[1]][1]
                }
                self.require(not changed, "shared noise is drawn anew by all parties or by none")
        fresh = Counter((party, cells) for (party, answer), cells in by_cells.items() if len(cells) >= 6)
        self.require(
            all(count == 1 for count in fresh.values()), "another question, roster or version gets fresh noise"
        )

    # -- askers

    def ask(self, party, plan):
        desk = self.desks[party]
        self.sessions += 1
        self.stats["sessions"] += 1
        before = len(self.asked[party])
        try:
            session = desk.ask(plan, now=self.now)
        except PrivacyError as error:
            self.refused(error)
            return None
        except Broken:
            raise
        except Exception as error:  # noqa: BLE001  any other end of a party is what is looked for
            self.fail(f"asking ended the desk: {type(error).__name__}: {error}")
        sent = self.asked[party][before]
        self.require(session == sent, "a desk follows the session that it asked, not one that it is told of")
        return Pending(desk, session, plan, sent)

    def refused(self, error):
        self.require(bool(error.reason), "a refusal has a reason")
        self.stats[f"refused: {type(error).__name__}"] += 1

    def conclude(self, pending):
        """Wait for a session and open it: the exact sum, or a named refusal. Returns whether it was answered."""
        self.patience = 0
        try:
            record = pending.desk.wait(pending.session)
            answer = pending.desk.open(record, pending.plan)
        except PrivacyError as error:
            self.refused(error)
            return False
        except Broken:
            raise
        except Exception as error:  # noqa: BLE001  any other end of a party is what is looked for
            self.fail(f"an answer ended the desk: {type(error).__name__}: {error}")
        self.stats["answered"] += 1
        session, totals, plan = pending.sent, answer.release.totals, pending.plan
        self.require(answer.release.session == session, "an answer belongs to the session that was asked")
        self.require(answer.release.plan == plan, "an answer is about the plan that was asked")
        honest = [party for party in plan.parties if party in self.honest]
        for party in honest:
            self.require((party, session) in self.used, f"an answer is made with {party}'s own share")
        if len(honest) == len(plan.parties):
            cells = [self.used[party, session][1] for party in honest]
            sums = (sum(column) for column in zip(*cells, strict=True))
            exact = tuple(total * grain for total, grain in zip(sums, lattice(plan), strict=True))
            self.require(totals == exact, "the answer is the sum of the stored noised cells over the roster")
            self.stats["answered exactly"] += 1
        else:
            self._check_with_liars(session, plan, totals)
        return True

    def _check_with_liars(self, session, plan, totals):
        """What liars put in is theirs; the sum must be that of one signed share each, and within the plan's range."""
        key = self.public_key(self.questions[session][0].key)
        grains = lattice(plan)
        cells = tuple(total // grain for total, grain in zip(totals, grains, strict=True))
        whole = all(total % grain == 0 for total, grain in zip(totals, grains, strict=True))
        self.require(whole, "an answer is whole numbers of the grains that its plan counts in")
        options = []
        for party in plan.parties:
            envelopes = self.wire["share"].get((party, session), [])
            options.append([json.loads(envelope.body)["ciphertexts"] for envelope in envelopes])
        found = False
        for chosen in itertools.islice(itertools.product(*options), 20_000):
            lists = [[self.plaintexts[key.n].get(_number(text)) for text in texts] for texts in chosen]
            if any(None in values for values in lists) or len({len(values) for values in lists}) != 1:
                continue
            total = [sum(column) % key.n for column in zip(*lists, strict=True)]
            found = found or _independent_unpack(total, plan, key, parties=len(plan.parties)) == cells
        self.require(found, "the answer is the sum of one signed share of each party")
        limit = len(plan.parties) << magnitude(plan)
        self.require(all(abs(cell) < limit for cell in cells), "an answer lies in the range that the plan allows")
        self.stats["answered with liars"] += 1

    # -- the play

    def run(self):
        dice = self.dice
        self.calm = False
        self.plans = self._plans()
        pending = []
        for _ in range(dice.randint(3, 7)):
            self._mischief()
            asker = MALLORY if self.act in ("analyst", "everything") and dice.random() < 0.5 else LENDER
            one = self.ask(asker, dice.choice(self.plans))
            if one is not None:
                self.note_all()
                pending.append(one)
            for _ in range(dice.randrange(3)):
                self.tick()
            if dice.random() < 0.6:
                while pending:
                    self.conclude(pending.pop(0))
        for one in pending:
            self.conclude(one)
        self._check_ledgers()
        self._make_peace()
        self._check_ledgers()
        self._check_secrecy()

    def note_all(self):
        for entry in self.exchange.book.entries:
            if entry.kind == "session" and entry.body["id"] not in self.questions:
                self.note_question(Envelope.from_json(entry.body["ask"]))

    def _plans(self):
        """A few questions over a few rosters; some differ in the roster alone."""
        dice = self.dice
        rosters = [self.parties, tuple(dice.sample(self.parties, dice.randint(3, len(self.parties))))]
        if len(self.parties) > 3:
            rosters.append(self.parties[:-1])
        shared = self._kinds.choice((0, 0, 1, 2)) if dice.random() < 0.45 else None
        made = [
            plan_of(
                dice.choice(rosters),
                flavour=dice.choices((0, 1, 2, 3), weights=(3, 4, 6, 1))[0],
                shared=shared,
                kind=self._kind(),
            )
            for _ in range(dice.randint(1, 3))
        ]
        flavour, kind = dice.choice((0, 2)), self._kind()
        made += [plan_of(roster, flavour=flavour, shared=shared, kind=kind) for roster in rosters[: dice.randint(1, 3)]]
        if dice.random() < 0.3:
            made.append(plan_of((dice.choice(self.parties),), purpose=SINGLE, kind=self._kind()))
        return made

    def _kind(self):
        return self._kinds.randrange(60)

    def _mischief(self):
        dice = self.dice
        if dice.random() < 0.1:
            self._refresh(dice.choice(self.honest))
        if self.villain is None and dice.random() < 0.1:
            self._roll_back(dice.choice(self.honest))
        if self.act in ("analyst", "everything") and dice.random() < 0.5:
            self._raw_ask()
        if self.villain is not None and "own sessions" in self.villain.tricks and dice.random() < 0.6:
            self._own_session()

    def _refresh(self, party):
        """New data under a new date: another answer, another charge."""
        node = self.nodes[party]
        date = node.vault.dataset(STANDARD.id).refreshed
        later = f"{date[:8]}{int(date[8:]) + 1:02}"
        if later <= "2026-01-28":
            node.vault.keep(_dataset(party, later), node.vault.policy("accounts"))
            self.stats["refreshes"] += 1

    def _roll_back(self, party):
        """Somebody puts an old copy of a node's ledger in place: the node must not work on it."""
        node = self.nodes[party]
        store = self.exchange.store
        witnessed = store.heads.latest(party, store.view().witnessed(party))
        if witnessed is None or witnessed[0] <= len(template().nodes[party].entries) + 1:
            return
        whole = list(node.book.entries)
        node.book.entries = whole[: witnessed[0] - 1]
        node.book.replay()
        node.start()
        before, calm = len(node.book.entries), self.calm
        self.calm = True
        try:
            node.agent._poll()
        except RolledBack:
            self.stats["rollbacks refused"] += 1
        except PrivacyError:
            pass
        else:
            self.fail(f"broken promise: {party} notices an old copy of its ledger")
        self.calm = calm
        self.require(len(node.book.entries) == before, "a node does nothing with a ledger that is behind")
        node.book.entries = whole
        node.book.replay()
        node.start()

    def _raw_ask(self):
        """An analyst without our desk: another party's key, other deadlines, plans that exceed the purpose."""
        dice = self.dice
        plan = dice.choice(self.plans)
        message = Ask(
            plan=plan.to_json(),
            keeps=30,
            key=template().secrets[LENDER].public.fingerprint,
            nonce=self.bytes(32).hex(),
            expires=self.now + dice.choice((-1, 0, 60, 10**6)),
        )
        envelope = message.sealed_by(MALLORY, _signing(MALLORY))
        self.stats["asked with another's key"] += 1
        self.note_question(envelope)
        with contextlib.suppress(PrivacyError):
            self.exchange.honest(MALLORY, "/v1/sessions", envelope.to_json())
            self.fail("broken promise: the exchange opens no session under another party's key")
        if self.villain is not None:
            self.villain.open_own(envelope)

    def _own_session(self):
        """A session that the hostile exchange and mallory make up: any roster, liars first."""
        dice = self.dice
        roster = set(self.liars) | set(dice.sample(self.honest, dice.randint(1, len(self.honest))))
        purpose = JOINT if len(roster) >= 3 else SINGLE
        if purpose == SINGLE:
            return
        key = template().secrets[dice.choice((MALLORY, MALLORY, LENDER))].public.fingerprint
        shared = self._kinds.choice((None, None, 0, 1))
        plan = plan_of(sorted(roster), flavour=dice.choice((0, 2)), shared=shared, kind=self._kind())
        message = Ask(plan=plan.to_json(), keeps=30, key=key, nonce=self.bytes(32).hex(), expires=self.now + 100)
        envelope = message.sealed_by(MALLORY, _signing(MALLORY))
        self.note_question(envelope)
        self.villain.open_own(envelope)
        self.sessions += 1
        self.stats["sessions"] += 1
        self.stats["villain: own sessions"] += 1
        for _ in range(dice.randint(3, 8)):
            self.tick()
        if dice.random() < 0.4:
            # and once more, long after everybody's deadline
            self.now += 200
            for _ in range(3):
                self.tick()

    def _make_peace(self):
        """Everybody is honest and well again: the next session must succeed, or be refused for lack of budget alone."""
        self.villain, self.faults, self.late, self.calm = None, Faults(), [], True
        self.now += 10**5
        rounds.expire(self.exchange.store, now=self.now)
        for node in self.nodes.values():
            node.skew = node.down_until = 0
        if len(self.honest) < 3:
            for party in sorted(self.liars):
                self.actors[party] = self.nodes[party] = Node(self, party)
                self.caps[party] = _policy(party).caps
            self.honest, self.liars = self.parties, frozenset()
            plan = plan_of(self.parties, flavour=2, rho=NANO // 60)
        else:
            plan = plan_of(self.honest, flavour=2, rho=NANO // 60)
        short = False
        for party in plan.parties:
            vault = self.nodes[party].vault
            price, account = vault.price(plan, partner=LENDER, dataset=vault.dataset(STANDARD.id))
            short = short or price > account.left
        self.stats["final sessions"] += 1
        one = self.ask(LENDER, plan)
        self.require(one is not None, "an honest question is taken once the exchange is honest again")
        self.note_all()
        answered = self.conclude(one)
        self.require(answered != short, "an honest session succeeds once everybody is honest, if the budget lasts")


def _number(text):
    """The number that a ciphertext's text spells; -1 for a text that spells none."""
    try:
        return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        return -1


# -- second implementations --------------------------------------------------------------------------------------------


def _independent_mask(secret, theirs, *, me, other, told, session, plan_hash, roster, key, index):
    """The pair's mask as ``me`` adds it, from RFC 7748 and RFC 5869 and the text of the protocol."""
    shared = secret.exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(theirs)))
    names = sorted([me, other])
    salt = b"".join(bytes.fromhex(told[name]["nonce"]) for name in names)
    bits = key.n.bit_length()
    for attempt in itertools.count():
        label = (
            f'{{"index":{index},"key":"{key.fingerprint}","parties":["{names[0]}","{names[1]}"],"plan":"{plan_hash}",'
            f'"roster":"{roster}","session":"{session}","try":{attempt},"use":"touchstone/mask/1"}}'
        ).encode()
        stream = HKDF(algorithm=SHA256(), length=-(-bits // 8), salt=salt, info=label).derive(shared)
        drawn = int.from_bytes(stream) >> (-bits % 8)
        if drawn < key.n:
            return drawn if me == names[0] else -drawn
    return 0


def _independent_unpack(values, plan, key, *, parties):
    """Cells from plaintexts: slot by slot as numbers, without the product's range checks; ``None`` if digits are left."""
    layout = layout_of(plan, modulus_bits=key.bits)
    cells = []
    for value in values:
        rest = value
        for _ in range(min(layout.slots, layout.cells - len(cells))):
            rest, slot = divmod(rest, 2**layout.width)
            cells.append(slot - parties * 2**layout.magnitude)
        if rest:
            return None
    return tuple(cells)


def _readable(values, n):
    """Whether a number modulo n is short, as any combination of cells is and a mask is not.

    A uniform number is 64 bits shorter than n with probability 2**-63; the widest plan here fills its plaintext but for
    more than that.
    """
    return any(min(value, n - value).bit_length() < n.bit_length() - 64 for value in values)


def main(arguments):
    with laboratory():
        for seed in arguments:
            world = run(int(seed))
            print(seed, world.act, world.trace.hexdigest()[:16], dict(sorted(world.stats.items())))  # noqa: T201


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
