"""Fixtures for all tests."""

from tests.postgres import fresh_postgres, postgres_dsn, postgres_server

__all__ = ["fresh_postgres", "postgres_dsn", "postgres_server"]
