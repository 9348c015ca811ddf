"""The accounts part of `/api/v1`, one module a noun."""
