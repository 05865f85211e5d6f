"""One line of the doctor's report. Owns its shape alone."""

from __future__ import annotations

from warden.records import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report. *ok* None: could not be told. *remedy* is empty where nothing is to be done."""

    name: str
    ok: bool | None
    detail: str = ""
    remedy: str = ""
