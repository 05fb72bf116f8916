#!/usr/bin/env python3
"""Makes translations.json: BLEU and chrF of small corpora, by sacreBLEU.

    pip install sacrebleu==2.6.0
    python3 translations.py > translations.json

The corpora of the last cases are names from ../../assets/cldr, which the Rust
test reads itself, so only their scores are stored.
"""

import gzip
import json
import pathlib

from sacrebleu.metrics import BLEU, CHRF

TABLE = pathlib.Path(__file__).parents[2] / "assets/cldr/names.tsv.gz"

# Each: what it shows, and pairs of hypothesis and reference.
WRITTEN = [
    ("nothing at all", []),
    ("equal", [("the cat sat on the mat", "the cat sat on the mat")]),
    ("an empty hypothesis", [("", "the cat sat on the mat")]),
    ("an empty hypothesis among others", [("", "one two"), ("the cat sat on the mat", "the cat sat on the mat today")]),
    ("an empty reference", [("the cat", "")]),
    ("both empty", [("", "")]),
    ("one word", [("cat", "cat")]),
    ("one wrong word", [("cat", "dog")]),
    ("three words", [("the small cat", "the small cat")]),
    ("no match of four words", [("the cat sat there", "the cat sat here")]),
    ("smoothed at two orders", [("a b x c d", "a b y c d")]),
    ("smoothed at three orders", [("d c b a", "a b c d")]),
    ("repeated words", [("the the the the the the the", "the cat is on the mat")]),
    ("repeated runs", [("a b a b a b a b a b", "a b a b a b c d e f")]),
    ("too short", [("the cat sat on", "the cat sat on the mat until the evening")]),
    ("too long", [("the cat sat on the mat until the evening", "the cat sat on")]),
    ("case", [("The Cat Sat On The Mat", "the cat sat on the mat")]),
    ("signs", [("Hello, world! (really?) [yes] {no} a/b a\\b x=y <z>", "Hello , world ! ( really ? ) [ yes ] { no } a / b a \\ b x = y < z >")]),
    ("more signs", [("'tis a well-known rock'n'roll-song; 50% off: $5 @home #1 ^_^ ~`|", "'tis a well known rock 'n' roll song ; 50 % off : $ 5 @ home # 1 ^ _ ^ ~ ` |")]),
    ("quotes", [("\"a\" \u201cb\u201d \u00abc\u00bb \u201ed\u201c", "\" a \" \u201cb\u201d \u00ab c \u00bb \u201ed\u201c")]),
    ("entities", [("&quot;a&quot; &amp; b &lt;c&gt; &amp;lt; &apos; &#39;", "\"a\" & b <c> < ' '")]),
    ("markup", [("a <skipped> b <skipped>c", "a b c")]),
    ("numbers", [("1,234.56 and 7. or .5 or 3,x x,3 1.a a.1", "1,234.56 and 7 . or . 5 or 3 , x x , 3 1 . a a . 1")]),
    ("dots", [("wait... what.., ok.,. end.", "wait . . . what . . , ok . , . end .")]),
    ("stops side by side", [("a,.b .,. 1,.2 ,,3 3,, ...", "a , . b . , . 1 , . 2 , , 3 3 , , . . .")]),
    ("hyphens", [("1-2 a-1 1-a a-b --3 3-- 1--2 2-", "1 - 2 a-1 1 -a a-b --3 3 -- 1 - -2 2 -")]),
    ("digits of other scripts", [("\u0661,\u0662 \u0967.\u0968 \uff11,\uff12", "\u0661 , \u0662 \u0967 . \u0968 \uff11 , \uff12")]),
    ("accents", [("der Gärtner pflückt Äpfel für die Größe", "der Gärtner pflückt die Äpfel für Größe")]),
    ("accents in two ways", [("cafe\u0301 no\u0308", "caf\u00e9 n\u00f6")]),
    ("emoji", [("a \U0001f468\U0001f3fd\u200d\U0001f680 and \U0001f600\U0001f600", "a \U0001f468\U0001f3ff\u200d\U0001f680 and \U0001f600")]),
    ("flags", [("\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", "\U0001f1eb\U0001f1f7\U0001f1e9\U0001f1ea")]),
    ("Chinese", [("猫坐在垫子上，然后睡着了。", "猫在垫子上坐着，睡着了。")]),
    ("Japanese", [("猫がマットの上に座った。", "猫はマットの上に座っていた。")]),
    ("Arabic and Hindi", [("جلست القطة على السجادة، ثم نامت", "جلست القطة على الحصيرة ثم نامت"), ("बिल्ली चटाई पर बैठी।", "बिल्ली चटाई पर बैठ गई।")]),
    ("spaces", [("  a\tb\u00a0c\u2003d \u200be  ", "a b c d e")]),
    ("separators", [("a\x1cb\x1dc\x1ed\x1fe\x85f\u2028g", "a b c d e f g")]),
    ("line ends", [("a-\nb\nc d\r", "ab c d"), ("a b c d \n", "a b c d")]),
    ("shorter than a run of characters", [("abc", "abc"), ("abcdefgh", "abcdefgh")]),
    ("a reference shorter than a run of characters", [("abcdefgh", "abc"), ("xyz", "xyzabcdef")]),
    ("single characters", [("a", "a"), ("b", "c")]),
    ("control characters", [("a\x00b c\x07d", "a\x00b cd")]),
]

# Hypotheses and references: columns of the table, and the part that its rows are of.
NAMES = [("fr", "es", "validation"), ("en", "de", "test"), ("de", "de", "test"), ("es", "fr", "test")]


def names(column, part):
    with gzip.open(TABLE, "rt", encoding="utf-8") as table:
        header, *rows = (line.rstrip("\n").split("\t") for line in table)
    return [row[header.index(column)] for row in rows if row[0] == part]


def scores(hypotheses, references):
    bleu, chrf = BLEU(), CHRF()
    if not hypotheses:
        # sacreBLEU refuses an empty corpus; its sums over nothing are these.
        of_bleu, of_chrf = BLEU.compute_bleu([0] * 4, [0] * 4, 0, 0, "exp"), 0.0
    else:
        of_bleu, of_chrf = bleu.corpus_score(hypotheses, [references]), chrf.corpus_score(hypotheses, [references]).score
    return {
        "bleu": of_bleu.score,
        "precisions": list(of_bleu.precisions),
        "brevity_penalty": of_bleu.bp,
        "hypothesis_words": of_bleu.sys_len,
        "reference_words": of_bleu.ref_len,
        "chrf": of_chrf,
    }


def signatures():
    made = []
    for metric in (BLEU(), CHRF()):
        metric.corpus_score(["a"], [["a"]])
        made.append(metric.get_signature().format())
    return made


def main():
    written = [{"name": name, "pairs": pairs, "scores": scores(*map(list, zip(*pairs)) if pairs else ([], []))} for name, pairs in WRITTEN]
    of_names = [
        {"hypotheses": one, "references": other, "part": part, "scores": scores(names(one, part), names(other, part))}
        for one, other, part in NAMES
    ]
    bleu, chrf = signatures()
    print(json.dumps({"bleu": bleu, "chrf": chrf, "written": written, "names": of_names}, indent=1, ensure_ascii=True))


main()
