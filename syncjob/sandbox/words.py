"""Made-up names and texts for seeded worlds, some of them hostile."""

from __future__ import annotations

from random import Random

FIRST = ("Ada", "Leo", "Ida", "Noor", "Mats", "Zoë", "Kofi", "Lin", "Ravi", "Jūlija", "Omar", "Eva", "Søren", "Mai", "Tomás", "Yuki")
LAST = ("Quill", "Berg", "Park", "Okafor", "Lindqvist", "Moreau", "Haddad", "Novák", "Ito", "O'Brien", "da Silva", "Weiß")
COMPANIES = ("Acme Works", "Northwind Pumps", "Blue Harbour", "Kestrel & Sons", "Ostrava Steel", "Lumen Café")
PLACES = ("Lighthouse", "Harbour", "Old mill", "Depot 7", "Riverside", "North wing", "Tower", "Greenhouse", "Archive", "Bakery")
VERBS = ("Order", "Check", "Repair", "Paint", "Measure", "Invoice", "Call back about", "Replace", "Draft", "Approve", "Ship", "Inspect")
THINGS = ("lamps", "the pump", "window seals", "the contract", "spare parts", "cables", "the roof", "badges", "the survey", "permits")
LISTS = ("Inbox", "This week", "Backlog", "Waiting", "Site work", "Paperwork", "Snags", "Handover")
LABELS = ("Sales", "Support", "Urgent", "Invoices", "Suppliers", "HR", "Follow up", "Été 2026", "日本", "Done, really")
COLOURS = ("#d84640", "#3f7fbf", "#66aa55", "#e0a030", "#8855aa")

HOSTILE = (
    "emoji 👩‍👩‍👧‍👦 and flags 🇪🇺, combining e\u0301",
    "\u202eright to left\u202c שלום مرحبا",
    "quotes \" ' ` and back\\slashes, {curly}, %s, $1, \x1b[31mred",
    "Robert'); DROP TABLE tasks;--",
    "nul\x00inside",
    "half a surrogate \ud83d here",
    '=HYPERLINK("http://evil.test") \t tabs\r\nand lines\u2028too',
    "  ",
    "x" * 300,
)


def pick_text(rng: Random, usual: str, *, hostile: float = 0.01) -> str:
    """The usual text, now and then something that breaks careless code."""
    return rng.choice(HOSTILE) if rng.random() < hostile else usual


def title(rng: Random) -> str:
    """A task's title or an email's subject."""
    return pick_text(rng, f"{rng.choice(VERBS)} {rng.choice(THINGS)}, {rng.choice(PLACES)}")


def sentences(rng: Random, count: int) -> str:
    """Plain text of so many sentences."""
    one_by_one = (f"Please {rng.choice(VERBS).lower()} {rng.choice(THINGS)} at {rng.choice(PLACES)}." for _ in range(count))
    return pick_text(rng, " ".join(one_by_one))
