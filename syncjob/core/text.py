"""Text that every database can store."""


def clean(text: str) -> str:
    """The text with U+0000 and each lone surrogate replaced by U+FFFD; a true pair becomes its one character."""
    return text.replace("\x00", "\ufffd").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
