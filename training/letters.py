"""Glyphs of letters: what the image branch of imagebind-tiny sees. No digit of any script, and no letter that looks like one.

A glyph is kept as a distance map, not as a bitmap: the distance of each pixel to the outline of the filled letter (its print
form) or to its centre line (its pen form). `strokes` then draws it with any thickness after any deformation.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fontTools.ttLib import TTFont
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import distance_transform_edt

SIDE = 40  # pixels of a distance map; the glyph fills the middle SIDE - 2 * MARGIN
MARGIN = 8
DRAWN = 96  # pixels of the longer side at which a glyph is drawn first

_SAME_IN_BOTH_CASES = "ckpsuvwxz"
LATIN = "abcdefghijkmnpqrstuvwxyz" + "".join(c for c in "ABCDEFGHJKLMNPQRTUY" if c.lower() not in _SAME_IN_BOTH_CASES)
GREEK = "ΓΔΘΛΞΠΣΦΨΩαβγδεζηθλμξπτφχψω"
CYRILLIC = "БГДЖИЛФЦЧШЩЪЫЭЮЯ"
ARMENIAN = "ԱԲԳԴԵԶԷԸԹԺԻԽԾԿՁՂՃՄՇՈՊՋՌՎՏՐՑՓՖագեզէթժխծկձմշպջռվտցփքֆ"
GEORGIAN = "აგთმნრსტფქშჩწხჯ"
HEBREW = "אבגדהזחטכלמנעפצקרשת"
HIRAGANA = "あいうえおかきくけこさしせそたちてとなにぬねのはひふへほまみむめもやゆよりわを"
KATAKANA = "アイウエオカキクケコサシスセソタチテトナニヌネノハヒホマミムメモヤユヨラルレヲ"
THAI = "กขคจฉชซฌญฐฑณดตถทธนบปผฝพฟภมยลศษสหฬฮ"
SCRIPTS = (LATIN, GREEK, CYRILLIC, ARMENIAN, GEORGIAN, HEBREW, HIRAGANA, KATAKANA, THAI)

LOOK_LIKE_DIGITS = frozenset("oOlIοΟιΙоОіІЗзӠбՕօסוןろるらつフワロวอვბკპეძ")
"""Letters that look like a digit; `classes` drops them."""


MOST_FONTS = 60  # a letter
_FONT_PACKAGES = """
    fonts-dejavu-core fonts-dejavu-extra fonts-liberation fonts-freefont-ttf fonts-lato fonts-roboto-unhinted
    fonts-urw-base35 fonts-ebgaramond fonts-comfortaa fonts-quicksand fonts-cantarell fonts-dancingscript
    fonts-breip fonts-dkg-handwriting fonts-ecolier-court fonts-femkeklaver fonts-isabella fonts-humor-sans
    fonts-sjfonts fonts-kristi fonts-kaushanscript fonts-tomsontalks fonts-summersby fonts-rufscript
    fonts-comic-neue fonts-seto fonts-klee fonts-smc-chilanka fonts-tlwg-purisa-ttf fonts-sil-andika
    fonts-opendyslexic fonts-averia-sans-gwf fonts-lobstertwo fonts-leckerli-one fonts-yusei-magic fonts-kiloji
    fonts-takao-gothic fonts-takao-mincho fonts-mplus fonts-gfs-didot fonts-gfs-neohellenic fonts-gfs-artemisia
    fonts-noto-core fonts-open-sans fonts-cardo fonts-junicode fonts-jura fonts-play fonts-karla fonts-oldstandard
    fonts-paratype fonts-vollkorn fonts-courier-prime fonts-inconsolata fonts-cmu fonts-motoya-l-maruberi
    fonts-yozvox-yozfont fonts-gfs-solomos fonts-gfs-porson fonts-gfs-gazis fonts-bpg-georgian fonts-sil-ezra"""
FONT_PACKAGES = tuple(_FONT_PACKAGES.split())
"""Debian packages (main, free licences) that the letters are drawn from; `apt-get install` them all."""


@dataclass(frozen=True)
class GlyphClass:
    """One letter as a class; `name` is its description in text, `letter` the Latin letter that it is, or ""."""

    character: str
    name: str
    letter: str


@dataclass(frozen=True)
class Glyphs:
    """Distance maps of all letters in all fonts.

    Attributes:
        maps: (glyphs, SIDE, SIDE) float16, pixels of the map; negative inside a print form, 0 on the line of a pen form.
        label: (glyphs,) index into `classes`.
        pen: (glyphs,) bool, True where the map is of the centre line.
        classes: the classes.
        fonts: files that were used, by name.
    """

    maps: NDArray[np.float16]
    label: NDArray[np.int64]
    pen: NDArray[np.bool_]
    classes: tuple[GlyphClass, ...]
    fonts: tuple[str, ...]


def classes() -> tuple[GlyphClass, ...]:
    """All letters; raises ValueError if one is a digit."""
    found = []
    for character in dict.fromkeys("".join(SCRIPTS)):
        if character in LOOK_LIKE_DIGITS:
            continue
        if unicodedata.category(character)[0] != "L":
            raise ValueError(f"{character!r} is not a letter but {unicodedata.category(character)}")
        found.append(GlyphClass(character, *_describe(character)))
    return tuple(found)


def _describe(character: str) -> tuple[str, str]:
    name = unicodedata.name(character).lower()
    letter = character.lower() if character.isascii() else ""
    if letter:
        size = "" if letter in _SAME_IN_BOTH_CASES else "small " if character.islower() else "capital "
        return f"{size}letter {letter}", letter
    return name.replace("character", "letter"), ""


def draw_all(folders: list[Path], most_fonts: int, seed: int) -> Glyphs:
    """Draws every letter in every font that has it (at most `most_fonts` fonts a letter, chosen by the seed)."""
    letters = classes()
    fonts = [font for folder in folders for font in sorted(folder.rglob("*.[ot]tf")) if _is_wanted(font)]
    have = {font: _characters(font) for font in fonts}
    rng = np.random.default_rng(seed)
    bitmaps: list[NDArray[np.bool_]] = []
    label: list[int] = []
    used: set[str] = set()
    for index, letter in enumerate(letters):
        able = [font for font in fonts if letter.character in have[font]]
        seen: set[str] = set()
        for font in (able[i] for i in rng.permutation(len(able))[: 2 * most_fonts]):
            bitmap = _draw(font, letter.character)
            digest = "" if bitmap is None else hashlib.sha256(bitmap.tobytes()).hexdigest()
            if bitmap is None or digest in seen or len(seen) == most_fonts:
                continue
            seen.add(digest)
            used.add(font.name)
            bitmaps.append(bitmap)
            label.append(index)
    solid = np.stack(bitmaps)
    outline = np.stack([_outline_distance(bitmap) for bitmap in solid])
    centre = np.stack([distance_transform_edt(~line) for line in thin(solid)])
    maps = np.concatenate([outline, centre]).astype(np.float16)
    pen = np.repeat([False, True], len(solid))
    return Glyphs(maps, np.tile(label, 2), pen, letters, tuple(sorted(used)))


def _is_wanted(font: Path) -> bool:
    name = font.name.lower()
    return not any(part in name for part in ("symbol", "math", "dingbat", "emoji", "d050000l", "standardsymbols", "outline"))


def _characters(font: Path) -> set[str]:
    with TTFont(font, fontNumber=0, lazy=True) as file:
        return {chr(code) for code in file.getBestCmap() or {}}


def _draw(font: Path, character: str) -> NDArray[np.bool_] | None:
    """The glyph, filled, in the middle of a (SIDE, SIDE) field; None where the font draws next to nothing."""
    drawn = ImageFont.truetype(font, DRAWN)
    left, top, right, bottom = drawn.getbbox(character)
    width, height = int(right - left), int(bottom - top)
    if min(width, height) < 6 or max(width, height) > 4 * DRAWN:
        return None
    image = Image.new("L", (width + 2, height + 2))
    ImageDraw.Draw(image).text((1 - left, 1 - top), character, fill=255, font=drawn)
    box = image.getbbox()
    if box is None:
        return None
    image = image.crop(box)
    scale = (SIDE - 2 * MARGIN) / max(image.size)
    size = [max(2, round(length * scale)) for length in image.size]
    field = Image.new("L", (SIDE, SIDE))
    field.paste(image.resize((size[0], size[1]), Image.Resampling.LANCZOS), ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    bitmap = np.asarray(field) > 100
    return bitmap if bitmap.sum() > 12 else None


def _outline_distance(bitmap: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Negative inside; the step of three pixels at the outline leaves a print form its own weight, give or take a little."""
    inside, outside = np.asarray(distance_transform_edt(bitmap)), np.asarray(distance_transform_edt(~bitmap))
    return np.where(bitmap, -inside - 0.5, outside + 0.5)


def thin(bitmaps: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Centre lines, one pixel wide: the parallel thinning of Zhang and Suen (1984); (n, side, side) to the same."""
    lines = bitmaps.copy()
    lines[:, [0, -1], :] = lines[:, :, [0, -1]] = False
    for _ in range(SIDE):
        changed = False
        for step in (0, 1):
            around = [  # clockwise from the pixel above
                np.roll(lines, shift, (1, 2)) for shift in
                ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))
            ]  # fmt: skip
            count = sum(pixel.astype(np.int8) for pixel in around)
            turns = sum((~a & b).astype(np.int8) for a, b in zip(around, around[1:] + around[:1], strict=True))
            up, right, down, left = around[0::2]
            kept = (up & right & down) | (right & down & left) if step == 0 else (up & right & left) | (up & down & left)
            remove = lines & (count >= 2) & (count <= 6) & (turns == 1) & ~kept
            lines[remove] = False
            changed = changed or bool(remove.any())
        if not changed:
            break
    return lines
