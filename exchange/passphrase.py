"""What opens protected keys comes from outside the home: from a file, the environment or a terminal, never from an argument.

``TOUCHSTONE_KEY_FILE`` names a file of 32 bytes; ``TOUCHSTONE_PASSPHRASE_FILE`` one whose first line is the passphrase;
``TOUCHSTONE_PASSPHRASE`` is the passphrase itself. Without them a person at a terminal is asked. A variable only tells what
opens keys: none turns their protection off.
"""

import getpass
import os
import sys
from pathlib import Path

from exchange.strongbox import Locked, Opener
from privacy.errors import Malformed

KEY_FILE, PASSPHRASE_FILE, PASSPHRASE = "TOUCHSTONE_KEY_FILE", "TOUCHSTONE_PASSPHRASE_FILE", "TOUCHSTONE_PASSPHRASE"


def given(kind: str, *, ask: bool = True) -> Opener:
    """Return what opens a home that is protected by a ``passphrase`` or a ``key-file``; ``ask`` on a terminal if need be.

    Raises:
        Locked: if nothing was given. Malformed: if a file that is named cannot be read, or holds no key.
    """
    if kind == "key-file":
        if named := os.environ.get(KEY_FILE):
            return Opener.key_file(_content(named, KEY_FILE))
        raise Locked("the keys here are protected by a key file", fix=f"name the file in {KEY_FILE}", absent=True)
    found = _passphrase()
    if found is not None:
        return found
    if ask and sys.stdin is not None and sys.stdin.isatty():
        return Opener.passphrase(getpass.getpass("Passphrase of the keys: "))
    raise Locked(
        "the keys here are protected by a passphrase",
        fix=f"name a file that holds it in {PASSPHRASE_FILE}, or use a terminal",
        absent=True,
    )


def chosen() -> Opener:
    """Return what a home is to be protected with: the key file if one is named, else a passphrase, asked for twice.

    Raises:
        Locked: if nothing was given. Malformed: if two passphrases differ, or a file cannot be read or holds no key.
    """
    if os.environ.get(KEY_FILE):
        return given("key-file")
    found = _passphrase()
    if found is not None:
        return found
    first = given("passphrase")
    if getpass.getpass("The same again: ") != first.value.decode():
        raise Malformed("the two passphrases differ", fix="try again")
    return first


def _passphrase() -> Opener | None:
    if named := os.environ.get(PASSPHRASE_FILE):
        text = _content(named, PASSPHRASE_FILE).decode("utf-8", "replace")
        return Opener.passphrase(text.partition("\n")[0])
    told = os.environ.get(PASSPHRASE)
    return None if not told else Opener.passphrase(told)


def _content(path: str, variable: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(4096)
    except OSError:
        raise Malformed(f"the file that {variable} names cannot be read", fix="check its path and rights") from None
