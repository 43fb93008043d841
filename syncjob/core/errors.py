"""Every error that syncjob raises on purpose, classified by what the caller does next.

SyncjobError        something went wrong                                            exit 3
  ConfigError       only the user can mend it                                       exit 2
  Transient         try again later: network, 5xx, a locked database               exit 3
    Forbidden       403: access is missing now, it may come back
    Limited         429, time after time: somebody else may use the key
  Unwritable        this machine cannot keep what it got: a full disk, a lock       exit 3
  Later             nothing is wrong: the budget, or the vendor, says "not before"  exit 0
  Rejected          this record will never be accepted as it is: a dead letter      exit 3
  Unforeseen        a bug of ours; what it stopped is tried again                  exit 3
  Incomplete        a walk could not be finished; what was absorbed stays           exit 3
  Unreliable        the source answers, and contradicts itself                      exit 3
  Held              more deletions than the limit: a person has to look             exit 4
  AlreadyRunning    another process holds the lock                                  exit 75
"""

from datetime import datetime


class SyncjobError(Exception):
    """Something went wrong."""

    exit = 3

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        super().__init__(message or type(self).__doc__ or "")
        self.hint = hint

    @property
    def message(self) -> str:
        return str(self.args[0])


class ConfigError(SyncjobError):
    """Something in the set-up must be mended."""

    exit = 2


class Transient(SyncjobError):
    """It did not work this time."""


class Forbidden(Transient):
    """Access was refused."""


class Limited(Transient):
    """Too many requests."""


class Unwritable(SyncjobError):
    """This machine could not keep something: no fault of what was asked."""


class Later(SyncjobError):
    """Nothing may be asked before a certain time."""

    exit = 0

    def __init__(self, message: str = "", *, until: datetime, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.until = until


class Rejected(SyncjobError):
    """A record was refused for its own sake."""


class Unforeseen(SyncjobError):
    """Nobody thought of this."""


class Incomplete(SyncjobError):
    """A walk could not be finished."""


class Unreliable(SyncjobError):
    """A source's answers contradict each other."""


class Held(SyncjobError):
    """Deletions are held until a person has looked."""

    exit = 4


class AlreadyRunning(SyncjobError):
    """Another process holds the lock."""

    exit = 75


EXIT_ORDER = (75, 2, 4, 3, 0)


def worst(exits: "list[int]") -> int:
    """The exit code that speaks for several: the first of 75, 2, 4, 3, 0 that is among them."""
    return next((code for code in EXIT_ORDER if code in exits), 0)
