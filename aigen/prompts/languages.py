"""What a model is told about a language, beyond the rules for all of them."""

from __future__ import annotations

CONVENTIONS = {
    "python": """\
- Python 3.11 or later. The program is called `python3`.
- A web application is `server.py`, built on `http.server.ThreadingHTTPServer` and, where it stores data, `sqlite3`;
  its Procfile says `web: python3 server.py`.
- Modules lie in the root. Importing one starts nothing: use `if __name__ == "__main__":`.""",
    "javascript": """\
- Node.js 20 or later, CommonJS (`require`) unless a `package.json` says `"type": "module"`. No npm packages.
- A web application is `server.js`, built on `node:http`; its Procfile says `web: node server.js`. Write data to a
  temporary file and rename it.
- Requiring a module starts nothing: use `if (require.main === module)`.""",
    "html": """\
- A static site: `index.html` in the root, styles in `style.css`, scripts in `script.js` where they are needed.
- Its Procfile says `web: python3 -m http.server $PORT --bind 127.0.0.1`, and a file named `health` contains `ok`.
- Semantic, accessible HTML with a `lang`, a title, a viewport and labels. Nothing is loaded from another host.""",
}

TESTS = {
    "python": """\
- Write tests with `unittest` in `tests/test_*.py`, and an empty `tests/__init__.py`. They are run from the root with
  `python3 -m unittest discover -s tests -v`, without network, and have to end within 30 seconds.
- Test a server on a free port of 127.0.0.1 (port 0) in a thread, with its data in a temporary directory.""",
    "javascript": """\
- Write tests with `node:test` and `node:assert` in `tests/*.test.js`. They are run from the root with `node --test`,
  without network, and have to end within 30 seconds.
- Test a server on a free port of 127.0.0.1 (port 0), with temporary data, and close it at the end.""",
    "html": """\
- Write tests in Python with `unittest` in `tests/test_*.py` that read the pages with `html.parser` and check what
  matters: titles, labels, links that lead to files of the site. They are run from the root with
  `python3 -m unittest discover -s tests -v`.""",
}

OTHER_TESTS = "- Write tests with what the language brings along, in a directory `tests`."
