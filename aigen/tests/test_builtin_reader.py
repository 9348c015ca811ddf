"""What the built-in provider understands of a description."""

from __future__ import annotations

import pytest

from aigen.providers.base import Message, Prompt
from aigen.providers.builtin.naming import is_identifier, make_identifier, pluralize, singularize
from aigen.providers.builtin.reader import read_prompt
from aigen.providers.builtin.request import Field, Kind, Language, Request

RESOURCES = [
    ("a to-do list API with title, due date and done flag", "todos", "title:text! due_date:date done:boolean"),
    ("a contact book with name, email and phone", "contacts", "name:text! email:email phone:phone"),
    ("track my books: title, author, rating 1-5", "books", "title:text! author:text rating:integer(1..5)"),
    ("API to manage invoices (number, amount, paid)", "invoices", "number:text! amount:decimal paid:boolean"),
    (
        "Make an inventory with product name, quantity, price and whether it is in stock",
        "products",
        "product_name:text! quantity:integer(0..) price:decimal(0..) in_stock:boolean",
    ),
    (
        "Build a REST API for recipes that stores title, ingredients, cooking time and difficulty (easy, medium, hard)",
        "recipes",
        "title:text! ingredients:longtext cooking_time:text difficulty:choice[easy|medium|hard]",
    ),
    (
        "I want to keep track of my plants: name, species, last watered on, location",
        "plants",
        "name:text! species:text last_watered_on:date location:text",
    ),
    (
        "Create a JSON API with a web page for gym members having name, e-mail, date of birth and active flag",
        "gym_members",
        "name:text! email:email date_of_birth:date active:boolean",
    ),
    (
        "Expense tracker with description, amount (decimal), category: food/travel/other and date",
        "expenses",
        "description:longtext! amount:decimal category:choice[food|travel|other] date:date",
    ),
    (
        "bug tracker with title, severity low/medium/high, status open, in progress or closed and assignee",
        "tickets",
        "title:text! severity:choice[low|medium|high] status:choice[open|in progress|closed] assignee:text",
    ),
    (
        "An app to manage employees. Each employee has a name, an email address, a salary and a start date.",
        "employees",
        "name:text! email_address:email salary:decimal(0..) start_date:date",
    ),
    (
        "Please build me a small web app where I can log my runs with distance, duration in minutes and notes",
        "runs",
        "distance:decimal!(0..) duration:integer notes:longtext",
    ),
    (
        "A CRUD API for movies with title (required), year (integer), genre, watched (boolean)",
        "movies",
        "title:text! year:integer genre:text watched:boolean",
    ),
    (
        "wish list with name, price, link and whether I have bought it",
        "wishes",
        "name:text! price:decimal(0..) link:url bought:boolean",
    ),
    (
        "Students API: first name, last name, age, grade from 1 to 6, email",
        "students",
        "first_name:text! last_name:text age:integer(0..) grade:integer(1..6) email:email",
    ),
    (
        "Manage orders with order number, class, from, to, group, select and id",
        "orders",
        "order_number:text! class_value:text from_value:text to_value:text group_value:text select_value:text",
    ),
    (
        "API for pets - name (text), species (dog, cat or bird), age (int), vaccinated (yes/no), photo url",
        "pets",
        "name:text! species:choice[dog|cat|bird] age:integer(0..) vaccinated:boolean photo_url:url",
    ),
    (
        "make a server that stores temperature readings with sensor, value, unit and measured on date",
        "temperature_readings",
        "sensor:text! value:text unit:text measured_on:date",
    ),
    (
        "JSON API with a web page over vehicles: fields are brand, model, year and sold, with tests and a README",
        "vehicles",
        "brand:text! model:text year:integer sold:boolean",
    ),
    (
        "I need a guest list for my wedding with guest name, number of guests and dietary notes",
        "guests",
        "guest_name:text! guests:integer(0..) dietary_notes:longtext",
    ),
    (
        "event calendar: title, date, start time, location, url",
        "events",
        "title:text! date:date start_time:time location:text url:url",
    ),
    (
        "customer feedback api with name, email, rating out of 10, comment and login",
        "customer_feedbacks",
        "name:text! email:email rating:integer(1..10) comment:longtext",
    ),
    (
        "Create an API for managing a zoo\u2019s animals \u2013 name, species, weight in kg, is endangered",
        "zoo_animals",
        "name:text! species:text weight:decimal(0..) is_endangered:boolean",
    ),
    (
        "Inventory API:\n- name\n- sku\n- quantity (integer)\n- price",
        "products",
        "name:text! sku:text quantity:integer(0..) price:decimal(0..)",
    ),
    (
        "job application tracker with company, position, applied on date, status (applied, interview, rejected)",
        "jobs",
        "company:text! position:text applied_on:date status:choice[applied|interview|rejected]",
    ),
    (
        "flashcards: question, answer, difficulty from 1 to 5, learned",
        "flashcards",
        "question:longtext! answer:longtext difficulty:integer(1..5) learned:boolean",
    ),
    (
        "API that keeps workouts (exercise, sets, reps)",
        "workouts",
        "exercise:text! sets:integer(0..) reps:integer(0..)",
    ),
    ("todo app with text and priority", "todos", "text:text! priority:choice[low|medium|high]"),
    ("Create a shopping list app", "items", "name:text! quantity:integer(0..) bought:boolean"),
    ("CRUD for customers & orders", "customers", "name:text! email:email phone:phone"),
    ("Write an API", "items", "name:text! notes:longtext"),
]

