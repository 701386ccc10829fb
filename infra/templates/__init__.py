"""The templates, written from `app.py`, the models of the tables and `functions.py`. See ADR 22."""
