"""What messages of one cause have in common: the text without numbers, ids, quoted values, paths, addresses and times.

Pure, and linear in the length of a message, whatever it holds: no quantifier gives back what it took, and no pattern
begins within what it may begin with.
"""

from __future__ import annotations

import re

LONGEST = 300
"""Characters of a signature; a longer one ends in an ellipsis."""

_PLACEHOLDERS = ("email", "id", "ip", "n", "path", "str", "time", "url", "uuid")
_DAY = r"\d{4}-\d\d-\d\d"
_CLOCK = r"\d\d?:\d\d(?::\d\d(?:[.,]\d{1,9})?)?"
_ZONE = r"(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?"
_HTTP_DAY = r"(?:[A-Z][a-z]{2}, )?\d\d? [A-Z][a-z]{2} \d{4} "

# The first one that fits wins. `>` ends a placeholder, and counts as a part of a word: what stood behind a number
# must not become the beginning of something once that is replaced.
_CHANGING = re.compile(
    rf"""
      (?P<keep>  <(?:{"|".join(_PLACEHOLDERS)})> )
    | (?P<url>   (?<![\w>+.-]) [A-Za-z][A-Za-z0-9+.-]*+ :// [^\s"'`<>\\…]++ )
    | (?P<email> (?<![\w>+.%-]) [\w+.%-]++ @ [A-Za-z0-9-]++ (?:\.[A-Za-z0-9-]++)++ )
    | (?P<uuid>  (?<![\w>]) [0-9A-Fa-f]{{8}} (?:-[0-9A-Fa-f]{{4}}){{3}} -[0-9A-Fa-f]{{12}} (?!\w) )
    | (?P<time>  (?<![\w>]) (?: {_DAY} (?:[T\ ]{_CLOCK})? | {_HTTP_DAY.replace(" ", "[ ]")} {_CLOCK}
                              | \d\d?:\d\d:\d\d(?:[.,]\d{{1,9}})? ) {_ZONE.replace(" ?", "[ ]?")} (?!\w) )
    | (?P<ip>    (?<![\w>]) (?<!\d\.) \d{{1,3}} (?:\.\d{{1,3}}){{3}} (?!\w|\.\d) )
    | (?P<path>  (?<![\w>./\\~@%+=-]) (?:~|\.\.?)?+ (?:/++[\w.~@%+=-]++)++ /?+
               | (?<![\w>]) [A-Za-z]: (?:\\++[^\s"'`<>:|?*\\…]++)++ )
    | (?P<names> (?<![\w>./\\~@%+=-]) [\w.~@%+=-]++ (?:/++[\w.~@%+=-]++)++ )
    | (?P<n>     (?<![\w>]) (?<!\d[.,]) [-+]?+ \d++ (?:[.,_]\d++)*+ (?:[eE][-+]?\d++)?+ (?P<unit>[^\W\d_]*+) (?!\w) )
    | (?P<word>  \w++ )
    """,
    re.VERBOSE,
)
_QUOTE = re.compile(r"""\\.|(?P<opens>(?<![\w>])[bBrRuU]{0,2}["'`])|["'`]""")
_INSIDE_WORD = re.compile(r"[\w<…]")
_HEX = re.compile(r"0[xX][0-9A-Fa-f]+|(?=\D*\d)[0-9A-Fa-f]{8,}|[0-9A-Fa-f]{16,}")
_NUMBERED = re.compile(r"([^\W\d]*+)\d++")
_EXTENSION = re.compile(r"\.[^\W\d]")
_LETTER = re.compile(r"[^\W\d_]")
_DIGITS = re.compile(r"\d++")


def signature(message: str) -> str:
    """Return a message with its changing parts replaced by placeholders such as `<n>`, on one line.

    Messages that differ only in numbers, hexadecimal ids, UUIDs, quoted strings, paths, URLs, times, e-mail or IP
    addresses have the same signature. The signature of a signature is itself.

    Args:
        message: Any text, of any length.

    Returns:
        At most `LONGEST` characters.
    """
    text = _CHANGING.sub(_placeholder, _unquoted(" ".join(message.split())))
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _unquoted(text: str) -> str:
    """Replace quoted strings: from a quote that no word precedes to the next of its kind that no word follows."""
    marks = [found for found in _QUOTE.finditer(text) if not found[0].startswith("\\")]
    closing = [found for found in marks if not _INSIDE_WORD.match(text, found.end())]
    last = {found[0][-1]: found.end() for found in closing}
    ends = {found.end() for found in closing}
    kept: list[str] = []
    done, quote, begin = 0, "", 0
    for found in marks:
        mark, end = found[0][-1], found.end()
        if quote:
            if mark == quote and end in ends:
                kept += text[done:begin], "<str>"
                done, quote = end, ""
        elif found["opens"] and end < last.get(mark, 0):
            quote, begin = mark, found.start()
    return "".join(kept) + text[done:]


def _placeholder(found: re.Match[str]) -> str:
    text = found[0]
    match found.lastgroup:
        case "keep":
            return text
        case "url":
            # What ends the sentence is not the address's.
            return "<url>" + text[len(text.rstrip(".,;:!?)]}")) :]
        case "names":
            varies = _EXTENSION.search(text) or (_DIGITS.search(text) and _LETTER.search(text))
            return "<path>" if varies else _DIGITS.sub("<n>", text)
        case "n":
            return "<n>" if _HEX.fullmatch(text) else f"<n>{found['unit']}"
        case "word":
            return _word(text)
        case kind:
            return f"<{kind}>"


def _word(text: str) -> str:
    if _HEX.fullmatch(text):
        return "<n>"
    if not _DIGITS.search(text):
        return text
    numbered = _NUMBERED.fullmatch(text)
    return f"{numbered[1]}<n>" if numbered else "<id>"
