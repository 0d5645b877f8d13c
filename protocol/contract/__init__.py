"""What both sides of an agreement say and believe: messages, orders, notices."""
