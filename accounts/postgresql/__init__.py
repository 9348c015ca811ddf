"""Django's PostgreSQL engine, with the database's own walls between organisations."""
