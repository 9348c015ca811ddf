"""Writes a static site: one file a page, one style, and a small program that serves them."""

from __future__ import annotations

import html

from . import readme
from .rendering import render, source
from .request import Language, Page, Request, Site, SourceFile
from .site_texts import page_body


def write_site(request: Request) -> list[SourceFile]:
    """All files of the site; raises ValueError when the request has none."""
    if request.site is None:
        raise ValueError("a static site needs pages")
    files = [_write_page(request.site, page) for page in request.site.pages]
    files.append(SourceFile("static/style.css", source("site/style.css")))
    files += _javascript_server(request) if request.language is Language.JAVASCRIPT else _python_server(request)
    if request.include_docs:
        files.append(readme.write_site_readme(request, request.site))
    return files


def file_name(page: Page) -> str:
    return "index.html" if page.slug == "home" else f"{page.slug}.html"


def _write_page(site: Site, page: Page) -> SourceFile:
    values = {
        "title": site.title,
        "heading": page.title,
        "navigation": _navigation(site, page) if len(site.pages) > 1 else "",
        "body": page_body(site, page),
    }
    return SourceFile(file_name(page), render("site/page.html", values))


def _navigation(site: Site, current: Page) -> str:
    links = "".join(f"\n          <li>{_link(page, current=page == current)}</li>" for page in site.pages)
    return f'      <nav aria-label="Pages">\n        <ul>{links}\n        </ul>\n      </nav>'


def _link(page: Page, *, current: bool) -> str:
    attribute = ' aria-current="page"' if current else ""
    return f'<a href="{file_name(page)}"{attribute}>{html.escape(page.title)}</a>'


def _python_server(request: Request) -> list[SourceFile]:
    tests = [SourceFile("tests/test_pages.py", source("web/test_page.py"))] if request.include_tests else []
    return [SourceFile("serve.py", source("site/serve.py")), *tests, SourceFile("Procfile", "web: python serve.py\n")]


def _javascript_server(request: Request) -> list[SourceFile]:
    package = SourceFile("package.json", render("plain/package.json", {"name": "site"}))
    tests = [SourceFile("tests/pages.test.js", source("site/pages.test.js"))] if request.include_tests else []
    return [
        SourceFile("serve.js", source("site/serve.js")),
        package,
        *tests,
        SourceFile("Procfile", "web: node serve.js\n"),
    ]
