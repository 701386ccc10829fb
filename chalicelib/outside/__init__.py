"""Connections to hosts that somebody else chose: to public addresses alone."""
