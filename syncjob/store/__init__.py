"""The store: what syncjob knows, in one SQLite file with one writer."""

from syncjob.store.store import Store, Tx

__all__ = ["Store", "Tx"]
