"""Teamwork: the fake site, and the v3 API over it."""

from .face import TeamworkFace
from .world import TeamworkWorld

__all__ = ["TeamworkFace", "TeamworkWorld"]
