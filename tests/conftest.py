"""Fixtures for all tests."""

from tests.postgres import fresh_postgres, postgres_dsn, postgres_server, session_database

__all__ = ["fresh_postgres", "postgres_dsn", "postgres_server", "session_database"]
