"""What a simulated federation is asked, each question with its own world and its own figures."""
