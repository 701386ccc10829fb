"""Images from and to this machine: what holds them, and how their bytes travel."""
