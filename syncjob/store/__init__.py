"""The store: what syncjob knows, in one SQLite file with one writer."""

from syncjob.store.store import LedgerOf, Store, Tx

__all__ = ["LedgerOf", "Store", "Tx"]
