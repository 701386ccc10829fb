"""The transport of /v2, /token and /u: function URL events in, responses out."""
