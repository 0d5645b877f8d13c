"""Words everything else is said in: ids, quantities, limits, refusals, errors."""
