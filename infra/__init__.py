"""What deploys: the edge, the gateway's image, the package, the templates. No function has any of it."""
