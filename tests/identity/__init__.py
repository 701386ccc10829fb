"""Who is asking and what they may do: the domain alone, then its flows through the handler."""
