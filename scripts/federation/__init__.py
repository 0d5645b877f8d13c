"""A whole federation on one machine: real keys, real daemons. Used by the demo, the tests and the benches."""
