"""The plain functions that are known by name, and how they are written down."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import readme
from .rendering import render, source
from .request import Language, Request, SourceFile
from .words import word_set


@dataclass(frozen=True)
class Known:
    """A function with examples; `wrong` are arguments that it must refuse. The first example fills the page."""

    pattern: str
    parameters: tuple[str, ...]
    examples: tuple[tuple[tuple[Any, ...], Any], ...]
    wrong: tuple[tuple[Any, ...], ...] = ()


_LIST_OF_NUMBERS = r"(?:an? |the |my )?(?:(?:list|array)s?(?: of (?:numbers|integers|ints|floats))?|numbers|integers)"
_SORTS: tuple[tuple[tuple[Any, ...], Any], ...] = (
    (([3, 1, 2],), [1, 2, 3]),
    (([],), []),
    (([5, -1, 5, 0.5],), [-1, 0.5, 5, 5]),
)
# The first pattern that matches wins, so the special ones come first.
FUNCTIONS: Mapping[str, Known] = {
    "fibonacci": Known(
        r"fibonacci", ("n",), (((10,), 55), ((0,), 0), ((1,), 1), ((50,), 12586269025)), ((-1,), ("3",))
    ),
    "factorial": Known(r"factorials?", ("n",), (((5,), 120), ((0,), 1), ((10,), 3628800)), ((-1,), (1.5,))),
    "primes_up_to": Known(
        r"primes? (?:numbers? )?(?:up to|below|until|under)|sieve|(?:all|list (?:of )?|first) primes?|prime sieve",
        ("limit",),
        (((20,), [2, 3, 5, 7, 11, 13, 17, 19]), ((1,), []), ((2,), [2])),
        (("20",), (10**9,)),
    ),
    "is_prime": Known(
        r"is[_ ]?prime|primes?", ("n",), (((7,), True), ((1,), False), ((561,), False), ((-7,), False)), (("7",),)
    ),
    "is_palindrome": Known(
        r"palindrom\w*", ("text",), ((("Never odd or even",), True), (("Steward",), False), (("",), True)), ((17,),)
    ),
    "slugify": Known(
        r"slugif\w+|slugs?",
        ("text",),
        ((("Hello, Wörld!",), "hello-world"), (("  a  b ",), "a-b"), (("!?",), "")),
        ((17,),),
    ),
    "fizzbuzz": Known(
        r"fizz[ _-]?buzz", ("n",), (((5,), ["1", "2", "Fizz", "4", "Buzz"]), ((0,), [])), ((-1,), ("5",))
    ),
    "fahrenheit_to_celsius": Known(
        r"fahrenheit (?:in|to|into) celsius",
        ("degrees",),
        (((212,), 100), ((32,), 0), ((-40,), -40)),
        (("warm",), (-500,)),
    ),
    "celsius_to_fahrenheit": Known(
        r"celsius[ _](?:in|to|into)[ _]fahrenheit",
        ("degrees",),
        (((100,), 212), ((0,), 32), ((-40,), -40)),
        (("warm",), (-300,)),
    ),
    "word_count": Known(
        r"word[ _-]?count\w*|count\w* (?:the |all )?(?:number of )?words",
        ("text",),
        ((("one two  three",), 3), (("",), 0)),
        ((3,),),
    ),
    "reverse_string": Known(
        r"revers\w+ (?:an? |the )?(?:string|text|word)|string revers\w+|reverse_string",
        ("text",),
        ((("abc",), "cba"), (("",), ""), (("Ä😀",), "😀Ä")),
        ((3,),),
    ),
    "gcd": Known(
        r"gcd|greatest common (?:divisor|factor)", ("a", "b"), (((12, 18), 6), ((7, 0), 7), ((-4, 6), 2)), ((1.5, 2),)
    ),
    "lcm": Known(r"lcm|least common multiple", ("a", "b"), (((4, 6), 12), ((0, 3), 0), ((-4, 6), 12)), (("4", 2),)),
    "bubble_sort": Known(r"bubble[ _-]?sort\w*", ("numbers",), _SORTS, ((["a"],),)),
    "quick_sort": Known(r"quick[ _-]?sort\w*", ("numbers",), _SORTS, ((["a"],),)),
    "merge_sort": Known(
        rf"merge[ _-]?sort\w*|sort(?:s|ing|ed)? {_LIST_OF_NUMBERS}(?! (?:of|by)\b)", ("numbers",), _SORTS, ((["a"],),)
    ),
    "binary_search": Known(
        r"binary[ _-]?search",
        ("numbers", "target"),
        ((([1, 3, 5, 7], 5), 2), (([1, 3], 2), -1), (([], 1), -1)),
        ((None, 1),),
    ),
    "from_roman": Known(
        r"from[_ ]roman|roman (?:numerals? |numbers? )?(?:in|to|into) (?:an? )?(?:integers?|numbers?|decimals?|arabic)",
        ("text",),
        ((("XIV",), 14), (("mcmxciv",), 1994), (("MMXXVI",), 2026)),
        (("IIII",), ("",), (5,)),
    ),
    "to_roman": Known(
        r"to[_ ]roman|roman num(?:ber|eral)s?",
        ("number",),
        (((1994,), "MCMXCIV"), ((4,), "IV"), ((3999,), "MMMCMXCIX")),
        ((0,), (4000,)),
    ),
    "is_anagram": Known(
        r"anagrams?", ("first", "second"), ((("Listen", "Silent"), True), (("ab", "abb"), False)), ((1, "a"),)
    ),
    "is_leap_year": Known(
        r"leap[ _-]?years?", ("year",), (((2024,), True), ((1900,), False), ((2000,), True)), (("2024",),)
    ),
    "count_vowels": Known(
        r"count\w* (?:the |all )?(?:number of )?vowels|vowel count|count_vowels",
        ("text",),
        ((("Education",), 5), (("xyz",), 0)),
        ((5,),),
    ),
    "sum_of_digits": Known(
        r"(?:sum\w*|add\w*) (?:up )?(?:of )?(?:the |all |its )?digits|digit sum|cross sum",
        ("number",),
        (((1234,), 10), ((0,), 0), ((-56,), 11)),
        (("12",),),
    ),
    "caesar_cipher": Known(
        r"caesar|rot-?13", ("text", "shift"), ((("Hello, World!", 3), "Khoor, Zruog!"), (("abc", -1), "zab")), ((1, 1),)
    ),
    "flatten": Known(r"flatten\w*", ("items",), ((([1, [2, [3, []]], 4],), [1, 2, 3, 4]), (([],), [])), (("abc",),)),
    "unique": Known(
        r"(?:remov\w+|delet\w+|drop\w*) (?:the |all )?duplicates?|dedup\w*|unique (?:values|elements|entries|items)",
        ("items",),
        ((([1, 2, 1, 3, 2],), [1, 2, 3]), (([],), [])),
        (("abc",),),
    ),
    "median": Known(r"median", ("numbers",), ((([3, 1, 2],), 2), (([4, 1, 3, 2],), 2.5)), (([],), (["a"],))),
    "mean": Known(
        rf"arithmetic mean|(?:mean|average)(?: value)? of {_LIST_OF_NUMBERS}",
        ("numbers",),
        ((([1, 2, 6],), 3), (([0.5],), 0.5)),
        (([],), (["a"],)),
    ),
    "camel_to_snake": Known(
        r"camel[ _-]?case (?:in|to|into) snake[ _-]?case|camel_to_snake|snake[ _-]?case",
        ("text",),
        ((("parseHTTPAnswer",), "parse_http_answer"), (("name",), "name")),
        ((5,),),
    ),
    "add_numbers": Known(
        r"(?:add|sum)(?:s|ing|up)? (?:of )?two (?:numbers|integers|ints|values)|(?:sum|addition) of two numbers",
        ("a", "b"),
        (((2, 3), 5), ((-1, 0.5), -0.5)),
        (("2", 3),),
    ),
}

# Names that mean the function even where an API or a tool is asked for.
UNMISTAKABLE = word_set("fibonacci factorial fizzbuzz gcd lcm is_palindrome is_anagram caesar_cipher bubble_sort")


def find_function(text: str) -> str:
    """The name of the known function that a text asks for, or an empty string."""
    spoken = f"{text}\n{text.replace('_', ' ')}"
    return next((name for name, known in FUNCTIONS.items() if _asks_for(spoken, name, known)), "")


def _asks_for(text: str, name: str, known: Known) -> bool:
    by_name = rf"functions? (?:called |named )?{name.replace('_', ' ')}"
    return re.search(rf"\b(?:{known.pattern}|{by_name})\b", text, re.IGNORECASE) is not None


def script_name(name: str) -> str:
    """The name as JavaScript writes it: `is_prime` -> `isPrime`."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def write_function(request: Request) -> list[SourceFile]:
    """The function in its own file with tests; raises KeyError for a name that is not known."""
    name, known = request.known_name, FUNCTIONS[request.known_name]
    write = {Language.PYTHON: _write_python, Language.JAVASCRIPT: _write_javascript, Language.HTML: _write_page}
    files = write[request.language](name, known, request.include_tests)
    if request.include_docs:
        files.append(readme.write_function_readme(request, example_call(name, known, request.language)))
    return files


