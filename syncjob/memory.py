"""How memory that nobody needs any more is found, and how it goes back to the system.

Python looks for circular garbage whenever some hundred objects are made, and time and again through all there are. An answer
is ten thousand of them, none of it circular: without the two functions for that, looking is a third of the work.

glibc learns to keep blocks of up to 32 MB for the next time, in each thread's own arena. Mails of some megabytes, copied by
several threads, then leave a multiple of their size behind. https://man7.org/linux/man-pages/man3/mallopt.3.html
"""

import ctypes
import gc
from contextlib import suppress

M_MMAP_THRESHOLD = -3
LARGE = 256 * 1024
SELDOM = 50_000, 20, 50
"""After how many new objects the young ones are looked through, and how many times that goes before older ones are."""
PROGRAM = 200_000
"""More objects than the program itself is."""


def collect_later() -> None:
    """Let Python look for circular garbage only once the program is there."""
    gc.set_threshold(PROGRAM, *SELDOM[1:])


def keep_for_good() -> None:
    """Never look through what is there now, which is the program itself: not even when it ends. From now on, look after several
    answers instead of several times for each."""
    gc.freeze()
    gc.set_threshold(*SELDOM)


def return_large_blocks() -> None:
    """Let large blocks go back to the system as soon as they are free. Other C libraries than glibc are left alone."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)
