"""What strangers may send, and how much of it is kept."""
