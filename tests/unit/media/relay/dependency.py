"""Dependency descriptors as an encoder writes them. Source: RTP Payload Format For AV1, A."""

from dataclasses import dataclass, field
from typing import Final

NOT_PRESENT, DISCARDABLE, SWITCH, REQUIRED = range(4)
_LETTERS: Final = {"-": NOT_PRESENT, "D": DISCARDABLE, "S": SWITCH, "R": REQUIRED}


@dataclass(frozen=True)
class Template:
    """targets: what the frame is to each decode target, as letters; references: frame distances."""

    spatial: int
    temporal: int
    targets: str
    references: tuple[int, ...] = ()


@dataclass(frozen=True)
class Structure:
    """Templates by layer, lowest first; every chain is target 0's."""

    templates: tuple[Template, ...]
    first: int = 0
    chains: int = 0
    sizes: tuple[tuple[int, int], ...] = ()

    def id_of(self, spatial: int, temporal: int, *, key: bool = False) -> int:
        """The first template of this layer that does, or does not, refer to earlier frames."""
        for index, template in enumerate(self.templates):
            layer = (template.spatial, template.temporal)
            if layer == (spatial, temporal) and (not template.references) == key:
                return (self.first + index) % 64
        raise LookupError((spatial, temporal, key))


@dataclass
class Bits:
    text: str = ""

    def put(self, value: int, count: int) -> None:
        self.text += f"{value:0{count}b}" if count else ""

    def put_below(self, value: int, count: int) -> None:
        """ns(n), A.8.2."""
        width = count.bit_length()
        spare = (1 << width) - count
        if value < spare:
            self.put(value, width - 1)
        else:
            self.put(value + spare >> 1, width - 1)
            self.put(value + spare & 1, 1)

    def bytes(self) -> bytes:
        padded = self.text + "0" * (-len(self.text) % 8)
        return bytes(int(padded[at : at + 8], 2) for at in range(0, len(padded), 8))


@dataclass
class Descriptor:
    """One packet's. active: a mask over the decode targets."""

    template: int
    first: bool = True
    last: bool = True
    number: int = 0
    structure: Structure | None = None
    active: int | None = None
    targets: str | None = None
    references: tuple[int, ...] | None = None
    chains: tuple[int, ...] | None = None
    # How many decode targets and chains the stream has, where `structure` does not say.
    target_count: int = field(default=0)

    def pack(self) -> bytes:
        bits = Bits()
        bits.put(self.first, 1)
        bits.put(self.last, 1)
        bits.put(self.template, 6)
        bits.put(self.number & 0xFFFF, 16)
        parts = (self.structure, self.active, self.targets, self.references, self.chains)
        if all(part is None for part in parts):
            return bits.bytes()
        for part in parts:
            bits.put(part is not None, 1)
        if self.structure is not None:
            _put_structure(bits, self.structure)
        if self.active is not None:
            count = self.target_count
            if self.structure is not None:
                count = len(self.structure.templates[0].targets)
            bits.put(self.active, count)
        for letter in self.targets or "":
            bits.put(_LETTERS[letter], 2)
        if self.references is not None:
            for distance in self.references:
                bits.put(2, 2)
                bits.put(distance - 1, 8)
            bits.put(0, 2)
        for distance in self.chains or ():
            bits.put(distance, 8)
        return bits.bytes()


def _put_structure(bits: Bits, structure: Structure) -> None:
    target_count = len(structure.templates[0].targets)
    bits.put(structure.first, 6)
    bits.put(target_count - 1, 5)
    for here, after in zip(structure.templates, (*structure.templates[1:], None), strict=True):
        if after is None:
            bits.put(3, 2)
        elif after.spatial > here.spatial:
            bits.put(2, 2)
        else:
            bits.put(after.temporal - here.temporal, 2)
    for template in structure.templates:
        for letter in template.targets:
            bits.put(_LETTERS[letter], 2)
    for template in structure.templates:
        for distance in template.references:
            bits.put(1, 1)
            bits.put(distance - 1, 4)
        bits.put(0, 1)
    bits.put_below(structure.chains, target_count + 1)
    if structure.chains:
        for _ in range(target_count):
            bits.put_below(0, structure.chains)
        for _ in range(structure.chains * len(structure.templates)):
            bits.put(0, 4)
    bits.put(bool(structure.sizes), 1)
    for width, height in structure.sizes:
        bits.put(width - 1, 16)
        bits.put(height - 1, 16)


# As libwebrtc's scalability structures (modules/video_coding/svc).
L1T1: Final = Structure((Template(0, 0, "S"), Template(0, 0, "S", (1,))), chains=1)
L1T3: Final = Structure(
    (
        Template(0, 0, "SSS"),
        Template(0, 0, "SSS", (4,)),
        Template(0, 1, "-DS", (2,)),
        Template(0, 2, "--D", (1,)),
        Template(0, 2, "--D", (3,)),
    ),
    chains=1,
)
L3T1_KEY: Final = Structure(
    (
        Template(0, 0, "SSS"),
        Template(0, 0, "S--", (3,)),
        Template(1, 0, "-SS", (1,)),
        Template(1, 0, "-S-", (3,)),
        Template(2, 0, "--S", (1,)),
        Template(2, 0, "--S", (3,)),
    ),
    chains=3,
    sizes=((320, 180), (640, 360), (1280, 720)),
)
