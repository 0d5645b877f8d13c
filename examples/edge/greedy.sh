#!/bin/sh
# Computes, writes and sends without end, as fast as it is let.
(while :; do :; done) &
(while :; do dd if=/dev/zero of=/scratch/fill bs=256k count=512 oflag=direct; done) >/dev/null 2>&1 &
(while :; do nc 192.0.2.10 9000 </dev/zero || sleep 1; done) >/dev/null 2>&1 &
