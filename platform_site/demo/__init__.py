"""The main job of Steward, walked from the outside against a server of its own. `manage.py demo` starts it."""
