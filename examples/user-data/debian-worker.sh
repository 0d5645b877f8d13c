#!/bin/sh
# The head is ready before this runs: that is what `requires` is for.
set -eu
curl --silent --fail --retry 10 --retry-connrefused --output /root/made http://head-1/made
