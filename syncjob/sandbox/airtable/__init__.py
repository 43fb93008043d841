"""Airtable: bases in memory behind its Web API (destinations reference, sections 2 to 8)."""

from .expected import expected_row
from .face import AirtableFace
from .things import Base, Field, Record, Table
from .world import AirtableWorld

__all__ = ["AirtableFace", "AirtableWorld", "Base", "Field", "Record", "Table", "expected_row"]
