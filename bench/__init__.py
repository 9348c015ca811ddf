"""Figures of this machine. `python -m bench` prints them all; each file measures one thing and says how."""
