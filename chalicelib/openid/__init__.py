"""The adapter that fetches the keys of OpenID Connect issuers."""
