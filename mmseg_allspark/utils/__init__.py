"""Guards and small helpers; imports no other room."""
