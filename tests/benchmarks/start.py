"""`python start.py`: starts and ends, with the libraries loaded that were given to syncjob and that a poll into PostgreSQL needs."""

import gc

gc.disable()  # looking for garbage among them takes a third of the time

import dotenv  # noqa: E402
import psycopg2  # noqa: E402
import pydantic  # noqa: E402
import requests  # noqa: E402
import sqlalchemy.dialects.postgresql  # noqa: E402
import sqlalchemy.dialects.sqlite  # noqa: E402
import tenacity  # noqa: E402

__all__ = ["dotenv", "psycopg2", "pydantic", "requests", "sqlalchemy", "tenacity"]

pydantic.create_model("Anything", text=(str, ""))  # or it would load only a part of itself
