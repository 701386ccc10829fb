"""Every change is told: at least once, in order, and signed, whoever is killed meanwhile."""
