"""Teamwork, Missive and Airtable on this machine: one seeded world behind their APIs, scripted faults, limits, a switch for every unknown.

Written from the vendors' documentation alone and independent of everything else here, so that a shared misunderstanding cannot hide.
"""

from .airtable import expected_row
from .exchange import ConnectionReset, Hang, Request, Response
from .faults import Fault, Faults, Kind
from .limits import Limits, Window
from .sandbox import Exchange, Sandbox
from .serve import serve
from .switches import AirtableSwitches, Switches
from .truth import Truth
from .world import World

__all__ = [
    "AirtableSwitches",
    "ConnectionReset",
    "Exchange",
    "Fault",
    "Faults",
    "Hang",
    "Kind",
    "Limits",
    "Request",
    "Response",
    "Sandbox",
    "Switches",
    "Truth",
    "Window",
    "World",
    "expected_row",
    "serve",
]
