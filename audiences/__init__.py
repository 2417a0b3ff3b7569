"""What people did and who belongs to what: rules, builds, lookalikes and seat files."""
