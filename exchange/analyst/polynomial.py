"""Terms in one normal form: sums of products with decimal coefficients, so that spellings of one term are one term.

A polynomial maps products of factors to their coefficients. A factor is a column, a CASE, or a sum that is multiplied by
something (such products are not expanded: the range of ``(x - m) * (x - m)`` is far narrower than that of its expansion).
Coefficients are exact and have finitely many decimals. A product whose coefficient came to 0 stays, because it still makes
the term NULL where one of its columns is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from math import gcd, lcm

from privacy import canonical
from privacy.errors import Malformed
from privacy.expression import Added, Choice, Constant, Term, Test, Times, Value, decimals, term_json, walk

MAX_DECIMALS = 18
"""Decimals that a term may have at most."""

Product = tuple[Term, ...]
"""Factors in canonical order; none stand for the constant 1."""


@dataclass(frozen=True, slots=True)
class Polynomial:
    """Coefficients by product; the products are in canonical order, the constant last."""

    parts: tuple[tuple[Product, Fraction], ...]

    @classmethod
    def of(cls, parts: Mapping[Product, Fraction]) -> "Polynomial":
        """Put products into their order; a constant of 0 beside others is dropped."""
        kept = {product: weight for product, weight in parts.items() if product or weight or len(parts) == 1}
        return cls(tuple(sorted(kept.items(), key=lambda part: (not part[0], _spelled(part[0])))))

    @classmethod
    def constant(cls, value: Fraction) -> "Polynomial":
        """A number with finitely many decimals."""
        return cls((((), value),))

    @classmethod
    def factor(cls, term: Term) -> "Polynomial":
        """One column, CASE or sum."""
        return cls((((term,), Fraction(1)),))

    @property
    def number(self) -> Fraction | None:
        """The value of a polynomial without columns, else ``None``."""
        return self.parts[0][1] if len(self.parts) == 1 and not self.parts[0][0] else None

    @property
    def offset(self) -> Fraction:
        """The constant that is added."""
        return dict(self.parts).get((), Fraction(0))

    def plus(self, other: "Polynomial") -> "Polynomial":
        """Sum."""
        parts = dict(self.parts)
        for product, weight in other.parts:
            parts[product] = parts.get(product, Fraction(0)) + weight
        return Polynomial.of(parts)

    def scaled(self, by: Fraction) -> "Polynomial":
        """Product with a number."""
        return Polynomial.of({product: weight * by for product, weight in self.parts})

    def moved(self, by: Fraction) -> "Polynomial":
        """Sum with a number."""
        return self.plus(Polynomial.constant(by))

    def times(self, other: "Polynomial", of: Mapping[str, int]) -> "Polynomial":
        """Product; ``of`` gives the columns' decimals."""
        for one, by in ((self, other), (other, self)):
            if by.number is not None:
                return one.scaled(by.number)
        (left, weight), (right, weight_right) = _as_product(self, of), _as_product(other, of)
        return Polynomial.of({tuple(sorted(left + right, key=_key)): weight * weight_right})

    def term(self, of: Mapping[str, int], *, least: int = 0) -> Term:
        """Return the term, with as few decimals as its coefficients need and ``least`` at least.

        Raises:
            Malformed: if it needs more than 18.
        """
        places = max([least, *(_decimals(product, of) + _places(weight) for product, weight in self.parts)])
        if places > MAX_DECIMALS:
            raise Malformed("a term has more than 18 decimals", fix="use fewer decimals")
        terms = []
        for product, weight in self.parts:
            room = places - _decimals(product, of)
            terms.append(_scaled(product, int(weight * 10**room), room))
        return terms[0] if len(terms) == 1 else Added(tuple(terms))

    def whole(self, of: Mapping[str, int]) -> tuple[Term, Fraction]:
        """Return a term with coprime whole coefficients in integer units, and the number that it is this polynomial times.

        The constant is left out; the first coefficient that is not 0 is positive, the number therefore of either sign.

        Raises:
            ValueError: if no coefficient but the constant's differs from 0.
        """
        products = [(product, weight) for product, weight in self.parts if product]
        scaled = [weight / 10 ** _decimals(product, of) for product, weight in products]
        if not any(scaled):
            raise ValueError
        common = lcm(*(weight.denominator for weight in scaled))
        numbers = [int(weight * common) for weight in scaled]
        share = gcd(*numbers) * (1 if next(number for number in numbers if number) > 0 else -1)
        places = max(_decimals(product, of) for product, _ in products)
        terms = [
            _scaled(product, number // share, places - _decimals(product, of))
            for (product, _), number in zip(products, numbers, strict=True)
        ]
        return (terms[0] if len(terms) == 1 else Added(tuple(terms))), Fraction(common, share)

    def nothing(self) -> "Polynomial":
        """Return what is 0 wherever this is not NULL: as few factors as that needs, none if it is never NULL."""
        factors: list[Term] = []
        for product, _ in self.parts:
            for factor in product:
                plain = not any(isinstance(part, Choice) for part in walk(factor))
                factors += [part for part in walk(factor) if isinstance(part, Value)] if plain else [factor]
        return Polynomial.of({(): Fraction(0), **{(factor,): Fraction(0) for factor in factors if not _steady(factor)}})


def of_term(term: Term) -> Polynomial:
    """Return a term as a polynomial."""
    match term:
        case Constant(units, places):
            return Polynomial.constant(Fraction(units, 10**places))
        case Added(terms):
            return reduce(Polynomial.plus, map(of_term, terms))
        case Times():
            factors = list(_factors(term))
            weight = Fraction(1)
            for factor in factors:
                weight *= Fraction(factor.units, 10**factor.decimals) if isinstance(factor, Constant) else 1
            return Polynomial.of({tuple(one for one in factors if not isinstance(one, Constant)): weight})
        case _:
            return Polynomial.factor(term)


def presence(one: Polynomial, of: Mapping[str, int]) -> Term | None:
    """Return a term that is NULL where ``one`` is, the same for all such: the sum of its columns; ``None`` if it never is."""
    held = [product for product, _ in one.nothing().parts if product]
    if not held:
        return None
    return Polynomial.of({product: Fraction(1) for product in held}).term(of)


def chosen(cases: Sequence[tuple[Test, Polynomial]], otherwise: Polynomial | None, of: Mapping[str, int]) -> Term:
    """Return the CASE of polynomials, all branches with the same decimals."""
    branches = [branch for _, branch in cases] + ([] if otherwise is None else [otherwise])
    least = max(decimals(branch.term(of), of) for branch in branches)
    told = tuple((test, branch.term(of, least=least)) for test, branch in cases)
    return Choice(told, None if otherwise is None else otherwise.term(of, least=least))


def finite(value: Fraction) -> bool:
    """Whether a number has finitely many decimals."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def spell_number(value: Fraction) -> str:
    """Return a number of finitely many decimals without an exponent."""
    places = _places(value)
    units = str(abs(int(value * 10**places))).rjust(places + 1, "0")
    told = f"{units[:-places]}.{units[-places:]}" if places else units
    return f"-{told}" if value < 0 else told


def _steady(factor: Term) -> bool:
    """Whether a factor is never NULL: a CASE with ELSE whose branches are numbers."""
    if not isinstance(factor, Choice) or factor.otherwise is None:
        return False
    return all(isinstance(branch, Constant) for branch in (factor.otherwise, *(term for _, term in factor.cases)))


def _as_product(one: Polynomial, of: Mapping[str, int]) -> tuple[Product, Fraction]:
    """A polynomial as one product: a sum becomes a factor, its common weight taken out so that multiples have one factor."""
    if len(one.parts) == 1:
        return one.parts[0]
    weights = [weight for product, weight in one.parts if product and weight]
    share = _common(weights) if weights else Fraction(1)
    if not finite(one.offset / share):
        share = _common([*weights, one.offset])
    return (one.scaled(1 / share).term(of),), share


def _common(weights: Sequence[Fraction]) -> Fraction:
    """The largest number that all are whole multiples of, with the sign of the first."""
    below = lcm(*(weight.denominator for weight in weights))
    above = gcd(*(int(weight * below) for weight in weights))
    return Fraction(above if weights[0] > 0 else -above, below)


def _factors(term: Term) -> Iterable[Term]:
    return (*_factors(term.left), term.right) if isinstance(term, Times) else (term,)


def _scaled(product: Product, units: int, places: int) -> Term:
    """The product times ``units * 10**-places``."""
    if not product:
        return Constant(units, places)
    whole: Term = reduce(Times, product)
    return whole if (units, places) == (1, 0) else Times(whole, Constant(units, places))


def _decimals(product: Product, of: Mapping[str, int]) -> int:
    return sum(decimals(factor, of) for factor in product)


def _places(value: Fraction) -> int:
    """Decimals that a number needs."""
    places = 0
    while (value * 10**places).denominator != 1:
        places += 1
    return places


def _key(term: Term) -> bytes:
    return canonical.encode(term_json(term))


def _spelled(product: Product) -> bytes:
    return b"".join(map(_key, product))
