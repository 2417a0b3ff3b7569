"""What a CRM file says: cutting it into rows, reading cells, finding changes, reporting."""
