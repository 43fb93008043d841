"""Whether deletions go ahead or wait for a person (DESIGN, section 4)."""

ALWAYS_ALLOWED = 20
"""Fewer deletions than this never stop: a small team may well clear a list of twenty."""


def too_many(deletions: int, live: int, *, share: float, empty: bool = False) -> bool:
    """True: hold them. `live` counts the rows at the start of the walk, `empty` says that it listed nothing at all."""
    if empty and live > 0 and deletions > 0:
        return True
    return deletions > ALWAYS_ALLOWED and deletions > share * live
