"""What any HTTP API needs: a session, what its answers say, and a budget that all processes share."""
