"""`make package`: the zip of every function, the same bytes for the same input. See ADR 21."""
