"""The registry's verbs: blobs, uploads, manifests, tags, referrers. No HTTP, no AWS."""
