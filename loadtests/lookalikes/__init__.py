"""The real households, the tasks and the references that lookalikes are measured by."""
