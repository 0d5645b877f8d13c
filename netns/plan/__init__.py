"""Pure: a plan as wanted resources, the steps from observed to wanted, the texts of services."""
