"""Every question that `audiences` asks the database, one file each."""

from functools import cache
from importlib.resources import files


@cache
def sql(name: str) -> str:
    """Read the query in `NAME.sql` of this folder."""
    return files(__name__).joinpath(f"{name}.sql").read_text(encoding="utf-8")
