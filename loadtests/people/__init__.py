"""What the load tests about people share: who is in the table, and how it is filled."""