def example_call(name: str, known: Known, language: Language) -> str:
    """Such as `fibonacci(10)`, without any quoting of its own."""
    (arguments, _), called = known.examples[0], name if language is Language.PYTHON else script_name(name)
    return f"{called}({', '.join(map(repr, arguments))})"


def _values(name: str, known: Known) -> dict[str, object]:
    return {
        "name": name,
        "camel": script_name(name),
        "examples": [list(example) for example in known.examples],
        "wrong": [list(arguments) for arguments in known.wrong],
        "parameters": list(known.parameters),
        "first": list(known.examples[0][0]),
    }


def _write_python(name: str, known: Known, include_tests: bool) -> list[SourceFile]:
    values = _values(name, known)
    files = [
        SourceFile(f"{name}.py", source(f"functions/{name}.py")),
        SourceFile("cli.py", render("plain/cli.py", values)),
    ]
    tests = [SourceFile(f"tests/test_{name}.py", render("plain/test_function.py", values))]
    return files + (tests if include_tests else [])


def _write_javascript(name: str, known: Known, include_tests: bool) -> list[SourceFile]:
    values = _values(name, known)
    files = [
        SourceFile(f"{name}.js", source(f"functions/{name}.js")),
        SourceFile("cli.js", render("plain/cli.js", values)),
    ]
    files.append(SourceFile("package.json", render("plain/package.json", values)))
    tests = [SourceFile(f"tests/{name}.test.js", render("plain/function.test.js", values))]
    return files + (tests if include_tests else [])


def _write_page(name: str, known: Known, include_tests: bool) -> list[SourceFile]:
    values = _values(name, known)
    pairs = {"index.html": "plain/index.html", "static/page.js": "plain/page.js", "static/style.css": "web/style.css"}
    files = [SourceFile(path, render(template, values)) for path, template in pairs.items()]
    files.append(SourceFile(f"static/{name}.js", source(f"functions/{name}.js")))
    files += [SourceFile("serve.py", source("site/serve.py")), SourceFile("Procfile", "web: python serve.py\n")]
    tests = [SourceFile("tests/test_page.py", source("web/test_page.py"))]
    return files + (tests if include_tests else [])
