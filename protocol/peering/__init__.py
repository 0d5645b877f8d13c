"""This peer among others: who is there, who is believed, what everybody knows."""
