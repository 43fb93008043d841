"""`python dlt_mails.py URL DSN FOLDER`: dlt with a resource of our own, since its REST source cannot ask for bodies by ten."""

import sys
from collections.abc import Iterator
from typing import Any

import dlt
from crawl import mails
from dlt.sources.helpers import requests


@dlt.resource(name="messages", primary_key="id", write_disposition="merge", max_table_nesting=0)
def messages(url: str) -> Iterator[list[dict[str, Any]]]:
    yield from mails(requests, url)


def main(url: str, dsn: str, folder: str) -> None:
    destination = dlt.destinations.postgres(dsn.replace("@/", "@localhost/"))  # it wants a host, even if a socket is named behind
    pipeline = dlt.pipeline("bench", pipelines_dir=folder, destination=destination, dataset_name="bench")
    pipeline.run(messages(url)).raise_on_failed_jobs()


if __name__ == "__main__":
    main(*sys.argv[1:])
