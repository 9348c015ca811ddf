"""Forms of the accounts pages, one module a noun."""
