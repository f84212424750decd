"""What a compiled program contains."""

import re

import jax

# The parity constant of Threefry: it occurs once in each copy of the cipher.
CIPHER = "466688986"

COLLECTIVES = (
    "all-gather",
    "all-reduce",
    "all-to-all",
    "collective-permute",
    "reduce-scatter",
)


def compiled(function, *args):
    return jax.jit(function).lower(*args).compile().as_text()


def copies_of_cipher(text):
    return text.count(f"constant({CIPHER})")


def copies_of_inverse_erf(text):
    """`erf_inv` is the one place of a normal draw that takes a log1p."""
    return text.count("log-plus-one(")


def collectives(text, besides=()):
    """The collectives of a program, but for those with a result of these types."""
    found = re.findall(rf"= (\S+) ({'|'.join(COLLECTIVES)})(?:-start)?\(", text)
    assert len(found) >= sum(f" {name}(" in text for name in COLLECTIVES)
    return [f"{name} {result}" for result, name in found if result not in besides]


def shapes(text, dtype):
    """Every array shape of one dtype (as in "u32") that the program mentions."""
    found = re.findall(rf"\b{dtype}\[([\d,]*)\]", text)
    return {tuple(int(n) for n in dims.split(",") if n) for dims in found}
