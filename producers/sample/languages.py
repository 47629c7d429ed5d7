"""The languages of a sample: how common each is, its words, and how new words are spelled.

A language's alphabet of words is infinite: rank k is line k of its word list, and a word spelled from syllables
beyond it. Syllables are a run of consonants and a run of vowels, so a spelling can be read back in one way only, and
two ranks of a language do not share a spelling.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from itertools import product


@dataclass(frozen=True)
class Language:
    """One language. `share` is relative to the other languages that are not English.

    `kept_per_100_words`: how many of 100 words on a page count under the p21 rule (ASCII, no comma or full stop
    attached, no English stop word), as measured; 0 where the script is not Latin. It converts a desired document
    length into a number of words.
    """

    code: str
    share: int
    kept_per_100_words: int
    top_level_domains: tuple[str, ...]
    starts: tuple[str, ...]
    joints: tuple[str, ...]
    endings: tuple[str, ...]
    space: str = " "
    comma: str = ","
    stop: str = "."

    @property
    def latin(self) -> bool:
        """Whether the p21 rule can keep pages of this language."""
        return self.kept_per_100_words > 0

    def words(self) -> list[str]:
        """Its common words, most frequent first."""
        text = files("producers.sample").joinpath("words", f"{self.code}.txt").read_text("utf-8")
        return text.split()


def _split(syllables: str) -> tuple[str, ...]:
    return tuple(syllables.split())


def _syllables(consonants: str, vowels: str) -> tuple[str, ...]:
    return tuple(c + v for v, c in product(vowels.split(), consonants.split()))


LANGUAGES = (
    Language(
        "eng",
        0,
        49,
        ("com", "com", "com", "com", "org", "net", "co.uk", "edu", "com.au", "io", "ca", "info"),
        _syllables("b br c ch d f g gr h j k l m n p pr qu r s sh st t th tr v w", "a e i o u ea"),
        _syllables("b c ck d ff g l ll m n nd nt p r rd rm rt s ss t tch v", "a e i o u"),
        ("n", "r", "s", "tion", "ted", "ts", "ly", "l", "nd", "st"),
    ),
    Language(
        "deu",
        10,
        73,
        ("de", "de", "de", "at", "ch", "com"),
        _syllables("b br d f g gr h k kl l m n p r s sch st t tr v w z", "a e i o u ei au ü"),
        _syllables("b ch ck d f g l m n nd ng r rt s st t tz", "a e i o u ä ö"),
        ("n", "r", "s", "ng", "cht", "ls", "nd", "t"),
    ),
    Language(
        "spa",
        10,
        68,
        ("com", "es", "com.mx", "com.ar", "cl"),
        _syllables("b br c d f g gr h j l ll m n p pr qu r s t tr v", "a e i o u ie"),
        _syllables("b c d g j l m n nd nt ñ p r rr s st t z", "a e i o u á í"),
        ("", "n", "r", "s", "ción", "z", "l"),
    ),
    Language(
        "fra",
        9,
        72,
        ("fr", "fr", "com", "be", "ca"),
        _syllables("b br c ch d f g gr j l m n p pl pr r s t tr v", "a e i o u ou ai é"),
        _syllables("b c ch d g l ll m n nt p r s ss t v", "a e i o u é è"),
        ("", "n", "r", "s", "t", "ux", "ment", "z"),
    ),
    Language(
        "por",
        6,
        65,
        ("com.br", "com.br", "pt", "com"),
        _syllables("b br c d f g gr j l m n p pr qu r s t tr v", "a e i o u ei"),
        _syllables("b c ç d g l lh m n nd nh nt p r rr s ss t", "a e i o u á ã"),
        ("", "m", "r", "s", "ção", "z", "l"),
    ),
    Language(
        "rus",
        13,
        0,
        ("ru", "ru", "ru", "com", "ua"),
        _syllables("б бр в г гр д ж з к кр л м н п пр р с ст т тр х ч ш", "а е и о у я"),
        _syllables("б в г д ж к л м н нн р с ст т х ч щ", "а е и о у ы"),
        ("й", "м", "н", "т", "ть", "в", "х", "ция"),
    ),
    Language(
        "zho",
        13,
        0,
        ("cn", "com", "com.cn", "com.tw"),
        tuple(
            "新高长海金东西南北美明光华信安保福和平水火山石花草春夏秋冬红白黑青云风雨星月河江湖林木車机电器材料品质量标准"
        ),
        tuple(
            "人民市县区镇村路街店行场馆院校园台站线网点卡片书报刊文章节目录音像图画笔纸衣服装饰食物药茶酒油米面包车票"
        ),
        ("",),
        "",
        "，",
        "。",
    ),
    Language(
        "jpn",
        11,
        0,
        ("jp", "jp", "co.jp", "com"),
        tuple(
            "あいうえおかきくけこさしすせそたちつてとなにのはひふへほまみむめもやゆよらりれろアイカキクコサシスタテトナニハフマミラリレ"
        ),
        tuple(
            "かきくけこしすたちつてとなにのまみむめもらりるれろアイウエカキクコサシスタテトナニハフマミラリルレロンー"
        ),
        ("", "化", "的", "機", "性"),
        "",
        "、",
        "。",
    ),
    Language(
        "ara",
        4,
        0,
        ("com", "net", "sa", "eg", "ae"),
        _split("ب ت ج ح خ د ر س ش ص ط ع ف ق ك ل م ن ه و الب الت الج الح الد الر الس الش الم الن"),
        _split("با تا جا حي دي را سو شو صا عي فو قا كي لا مو ني هو وا ير يد يم"),
        ("ب", "ت", "د", "ر", "س", "ل", "م", "ن", "ة"),
        comma="،",
    ),
)
