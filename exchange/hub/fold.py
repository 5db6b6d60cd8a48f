"""Multiply the parties' ciphertexts: no key, no plaintext. The analyst repeats this from the signed messages."""

from collections.abc import Iterable

from privacy import modulus, seal


def fold(shares: Iterable[Iterable[str]], key: modulus.PublicKey) -> list[str]:
    """Return the component-wise product of sealed vectors in wire form.

    Raises:
        Malformed: if a ciphertext is not a canonical, invertible element or the vectors differ in length.
    """
    return seal.fold([seal.Sealed.from_wire(list(share), key) for share in shares]).to_wire()
