"""Who is there: connections and their certificates, neighbours, and who is believed alive."""
