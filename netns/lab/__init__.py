"""Many hosts on one machine: a network namespace each, sites, a wide-area segment between them."""
