"""The web page: one file that needs no other, no script and no network, and carries the notice on every page it prints on."""

from valuation.statement.blocks import Statement, told
from valuation.statement.words import Language


def page(statement: Statement, language: Language) -> bytes:
    """Set the statement as one HTML page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=PackageLoader("api.printing"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("statement.html.j2")
    return template.render(told=told(statement, language)).lstrip().encode("utf-8")
