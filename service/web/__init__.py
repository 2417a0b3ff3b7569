"""The pages that people see; data comes from the API with the visitor's own key."""
