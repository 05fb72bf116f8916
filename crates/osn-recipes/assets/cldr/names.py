"""What the Unicode CLDR names in four languages, and the names that it composes of them by its own patterns."""

import collections
import datetime
import hashlib
import json
import re
import tarfile

VERSION = "45.0.0"
LANGUAGES = ["en", "de", "fr", "es"]
# How many lists there are of names of a kind.
LISTS = {"emoji": 2100, "territory": 400, "language": 400, "time": 150, "calendar": 80, "type": 80, "city": 60}
# How many locales are drawn beside those that the CLDR has data for: it names any language of any territory.
LOCALES = 900
# In so many texts a unit comes with a number, and a unit with another behind "per".
AMOUNTS, RATES = 5, 400
# How many dates there are, and of how many numbers each relative time is.
DATES, TIMES = 450, 9
NUMBERS = [*range(2, 13), 15, 20, 24, 25, 30, 40, 45, 48, 50, 60, 75, 80, 90, 100, 120, 150, 200, 250, 300, 500]
# What comes per time, and what per something else too; not the sizes of stars.
PER_TIME, PER_ANYTHING = ("digital", "energy", "length", "mass", "volume"), ("energy", "mass", "volume")
FAR = ("astronomical", "dalton", "earth", "light-year", "parsec", "solar")
WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def read(folder, package, path):
    """A file of a package, `LANGUAGE` in its path replaced; one object for each language."""
    with tarfile.open(folder / f"cldr-{package}-modern-{VERSION}.tgz") as archive:
        for language in LANGUAGES:
            file = archive.extractfile("package/" + path.replace("LANGUAGE", language))
            yield language, json.load(file)


def inside(folder, package, path, *keys):
    """As `read`, what is under keys of the tree of each language."""
    for language, tree in read(folder, package, f"main/LANGUAGE/{path}"):
        tree = tree["main"][language]
        for key in keys:
            tree = tree[key]
        yield language, tree


def annotations(folder):
    """What emoji and signs are read out as, by their characters."""
    for package, name in [("annotations", "annotations"), ("annotations-derived", "annotationsDerived")]:
        for language, tree in read(folder, package, f"{name}/LANGUAGE/annotations.json"):
            for sign, texts in tree[name]["annotations"].items():
                yield f"emoji {sign}", language, texts["tts"][0]


def display_names(folder, kind, singular):
    for language, names in inside(folder, "localenames", f"{kind}.json", "localeDisplayNames", kind):
        for code, text in names.items():
            yield f"{singular} {code}", language, text


def types(folder):
    """Calendars, digits, orders and the like that a locale may ask for."""
    keys = ("localeDisplayNames", "types")
    for language, names in inside(folder, "localenames", "localeDisplayNames.json", *keys):
        for key, texts in names.items():
            yield from ((f"type {key}-{code}", language, text) for code, text in texts.items())


def time_zones(folder):
    for language, names in inside(folder, "dates", "timeZoneNames.json", "dates", "timeZoneNames"):
        for zone, forms in names["metazone"].items():
            for form, text in forms.get("long", {}).items():
                yield f"time {zone} {form}", language, text
        yield from ((f"city {zone}", language, text) for zone, text in cities(names["zone"], ""))


def cities(tree, path):
    for name, below in tree.items():
        if name == "exemplarCity":
            yield path[1:], below
        elif isinstance(below, dict) and name not in ("long", "short"):
            yield from cities(below, f"{path}/{name}")


def units(folder):
    """Units as they are listed, one of them, and "per" one of them."""
    for language, tree in inside(folder, "units", "units.json", "units", "long"):
        for unit, forms in tree.items():
            for form in ("displayName", "unitPattern-count-one", "perUnitPattern"):
                text = forms.get(form, "").replace("{0}", "").strip()
                if text and "-" in unit:
                    yield f"unit {unit} {form}", language, text


def calendar(folder):
    """Months, days and parts of the day, and what is said of the last, this and the next."""
    for language, names in gregorian(folder):
        for kind in ("months", "days", "quarters", "dayPeriods"):
            for code, text in names[kind]["stand-alone"]["wide"].items():
                yield f"calendar {kind}-{code}", language, text
    for language, fields in inside(folder, "dates", "dateFields.json", "dates", "fields"):
        for field, forms in fields.items():
            for form, text in forms.items():
                if isinstance(text, str) and "{0}" not in text and "-" not in field:
                    yield f"calendar {field}-{form}", language, text


