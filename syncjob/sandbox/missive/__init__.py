"""Missive: the fake account, and the API over it."""

from .face import MissiveFace
from .world import MissiveWorld

__all__ = ["MissiveFace", "MissiveWorld"]
