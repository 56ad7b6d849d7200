"""Networks and tasks that several scenarios train."""
