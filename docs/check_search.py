# SPDX-License-Identifier: BSD-3-Clause
"""Check that searches on a built site find their pages.

    python docs/check_search.py docs/_build/html

Pages are ranked as by Sphinx's searchtools.js, from the index of the site. Words are
stemmed as in the index; a browser may stem a few words in another way.
"""

import json
import re
import sys
from math import floor
from pathlib import Path

# A search, and the page that should be among its first results.
EXPECTED = {
    "save model": "guide/serve",
    "choose number of clusters": "guide/choose",
    "confidence interval": "guide/uncertainty",
    "explain recommendation": "guide/recommend",
    "time series": "guide/impute",
    "survey": "guide/impute",
    "outlier": "guide/cluster",
    "cold start": "guide/recommend",
}
N_RESULTS = 3

_TITLE, _PARTIAL_TITLE, _TERM, _PARTIAL_TERM = 15, 7, 5, 2
_OBJECT_NAME, _PARTIAL_OBJECT_NAME = 11, 6
_OBJECT_PRIORITIES = {0: 15, 1: 5, 2: -5}


def rank(index, query, stem, stopwords):
    """Find (page, heading) of each result of a search, best first.

    `index` is the content of searchindex.js, `stem` a function from words to stems.
    """
    whole = query.lower().strip()
    words = re.findall(r"\w+", whole)
    terms = dict.fromkeys(
        stem(word) for word in words if word not in stopwords and not word.isdigit()
    )
    main = [
        *_match_titles(index, whole),
        *(found for word in words for found in _match_objects(index, word, words)),
        *_match_terms(index, list(terms)),
    ]
    others = []
    for entry, targets in index["indexentries"].items():
        if whole in entry and len(whole) >= len(entry) / 2:
            score = _round(100 * len(whole) / len(entry))
            for page, anchor, is_main in targets:
                found = score, page, index["titles"][page], anchor
                (main if is_main else others).append(found)
    ordered = [
        result[1:]
        for results in (main, others)
        for result in sorted(results, key=lambda found: (-found[0], found[2].lower()))
    ]
    return [(index["docnames"][page], name) for page, name, _ in dict.fromkeys(ordered)]


def _match_titles(index, whole):
    for title, targets in index["alltitles"].items():
        if whole in title.lower().strip() and len(whole) >= len(title) / 2:
            for page, anchor in targets:
                own = index["titles"][page]
                score = _round(_TITLE * len(whole) / len(title)) + (own == title)
                heading = title if own == title else f"{own} > {title}"
                yield score, page, heading, anchor or ""


def _match_objects(index, word, words):
    for prefix, objects in index["objects"].items():
        for page, kind, priority, _, name in objects:
            full_name = f"{prefix}.{name}" if prefix else name
            last = full_name.lower().rpartition(".")[2]
            title, kind_name = index["titles"][page], index["objnames"][str(kind)][2]
            text = f"{prefix} {name} {kind_name} {title}".lower()
            if word not in full_name.lower() or any(w not in text for w in words):
                continue
            score = _OBJECT_PRIORITIES.get(priority, 0)
            if word in (full_name.lower(), last):
                score += _OBJECT_NAME
            elif word in last:
                score += _PARTIAL_OBJECT_NAME
            yield score, page, full_name, full_name


def _match_terms(index, terms):
    scores = {}  # page: {term: score}
    for term in terms:
        for key, score in (("terms", _TERM), ("titleterms", _TITLE)):
            for page in _list_pages(index[key].get(term, [])):
                scores.setdefault(page, {})[term] = score
        # Partial matches come last, and replace scores of whole ones.
        for key, score in (("terms", _PARTIAL_TERM), ("titleterms", _PARTIAL_TITLE)):
            if len(term) > 2 and term not in index[key]:
                for other, pages in index[key].items():
                    if term in other:
                        for page in _list_pages(pages):
                            scores.setdefault(page, {})[term] = score
    n_long = sum(len(term) > 2 for term in terms)
    for page, found in scores.items():
        if len(found) in (len(terms), n_long):
            yield max(found.values()), page, index["titles"][page], ""


def _list_pages(pages):
    return pages if isinstance(pages, list) else [pages]


def _round(number):
    return floor(number + 0.5)  # as JavaScript does


def read_index(folder):
    """Read the index and the stopwords of a built site."""
    text = (folder / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text[text.index("(") + 1 : text.rindex(")")])
    language = (folder / "_static" / "language_data.js").read_text(encoding="utf-8")
    return index, json.loads(re.search(r"new Set\((\[.*?\])\)", language).group(1))


def main(folder):
    """Print searches that miss their page, and return the number of these."""
    from snowballstemmer import stemmer

    index, stopwords = read_index(folder)
    n_missed = 0
    for query, expected in EXPECTED.items():
        results = rank(index, query, stemmer("english").stemWord, stopwords)
        if expected not in [page for page, _ in results[:N_RESULTS]]:
            n_missed += 1
            found = [f"{page} ({heading})" for page, heading in results[:8]]
            print(f"{query}: {', '.join(found) or 'nothing'}")
    return n_missed


if __name__ == "__main__":
    n_missed = main(Path(sys.argv[1]))
    sys.exit(f"{n_missed} searches miss their page" if n_missed else 0)
