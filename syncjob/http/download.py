"""A file from a storage host: streamed, within limits, and without any key of ours."""

import errno
import ipaddress
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

import requests
from requests import exceptions
from urllib3.exceptions import HTTPError, LocationValueError

from syncjob.http import answers

CHUNK = 65_536
MOST_REDIRECTS = 3
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
"""What `write` may raise for the disk's sake: no fault of the storage host, and not to be tried with the next file."""
FAILURES = (exceptions.RequestException, HTTPError, LocationValueError, OSError, UnicodeError, ValueError)


class DownloadError(Exception):
    """It could not be downloaded. `expired`: a fresh link may do. `too_large`: no link will."""

    def __init__(self, what: str, *, expired: bool = False, too_large: bool = False) -> None:
        super().__init__(what)
        self.expired, self.too_large = expired, too_large


def download(session: requests.Session, url: str, write: Callable[[bytes], object], *, most: int, timeout: float) -> tuple[int, str]:
    """Pass the file to `write`, piece by piece; how many bytes it has, and of what type the host says that it is.

    Raises DownloadError, and OSError when the disk is full.
    `session` must not add anything of its own (see `open_session`): the storage host gets no key, whoever it is.
    """
    try:
        for _ in range(MOST_REDIRECTS + 1):
            _check(url)
            with session.get(url, timeout=(min(10.0, timeout), timeout), allow_redirects=False, stream=True) as answer:
                if answer.is_redirect or answer.is_permanent_redirect:
                    url = urljoin(url, answer.headers["Location"])
                    continue
                if answer.status_code != 200:
                    raise DownloadError(f"the storage host answered {answer.status_code}", expired=answer.status_code in (401, 403, 410))
                return _read(answer, write, most), answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    except FAILURES as error:
        if getattr(error, "errno", None) in DISK:
            raise
        raise DownloadError(answers.explain(error)[0]) from None
    raise DownloadError("too many redirects")


def _read(answer: requests.Response, write: Callable[[bytes], object], most: int) -> int:
    told, size = answer.headers.get("Content-Length", ""), 0
    if told.isdigit() and int(told) > most:
        raise DownloadError(f"larger than {most:,} bytes", too_large=True)
    for chunk in answer.iter_content(CHUNK):
        size += len(chunk)
        if size > most:
            raise DownloadError(f"larger than {most:,} bytes", too_large=True)
        write(chunk)
    if told.isdigit() and "Content-Encoding" not in answer.headers and size != int(told):
        raise DownloadError("the connection broke off")
    return size


def _check(url: str) -> None:
    """Only https; http on this machine alone."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme != "http" or not _is_loopback(parts.hostname or ""):
        raise DownloadError("its link is not https")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
