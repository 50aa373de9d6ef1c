"""What objdump shows of an object: its functions, their instructions, calls and loops."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

FUNCTION = re.compile(r"[0-9a-f]+ <(?P<symbol>[^>]+)>:")
INSTRUCTION = re.compile(
    r"\s+(?P<address>[0-9a-f]+):\t(?:(?:bnd|notrack|data16|cs|ds|rep|repz|repnz|lock) )*(?P<mnemonic>\S+)"
    r"(?: +(?P<operands>[^\t#]*)[^\t]*)?(?:\t.*: R_\S+\t(?P<relocation>\S+))?"
)
TARGET = re.compile(r"(?P<address>[0-9a-f]+) <(?P<symbol>[^>]+?)(?:\+0x[0-9a-f]+)?>")
# What GCC appends to the names of copies and parts of a function.
CLONE = re.compile(r"(?:\.(?:isra|constprop|part|cold|lto_priv)(?:\.\d+)?)+$")
# Cython's name for a function of a module: fastnn._core.losses, mse_body -> __pyx_f_6fastnn_5_core_6losses_mse_body
MANGLED = re.compile(r"__pyx_f_(?=\d)")

# The last two letters say how many numbers (packed, or a single one, which is called scalar) of which size.
ARITHMETIC = re.compile(
    r"v?(?:add|sub|mul|div|sqrt|rsqrt\d*|rcp\d*|min|max|round|rndscale|dp|addsub|hadd|hsub|cmp\w*?|u?comi"
    r"|fn?m(?:add|sub|addsub|subadd)\d+)(?P<count>[ps])(?P<size>[sd])"
)
# From or to double; the suffixes tell registers from memory.
CONVERSION = re.compile(
    r"v?cvtt?(?:(?P<scalar>ss2sd|sd2u?s[is]|u?si2sd)|ps2pd|pd2ps|u?[dq]q2pd|pd2u?[dq]q)(?:[lqxyz])?"
)
# What sums float32 numbers in double takes, and no more
SUMMING = re.compile(r"v?(?:cvtps2pd[xyz]?|addpd)")
# To memory, which is the last operand: of AVX2, and of AVX-512
MASKED_STORE = re.compile(r"^vp?maskmov.*\)$|\)\{%k\d\}$")


def plain(symbol: str) -> str:
    """Return the name of a function as it stands in its source."""
    name = CLONE.sub("", symbol)
    match = MANGLED.match(name)
    if match is None:
        return name
    name = name[match.end() :]
    while match := re.match(r"\d+", name):  # the package and the module, each behind its length
        name = name[match.end() + int(match[0]) + 1 :]
    return name


@dataclass(frozen=True)
class Instruction:
    address: int
    mnemonic: str
    operands: str
    symbol: (
        str  # the plain name of the function that it calls or jumps to, "" where there is none, or none that is known
    )
    target: int  # the address that it jumps to, or -1

    @property
    def double(self) -> str:
        """What this does in double, or an empty text: "scalar arithmetic", "packed conversion", and so on."""
        if SUMMING.fullmatch(self.mnemonic):
            return "packed sum"
        if (match := ARITHMETIC.fullmatch(self.mnemonic)) and match["size"] == "d":
            return f"{'packed' if match['count'] == 'p' else 'scalar'} arithmetic"
        if match := CONVERSION.fullmatch(self.mnemonic):
            return f"{'scalar' if match['scalar'] else 'packed'} conversion"
        return ""

    @property
    def stores_under_mask(self) -> bool:
        return MASKED_STORE.search(f"{self.mnemonic} {self.operands}") is not None

    def arithmetic(self, dtype: str) -> str:
        """The registers of arithmetic in that dtype: "xmm", "ymm", "zmm", or "scalar"; an empty text for all else."""
        match = ARITHMETIC.fullmatch(self.mnemonic)
        if match is None or match["size"] != {"float32": "s", "float64": "d"}[dtype]:
            return ""
        return "scalar" if match["count"] == "s" else max(re.findall(r"%([xyz]mm)", self.operands))

    def __str__(self) -> str:
        return f"{self.mnemonic} {self.operands}".strip() + f" at {self.address:x}"


@dataclass
class Function:
    """A function of an object, or one of the copies and parts that GCC has made of it."""

    name: str
    instructions: list[Instruction] = field(default_factory=list)

    @property
    def calls(self) -> list[Instruction]:
        """What leads to another function: calls, and jumps that take the place of a last call."""
        inside = {i.address for i in self.instructions}
        jumps = [i for i in self.instructions if i.mnemonic.startswith("j") and i.symbol != self.name]
        return [i for i in self.instructions if i.mnemonic.startswith("call")] + [
            i for i in jumps if i.target not in inside
        ]

    @cached_property
    def innermost_loops(self) -> list[list[Instruction]]:
        """The loops that contain no other."""
        place = {i.address: n for n, i in enumerate(self.instructions)}
        successors: list[list[int]] = []
        for n, i in enumerate(self.instructions):
            ends = i.mnemonic in ("jmp", "ret", "ud2") or n + 1 == len(self.instructions)
            successors.append([] if ends else [n + 1])
            if i.mnemonic.startswith("j") and i.target in place:
                successors[-1].append(place[i.target])
        loops = innermost(successors, set(range(len(successors))))
        return [[self.instructions[n] for n in sorted(loop)] for loop in loops]


def innermost(successors: list[list[int]], nodes: set[int]) -> Iterator[set[int]]:
    """Give the innermost loops among these nodes of a graph: what stays connected in a circle, but for its head."""
    for circle in circles(successors, nodes):
        entries = [n for m in nodes - circle for n in successors[m] if n in circle]
        inner = list(innermost(successors, circle - {min(entries, default=min(circle))}))
        yield from inner or [circle]


def circles(successors: list[list[int]], nodes: set[int]) -> list[set[int]]:
    """Return the strongly connected components with an edge (R. Tarjan, SIAM J. Comput. 1, 1972)."""
    found: list[set[int]] = []
    number: dict[int, int] = {}
    lowest: dict[int, int] = {}
    path: list[int] = []
    on_path: set[int] = set()
    for root in nodes - number.keys():
        work = [(root, iter(successors[root]))] if root not in number else []
        while work:
            node, others = work[-1]
            if node not in number:
                number[node] = lowest[node] = len(number)
                path.append(node)
                on_path.add(node)
            for other in others:
                if other not in nodes:
                    continue
                if other not in number:
                    work.append((other, iter(successors[other])))
                    break
                if other in on_path:
                    lowest[node] = min(lowest[node], number[other])
            else:
                work.pop()
                if work:
                    lowest[work[-1][0]] = min(lowest[work[-1][0]], lowest[node])
                if lowest[node] == number[node]:
                    component = set(path[path.index(node) :])
                    del path[path.index(node) :]
                    on_path -= component
                    if len(component) > 1 or node in successors[node]:
                        found.append(component)
    return found


def parse(text: str) -> dict[str, list[Function]]:
    """Return the functions in what objdump writes, with all copies and parts of one under its plain name."""
    functions: dict[str, list[Function]] = {}
    instructions: list[Instruction] = []
    for line in text.splitlines():
        if match := FUNCTION.fullmatch(line):
            function = Function(plain(match["symbol"]))
            functions.setdefault(function.name, []).append(function)
            instructions = function.instructions
        elif match := INSTRUCTION.fullmatch(line):
            mnemonic, operands, symbol, target = match["mnemonic"], match["operands"] or "", "", -1
            if mnemonic.startswith(("j", "call")):
                if match["relocation"]:  # the linker's; a section stands for a part of the function itself
                    name = re.split(r"[-+@]", match["relocation"])[0]
                    symbol = function.name if name.startswith(".text") else plain(name)
                elif there := TARGET.match(operands):
                    symbol, target = plain(there["symbol"]), int(there["address"], 16)
            instructions.append(Instruction(int(match["address"], 16), mnemonic, operands.strip(), symbol, target))
    return functions


def disassemble(path: Path) -> dict[str, list[Function]]:
    command = ["objdump", "--disassemble", "--reloc", "--wide", "--no-show-raw-insn", str(path)]
    return parse(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
