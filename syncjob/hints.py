"""Hints: a webhook that says "there is news" brings the next poll of its source forward, and does nothing else.

What it says is not even looked at. So a hint that is missing, late, doubled or forged can change the time of a poll, never a row.
"""

import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from syncjob.core.errors import ConfigError
from syncjob.settings import Settings
from syncjob.web import LOOPBACK, Environ, StartResponse, address, answer


@dataclass(frozen=True, slots=True)
class Vendor:
    """How a vendor signs: lower-case hex of HMAC-SHA256 over the raw body.

    `tries_out`: it may send one without a signature when a webhook is set up, which has to be answered well.
    """

    header: str
    prefix: str = ""
    tries_out: bool = False


VENDORS: Mapping[str, Vendor] = {
    "teamwork": Vendor("HTTP_X_PROJECTS_SIGNATURE"),  # https://apidocs.teamwork.com/guides/teamwork/responding-to-a-webhook
    "missive": Vendor("HTTP_X_HOOK_SIGNATURE", "sha256=", tries_out=True),  # https://missiveapp.com/docs/developers/webhooks
}


class Hints:
    """The WSGI application. `secrets`: whose hints are taken; None: unsigned ones, too."""

    def __init__(self, secrets: Mapping[str, bytes | None], hint: Callable[[str], None]) -> None:
        self._secrets, self._hint = secrets, hint

    def __call__(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        source = environ["PATH_INFO"].removeprefix("/hints/")
        if source not in self._secrets or not environ["PATH_INFO"].startswith("/hints/"):
            return answer(start, "404 Not Found")
        if environ["REQUEST_METHOD"] != "POST":
            return answer(start, "405 Method Not Allowed")
        vendor, secret = VENDORS[source], self._secrets[source]
        if secret is not None:
            signature = environ.get(vendor.header)
            if signature is None and vendor.tries_out:
                return answer(start, "200 OK", "not signed: nothing was done\n")
            if not is_signed(environ["wsgi.input"].read(), signature or "", secret, vendor):
                return answer(start, "401 Unauthorized")
        self._hint(source)
        return answer(start, "200 OK")


def is_signed(body: bytes, signature: str, secret: bytes, vendor: Vendor) -> bool:
    """Whether the signature was made of this body with this secret; how long the answer takes tells nothing."""
    right = hmac.digest(secret, body, "sha256").hex()
    return hmac.compare_digest(right.encode(), signature.strip().removeprefix(vendor.prefix).encode("latin-1", "replace"))


def secrets(settings: Settings, sources: Iterable[str], where: str, *, insecure: bool, public: bool) -> dict[str, bytes | None]:
    """Whose hints are taken at this address, and by which secret. Raises ConfigError when nobody could tell a forged one."""
    if insecure and (public or address(where, "--hints")[0] not in LOOPBACK):
        raise ConfigError("--insecure-hints is for this machine alone", hint="leave it out, and set the secrets of your webhooks")
    known = {"teamwork": settings.teamwork_webhook_secret, "missive": settings.missive_webhook_secret}
    found = {source: secret.get_secret_value().encode() for source in sources if (secret := known[source])}
    if insecure:
        return {source: found.get(source) for source in sources}
    if not found:
        names = " or ".join(f"{source.upper()}_WEBHOOK_SECRET" for source in sources)
        raise ConfigError("--hints needs the secret that the webhooks are signed with", hint=f"set {names}")
    return dict(found)
