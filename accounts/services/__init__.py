"""What can be done with accounts, one module a noun. Every door (pages, REST, admin, commands) calls these."""
