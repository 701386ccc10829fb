"""CloudRaya Container Registry: everything that is deployed into a function."""
