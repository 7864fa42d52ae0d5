#!/usr/bin/env python3
"""Writes core/text/unicode_tables.{h,cpp}, the general category of every code point, as coarse as regular expressions ask for it, and
core/base/normal_form_tables.{h,cpp}, what NFC needs.

The source is the Unicode Character Database inside Python's `unicodedata`, or inside PyPI's `unicodedata2` where that is
installed (the tables in the repository: unicodedata2==15.1.0). The version is named in the first line of both files. A
database older than the one of the existing files is refused, so that a re-run never takes characters away.
"""

import re
import sys
from pathlib import Path

try:
    import unicodedata2 as unicodedata
except ImportError:
    import unicodedata

CORE = Path(__file__).resolve().parent.parent / "core"
FOLDER, BASE = CORE / "text", CORE / "base"

# The order is that of the bits in core/text/character_classes.h; 8 is "everything else".
CLASSES = ["Lu Lt", "Ll", "Lm Lo", "M", "N", "P", "Z", "S"]
CATEGORY_CLASS = {name: number for number, names in enumerate(CLASSES) for name in names.split()}
OTHER = len(CLASSES)

# White_Space is the separators (category Z*) and these controls: tab … carriage return, next line.
SPACE_CONTROLS = {0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x85}


def character_class(code_point: int) -> int:
    if code_point in SPACE_CONTROLS:
        return CATEGORY_CLASS["Z"]
    category = unicodedata.category(chr(code_point))
    return CATEGORY_CLASS.get(category, CATEGORY_CLASS.get(category[0], OTHER))


def runs() -> list[tuple[int, int]]:
    """(length, class) of each stretch of equal class, in order."""
    result: list[tuple[int, int]] = []
    for code_point in range(sys.maxunicode + 1):
        value = character_class(code_point)
        if result and result[-1][1] == value:
            result[-1] = (result[-1][0] + 1, value)
        else:
            result.append((1, value))
    return result


def packed(table: list[tuple[int, int]]) -> bytes:
    """length * 9 + class of each run, seven bits a byte, lowest first, the top bit set on all but the last."""
    result = bytearray()
    for length, value in table:
        number = length * (OTHER + 1) + value
        while number >= 128:
            result.append(number & 127 | 128)
            number >>= 7
        result.append(number)
    return bytes(result)


def decompositions() -> list[tuple[int, int, int]]:
    """(code point, what it is made of; 0 for a second character that there is not), one step, canonical."""
    result = []
    for code_point in range(sys.maxunicode + 1):
        parts = unicodedata.decomposition(chr(code_point))
        if parts and not parts.startswith("<"):
            first, *rest = (int(part, 16) for part in parts.split())
            result.append((code_point, first, rest[0] if rest else 0))
    return result


def compositions(table: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """(first, second, code point) of the pairs that become one character again: those that NFC leaves alone."""
    return sorted((first, second, whole) for whole, first, second in table if second and unicodedata.normalize("NFC", chr(whole)) == chr(whole))


def combining_ranges() -> list[tuple[int, int, int]]:
    result: list[tuple[int, int, int]] = []
    for code_point in range(sys.maxunicode + 1):
        value = unicodedata.combining(chr(code_point))
        if value and result and result[-1][1:] == (code_point - 1, value):
            result[-1] = (result[-1][0], code_point, value)
        elif value:
            result.append((code_point, code_point, value))
    return result


def rows_of(table: list[tuple[int, ...]]) -> str:
    rows, row = [], "   "
    for entry in table:
        cell = " {" + ", ".join(map(str, entry)) + "},"
        if len(row) + len(cell) > 140:
            rows.append(row)
            row = "   "
        row += cell
    return "\n".join([*rows, row.rstrip(",")])


def write_normal_form(first_line: str) -> None:
    parts, wholes, classes = decompositions(), None, combining_ranges()
    wholes = compositions(parts)
    tables = [("Decomposition", "kDecompositions", parts), ("Composition", "kCompositions", wholes), ("CombiningRange", "kCombiningRanges", classes)]
    declarations = "\n".join(f"extern const {kind} {name}[{len(table)}];" for kind, name, table in tables)
    (BASE / "normal_form_tables.h").write_text(
        f"""{first_line}
// Owns what NFC knows of characters (Hangul syllables are computed); core/base/composition.cpp reads it.
#pragma once

#include <cstdint>

namespace tessera {{

/// What a character is made of, one step; `second` is 0 where it is one other character. Sorted by code point.
struct Decomposition {{
  uint32_t code_point, first, second;
}};

/// Two characters that are written as one. Sorted by the two.
struct Composition {{
  uint32_t first, second, code_point;
}};

/// Marks first…last of one combining class; all other characters have class 0. Sorted.
struct CombiningRange {{
  uint32_t first, last;
  uint8_t combining_class;
}};

{declarations}

}}  // namespace tessera
"""
    )
    definitions = "\n".join(f"const {kind} {name}[{len(table)}] = {{\n{rows_of(table)}}};" for kind, name, table in tables)
    (BASE / "normal_form_tables.cpp").write_text(
        f"""{first_line}
#ifndef __EMSCRIPTEN__
#include "core/base/normal_form_tables.h"

namespace tessera {{

// clang-format off
{definitions}
// clang-format on

}}  // namespace tessera
#endif
"""
    )


def literal(data: bytes) -> str:
    rows, row = [], "   "
    for byte in data:
        if len(row) + len(f" {byte},") > 140:
            rows.append(row)
            row = "   "
        row += f" {byte},"
    return "\n".join([*rows, row.rstrip(",")])


def version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def main() -> int:
    ours = unicodedata.unidata_version
    header = FOLDER / "unicode_tables.h"
    if header.exists():
        found = re.search(r"Unicode ([0-9.]+[0-9])", header.read_text().splitlines()[0])
        if found and version(found.group(1)) > version(ours):
            print(f"error: the tables hold Unicode {found.group(1)}, this Python knows {ours}; install unicodedata2", file=sys.stderr)
            return 1
    first_line = f"// Generated by scripts/make_unicode_tables.py from the Unicode Character Database, Unicode {ours}. Do not edit."
    data = packed(runs())
    write_normal_form(first_line)
    header.write_text(
        f"""{first_line}
// Owns the general categories of all code points, packed; core/text/character_classes.h reads them.
#pragma once

#include <cstdint>

namespace tessera {{

/// Stretches of equal class from U+0000 on: length * 9 + class, seven bits a byte, lowest first, the top bit set on all but the
/// last byte. Classes: {", ".join(f"{number} {names}" for number, names in enumerate(CLASSES))}, {OTHER} everything else.
/// Z includes the white-space controls.
extern const uint8_t kCharacterRuns[{len(data)}];

}}  // namespace tessera
"""
    )
    (FOLDER / "unicode_tables.cpp").write_text(
        f"""{first_line}
#include "core/text/unicode_tables.h"

namespace tessera {{

// clang-format off
const uint8_t kCharacterRuns[{len(data)}] = {{
{literal(data)}}};
// clang-format on

}}  // namespace tessera
"""
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
