"""The registry's schema, step by step. Alembic reads this package; nothing else imports it."""