def gregorian(folder):
    return inside(folder, "dates", "ca-gregorian.json", "dates", "calendars", "gregorian")


def names(folder):
    """Names by what is named and by language."""
    return gathered([
        annotations(folder),
        display_names(folder, "languages", "language"),
        display_names(folder, "scripts", "script"),
        display_names(folder, "territories", "territory"),
        display_names(folder, "variants", "variant"),
        types(folder),
        time_zones(folder),
        units(folder),
        calendar(folder),
    ])


def composed(folder):
    """Names that are composed by patterns, by what is named and by language."""
    return gathered([locales(folder), amounts(folder), rates(folder), relative(folder), dates(folder)])


def gathered(sources):
    found = collections.defaultdict(dict)
    for source in sources:
        for key, language, text in source:
            found[key][language] = " ".join(text.split())
    return found


def draw(key):
    """A number that is drawn by a key, the same one each time."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


def first_drawn(keys, count):
    return sorted(keys, key=draw)[:count]


def members(sets, name):
    """One of each set, drawn by a name."""
    return [one_of[draw(f"{name} {place}") % len(one_of)] for place, one_of in enumerate(sets)]


def locales(folder):
    """Languages of scripts and territories: those that the CLDR has data for, and some that are drawn."""
    kinds = ["languages", "scripts", "territories"]
    trees = [dict(inside(folder, "localenames", f"{kind}.json", "localeDisplayNames", kind)) for kind in kinds]
    codes = sorted({*locales_with_data(folder), *drawn_locales(trees[0]["en"], trees[2]["en"])})
    patterns = inside(folder, "localenames", "localeDisplayNames.json", "localeDisplayNames", "localeDisplayPattern")
    for language, pattern in patterns:
        for code in codes:
            found = re.fullmatch("([a-z]+)(?:-([A-Z][a-z]+))?(?:-([A-Z]{2}|[0-9]{3}))?", code)
            parts = [tree[language].get(part) for tree, part in zip(trees, found.groups())] if found else []
            if len(parts) == 3 and parts[0] and any(parts[1:]):
                behind = [part.replace("(", "[").replace(")", "]") for part in parts[1:] if part]
                behind = behind[0] if len(behind) == 1 else filled(pattern["localeSeparator"], *behind)
                yield f"locale {code}", language, filled(pattern["localePattern"], parts[0], behind)


def locales_with_data(folder):
    with tarfile.open(folder / f"cldr-localenames-modern-{VERSION}.tgz") as archive:
        return {name.split("/")[2] for name in archive.getnames() if name.startswith("package/main/")}


def drawn_locales(languages, territories):
    """Pairs with codes of letters, each code about as often as the others."""
    languages = [code for code in languages if code.isalpha()]
    territories = [code for code in territories if code.isalpha()]
    for number in range(LOCALES):
        language, territory = members([languages, territories], f"locale {number}")
        yield f"{language}-{territory}"


def filled(pattern, *parts):
    for place, part in enumerate(parts):
        pattern = pattern.replace(f"{{{place}}}", str(part))
    return pattern


def of_number(forms, prefix, number):
    """The pattern for a number; above 1 all four languages have one form for numbers like these."""
    other = forms[f"{prefix}-count-other"]
    return filled(forms.get(f"{prefix}-count-one", other) if number == 1 else other, number)


def amounts(folder):
    for language, tree in inside(folder, "units", "units.json", "units", "long"):
        for unit, forms in tree.items():
            if "unitPattern-count-other" in forms:
                drawn = first_drawn([f"amount {unit} {number}" for number in NUMBERS], AMOUNTS - 1)
                for key in [f"amount {unit} 1", *drawn]:
                    yield key, language, of_number(forms, "unitPattern", int(key.split()[-1]))


def rates(folder):
    for language, tree in inside(folder, "units", "units.json", "units", "long"):
        per = [unit for unit, forms in tree.items() if "perUnitPattern" in forms]
        pairs = [f"rate {unit} {other}" for unit in tree for other in per if is_rate(unit, other)]
        for pair in first_drawn(pairs, RATES):
            _, unit, other = pair.split()
            number = NUMBERS[draw(pair + " number") % len(NUMBERS)]
            amount = of_number(tree[unit], "unitPattern", number)
            yield f"{pair} {number}", language, filled(tree[other]["perUnitPattern"], amount)


def is_rate(unit, other):
    """Whether a unit comes per another."""
    kinds = unit.split("-")[0], other.split("-")[0]
    is_meant = kinds[0] in (PER_TIME if kinds[1] == "duration" else PER_ANYTHING)
    # English has a code there: "10 grams/q".
    is_word = other != "duration-quarter" and "-per-" not in unit and not any(far in unit for far in FAR)
    return is_meant and is_word and kinds[0] != kinds[1]


def relative(folder):
    for language, fields in inside(folder, "dates", "dateFields.json", "dates", "fields"):
        for field, forms in fields.items():
            drawn = first_drawn([f"relative {field} {number}" for number in NUMBERS], TIMES - 1)
            for when in ("future", "past"):
                is_named = "-" not in field and field not in WEEKDAYS
                if is_named and f"relativeTime-type-{when}" in forms:
                    patterns = forms[f"relativeTime-type-{when}"]
                    for key in [f"relative {field} 1", *drawn]:
                        text = of_number(patterns, "relativeTimePattern", int(key.split()[-1]))
                        yield f"{key} {when}", language, text


def dates(folder):
    """Days of the years 1990 to 2039, in one of five forms each; no first of a month, a word of its own in French."""
    first = datetime.date(1990, 1, 1)
    days = [first + datetime.timedelta(day) for day in range(365 * 50)]
    drawn = first_drawn([f"date {day.isoformat()}" for day in days if day.day > 1], DATES)
    weeks = {language: fields["week"]["relativePeriod"] for language, fields in fields_of(folder)}
    for language, names in gregorian(folder):
        forms = names["dateTimeFormats"]["availableFormats"]
        patterns = [*map(names["dateFormats"].get, ("full", "long")), *map(forms.get, ("MMMMd", "yMMMM", "MMMMd"))]
        for key in drawn:
            form = draw(key + " form") % len(patterns)
            text = written(patterns[form], datetime.date.fromisoformat(key.split()[1]), names)
            yield key, language, filled(weeks[language], text) if form == len(patterns) - 1 else text


def fields_of(folder):
    return inside(folder, "dates", "dateFields.json", "dates", "fields")


def written(pattern, day, names):
    """A date as a pattern of the CLDR says."""
    fields = {
        "EEEE": names["days"]["format"]["wide"][WEEKDAYS[day.weekday()]],
        "MMMM": names["months"]["format"]["wide"][str(day.month)],
        "d": str(day.day),
        "y": str(day.year),
    }
    pieces = [match.group() for match in re.finditer(r"'[^']*'|([A-Za-z])\1*|[^A-Za-z']+", pattern)]
    return "".join(piece.strip("'") if piece[0] == "'" else fields.get(piece, piece) for piece in pieces)


def lists(folder, rows):
    """Lists of two or three names of a kind among `rows`, without those that have a skin tone or are flags."""
    return gathered([listed(folder, rows)])


def listed(folder, rows):
    short = {kind: [key for key, row in rows.items() if key.split()[0] == kind and ":" not in row[0]] for kind in LISTS}
    patterns = read(folder, "misc", "main/LANGUAGE/listPatterns.json")
    for place, (language, tree) in enumerate(patterns):
        forms = tree["main"][language]["listPatterns"]["listPattern-type-standard"]
        for kind, count in LISTS.items():
            for number in range(count):
                name = f"{kind} {number}"
                keys = members([short[kind]] * (2 + draw(name) % 2), name)
                texts = [rows[key][place] for key in keys]
                yield f"list {name}", language, joined(forms, texts, language)


def joined(forms, texts, language):
    """The text of a list."""
    pattern = forms["2"] if len(texts) == 2 else forms["end"]
    # As ICU does: "e" before the sound of "i", which is no part of CLDR's pattern.
    if language == "es" and re.match("h?i(?!e)", texts[-1].casefold()):
        pattern = pattern.replace(" y ", " e ")
    start = texts[0] if len(texts) == 2 else filled(forms["start"], *texts[:2])
    return filled(pattern, start, texts[-1])
