"""What the accounts API takes and answers, one module a noun."""