KINDS = [
    ("a to-do list API with title and a search function", Kind.API, Language.PYTHON),
    ("a to-do list API in node.js", Kind.API, Language.JAVASCRIPT),
    ("a website to manage invoices (number, amount, paid)", Kind.API, Language.PYTHON),
    ("todo list with title and due date in plain HTML", Kind.API, Language.HTML),
    ("portfolio for a photographer with home, work and contact pages", Kind.SITE, Language.HTML),
    ("landing page for my bakery", Kind.SITE, Language.HTML),
    ("a static site about bees, served by Python", Kind.SITE, Language.PYTHON),
    ("a blog API with title and body", Kind.API, Language.PYTHON),
    ("command-line tool to keep my expenses: title, amount", Kind.COMMAND, Language.PYTHON),
    ("a CLI that converts CSV to JSON", Kind.TEXT_TOOL, Language.PYTHON),
    ("password generator in javascript", Kind.TEXT_TOOL, Language.JAVASCRIPT),
    ("a word count command line tool in html", Kind.NO_COMMAND_LINE, Language.HTML),
    ("a function that checks whether a number is prime", Kind.FUNCTION, Language.PYTHON),
    ("fizzbuzz in javascript", Kind.FUNCTION, Language.JAVASCRIPT),
    ("API that returns fibonacci numbers", Kind.FUNCTION, Language.PYTHON),
    ("quotes of roman emperors with text and emperor", Kind.API, Language.PYTHON),
    ("write a function that predicts the weather", Kind.UNKNOWN_FUNCTION, Language.PYTHON),
    ("function that sorts users by their last login", Kind.UNKNOWN_FUNCTION, Language.PYTHON),
    ("a to-do list in Rust", Kind.UNKNOWN_LANGUAGE, Language.PYTHON),
    ("hello, who are you?", Kind.TALK, Language.PYTHON),
]


def read(text: str, **options: object) -> Request:
    return read_prompt(Prompt("", (Message("user", text),), options=options))


def spell(field: Field) -> str:
    """`rating:integer(1..5)`, with `!` for required and `[a|b]` for choices."""
    low, high = ("" if limit is None else str(limit) for limit in (field.minimum, field.maximum))
    limits = f"({low}..{high})" if low or high else ""
    choices = f"[{'|'.join(field.choices)}]" if field.choices else ""
    return f"{field.name}:{field.type}{'!' if field.required else ''}{choices}{limits}"


@pytest.mark.parametrize(("text", "plural", "fields"), RESOURCES, ids=[text[:40] for text, _, _ in RESOURCES])
def test_resource_and_fields_are_understood(text, plural, fields):
    resource = read(text, language="python").resource
    assert resource is not None
    assert (resource.plural, " ".join(map(spell, resource.fields))) == (plural, fields)


@pytest.mark.parametrize(("text", "kind", "language"), KINDS, ids=[text[:40] for text, _, _ in KINDS])
def test_kind_and_language_are_understood_without_options(text, kind, language):
    request = read(text)
    assert (request.kind, request.language) == (kind, language)


def test_options_decide_over_the_text():
    request = read(
        "ignored", prompt="todo list in python", language="javascript", include_tests=False, include_docs=False
    )
    assert (request.language, request.include_tests, request.include_docs) == (Language.JAVASCRIPT, False, False)
    assert request.description == "todo list in python"
    assert read("a to-do list", language="typescript").kind is Kind.UNKNOWN_LANGUAGE


def test_what_was_guessed_or_left_out_is_said():
    notes = " ".join(read("Write an API with login and payments", language="python").notes)
    assert "called items" in notes
    assert "so these were chosen: name, notes" in notes
    assert "accounts and sign-in" in notes
    assert "payments" in notes
    assert read("a contact book with name, email and phone", language="python").notes == ()


def test_a_failure_report_is_not_taken_for_a_description():
    turns = (
        Message("user", "a contact book with name and email"),
        Message("assistant", "```python path=server.py\nx\n```"),
        Message("user", "The tests failed with this error: title"),
    )
    request = read_prompt(Prompt("", turns))
    assert request.description == "a contact book with name and email"
    assert request.repeated


def test_site_title_and_pages():
    site = read("portfolio site for Ada Lovelace with home, projects, about and contact pages").site
    assert site is not None
    assert (site.topic, site.title) == ("portfolio", "Ada Lovelace")
    assert [page.slug for page in site.pages] == ["home", "projects", "about", "contact"]
    named = read('a landing page called "Brot & Wein" for our bakery').site
    assert named is not None
    assert named.title == "Brot & Wein"


@pytest.mark.parametrize(
    "words",
    [
        "__proto__",
        "constructor",
        "select",
        "class",
        "1st",
        "../../x",
        "a'b\"c`",
        "x" * 300,
        "sqlite_master",
        "con",
        "Größe",
        "😀",
    ],
)
def test_identifiers_are_safe_or_empty(words):
    name = make_identifier(words)
    assert name == "" or is_identifier(name)
    assert name not in {"constructor", "select", "class", "con", "prototype"}
    assert not name.startswith("sqlite_")


@pytest.mark.parametrize(
    ("one", "many"),
    [("book", "books"), ("category", "categories"), ("person", "people"), ("box", "boxes"), ("news", "news")],
)
def test_singular_and_plural(one, many):
    assert (pluralize(one), singularize(many), singularize(one)) == (many, one, one)
