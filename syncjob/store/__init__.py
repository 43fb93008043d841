"""The store: what syncjob knows, in one SQLite file with one writer."""

from syncjob.store.books import LedgerOf
from syncjob.store.store import Store, Tx

__all__ = ["LedgerOf", "Store", "Tx"]
