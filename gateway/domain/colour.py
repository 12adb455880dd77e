"""Colours of a house style and whether text on them can be read (WCAG 2.2, 1.4.3)."""

import re

_HEX = re.compile(r"^#([0-9a-fA-F]{6})$")

#: WCAG 2.2 AA for text of normal size.
LEAST = 4.5


def parse(text: str) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of ``#rrggbb``. Raises ValueError."""
    match = _HEX.match(text)
    if not match:
        raise ValueError("a colour is written #rrggbb")
    number = int(match[1], 16)
    return number >> 16, number >> 8 & 255, number & 255


def luminance(colour: str) -> float:
    """Relative luminance, 0 (black) to 1 (white), as WCAG 2.2 defines it."""

    def linear(channel: int) -> float:
        c = channel / 255
        return c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4

    red, green, blue = map(linear, parse(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21; symmetric."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
