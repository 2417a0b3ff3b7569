"""The only place that wires things, reads settings, opens ClickHouse or speaks HTTP."""
