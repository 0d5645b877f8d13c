"""Who may say what: certificates, signed orders, signed records. Keys and time are arguments."""
