"""`manage.py up` with kinds of work that only measure. Its arguments are those of `up`."""

from __future__ import annotations

import os
import sys

os.environ["DJANGO_SETTINGS_MODULE"] = "platform_site.settings"

import django

django.setup()

# Both need Django to be set up.
from django.core.management import execute_from_command_line

import bench.kinds  # noqa: F401 - registers the kinds

if __name__ == "__main__":
    execute_from_command_line(["manage.py", "up", *sys.argv[1:]])
