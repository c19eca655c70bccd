"""The texts with gaps that this package ships as ``*.jinja``."""

from jinja2 import Environment, PackageLoader, StrictUndefined

_ENVIRONMENT = Environment(
    loader=PackageLoader("branchsearch.export", ""),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # Python and Markdown, not HTML
)


def render(template: str, **values: object) -> str:
    """Fill a template; a value that is missing is an error."""
    return _ENVIRONMENT.get_template(template).render(**values)
