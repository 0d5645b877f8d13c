"""The sealed forwarder of one host: frames of guests go encrypted over UDP to the hosts of their networks."""
