"""Events: the outbox, the queues of those who are told, and the delivery to each."""
