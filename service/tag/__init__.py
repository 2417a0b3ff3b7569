"""The tag endpoint: it parses, decides, appends to the spool and answers; it opens no database."""
