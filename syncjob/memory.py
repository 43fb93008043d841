"""How the C library keeps memory that Python gave back.

glibc learns to keep blocks of up to 32 MB for the next time, in each thread's own arena. Mails of some megabytes, copied by
several threads, then leave a multiple of their size behind. https://man7.org/linux/man-pages/man3/mallopt.3.html
"""

import ctypes
from contextlib import suppress

M_MMAP_THRESHOLD = -3
LARGE = 256 * 1024


def return_large_blocks() -> None:
    """Let large blocks go back to the system as soon as they are free. Other C libraries than glibc are left alone."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE)
