"""The functions of the C of a net: taken out of the library's own headers, with all that they need."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent
_CORE = _HERE.parent / "_core"  # where an installed package has the headers of src/math
_SOURCES = ("elementary.h", "circular.h", "waves.h", "prediction.h")
_LEFT_OUT = {"far_angles", "circular_of", "map_angles", "CIRCULAR_BLOCK", "UNROLLED"}  # of arrays and their compilers
# Numbers that have to be rounded to integers when they are assigned, also where registers are wider than they are
_ROUNDED = re.compile(r"real shifted = ([^;]*?\)), n = ")
_IN_CPP = {"{x < LOG_HIGHEST_F ? 0 : LOG_K_OF_TWO,": "{(real)(x < LOG_HIGHEST_F ? 0 : LOG_K_OF_TWO),"}  # no narrowing
_WORD = re.compile(r"\b[A-Za-z_]\w*\b(\s*\()?")
_NAME = (
    re.compile(r"#define (\w+)"),
    re.compile(r"static const \w+ (\w+)\["),
    re.compile(r"typedef struct \{[^}]*\} (\w+);"),
    re.compile(r"typedef \w+ (real_word);"),
    re.compile(r"(?:ALWAYS_INLINE|static) [\w ]*?\*?(\w+)\("),
)


class Item:
    """A function, a table, a type or a macro, at the top of a header.

    Attributes
    ----------
    name, text : str
    comment : str
        What stands before it, or before those that it stands together with.
    is_function : bool
        Its name is one only before a parenthesis: variables may be called so, too.
    """

    def __init__(self, name: str, text: str, comment: str) -> None:
        self.name, self.text, self.comment = name, text, comment
        self.is_function = not text.startswith(("#define", "typedef")) and "[] = {" not in text
        self.is_table = "[] = {" in text


def _text(name: str) -> str:
    for folder in (_HERE, _CORE, _HERE.parents[1] / "src" / "math"):
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8")
    raise FileNotFoundError(f"{name}, of which the C of a net is made, is missing here: install this package anew")


def _chosen(text: str, double: bool) -> str:
    """Return a header as the preprocessor leaves it for one dtype; conditions about compilers are left out."""
    lines: list[str] = []
    open_conditions: list[bool | None] = []
    for line in text.splitlines():
        if line.startswith("#if"):
            open_conditions.append(double if line == "#if FASTNN_DOUBLE" else None)
        elif line.startswith("#else"):
            state = open_conditions[-1]
            open_conditions[-1] = None if state is None else not state
        elif line.startswith("#endif"):
            open_conditions.pop()
        elif line.startswith("#include") or line.strip() in ("UNROLLED", "INDEPENDENT"):
            continue
        elif all(state is not False for state in open_conditions) and None not in open_conditions[1:]:
            lines.append(line)
    return "\n".join(lines)


@cache
def _items(double: bool) -> dict[str, Item]:
    """Return what the headers hold for one dtype, by name, in their order."""
    found: dict[str, Item] = {}
    for source in _SOURCES:
        text = _chosen(_text(source), double)
        comment, at = "", 0
        while at < len(text):
            if text.startswith("/*", at):
                behind = text.index("*/", at) + 2
                comment = "" if text.startswith("/* ----", at) else text[at:behind]
                at = behind + 1
                continue
            if text[at] == "\n":
                comment, at = "", at + 1
                continue
            behind = _end_of(text, at)
            own = text[at:behind].rstrip()
            names = [match[1] for pattern in _NAME if (match := pattern.match(own))]
            if names and names[0] not in _LEFT_OUT:
                found[names[0]] = Item(names[0], own, comment)
            at = behind + 1
    return found


def _end_of(text: str, at: int) -> int:
    """Return where what begins there at the top of a header ends."""
    depth = 0
    if text.startswith("#", at):
        return text.find("\n", at) if "\n" in text[at:] else len(text)
    for place in range(at, len(text)):
        character = text[place]
        if character in "{(":
            depth += 1
        elif character in "})":
            depth -= 1
            if not depth and character == "}" and text[place + 1 : place + 2] in ("\n", ""):
                return place + 1
        elif character == ";" and not depth:
            end = text.find("\n", place)  # with a comment behind it
            return len(text) if end < 0 else end
    raise AssertionError(f"no end: {text[at : at + 60]}")


def _needs(item: Item, items: dict[str, Item]) -> set[str]:
    found = set()
    for match in _WORD.finditer(re.sub(r"/\*.*?\*/", "", item.text, flags=re.DOTALL)):
        name = match[0].rstrip("( ")
        other = items.get(name)
        if other is not None and name != item.name and (match[1] or not other.is_function):
            found.add(name)
    return found


def new_name(name: str, prefix: str) -> str:
    """Return what something of the headers is called in the C of a net."""
    if name.isupper():
        return f"{prefix.upper()}_{name}"
    return f"{prefix}_{name.removeprefix('real_')}"


def functions(wanted: Iterable[str], double: bool, prefix: str) -> tuple[str, int]:
    """Return the C of some functions and of all that they need, and how many bytes their tables take.

    Parameters
    ----------
    wanted : iterable of str
        Their names in the headers.
    double : bool
        Whether the numbers are double, else float.
    prefix : str
        What each name begins with.
    """
    items = _items(double)
    chosen, waiting = set(), [*wanted]
    while waiting:
        name = waiting.pop()
        if name not in chosen:
            chosen.add(name)
            waiting += _needs(items[name], items)
    parts: list[str] = []
    before: Item | None = None
    nbytes = 0
    for name, item in items.items():
        if name not in chosen or name == "real_word":
            continue
        is_one_with = before is not None and item.comment and before.comment == item.comment
        is_macro = item.text.startswith("#define") and before is not None and before.text.startswith("#define")
        if parts and not (is_one_with or (is_macro and not item.comment)):
            parts.append("")
        if item.comment and not is_one_with:
            parts.append(_renamed(item.comment, items, double, prefix))
        parts.append(_renamed(item.text, items, double, prefix))
        nbytes += _bytes_of(item, double)
        before = item
    return "\n".join(parts), nbytes


def _bytes_of(item: Item, double: bool) -> int:
    if not item.is_table:
        return 0
    numbers = item.text.partition("{")[2].rstrip("};\n ,").count(",") + 1
    return numbers * (8 if double or "uint64_t" in item.text else 4)


def _renamed(text: str, items: dict[str, Item], double: bool, prefix: str) -> str:
    def name(match: re.Match[str]) -> str:
        own, behind = match[0].rstrip("( "), match[1] or ""
        if own == "real":
            return ("double" if double else "float") + behind
        if own == "real_word":
            return ("uint64_t" if double else "uint32_t") + behind
        if own == "ALWAYS_INLINE":
            return "static inline"
        if own == "real_fma":
            return f"{prefix.upper()}_MULTIPLY_ADD{behind}"
        item = items.get(own)
        if item is None or (item.is_function and not behind):
            return match[0]
        return new_name(own, prefix) + behind

    text = _ROUNDED.sub(rf"{prefix.upper()}_ROUNDED shifted = \1;\n    real n = ", text)
    for written, needed in _IN_CPP.items():
        text = text.replace(written, needed)
    text = re.sub(r"REAL\(([^()]*)\)", r"\1" if double else r"\1f", text)
    return _WORD.sub(name, text)
