"""Who is who: ids, partners, consent, and the links from browsers to customers."""
